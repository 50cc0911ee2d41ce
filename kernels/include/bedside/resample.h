// Where an output voxel lies in the source, and what is there. Coordinates are voxel-centre indices in double
// precision, values and weights are float.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

enum class Padding {
  border,    // coordinates are clamped to the source
  constant,  // every voxel outside the source has one value, and blends with its neighbours like any other
};

// The voxel at or below a coordinate along one axis, and the weight of the one above it.
struct AxisSample {
  Index index;
  float weight;
};

BEDSIDE_HD double clamp_coordinate(double c, double low, double high) {
  c = c < low ? low : c;
  return c > high ? high : c;
}

// index is in 0..n-1 (border; the weight is 0 at n-1) or in -1..n (constant), where -1 and n stand for all that is
// outside.
BEDSIDE_HD AxisSample linear_sample(double c, Index n, Padding padding) {
  const double low = padding == Padding::border ? 0.0 : -1.0;
  const double high = static_cast<double>(padding == Padding::border ? n - 1 : n);
  c = clamp_coordinate(c, low, high);
  const Index index = static_cast<Index>(c - low) + static_cast<Index>(low);  // floor: c - low is not negative
  return {index, static_cast<float>(c - static_cast<double>(index))};
}

// Nearest voxel, a tie to the even index (as torch.nn.functional.grid_sample); -1 or n is outside.
BEDSIDE_HD Index nearest_sample(double c, Index n, Padding padding) {
  const double low = padding == Padding::border ? 0.0 : -1.0;
  const double high = static_cast<double>(padding == Padding::border ? n - 1 : n);
  c = clamp_coordinate(c, low, high);
  // c is in [-1, 2^31]: adding and taking away 1.5 * 2^52 leaves no fraction bits, so the FPU's own rounding does it.
  const double magic = 6755399441055744.0;
  return static_cast<Index>((c + magic) - magic);
}

// A neighbour of weight 0 is not looked at, so that its NaN or infinity does not spread.
BEDSIDE_HD float lerp(float a, float b, float w) {
  const float blended = a + w * (b - a);
  return w == 0.0f ? a : blended;
}

// One source voxel as float, or fill where the index is outside (constant padding only).
template <typename T>
BEDSIDE_HD float voxel_or(const T* src, const Index shape[3], const Index stride[3], Index z, Index y, Index x,
                          float fill) {
  const bool inside = z >= 0 && z < shape[0] && y >= 0 && y < shape[1] && x >= 0 && x < shape[2];
  return inside ? static_cast<float>(src[z * stride[0] + y * stride[1] + x * stride[2]]) : fill;
}

// Trilinear value at any coordinate. The axes are blended in the order y, x, z.
template <typename T>
BEDSIDE_HD float trilinear(const T* src, const Index shape[3], const Index stride[3], const double c[3],
                           Padding padding, float fill) {
  const AxisSample z = linear_sample(c[0], shape[0], padding);
  const AxisSample y = linear_sample(c[1], shape[1], padding);
  const AxisSample x = linear_sample(c[2], shape[2], padding);
  float plane[2];
  for (int j = 0; j < 2; ++j) {
    float column[2];
    for (int i = 0; i < 2; ++i) {
      column[i] = lerp(voxel_or(src, shape, stride, z.index + j, y.index, x.index + i, fill),
                       voxel_or(src, shape, stride, z.index + j, y.index + 1, x.index + i, fill), y.weight);
    }
    plane[j] = lerp(column[0], column[1], x.weight);
  }
  return lerp(plane[0], plane[1], z.weight);
}

}  // namespace bedside
