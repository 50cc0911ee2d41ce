#include "bedside/rescale.h"

#include <algorithm>

#include "layout.h"
#include "loops.h"
#include "thread_pool.h"

namespace bedside::cpu {

void rescale(const ConstArray3& src, const Array3& out, PerSlice slope, PerSlice intercept, float low, float high,
             float scale, float offset, int threads) {
  const auto row = loops().rescale[static_cast<int>(src.type)];
  const SliceWalk walk(src.shape, out.stride, src.stride);
  const char* const from = static_cast<const char*>(src.data);
  float* const to = static_cast<float*>(out.data);
  const Index size = item_size(src.type);
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      const Index z = walk.slice(piece);
      const Rescale p{slope.data[z * slope.stride], intercept.data[z * intercept.stride], low, high, scale, offset};
      walk.rows(piece, [&](Index at_out, Index at_src, Index n) {
        row(from + at_src * size, walk.inner_stride[1], to + at_out, walk.inner_stride[0], n, p);
      });
    }
  });
}

}  // namespace bedside::cpu
