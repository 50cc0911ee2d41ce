// What the ways to resample share: the axes of source and output in the order they are walked.
#pragma once

#include "array.h"
#include "resample/resample.h"

namespace bedside::cpu {

// out[i] = src at matrix * (i, 1).
struct Geometry {
  ConstArray3 src;
  Array3 out;
  double matrix[3][4];
};

inline void permute_out(Geometry& g, const int order[3]) {
  const Geometry old = g;
  for (int k = 0; k < 3; ++k) {
    g.out.shape[k] = old.out.shape[order[k]];
    g.out.stride[k] = old.out.stride[order[k]];
    for (int row = 0; row < 3; ++row) g.matrix[row][k] = old.matrix[row][order[k]];
  }
}

inline void permute_src(Geometry& g, const int order[3]) {
  const Geometry old = g;
  for (int k = 0; k < 3; ++k) {
    g.src.shape[k] = old.src.shape[order[k]];
    g.src.stride[k] = old.src.stride[order[k]];
    for (int column = 0; column < 4; ++column) g.matrix[k][column] = old.matrix[order[k]][column];
  }
}

// Source coordinate along an axis of an aligned resample, where source axis k follows output axis k.
inline double coordinate(const Geometry& g, int axis, Index i) {
  return g.matrix[axis][3] + g.matrix[axis][axis] * static_cast<double>(i);
}

// Turns the axes of the output whose stride is negative round, so that memory is walked upwards. Voxel i of such an
// axis is then the one that unflipped() gives: coordinates stay what they were, to the last bit.
struct Upwards {
  bool flipped[3];
  Index last[3];

  explicit Upwards(Array3& out) {
    for (int axis = 0; axis < 3; ++axis) {
      last[axis] = out.shape[axis] - 1;
      flipped[axis] = out.stride[axis] < 0;
      if (!flipped[axis]) continue;
      out.data = static_cast<char*>(out.data) + last[axis] * out.stride[axis] * item_size(out.type);
      out.stride[axis] = -out.stride[axis];
    }
  }
  Index unflipped(int axis, Index i) const { return flipped[axis] ? last[axis] - i : i; }
};

// The axis with the smallest stride, of those with more than one voxel; the last one where there is a choice.
inline int closest_axis(const Index shape[3], const Index stride[3]) {
  int best = 2;
  for (int axis = 1; axis >= 0; --axis) {
    if (shape[axis] > 1 && (shape[best] == 1 || magnitude(stride[axis]) < magnitude(stride[best]))) best = axis;
  }
  return best;
}

// Puts the axes into the order in which they are walked and blended: those of the source by their strides, the closest
// last. Where every one of them follows an output axis of its own, source axis k then follows output axis k, and the
// answer is true. order_output() does the rest where it is not.
bool order_axes(Geometry& g);
void order_output(Geometry& g);

// The source's axes come in the order of their strides, the closest last; where the resample is aligned, source axis k
// follows output axis k. `fill` of the nearest ones is a value of the output's type.
void aligned_linear(const Geometry& g, Padding padding, float fill, const Finish& finish, int threads);
void aligned_nearest(const Geometry& g, Padding padding, double fill, int threads);
void affine_linear(const Geometry& g, Padding padding, float fill, const Finish& finish, int threads);
void affine_nearest(const Geometry& g, Padding padding, double fill, int threads);

}  // namespace bedside::cpu
