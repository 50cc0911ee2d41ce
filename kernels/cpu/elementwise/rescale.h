// Stored values to network input, on arrays. Callers check shapes, strides and overlap (bindings/checks.h); these trust
// them.
#pragma once

#include "array.h"

namespace bedside::cpu {

// One float a slice, or (stride 0) one for all.
struct PerSlice {
  const float* data;
  Index stride;
};

// out = clip(src * slope[z] + intercept[z], low, high) * scale + offset; out is f32.
void rescale(const ConstArray3& src, const Array3& out, PerSlice slope, PerSlice intercept, float low, float high,
             float scale, float offset, int threads);

}  // namespace bedside::cpu
