// Eight mask voxels to one byte of a binary segmentation, the first voxel in the lowest bit (DICOM PS3.5 8.1.1).
#pragma once

#include "bedside/host_device.h"

namespace bedside {

// count < 8 only at the end of the pixel data; the bits that are left are 0.
BEDSIDE_HD std::uint8_t pack_byte(const std::uint8_t* mask, int count, std::uint8_t label) {
  unsigned bits = 0;
  for (int i = 0; i < count; ++i) bits |= static_cast<unsigned>(mask[i] == label) << i;
  return static_cast<std::uint8_t>(bits);
}

}  // namespace bedside
