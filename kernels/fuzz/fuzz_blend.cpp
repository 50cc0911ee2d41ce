// A sliding window's sum and its labels: any start, shapes, strides and number of channels.
#include "input.h"
#include "window/window.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

namespace {

Index start_of(Input& in, Index around) {
  constexpr Index far = Index{1} << 60;
  switch (in.byte() % 8) {
    case 0:
      return in.flag() ? far : -far;
    case 1:
      return static_cast<Index>(in.bits64() % (2 * far + 1)) - far;
    default:
      return in.range(-around, around);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const Index channels = in.length(6);
  const std::vector<Index> volume = {in.length(9), in.length(20), in.length(60)};
  const std::vector<Index> window = {in.length(6), in.length(20), in.length(40)};
  const auto with_channels = [&](std::vector<Index> shape) {
    shape.insert(shape.begin(), channels);
    return shape;
  };
  Noise noise(in);
  Array patch(in, DType::f32, with_channels(window), false), weight(in, DType::f32, window, false);
  patch.fill(noise);
  weight.fill(noise);
  const Index start[3] = {start_of(in, 10), start_of(in, 25), start_of(in, 60)};
  const float level = static_cast<float>(in.number(false));

  Input again = in;
  Array total(in, DType::f32, with_channels(volume), true), norm(in, DType::f32, volume, true);
  Array total2(again, DType::f32, with_channels(volume), true), norm2(again, DType::f32, volume, true);
  Array* const totals[2] = {&total, &total2};
  Array* const norms[2] = {&norm, &norm2};
  Array argmax(in, DType::u8, volume, true), threshold(in, DType::u8, volume, true);
  std::vector<std::uint8_t> labels[2], masks[2];
  on_two_levels(in, [&](int round, int threads) {
    Array &t = *totals[round], &n = *norms[round];
    t.clear();
    n.clear();
    for (int k = 0; k < 2; ++k) {
      accumulate(patch.source(), patch.stride(0), weight.source(), t.target(), t.stride(0), n.target(), channels, start,
                 threads);
    }
    if (channels == 0) return;
    argmax_blend(t.source(), t.stride(0), channels, argmax.target(), threads);
    threshold_blend(t.source(), t.stride(0), channels, n.source(), threshold.target(), level, threads);
    labels[round] = argmax.contents();
    masks[round] = threshold.contents();
  });
  expect(total.contents() == total2.contents() && norm.contents() == norm2.contents(), "accumulate elsewhere");
  expect(total.gaps_untouched() && norm.gaps_untouched(), "accumulate: memory between the elements");
  expect(argmax.gaps_untouched() && threshold.gaps_untouched(), "labels: memory between the elements");
  expect(labels[0] == labels[1] && masks[0] == masks[1], "labels elsewhere");
  for (Index z = 0; z < volume[0]; ++z) {
    for (Index y = 0; y < volume[1]; ++y) {
      for (Index x = 0; x < volume[2]; ++x) {
        const Index at[3] = {z - start[0], y - start[1], x - start[2]};
        const bool covered =
            at[0] >= 0 && at[0] < window[0] && at[1] >= 0 && at[1] < window[1] && at[2] >= 0 && at[2] < window[2];
        const float w = covered ? weight.at<float>(at[0], at[1], at[2]) : 0.0f;
        const auto same = [](float a, float b) { return a == b || (a != a && b != b); };
        expect(same(norm.at<float>(z, y, x), covered ? (0.0f + w) + w : 0.0f), "norm");
        for (Index c = 0; c < channels; ++c) {
          const float term = covered ? patch.at<float>(c, at[0], at[1], at[2]) * w : 0.0f;
          expect(same(total.at<float>(c, z, y, x), (0.0f + term) + term), "total");
        }
      }
    }
  }
  return 0;
}
