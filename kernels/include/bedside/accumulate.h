// One term of a sliding window's weighted sum.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

BEDSIDE_HD float accumulate_voxel(float total, float patch, float weight) {
  return total + patch * weight;
}

}  // namespace bedside
