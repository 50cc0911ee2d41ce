#include "elementwise/rescale.h"

#include <algorithm>

#include "elementwise/loops.h"
#include "layout.h"
#include "thread_pool.h"

namespace bedside::cpu {

void rescale(const ConstArray3& src, const Array3& out, PerSlice slope, PerSlice intercept, float low, float high,
             float scale, float offset, int threads) {
  const ElementwiseLoops& loop = elementwise_loops();
  const auto row = loop.rescale[static_cast<int>(src.type)];
  const bool per_slice = slope.stride != 0 || intercept.stride != 0;
  const RowWalk walk(src.shape, per_slice, out.stride, src.stride);
  const char* const from = static_cast<const char*>(src.data);
  float* const to = static_cast<float*>(out.data);
  const Index size = item_size(src.type);
  const auto parameters = [&](Index z) {
    return Rescale{slope.data[z * slope.stride], intercept.data[z * intercept.stride], low, high, scale, offset};
  };
  // A transposed view: rows are read along the source and turned in the cache.
  const bool turn = walk.crossed() && walk.inner_stride[0] == 1 && !(per_slice && walk.middle_is_slices());
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      if (turn) {
        walk.tiles(piece, [&](Index z, Index at_out, Index at_src, Index n, Index rows) {
          float tile[walk.kTile * walk.kTileRows];
          for (Index i = 0; i < n; ++i) {
            row(from + (at_src + i * walk.inner_stride[1]) * size, walk.middle_stride(1), tile + i * rows, 1, rows,
                parameters(z));
          }
          loop.transpose(tile, rows, to + at_out, walk.middle_stride(0), n, rows);
        });
      } else {
        walk.rows(piece, [&](Index z, Index at_out, Index at_src, Index n) {
          row(from + at_src * size, walk.inner_stride[1], to + at_out, walk.inner_stride[0], n, parameters(z));
        });
      }
    }
  });
}

}  // namespace bedside::cpu
