// The inner loops of the 3D resample.
#pragma once

#include "array.h"
#include "bedside/resample.h"
#include "isa.h"

namespace bedside::cpu {

// What a generic (rotated, sheared) resample needs to fill one row of the output.
struct AffineRow {
  const void* src;
  const Index* shape;
  const Index* stride;
  double origin[3];  // source coordinate of the row's voxel 0
  double step[3];    // and how it changes from voxel to voxel
  Padding padding;
  double fill;
};

struct ResampleLoops {
  // to[c * to_stride + r] = from[r * from_stride + c]
  void (*transpose)(const float* from, Index from_stride, float* to, Index to_stride, Index rows, Index columns);

  // Axis-aligned linear resample: blend two source rows (either may be null: all fill), take the x samples of a row,
  // blend two such rows into the output.
  void (*blend_source_rows[kDTypes])(const void* a, const void* b, Index stride, float w, float fill, float* out,
                                     Index n);
  void (*sample_row)(const float* row, const std::int32_t* index, const float* weight, float* out, Index n);
  void (*blend_rows)(const float* a, const float* b, float w, float* out, Index out_stride, Index n);

  // [type of src][0: out of the same type, 1: out f32]; an index below 0 is outside.
  void (*nearest_row[kDTypes][2])(const void* src, Index stride, const std::int32_t* index, double fill, void* out,
                                  Index out_stride, Index n);
  void (*affine_linear[kDTypes])(const AffineRow& row, float* out, Index out_stride, Index n);
  void (*affine_nearest[kDTypes][2])(const AffineRow& row, void* out, Index out_stride, Index n);
};
BEDSIDE_LOOPS(ResampleLoops, resample_loops)

}  // namespace bedside::cpu
