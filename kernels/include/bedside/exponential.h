// e to the x in float32 by arithmetic of ours: a library's differs from one CPU to the next in the last bit.
#pragma once

#include "bedside/store.h"

namespace bedside {

// Within 2 units in the last place for x of -87 to 88; beyond that it is what the nearer end gives. A NaN stays a NaN.
// Cephes' expf: x = n ln 2 + r, and a polynomial for r.
BEDSIDE_HD float exponential(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // rounded: far below 2^22
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float sum = 1.9875691500e-4f;
  sum = sum * r + 1.3981999507e-3f;
  sum = sum * r + 8.3334519073e-3f;
  sum = sum * r + 4.1665795894e-2f;
  sum = sum * r + 1.6666665459e-1f;
  sum = sum * r + 5.0000001201e-1f;
  const float power = (sum * (r * r) + r) + 1.0f;
  const std::int32_t exponent = n == n ? static_cast<std::int32_t>(n) : 0;
  return power * bits_float(static_cast<std::uint32_t>(exponent + 127) << 23);
}

}  // namespace bedside
