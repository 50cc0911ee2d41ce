#include "pack_bits.h"

#include "launches.h"

namespace bedside::cuda {

cudaError_t pack_bits(const cpu::ConstArray3& mask, std::uint8_t* out, bool* occupied, std::uint8_t label,
                      cudaStream_t stream) {
  return pack_bits(mask, out, occupied, label, Stream{stream});
}

}  // namespace bedside::cuda
