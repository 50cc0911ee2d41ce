#include "bedside/standardise.h"

#include "layout.h"
#include "statistics/loops.h"
#include "statistics/statistics.h"
#include "thread_pool.h"

namespace bedside::cpu {

void standardise(const ConstArray3& src, const Array3& out, const Standardise& by, bool nonzero, int threads) {
  const auto loop = statistics_loops().standardise[static_cast<int>(src.type)];
  const RowWalk walk(src.shape, false, out.stride, src.stride);
  const char* const from = static_cast<const char*>(src.data);
  float* const to = static_cast<float*>(out.data);
  const Index size = item_size(src.type);
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece, [&](Index, Index at_out, Index at_src, Index n) {
        loop(from + at_src * size, walk.inner_stride[1], to + at_out, walk.inner_stride[0], n, nonzero, by);
      });
    }
  });
}

}  // namespace bedside::cpu
