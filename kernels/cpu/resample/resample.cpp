#include "resample/resample.h"

#include <algorithm>
#include <cmath>

#include "layout.h"
#include "resample/geometry.h"
#include "thread_pool.h"

namespace bedside::cpu {

namespace {

// A coefficient that moves the coordinate by less than this over the whole output is the noise of an inverted matrix.
constexpr double kNoise = 1e-9;

// Where every source axis follows one output axis of its own, reorders the source axes so that they match and returns
// true.
bool align(Geometry& g) {
  int follows[3] = {-1, -1, -1};  // output axis -> source axis
  int column_of[3];
  for (int row = 0; row < 3; ++row) {
    column_of[row] = -1;
    for (int column = 0; column < 3; ++column) {
      const double reach = std::abs(g.matrix[row][column]) * static_cast<double>(g.out.shape[column] - 1);
      if (!(reach > kNoise)) continue;
      if (column_of[row] >= 0 || follows[column] >= 0) return false;
      column_of[row] = column;
      follows[column] = row;
    }
  }
  for (int row = 0; row < 3; ++row) {
    if (column_of[row] >= 0) continue;
    // A source axis that stands still takes an output axis that is left, the one of its own number if that is.
    int column = row;
    for (int c = 0; follows[column] >= 0; ++c) column = c;
    follows[column] = row;
  }
  permute_src(g, follows);
  return true;
}

}  // namespace

bool order_axes(Geometry& g) {
  const bool aligned = align(g);
  int order[3];
  closest_last(g.src, order);
  permute_src(g, order);
  if (aligned) permute_out(g, order);
  return aligned;
}

void resample(const ConstArray3& src, const Array3& out, const double matrix[12], Interpolation mode, Padding padding,
              double fill, const Finish& finish, int threads) {
  for (int axis = 0; axis < 3; ++axis) {
    if (out.shape[axis] == 0) return;
  }
  Geometry g{src, out, {}};
  std::copy(matrix, matrix + 12, &g.matrix[0][0]);
  threads = resolve_threads(threads);

  // The source is walked along its smallest stride; where it lies otherwise than the output, blocks are turned.
  const bool aligned = order_axes(g);
  const bool linear = mode == Interpolation::linear;
  if (linear) {
    (aligned ? aligned_linear : affine_linear)(g, padding, static_cast<float>(fill), finish, threads);
  } else {
    (aligned ? aligned_nearest : affine_nearest)(g, padding, fill, threads);
  }
}

}  // namespace bedside::cpu
