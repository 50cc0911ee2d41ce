// The kernels on NVIDIA cards: the arithmetic of include/bedside on device memory, put into a stream. The arguments are
// those of the functions of the same names in cpu/, and are trusted as there; every pointer in them is to memory that
// the device reads, those of PerSlice too. One thread makes one element: the numbers are those of the CPU to the last
// bit (compiled without contraction; a NaN's payload aside). What a pipeline runs on a card; of the other kernels the
// CPU's are there: statistics and components end in tables, not in arrays that stay on the device.
#pragma once

#include <cuda_runtime_api.h>

#include "elementwise/colour.h"
#include "elementwise/crop_pad.h"
#include "elementwise/rescale.h"
#include "resample/resample.h"
#include "resize/resize.h"
#include "window/window.h"

namespace bedside::cuda {

cudaError_t rescale(const cpu::ConstArray3& src, const cpu::Array3& out, cpu::PerSlice slope, cpu::PerSlice intercept,
                    float low, float high, float scale, float offset, const cpu::OutputForm& form, cudaStream_t stream);

cudaError_t sigmoid_window(const cpu::ConstArray3& src, const cpu::Array3& out, const SigmoidWindow& window,
                           const Quantization& quantization, cudaStream_t stream);

// Always with a value map: without one, elements are only moved, which is cudaMemcpy3D's work.
cudaError_t crop_pad(const cpu::ConstArray3& src, const cpu::Array3& out, const Index start[3], double fill,
                     const Rescale& map, const Quantization& quantization, cudaStream_t stream);

cudaError_t to_planes(const cpu::ConstPixels& src, const cpu::Pixels& out, cpu::PerSlice slope, cpu::PerSlice intercept,
                      float low, float high, float scale, float offset, const Quantization& quantization,
                      cudaStream_t stream);

cudaError_t to_gray(const cpu::ConstPixels& src, const cpu::Array3& out, cpu::Photometric photometric,
                    const Rescale& map, const Quantization& quantization, cudaStream_t stream);

// `matrix` and `finish` are the host's.
cudaError_t resample(const cpu::ConstArray3& src, const cpu::Array3& out, const double matrix[12],
                     cpu::Interpolation mode, Padding padding, double fill, const cpu::Finish& finish,
                     cudaStream_t stream);

// `workspace` is device memory of at least resize_bytes(). Not for an out of int32.
cudaError_t resize(const cpu::ConstImages& src, const cpu::Images& out, const cpu::Resize& how, void* workspace,
                   cudaStream_t stream);
std::size_t resize_bytes(const cpu::ConstImages& src, const cpu::Images& out, const cpu::Resize& how);

cudaError_t gather(const cpu::ConstArray3& src, Index src_channel_stride, const cpu::Array3& out,
                   Index out_channel_stride, Index channels, const Index start[3], Outside mode, float fill,
                   const Rescale* map, cudaStream_t stream);

// `peak`, on the device, is raised to the answer of the CPU's function. The bells are the device's; `start` and `fresh`
// the host's.
cudaError_t accumulate(const cpu::ConstArray3& patch, Index patch_channel_stride, const cpu::WindowWeights& weights,
                       const cpu::Array3& total, Index total_channel_stride, Index channels, Index planes,
                       const Index start[3], const Index fresh[3], std::int32_t* peak, cudaStream_t stream);

cudaError_t window_norm(const cpu::WindowWeights& weights, const cpu::WindowGrid& grid, Index first,
                        const cpu::Array3& out, cudaStream_t stream);

cudaError_t divide(const cpu::ConstArray3& total, Index total_channel_stride, const cpu::ConstArray3& norm,
                   const cpu::Array3& out, Index out_channel_stride, Index channels, cudaStream_t stream);

cudaError_t argmax(const cpu::ConstArray3& src, Index channel_stride, Index channels, const cpu::Array3& out,
                   cudaStream_t stream);

cudaError_t threshold(const cpu::ConstArray3& src, Index channel_stride, Index channels, const cpu::ConstArray3* norm,
                      float level, Index first_label, const cpu::Array3& out, cudaStream_t stream);
cudaError_t threshold_u8(const cpu::ConstArray3& src, Index channel_stride, Index channels, std::uint8_t level,
                         Index first_label, const cpu::Array3& out, cudaStream_t stream);

cudaError_t softmax(const cpu::ConstArray3& src, Index channel_stride, const cpu::Array3& out, Index out_channel_stride,
                    Index channels, cudaStream_t stream);
cudaError_t sigmoid(const cpu::ConstArray3& src, Index channel_stride, const cpu::Array3& out, Index out_channel_stride,
                    Index channels, cudaStream_t stream);

cudaError_t pack_bits(const cpu::ConstArray3& mask, std::uint8_t* out, bool* occupied, std::uint8_t label,
                      cudaStream_t stream);

}  // namespace bedside::cuda
