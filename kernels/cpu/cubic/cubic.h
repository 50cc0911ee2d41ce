// Cubic B-spline resampling, on arrays. Callers check shapes, strides and overlap; these trust them.
#pragma once

#include "array.h"
#include "bedside/cubic.h"
#include "resample/resample.h"

namespace bedside::cpu {

// The coefficients of the spline through the voxels of src. out is f32 of src's shape, with an axis whose elements lie
// side by side if it has more than one.
void spline_coefficients(const ConstArray3& src, const Array3& out, Padding padding, int threads);

// out[i] = the spline at matrix * (i, 1). coefficients are f32, made with the same padding; out is of one of store.h's
// types.
void resample_cubic(const ConstArray3& coefficients, const Array3& out, const double matrix[12], Padding padding,
                    float fill, const Finish& finish, int threads);

}  // namespace bedside::cpu
