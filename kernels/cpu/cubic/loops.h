// The inner loops of the cubic B-spline.
#pragma once

#include "bedside/cubic.h"
#include "isa.h"
#include "resample/loops.h"

namespace bedside::cpu {

// Lines that are filtered beside each other.
inline constexpr Index kSplineLines = 64;

struct CubicLoops {
  // `width` lines (at most kSplineLines) of n > 1 voxels: voxel i of line j at from[i * from_stride + j]; their
  // coefficients likewise in `to`. work has n * kSplineLines; it may be `to`, and that may be `from`.
  void (*filter)(const float* from, Index from_stride, float* work, float* to, Index to_stride, Index n, Index width,
                 const SplineEnds& ends);

  // out[i] = the four rows, each with its weight.
  void (*weigh_rows)(const float* const rows[4], Index stride, const float weight[4], float* out, Index n);

  // out[i] = row[index[i]] and the three that follow, with weight[0 to 3 of room each][i]. Else as sample_row of
  // resample/loops.h.
  void (*sample_row)(const float* row, const std::int32_t* index, const float* weight, Index room, float* out, Index n);

  // A row of the output of a generic resample; row.src is f32.
  void (*affine)(const AffineRow& row, float* out, Index n);
};
BEDSIDE_LOOPS(CubicLoops, cubic_loops)

}  // namespace bedside::cpu
