#include "resample.h"

#include "launches.h"

namespace bedside::cuda {

cudaError_t resample(const cpu::ConstArray3& src, const cpu::Array3& out, const double matrix[12],
                     cpu::Interpolation mode, Padding padding, double fill, const cpu::Finish& finish,
                     cudaStream_t stream) {
  return resample(src, out, matrix, mode, padding, fill, finish, Stream{stream});
}

}  // namespace bedside::cuda
