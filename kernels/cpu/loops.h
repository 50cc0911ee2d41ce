// The inner loops, one table of them an instruction set: loops.cpp is compiled once for each.
#pragma once

#include <cstdint>

#include "bedside/host_device.h"
#include "bedside/resample.h"
#include "bedside/rescale.h"
#include "kernels.h"

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

struct Loops {
  const char* isa;
  void (*rescale[kDTypes])(const void* src, Index src_stride, float* out, Index out_stride, Index n, const Rescale&);

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

  void (*accumulate)(const float* patch, Index patch_stride, const float* weight, Index weight_stride, float* total,
                     Index total_stride, Index n);
  void (*add)(const float* term, Index term_stride, float* total, Index total_stride, Index n);
  void (*argmax)(const float* total, Index stride, Index channel_stride, Index channels, std::uint8_t* out,
                 Index out_stride, Index n);
  void (*threshold)(const float* total, Index stride, Index channel_stride, Index channels, const float* norm,
                    Index norm_stride, float level, std::uint8_t* out, Index out_stride, Index n);
  // n voxels to ceil(n / 8) bytes; true where any bit is set.
  bool (*pack)(const std::uint8_t* mask, Index n, std::uint8_t label, std::uint8_t* out);
};

// The best table for this CPU.
const Loops& loops();

// Every table this CPU can run, the best first; for tests.
struct LoopsList {
  const Loops* table[3];
  int count;
};
LoopsList available_loops();

// Makes loops() give `table` until the next call; for tests, not while a kernel runs.
void use_loops(const Loops& table);

}  // namespace bedside::cpu
