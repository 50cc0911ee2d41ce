#include "layout.h"
#include "thread_pool.h"
#include "window/loops.h"
#include "window/window.h"

namespace bedside::cpu {

void divide(const ConstArray3& total, Index total_channel_stride, const ConstArray3& norm, const Array3& out,
            Index out_channel_stride, Index channels, int threads) {
  const WindowLoops& loop = window_loops();
  const float* const from = static_cast<const float*>(total.data);
  const float* const divisor = static_cast<const float*>(norm.data);
  float* const to = static_cast<float*>(out.data);
  const RowWalk walk(out.shape, false, out.stride, total.stride, norm.stride);
  parallel_for(walk.pieces() * channels, 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      const Index channel = item / walk.pieces();
      walk.rows(item % walk.pieces(), [&](Index, Index at_out, Index at_total, Index at_norm, Index n) {
        loop.divide(from + channel * total_channel_stride + at_total, walk.inner_stride[1], divisor + at_norm,
                    walk.inner_stride[2], to + channel * out_channel_stride + at_out, walk.inner_stride[0], n);
      });
    }
  });
}

void argmax(const ConstArray3& src, Index channel_stride, Index channels, const Array3& out, int threads) {
  const WindowLoops& loop = window_loops();
  const float* const from = static_cast<const float*>(src.data);
  std::uint8_t* const to = static_cast<std::uint8_t*>(out.data);
  const RowWalk walk(out.shape, false, out.stride, src.stride);
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece, [&](Index, Index at_out, Index at_src, Index n) {
        loop.argmax(from + at_src, walk.inner_stride[1], channel_stride, channels, to + at_out, walk.inner_stride[0],
                    n);
      });
    }
  });
}

void threshold(const ConstArray3& src, Index channel_stride, Index channels, const ConstArray3* norm, float level,
               Index first_label, const Array3& out, int threads) {
  const WindowLoops& loop = window_loops();
  const float* const from = static_cast<const float*>(src.data);
  const float* const divisor = norm != nullptr ? static_cast<const float*>(norm->data) : nullptr;
  std::uint8_t* const to = static_cast<std::uint8_t*>(out.data);
  const RowWalk walk(out.shape, false, out.stride, src.stride, norm != nullptr ? norm->stride : src.stride);
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece, [&](Index, Index at_out, Index at_src, Index at_norm, Index n) {
        loop.threshold(from + at_src, walk.inner_stride[1], channel_stride, channels,
                       divisor != nullptr ? divisor + at_norm : nullptr, walk.inner_stride[2], level, first_label,
                       to + at_out, walk.inner_stride[0], n);
      });
    }
  });
}

void threshold_u8(const ConstArray3& src, Index channel_stride, Index channels, std::uint8_t level, Index first_label,
                  const Array3& out, int threads) {
  const WindowLoops& loop = window_loops();
  const std::uint8_t* const from = static_cast<const std::uint8_t*>(src.data);
  std::uint8_t* const to = static_cast<std::uint8_t*>(out.data);
  const RowWalk walk(out.shape, false, out.stride, src.stride);
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece, [&](Index, Index at_out, Index at_src, Index n) {
        loop.threshold_u8(from + at_src, walk.inner_stride[1], channel_stride, channels, level, first_label,
                          to + at_out, walk.inner_stride[0], n);
      });
    }
  });
}

}  // namespace bedside::cpu
