// Subtract the mean, divide by the deviation.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

struct Standardise {
  float mean, deviation;
};

template <typename T>
BEDSIDE_HD float standardise_voxel(T stored, const Standardise& p) {
  return (static_cast<float>(stored) - p.mean) / p.deviation;
}

// Zero is what is not there, and stays zero (of its sign).
template <typename T>
BEDSIDE_HD float standardise_nonzero(T stored, const Standardise& p) {
  const float v = static_cast<float>(stored);
  return v == 0.0f ? v : (v - p.mean) / p.deviation;
}

}  // namespace bedside
