// The bits of a stored value that are the pixel's (DICOM PS3.5 8.1.1: Bits Stored up to High Bit), and its mirror
// image.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

// `bits` bits from bit `shift` on, sign-extended where the result is signed. 1 <= bits, shift + bits <= 32.
template <typename Out>
BEDSIDE_HD Out extract_bits(std::uint32_t stored, int shift, int bits) {
  const int left = 32 - shift - bits, right = 32 - bits;
  const std::uint32_t moved = stored << left;
  if (static_cast<Out>(-1) < static_cast<Out>(0)) {
    return static_cast<Out>(static_cast<std::int32_t>(moved) >> right);
  }
  return static_cast<Out>(moved >> right);
}

}  // namespace bedside
