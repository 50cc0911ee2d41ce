// Whether a channel counts as set (MONAI AsDiscrete: at the level counts as above it).
#pragma once

#include "bedside/host_device.h"

namespace bedside {

template <typename T>
BEDSIDE_HD bool threshold_voxel(T value, T level) {
  return value >= level;
}

// A sum of weighted windows. Where no patch reached (norm 0) the quotient is NaN and the answer is no.
BEDSIDE_HD bool threshold_voxel(float total, float norm, float level) {
  return total / norm >= level;
}

}  // namespace bedside
