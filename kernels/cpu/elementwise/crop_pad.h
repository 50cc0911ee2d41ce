// A box of a volume, on arrays. Callers check shapes, strides and overlap (bindings/checks.h); these trust them.
#pragma once

#include "elementwise/rescale.h"

namespace bedside::cpu {

// out[o] = src[o + start], and `fill` where that is outside of src. Without a map out has src's type and elements are
// copied; with one out is the mapped value, stored as out's type asks for, and so is the fill.
void crop_pad(const ConstArray3& src, const Array3& out, const Index start[3], double fill, const Rescale* map,
              const Quantization& quantization, int threads);

}  // namespace bedside::cpu
