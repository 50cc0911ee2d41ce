// The exponential function and what networks' last layers make of it, in plain float arithmetic: the same bits on every
// CPU and on CUDA, which a library's exp does not give.
#pragma once

#include <cstring>

#include "bedside/host_device.h"

namespace bedside {

// 2^n for n in -127..128: at the ends 0 and infinity.
BEDSIDE_HD float power_of_two(std::int32_t n) {
  const std::uint32_t bits = static_cast<std::uint32_t>(n + 127) << 23;
  float power;
  std::memcpy(&power, &bits, 4);
  return power;
}

// e^x within 1 unit in the last place, subnormal results included; a NaN stays one. Range reduction after Cody and
// Waite: x = n ln 2 + r with |r| <= ln(2) / 2 and ln 2 in two parts, the first of so few bits that its product with n
// is exact. The polynomial is that of the Cephes library's expf.
BEDSIDE_HD float exp_voxel(float x) {
  x = x > 89.0f ? 89.0f : x;      // e^89 is above the largest float
  x = x < -104.0f ? -104.0f : x;  // e^-104 is below half of the smallest
  // Adding 1.5 * 2^23 leaves no fraction bits, and the integer in the lowest ones.
  const float magic = 12582912.0f;
  const float shifted = x * 1.44269504088896341f + magic;
  const float n = shifted - magic;
  std::uint32_t bits;
  std::memcpy(&bits, &shifted, 4);
  const std::int32_t exponent = static_cast<std::int32_t>(bits - 0x4b400000u);
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * (r * r) + r) + 1.0f;
  // In two steps: 2^128 is no float, and a subnormal result is rounded once.
  const std::int32_t half = exponent >> 1;
  return (p * power_of_two(half)) * power_of_two(exponent - half);
}

// 1 / (1 + e^-x) within 2.5 units in the last place, without overflow and without loss where it is small.
BEDSIDE_HD float sigmoid_voxel(float x) {
  const float e = exp_voxel(x < 0.0f ? x : -x);
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

}  // namespace bedside
