// Stored value to network input: modality rescale (DICOM PS3.3 C.11.1.1.2), window, and a linear map.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

struct Rescale {
  float slope, intercept;  // stored value to modality unit
  float low, high;         // clip, in modality units
  float scale, offset;     // what follows the clip
};

// A NaN stays NaN: both comparisons are false for it.
template <typename T>
BEDSIDE_HD float rescale_voxel(T stored, const Rescale& p) {
  float v = static_cast<float>(stored) * p.slope + p.intercept;
  v = p.low > v ? p.low : v;
  v = p.high < v ? p.high : v;
  return v * p.scale + p.offset;
}

}  // namespace bedside
