// One term of a sliding window's weighted sum.
#pragma once

#include <cstring>

#include "bedside/host_device.h"

namespace bedside {

// Weight of a voxel: the product of one bell an axis, not below a floor. zy is the product of the first two.
BEDSIDE_HD float window_weight(float zy, float x, float floor) {
  const float weight = zy * x;
  return weight < floor ? floor : weight;
}

BEDSIDE_HD float accumulate_voxel(float total, float patch, float weight) {
  return total + patch * weight;
}

// Grows with |v|, and is above kInfinite for a NaN only: the largest of them says whether all values are finite.
constexpr std::int32_t kInfinite = 0x7f800000;

BEDSIDE_HD std::int32_t magnitude_bits(float v) {
  std::int32_t bits;
  std::memcpy(&bits, &v, 4);
  return bits & 0x7fffffff;
}

}  // namespace bedside
