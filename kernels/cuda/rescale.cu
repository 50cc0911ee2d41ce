#include "rescale.h"

#include "launches.h"

namespace bedside::cuda {

cudaError_t rescale(const cpu::ConstArray3& src, const cpu::Array3& out, cpu::PerSlice slope, cpu::PerSlice intercept,
                    float low, float high, float scale, float offset, cudaStream_t stream) {
  return rescale(src, out, slope, intercept, low, high, scale, offset, Stream{stream});
}

}  // namespace bedside::cuda
