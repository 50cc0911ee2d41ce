// Resizing, on arrays. Callers check shapes, strides and overlap (bindings/checks.h); these trust them.
#pragma once

#include "array.h"
#include "bedside/resize.h"
#include "bedside/store.h"
#include "elementwise/rescale.h"

namespace bedside::cpu {

// [z, y, x] with one or more channels; strides in elements.
struct ConstImages {
  ConstArray3 array;
  Index channels, channel_stride;
};

struct Images {
  Array3 array;
  Index channels, channel_stride;
};

struct Resize {
  ResizeMode mode;
  Coordinates coordinates;
  bool antialias;  // linear and cubic with half_pixel only
  bool gray;       // of three channels make one
  float slope, intercept, low, high;
  PerSlice scale, offset;  // of each channel of the output
  Quantization quantization;
};

// Whether values leave the chain as they enter it.
bool changes_nothing(const Resize& how, Index channels);

// Every one of the axes z, y, x whose lengths differ is resized; the values then go through the chain of
// bedside/rescale.h and are stored as bedside/store.h says. src is not empty.
void resize(const ConstImages& src, const Images& out, const Resize& how, int threads);

// out[z, y, x] = src[index[0][z], index[1][y], index[2][x]]; items of 1, 2, 4 or 8 bytes.
void take(const void* src, const Index src_stride[3], void* out, const Index shape[3], const Index out_stride[3],
          Index item, const std::int32_t* const index[3], int threads);

// out = src correlated with weight[0..2 * radius] along one axis, 0 outside; out is f32 of src's shape.
void correlate(const ConstArray3& src, const Array3& out, const float* weight, Index radius, int axis, int threads);

}  // namespace bedside::cpu
