// A sliding window: cutting with any start and padding, the weighted sum, its norm and its labels; any shapes, strides
// and number of channels.
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
  Array patch(in, DType::f32, with_channels(window), false);
  patch.fill(noise);
  std::vector<float> bell[3];
  WindowWeights weights{{}, {}, static_cast<float>(in.range(0, 4)) / 8.0f};
  for (int axis = 0; axis < 3; ++axis) {
    for (Index i = 0; i < window[axis]; ++i) bell[axis].push_back(static_cast<float>(in.range(0, 64)) / 64.0f);
    weights.bell[axis] = bell[axis].data();
    weights.shape[axis] = window[axis];
  }
  const auto weight = [&](Index z, Index y, Index x) {
    const float w = bell[0][z] * bell[1][y] * bell[2][x];
    return w < weights.floor ? weights.floor : w;
  };
  const Index start[3] = {start_of(in, 10), start_of(in, 25), start_of(in, 60)};
  const Index none[3] = {window[0], window[1], window[2]};
  const std::int64_t starts[3][2] = {{start[0], start[0]}, {start[1]}, {start[2]}};
  const float level = static_cast<float>(in.number(false));
  const Outside modes[] = {Outside::constant, Outside::reflect, Outside::replicate, Outside::circular};
  const Outside mode = in.one_of(modes);

  Input again = in;
  Array total(in, DType::f32, with_channels(volume), true), norm(in, DType::f32, volume, true);
  Array total2(again, DType::f32, with_channels(volume), true), norm2(again, DType::f32, volume, true);
  Array* const totals[2] = {&total, &total2};
  Array* const norms[2] = {&norm, &norm2};
  Array best(in, DType::u8, volume, true), above(in, DType::u8, volume, true);
  Array cut(in, DType::f32, with_channels(window), true);
  std::vector<std::uint8_t> labels[2], masks[2], cuts[2];
  on_two_levels(in, [&](int round, int threads) {
    Array &t = *totals[round], &n = *norms[round];
    t.clear();
    for (int k = 0; k < 2; ++k) {
      accumulate(patch.source(), patch.stride(0), weights, t.target(), t.stride(0), channels, volume[0], start, none,
                 threads);
    }
    window_norm(weights, {{starts[0], starts[1], starts[2]}, {2, 1, 1}}, 0, n.target(), threads);
    if (channels == 0) return;
    const ConstArray3 divisor = n.source();
    argmax(t.source(), t.stride(0), channels, best.target(), threads);
    threshold(t.source(), t.stride(0), channels, &divisor, level, 1, above.target(), threads);
    labels[round] = best.contents();
    masks[round] = above.contents();
    if (mode == Outside::constant || volume[0] * volume[1] * volume[2] > 0) {
      gather(t.source(), t.stride(0), cut.target(), cut.stride(0), channels, start, mode, level, nullptr, threads);
      cuts[round] = cut.contents();
    }
  });
  expect(total.contents() == total2.contents() && norm.contents() == norm2.contents(), "accumulate elsewhere");
  expect(total.gaps_untouched() && norm.gaps_untouched(), "accumulate: memory between the elements");
  expect(best.gaps_untouched() && above.gaps_untouched(), "labels: memory between the elements");
  expect(labels[0] == labels[1] && masks[0] == masks[1], "labels elsewhere");
  expect(cut.gaps_untouched(), "gather: memory between the elements");
  expect(cuts[0] == cuts[1], "gather elsewhere");
  for (Index z = 0; z < volume[0]; ++z) {
    for (Index y = 0; y < volume[1]; ++y) {
      for (Index x = 0; x < volume[2]; ++x) {
        const Index at[3] = {z - start[0], y - start[1], x - start[2]};
        const bool covered =
            at[0] >= 0 && at[0] < window[0] && at[1] >= 0 && at[1] < window[1] && at[2] >= 0 && at[2] < window[2];
        const float w = covered ? weight(at[0], at[1], at[2]) : 0.0f;
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
