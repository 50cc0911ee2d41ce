#include "window/window.h"

#include <cmath>

#include "check.h"

namespace bedside::cpu::test {

namespace {

void test_blend(bool plain, int threads) {
  constexpr Index channels = 3, z = 5, y = 33, x = 71;
  std::vector<Volume<float>> total(channels, Volume<float>(z, y, x, plain));
  Volume<float> all(z * channels, y, x, true), norm(z, y, x, plain), weight(4, 30, 50, !plain);
  Volume<float> patch(4 * channels, 30, 50, true);
  weight.fill([] { return 0.25f + std::fabs(random_float()); });
  patch.fill(random_float);
  const Index start[3] = {-1, 7, 40};
  const Index slice = y * x, patch_slice = 30 * 50;
  Array3 view = all.view(DType::f32);
  view.shape[0] = z;
  ConstArray3 piece = patch.source(DType::f32);
  piece.shape[0] = 4;
  for (int round = 0; round < 2; ++round) {
    accumulate(piece, 4 * patch_slice, weight.source(DType::f32), view, z * slice, norm.view(DType::f32), channels,
               start, threads);
  }
  Volume<std::uint8_t> best(z, y, x, !plain), above(z, y, x, plain);
  const ConstArray3 sums{all.memory.data(), DType::f32, {z, y, x}, {slice, x, 1}};
  argmax_blend(sums, z * slice, channels, best.view(DType::u8), threads);
  threshold_blend(sums, z * slice, channels, norm.source(DType::f32), above.view(DType::u8), 10.0f, threads);
  bool same = true, argmax = true, threshold = true;
  norm.each([&](Index k, Index j, Index i) {
    const Index at[3] = {k - start[0], j - start[1], i - start[2]};
    const bool covered = at[0] >= 0 && at[0] < 4 && at[1] >= 0 && at[1] < 30 && at[2] >= 0 && at[2] < 50;
    const float w = covered ? weight.at(at[0], at[1], at[2]) : 0.0f;
    same = same && norm.at(k, j, i) == w + w;
    int winner = 0, first = 0;
    float most = 0.0f;
    for (int c = 0; c < channels; ++c) {
      const float term = covered ? patch.at(c * 4 + at[0], at[1], at[2]) * w : 0.0f, sum = term + term;
      same = same && all.at(c * z + k, j, i) == sum;
      if (c == 0 || sum > most) winner = c, most = sum;
      if (first == 0 && covered && sum / (w + w) >= 10.0f) first = c + 1;
    }
    argmax = argmax && best.at(k, j, i) == winner;
    threshold = threshold && above.at(k, j, i) == first;
  });
  expect(same, "accumulate", threads);
  expect(argmax, "argmax_blend", threads);
  expect(threshold, "threshold_blend", threads);
}

const Test registered("blend", [](int threads) {
  for (const bool plain : {false, true}) {
    test_blend(plain, threads);
  }
});

}  // namespace

}  // namespace bedside::cpu::test
