#include "elementwise.h"

#include "launches.h"

namespace bedside::cuda {

cudaError_t rescale(const cpu::ConstArray3& src, const cpu::Array3& out, cpu::PerSlice slope, cpu::PerSlice intercept,
                    float low, float high, float scale, float offset, const cpu::OutputForm& form,
                    cudaStream_t stream) {
  return rescale(src, out, slope, intercept, low, high, scale, offset, form, Stream{stream});
}

cudaError_t sigmoid_window(const cpu::ConstArray3& src, const cpu::Array3& out, const SigmoidWindow& window,
                           const Quantization& quantization, cudaStream_t stream) {
  return sigmoid_window(src, out, window, quantization, Stream{stream});
}

cudaError_t crop_pad(const cpu::ConstArray3& src, const cpu::Array3& out, const Index start[3], double fill,
                     const Rescale& map, const Quantization& quantization, cudaStream_t stream) {
  return crop_pad(src, out, start, fill, map, quantization, Stream{stream});
}

cudaError_t to_planes(const cpu::ConstPixels& src, const cpu::Pixels& out, cpu::PerSlice slope, cpu::PerSlice intercept,
                      float low, float high, float scale, float offset, const Quantization& quantization,
                      cudaStream_t stream) {
  return to_planes(src, out, slope, intercept, low, high, scale, offset, quantization, Stream{stream});
}

cudaError_t to_gray(const cpu::ConstPixels& src, const cpu::Array3& out, cpu::Photometric photometric,
                    const Rescale& map, const Quantization& quantization, cudaStream_t stream) {
  return to_gray(src, out, photometric, map, quantization, Stream{stream});
}

}  // namespace bedside::cuda
