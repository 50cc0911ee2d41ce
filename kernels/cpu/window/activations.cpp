#include "layout.h"
#include "thread_pool.h"
#include "window/loops.h"
#include "window/window.h"

namespace bedside::cpu {

void softmax(const ConstArray3& src, Index channel_stride, const Array3& out, Index out_channel_stride, Index channels,
             int threads) {
  const WindowLoops& loop = window_loops();
  const float* const from = static_cast<const float*>(src.data);
  float* const to = static_cast<float*>(out.data);
  const RowWalk walk(out.shape, false, out.stride, src.stride);
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece, [&](Index, Index at_out, Index at_src, Index n) {
        loop.softmax(from + at_src, walk.inner_stride[1], channel_stride, channels, to + at_out, walk.inner_stride[0],
                     out_channel_stride, n);
      });
    }
  });
}

void sigmoid(const ConstArray3& src, Index channel_stride, const Array3& out, Index out_channel_stride, Index channels,
             int threads) {
  const WindowLoops& loop = window_loops();
  const float* const from = static_cast<const float*>(src.data);
  float* const to = static_cast<float*>(out.data);
  const RowWalk walk(out.shape, false, out.stride, src.stride);
  parallel_for(walk.pieces() * channels, 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      const Index channel = item / walk.pieces();
      walk.rows(item % walk.pieces(), [&](Index, Index at_out, Index at_src, Index n) {
        loop.sigmoid(from + channel * channel_stride + at_src, walk.inner_stride[1],
                     to + channel * out_channel_stride + at_out, walk.inner_stride[0], n);
      });
    }
  });
}

}  // namespace bedside::cpu
