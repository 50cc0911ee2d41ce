#include "components/nms.h"

#include <algorithm>

#include "components/loops.h"
#include "scratch.h"
#include "thread_pool.h"

namespace bedside::cpu {

Index nms(const float* boxes, Index row_stride, Index stride, const float* scores, Index score_stride, Index n,
          int axes, float threshold, Index most, std::int64_t* kept, int threads) {
  if (n == 0) return 0;
  const ComponentLoops& loop = component_loops();
  // By falling score: corners and size coordinate by coordinate, and whether the box is out.
  const int columns = 2 * axes + 1;
  float* const sorted = static_cast<float*>(scratch(
      static_cast<std::size_t>(n) * (sizeof(float) * static_cast<std::size_t>(columns) + sizeof(Index) + 1) + 8));
  Index* const order = reinterpret_cast<Index*>(sorted + (n * columns + 1) / 2 * 2);
  std::uint8_t* const out = reinterpret_cast<std::uint8_t*>(order + n);
  for (Index k = 0; k < n; ++k) order[k] = k;
  std::sort(order, order + n, [&](Index a, Index b) {
    const float left = scores[a * score_stride], right = scores[b * score_stride];
    return left > right || (left == right && a < b);
  });
  for (Index k = 0; k < n; ++k) {
    const float* const box = boxes + order[k] * row_stride;
    float size = box[axes * stride] - box[0];
    for (int axis = 1; axis < axes; ++axis) size *= box[(axes + axis) * stride] - box[axis * stride];
    for (int column = 0; column < 2 * axes; ++column) sorted[column * n + k] = box[column * stride];
    sorted[2 * axes * n + k] = size;
    out[k] = 0;
  }
  // Boxes are settled in blocks: first among themselves, then all that the block keeps at once against those that come
  // after, which is where the work is.
  constexpr Index kBlock = 64, kPiece = 2048;
  threads = resolve_threads(threads);
  Index count = 0;
  for (Index begin = 0; begin < n && count < most; begin += kBlock) {
    const Index end = std::min(begin + kBlock, n), before = count;
    Index chosen[kBlock];
    for (Index k = begin; k < end && count < most; ++k) {
      if (out[k] != 0) continue;
      chosen[count - before] = k;
      kept[count++] = static_cast<std::int64_t>(order[k]);
      loop.suppress[axes - 2](sorted, n, k, k + 1, end, threshold, out);
    }
    if (count == most) break;
    parallel_for(n - end, kPiece, threads, [&](int, Index first, Index last) {
      for (Index k = 0; k < count - before; ++k) {
        loop.suppress[axes - 2](sorted, n, chosen[k], end + first, end + last, threshold, out);
      }
    });
  }
  return count;
}

}  // namespace bedside::cpu
