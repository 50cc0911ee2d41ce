#include "window/window.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "bedside/accumulate.h"
#include "check.h"

namespace bedside::cpu::test {

namespace {

constexpr Index channels = 3, z = 5, y = 33, x = 71, slice = y * x, patch_slice = 30 * 50;

void test_blend(bool plain, int threads) {
  Volume<float> all(z * channels, y, x, true), norm(z, y, x, plain), patch(4 * channels, 30, 50, true);
  float bell[3][50];
  for (auto& axis : bell) {
    for (float& b : axis) b = std::fabs(random_float()) / 128.0f;
  }
  const WindowWeights weights{{bell[0], bell[1], bell[2]}, {4, 30, 50}, 0.25f};
  const auto weight = [&](Index k, Index j, Index i) {
    const float w = bell[0][k] * bell[1][j] * bell[2][i];
    return w < 0.25f ? 0.25f : w;
  };
  patch.fill(random_float);
  const Index start[3] = {-1, 7, 40}, none[3] = {4, 30, 50};
  Array3 view = all.view(DType::f32);
  view.shape[0] = z;
  ConstArray3 piece = patch.source(DType::f32);
  piece.shape[0] = 4;
  std::int32_t peak = 0;
  for (int round = 0; round < 2; ++round) {
    peak = accumulate(piece, 4 * patch_slice, weights, view, z * slice, channels, z, start, none, threads);
  }
  const std::int64_t starts[3][2] = {{start[0], start[0]}, {start[1]}, {start[2]}};
  window_norm(weights, {{starts[0], starts[1], starts[2]}, {2, 1, 1}}, 0, norm.view(DType::f32), threads);
  Volume<std::uint8_t> best(z, y, x, !plain), above(z, y, x, plain);
  Volume<float> mean(z, y, x, !plain);
  const ConstArray3 sums{all.memory.data(), DType::f32, {z, y, x}, {slice, x, 1}};
  const ConstArray3 divisor = norm.source(DType::f32);
  argmax(sums, z * slice, channels, best.view(DType::u8), threads);
  threshold(sums, z * slice, channels, &divisor, 10.0f, 1, above.view(DType::u8), threads);
  divide(sums, 0, divisor, mean.view(DType::f32), 0, 1, threads);
  bool same = true, winners = true, firsts = true, quotients = true;
  float largest = 0.0f;
  norm.each([&](Index k, Index j, Index i) {
    const Index at[3] = {k - start[0], j - start[1], i - start[2]};
    const bool covered = at[0] >= 0 && at[0] < 4 && at[1] >= 0 && at[1] < 30 && at[2] >= 0 && at[2] < 50;
    const float w = covered ? weight(at[0], at[1], at[2]) : 0.0f;
    same = same && norm.at(k, j, i) == w + w;
    int winner = 0, first = 0;
    float most = 0.0f;
    for (int c = 0; c < channels; ++c) {
      const float value = covered ? patch.at(c * 4 + at[0], at[1], at[2]) : 0.0f;
      const float term = value * w, sum = term + term;
      largest = std::fmax(largest, std::fabs(value));
      same = same && all.at(c * z + k, j, i) == sum;
      if (c == 0 || sum > most) winner = c, most = sum;
      if (first == 0 && covered && sum / (w + w) >= 10.0f) first = c + 1;
    }
    winners = winners && best.at(k, j, i) == winner;
    firsts = firsts && above.at(k, j, i) == first;
    const float quotient = all.at(k, j, i) / norm.at(k, j, i);
    quotients = quotients && (mean.at(k, j, i) == quotient || quotient != quotient);
  });
  expect(same, "accumulate and window_norm", threads);
  expect(peak == magnitude_bits(largest), "accumulate's peak", threads);
  expect(winners, "argmax", threads);
  expect(firsts, "threshold", threads);
  expect(quotients, "divide", threads);
}

void test_gather(bool plain, int threads) {
  Volume<std::int16_t> src(z, y, x, plain);
  src.fill([] { return static_cast<std::int16_t>(random_bits()); });
  Volume<float> out(7, 40, 60, !plain);
  const Rescale map{0.5f, -3.0f, -9000.0f, 9000.0f, 0.125f, 1.0f};
  for (const Outside mode : {Outside::constant, Outside::reflect, Outside::replicate, Outside::circular}) {
    const Index start[3] = {-2, -8, 30};
    gather(src.source(DType::i16), 0, out.view(DType::f32), 0, 1, start, mode, -1.5f, &map, threads);
    bool same = true;
    out.each([&](Index k, Index j, Index i) {
      const Index a = voxel_for(k - 2, z, mode), b = voxel_for(j - 8, y, mode), c = voxel_for(i + 30, x, mode);
      const bool nowhere = a == kNowhere || b == kNowhere || c == kNowhere;
      same = same && out.at(k, j, i) == (nowhere ? -1.5f : rescale_voxel(src.at(a, b, c), map));
    });
    expect(same, "gather", threads);
  }
  Volume<float> part(3, 20, 60, true);
  const Index start[3] = {1, 10, 11};
  gather(src.source(DType::i16), 0, part.view(DType::f32), 0, 1, start, Outside::constant, 0.0f, &map, threads);
  bool same = true;
  part.each([&](Index k, Index j, Index i) {
    same = same && part.at(k, j, i) == rescale_voxel(src.at(k + 1, j + 10, i + 11), map);
  });
  expect(same, "gather inside", threads);
  expect(voxel_for(-7, 3, Outside::reflect) == 1 && voxel_for(8, 3, Outside::circular) == 2 &&
             voxel_for(5, 1, Outside::reflect) == 0,
         "voxel_for", threads);
}

void test_activations(bool plain, int threads) {
  Volume<float> src(z * channels, y, x, true), out(z * channels, y, x, true);
  src.fill(random_float);
  src.memory[5] = std::numeric_limits<float>::quiet_NaN();
  ConstArray3 from = src.source(DType::f32);
  Array3 to = plain ? out.view(DType::f32) : src.view(DType::f32);
  from.shape[0] = to.shape[0] = z;
  const std::vector<float> held = src.memory;
  const std::vector<float>& made = plain ? out.memory : src.memory;
  softmax(from, z * slice, to, z * slice, channels, threads);
  bool close = true;
  for (Index v = 0; v < z * slice; ++v) {
    double power[channels], sum = 0, most = held[v];
    for (int c = 0; c < channels; ++c) most = std::fmax(most, held[c * z * slice + v]);
    for (int c = 0; c < channels; ++c) sum += power[c] = std::exp(held[c * z * slice + v] - most);
    for (int c = 0; c < channels; ++c) {
      const float got = made[c * z * slice + v];
      close = close && (v == 5 ? got != got : std::fabs(got - power[c] / sum) < 3e-7);
    }
  }
  expect(close, "softmax", threads);
  src.memory = held;
  sigmoid(from, z * slice, to, z * slice, channels, threads);
  close = true;
  for (std::size_t v = 0; v < held.size(); ++v) {
    const double want = 1.0 / (1.0 + std::exp(-static_cast<double>(held[v])));
    const double unit = std::fmax(want * 1.2e-7, 1.5e-45);
    close = close && (v == 5 ? made[v] != made[v] : std::fabs(made[v] - want) <= 2.5 * unit);
  }
  expect(close, "sigmoid", threads);
  Volume<std::uint8_t> masks(z * channels, y, x, true), labels(z, y, x, plain);
  masks.fill([] { return random_bits() % 3; });
  ConstArray3 bits = masks.source(DType::u8);
  bits.shape[0] = z;
  threshold_u8(bits, z * slice, channels, 2, 4, labels.view(DType::u8), threads);
  bool same = true;
  labels.each([&](Index k, Index j, Index i) {
    int want = 0;
    for (int c = channels; c-- > 0;) want = masks.at(c * z + k, j, i) >= 2 ? c + 4 : want;
    same = same && labels.at(k, j, i) == want;
  });
  expect(same, "threshold_u8", threads);
}

const Test registered("window", [](int threads) {
  for (const bool plain : {false, true}) {
    test_blend(plain, threads);
    test_gather(plain, threads);
    test_activations(plain, threads);
  }
});

}  // namespace

}  // namespace bedside::cpu::test
