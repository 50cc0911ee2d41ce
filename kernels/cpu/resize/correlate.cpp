#include <algorithm>

#include "elementwise/loops.h"
#include "layout.h"
#include "resize/loops.h"
#include "resize/resize.h"
#include "scratch.h"
#include "thread_pool.h"

namespace bedside::cpu {

void correlate(const ConstArray3& src, const Array3& out, const float* weight, Index radius, int axis, int threads) {
  for (int a = 0; a < 3; ++a) {
    if (src.shape[a] == 0) return;
  }
  int order[3];
  closest_last(src.stride, order);
  const int z = order[0], y = order[1], x = order[2];
  const Index n = src.shape[x], size = item_size(src.type);
  const ResizeLoops& loop = resize_loops();
  const auto copy = elementwise_loops().store[static_cast<int>(DType::f32)];
  const int type = static_cast<int>(src.type);
  threads = resolve_threads(threads);

  // Along x a row is the sum of one line, shifted: the row itself with zeros on both sides.
  const bool along_row = axis == x;
  const Index line_size = (n + (along_row ? 2 * radius : 0) + 15) / 16 * 16, row_size = (n + 15) / 16 * 16;
  float* const buffers =
      static_cast<float*>(scratch(static_cast<std::size_t>((line_size + row_size) * threads) * sizeof(float)));
  const Index grain = std::max<Index>(1, (Index{1} << 15) / n);
  parallel_for(src.shape[z] * src.shape[y], grain, threads, [&](int slot, Index begin, Index end) {
    float* const line = buffers + slot * (line_size + row_size);
    float* const buffer = line + line_size;
    for (Index item = begin; item < end; ++item) {
      const Index j = item / src.shape[y], k = item % src.shape[y];
      const char* const from = static_cast<const char*>(src.data) + (j * src.stride[z] + k * src.stride[y]) * size;
      float* const to = static_cast<float*>(out.data) + j * out.stride[z] + k * out.stride[y];
      float* const sum = out.stride[x] == 1 ? to : buffer;
      const void* row[kRowsAtOnce];
      float w[kRowsAtOnce];
      int waiting = 0;
      bool first = true;
      const auto flush = [&] {
        if (along_row) {
          loop.add_rows[static_cast<int>(DType::f32)](row, w, waiting, first, 1, sum, n);
        } else {
          loop.add_rows[type](row, w, waiting, first, src.stride[x], sum, n);
        }
        waiting = 0;
        first = false;
      };
      if (along_row) {
        const void* const source = from;
        const float one = 1.0f;
        std::fill(line, line + radius, 0.0f);
        loop.add_rows[type](&source, &one, 1, true, src.stride[x], line + radius, n);
        std::fill(line + radius + n, line + n + 2 * radius, 0.0f);
      }
      const Index at = axis == z ? j : k, stop = src.shape[axis];
      for (Index tap = 0; tap <= 2 * radius; ++tap) {
        const Index neighbour = at + tap - radius;
        if (weight[tap] == 0.0f || (!along_row && (neighbour < 0 || neighbour >= stop))) continue;
        row[waiting] = along_row ? static_cast<const void*>(line + tap)
                                 : static_cast<const void*>(from + (tap - radius) * src.stride[axis] * size);
        w[waiting++] = weight[tap];
        if (waiting == kRowsAtOnce) flush();
      }
      if (waiting > 0) flush();
      if (first) std::fill(sum, sum + n, 0.0f);
      if (sum != to) copy(sum, to, out.stride[x], n, {1.0f, 0});
    }
  });
}

}  // namespace bedside::cpu
