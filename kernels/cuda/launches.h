// The kernels on NVIDIA cards: the arithmetic of include/bedside on device memory, put into a stream. The arguments are
// those of the functions of the same names in cpu/, and are trusted as there; every pointer in them is to memory that
// the device reads, those of PerSlice too. One thread makes one element: the numbers are those of the CPU to the last
// bit (compiled without contraction; a NaN's payload aside).
#pragma once

#include <cuda_runtime_api.h>

#include "elementwise/rescale.h"
#include "resample/resample.h"
#include "resize/resize.h"

namespace bedside::cuda {

cudaError_t rescale(const cpu::ConstArray3& src, const cpu::Array3& out, cpu::PerSlice slope, cpu::PerSlice intercept,
                    float low, float high, float scale, float offset, cudaStream_t stream);

// `matrix` and `finish` are the host's.
cudaError_t resample(const cpu::ConstArray3& src, const cpu::Array3& out, const double matrix[12],
                     cpu::Interpolation mode, Padding padding, double fill, const cpu::Finish& finish,
                     cudaStream_t stream);

// `workspace` is device memory of at least resize_bytes(). Not for an out of int32.
cudaError_t resize(const cpu::ConstImages& src, const cpu::Images& out, const cpu::Resize& how, void* workspace,
                   cudaStream_t stream);
std::size_t resize_bytes(const cpu::ConstImages& src, const cpu::Images& out, const cpu::Resize& how);

cudaError_t pack_bits(const cpu::ConstArray3& mask, std::uint8_t* out, bool* occupied, std::uint8_t label,
                      cudaStream_t stream);

}  // namespace bedside::cuda
