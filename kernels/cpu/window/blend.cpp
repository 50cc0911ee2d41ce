#include "window/window.h"

#include "layout.h"
#include "thread_pool.h"
#include "window/loops.h"

namespace bedside::cpu {

void argmax_blend(const ConstArray3& total, Index channel_stride, Index channels, const Array3& out, int threads) {
  const WindowLoops& loop = window_loops();
  const float* const from = static_cast<const float*>(total.data);
  std::uint8_t* const to = static_cast<std::uint8_t*>(out.data);
  const RowWalk walk(out.shape, false, out.stride, total.stride);
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece, [&](Index, Index at_out, Index at_total, Index n) {
        loop.argmax(from + at_total, walk.inner_stride[1], channel_stride, channels, to + at_out, walk.inner_stride[0],
                    n);
      });
    }
  });
}

void threshold_blend(const ConstArray3& total, Index channel_stride, Index channels, const ConstArray3& norm,
                     const Array3& out, float level, int threads) {
  const WindowLoops& loop = window_loops();
  const float* const from = static_cast<const float*>(total.data);
  const float* const divisor = static_cast<const float*>(norm.data);
  std::uint8_t* const to = static_cast<std::uint8_t*>(out.data);
  const RowWalk walk(out.shape, false, out.stride, total.stride, norm.stride);
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece, [&](Index, Index at_out, Index at_total, Index at_norm, Index n) {
        loop.threshold(from + at_total, walk.inner_stride[1], channel_stride, channels, divisor + at_norm,
                       walk.inner_stride[2], level, to + at_out, walk.inner_stride[0], n);
      });
    }
  });
}

}  // namespace bedside::cpu
