// 3D resampling, on arrays. Callers check shapes, strides and overlap (bindings/checks.h); these trust them.
#pragma once

#include "array.h"
#include "bedside/resample.h"
#include "bedside/rescale.h"
#include "bedside/store.h"

namespace bedside::cpu {

enum class Interpolation { linear, nearest };

// What becomes of an interpolated value: a value map (null: none), then the output's type.
struct Finish {
  const Rescale* rescale;
  Quantization quantization;
};

// out[i] = src at matrix * (i, 1); matrix is 3 x 4, row by row. Linear: out is of one of store.h's types.
// Nearest: out is f32 or of src's type, fill must be a value of that type, and `finish` is not used.
void resample(const ConstArray3& src, const Array3& out, const double matrix[12], Interpolation mode, Padding padding,
              double fill, const Finish& finish, int threads);

}  // namespace bedside::cpu
