// 3D resampling, on arrays. Callers check shapes, strides and overlap (bindings/checks.h); these trust them.
#pragma once

#include "array.h"
#include "bedside/resample.h"

namespace bedside::cpu {

enum class Interpolation { linear, nearest };

// out[i] = src at matrix * (i, 1); matrix is 3 x 4, row by row. out is f32, or (nearest) of src's type, where fill must
// be a value of that type.
void resample(const ConstArray3& src, const Array3& out, const double matrix[12], Interpolation mode, Padding padding,
              double fill, int threads);

}  // namespace bedside::cpu
