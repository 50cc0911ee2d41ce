#include <algorithm>
#include <cstring>

#include "layout.h"
#include "resize/loops.h"
#include "resize/resize.h"
#include "thread_pool.h"

namespace bedside::cpu {

void take(const void* src, const Index src_stride[3], void* out, const Index shape[3], const Index out_stride[3],
          Index item, const std::int32_t* const index[3], int threads) {
  for (int axis = 0; axis < 3; ++axis) {
    if (shape[axis] == 0) return;
  }
  // Rows are written along the output's smallest stride.
  int order[3];
  closest_last(out_stride, order);
  const int z = order[0], y = order[1], x = order[2];
  const Index n = shape[x];
  const auto pick = resize_loops().pick[item == 1 ? 0 : item == 2 ? 1 : item == 4 ? 2 : 3];

  // The longest run of neighbours is copied as a block: all but a border where an image is padded.
  Index run_begin = 0, run_end = 0;
  if (src_stride[x] == 1 && out_stride[x] == 1) {
    for (Index begin = 0, end; begin < n; begin = end) {
      for (end = begin + 1; end < n && index[x][end] == index[x][end - 1] + 1;) ++end;
      if (end - begin > run_end - run_begin) run_begin = begin, run_end = end;
    }
    if (run_end - run_begin < 16) run_end = run_begin = 0;
  }
  const Index grain = std::max<Index>(1, (Index{1} << 15) / n);
  parallel_for(shape[z] * shape[y], grain, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const Index j = row / shape[y], k = row % shape[y];
      const char* const from =
          static_cast<const char*>(src) + (index[z][j] * src_stride[z] + index[y][k] * src_stride[y]) * item;
      char* const to = static_cast<char*>(out) + (j * out_stride[z] + k * out_stride[y]) * item;
      pick(from, src_stride[x], index[x], to, out_stride[x], run_begin);
      if (run_end > run_begin) {
        std::memcpy(to + run_begin * item, from + index[x][run_begin] * item,
                    static_cast<std::size_t>((run_end - run_begin) * item));
      }
      pick(from, src_stride[x], index[x] + run_end, to + run_end * out_stride[x] * item, out_stride[x], n - run_end);
    }
  });
}

}  // namespace bedside::cpu
