#include "window.h"

#include "launches.h"

namespace bedside::cuda {

cudaError_t gather(const cpu::ConstArray3& src, Index src_channel_stride, const cpu::Array3& out,
                   Index out_channel_stride, Index channels, const Index start[3], Outside mode, float fill,
                   const Rescale* map, cudaStream_t stream) {
  return gather(src, src_channel_stride, out, out_channel_stride, channels, start, mode, fill, map, Stream{stream});
}

cudaError_t accumulate(const cpu::ConstArray3& patch, Index patch_channel_stride, const cpu::WindowWeights& weights,
                       const cpu::Array3& total, Index total_channel_stride, Index channels, Index planes,
                       const Index start[3], const Index fresh[3], std::int32_t* peak, cudaStream_t stream) {
  return accumulate(patch, patch_channel_stride, weights, total, total_channel_stride, channels, planes, start, fresh,
                    peak, Stream{stream});
}

cudaError_t window_norm(const cpu::WindowWeights& weights, const cpu::WindowGrid& grid, Index first,
                        const cpu::Array3& out, cudaStream_t stream) {
  return window_norm(weights, grid, first, out, Stream{stream});
}

cudaError_t divide(const cpu::ConstArray3& total, Index total_channel_stride, const cpu::ConstArray3& norm,
                   const cpu::Array3& out, Index out_channel_stride, Index channels, cudaStream_t stream) {
  return divide(total, total_channel_stride, norm, out, out_channel_stride, channels, Stream{stream});
}

cudaError_t argmax(const cpu::ConstArray3& src, Index channel_stride, Index channels, const cpu::Array3& out,
                   cudaStream_t stream) {
  return argmax(src, channel_stride, channels, out, Stream{stream});
}

cudaError_t threshold(const cpu::ConstArray3& src, Index channel_stride, Index channels, const cpu::ConstArray3* norm,
                      float level, Index first_label, const cpu::Array3& out, cudaStream_t stream) {
  return threshold(src, channel_stride, channels, norm, level, first_label, out, Stream{stream});
}

cudaError_t threshold_u8(const cpu::ConstArray3& src, Index channel_stride, Index channels, std::uint8_t level,
                         Index first_label, const cpu::Array3& out, cudaStream_t stream) {
  return threshold_u8(src, channel_stride, channels, level, first_label, out, Stream{stream});
}

cudaError_t softmax(const cpu::ConstArray3& src, Index channel_stride, const cpu::Array3& out, Index out_channel_stride,
                    Index channels, cudaStream_t stream) {
  return softmax(src, channel_stride, out, out_channel_stride, channels, Stream{stream});
}

cudaError_t sigmoid(const cpu::ConstArray3& src, Index channel_stride, const cpu::Array3& out, Index out_channel_stride,
                    Index channels, cudaStream_t stream) {
  return sigmoid(src, channel_stride, out, out_channel_stride, channels, Stream{stream});
}

}  // namespace bedside::cuda
