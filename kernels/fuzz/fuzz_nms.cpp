// Non-maximum suppression: any boxes that are boxes, scores, strides and limits.
#include <algorithm>

#include "components/nms.h"
#include "input.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const int axes = in.flag() ? 2 : 3;
  const Index n = in.length(150);
  if (n == 0) return 0;  // the binding answers itself
  Noise noise(in);
  Array boxes(in, DType::f32, {1, n, 2 * axes}, true);
  const bool huge = in.flag();
  const auto corner = [&] {
    const float v = static_cast<float>(noise.next() % 64) / 4.0f;
    return huge && noise.next() % 8 == 0 ? (v - 8.0f) * 4e37f : v;
  };
  for (Index k = 0; k < n; ++k) {
    for (Index axis = 0; axis < axes; ++axis) {
      float a = corner(), b = corner();
      if (b < a) std::swap(a, b);
      std::memcpy(boxes.address(boxes.offset(Index{0}, k, axis)), &a, sizeof a);
      std::memcpy(boxes.address(boxes.offset(Index{0}, k, axis + axes)), &b, sizeof b);
    }
  }
  Array scores(in, DType::f32, {1, 1, n}, true);
  for (Index k = 0; k < n; ++k) {
    float score = noise.real();
    if (score != score) score = 0.0f;
    std::memcpy(scores.address(scores.offset(Index{0}, Index{0}, k)), &score, sizeof score);
  }
  const float threshold = static_cast<float>(in.number(false));
  const Index most = in.flag() ? n : 1 + in.byte();
  std::vector<std::int64_t> kept[2];
  on_two_levels(in, [&](int round, int threads) {
    kept[round].assign(static_cast<std::size_t>(n), -1);
    const Index count = nms(static_cast<const float*>(boxes.data()), boxes.stride(1), boxes.stride(2),
                            static_cast<const float*>(scores.data()), scores.stride(2), n, axes, threshold, most,
                            kept[round].data(), threads);
    expect(count >= 0 && count <= std::min(n, most), "the number of boxes");
    kept[round].resize(static_cast<std::size_t>(count));
    for (std::size_t k = 0; k < kept[round].size(); ++k) {
      expect(kept[round][k] >= 0 && kept[round][k] < n, "the index of a box");
      if (k == 0) continue;
      expect(scores.at<float>(Index{0}, Index{0}, Index{kept[round][k]}) <=
                 scores.at<float>(Index{0}, Index{0}, Index{kept[round][k - 1]}),
             "the order of the boxes");
    }
  });
  expect(kept[0] == kept[1], "boxes elsewhere");
  return 0;
}
