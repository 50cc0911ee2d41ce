// The inner loops of a sliding window and of what follows it, voxel by voxel.
#pragma once

#include "array.h"
#include "isa.h"

namespace bedside::cpu {

// Some rows of one plane of a patch, and where they go.
struct PatchRows {
  const float* patch;
  Index patch_stride[2];  // from row to row, from voxel to voxel
  float* total;
  Index total_stride[2];
  Index rows, n;
  float bell_z;  // weights: of the plane, of each row, of each voxel in a row
  const float* bell_y;
  const float* bell_x;
  float floor;
  Index fresh_y, fresh_x;  // from both on, total holds nothing yet
};

struct WindowLoops {
  // Adds the rows; gives the largest magnitude_bits of the patch.
  std::int32_t (*accumulate)(const PatchRows&);
  // total += window_weight(zy, bell_x, floor)
  void (*add_weights)(float zy, const float* bell_x, float floor, float* total, Index total_stride, Index n);
  void (*divide)(const float* total, Index total_stride, const float* norm, Index norm_stride, float* out,
                 Index out_stride, Index n);
  void (*copy)(const float* src, Index src_stride, float* out, Index out_stride, Index n);
  void (*fill)(float value, float* out, Index out_stride, Index n);
  void (*transpose)(const float* from, Index from_stride, float* to, Index to_stride, Index rows, Index columns);
  void (*argmax)(const float* total, Index stride, Index channel_stride, Index channels, std::uint8_t* out,
                 Index out_stride, Index n);
  // norm may be null
  void (*threshold)(const float* total, Index stride, Index channel_stride, Index channels, const float* norm,
                    Index norm_stride, float level, Index first_label, std::uint8_t* out, Index out_stride, Index n);
  void (*threshold_u8)(const std::uint8_t* src, Index stride, Index channel_stride, Index channels, std::uint8_t level,
                       Index first_label, std::uint8_t* out, Index out_stride, Index n);
  // src and out may be the same floats, in the same order
  void (*softmax)(const float* src, Index stride, Index channel_stride, Index channels, float* out, Index out_stride,
                  Index out_channel_stride, Index n);
  void (*sigmoid)(const float* src, Index stride, float* out, Index out_stride, Index n);
};
BEDSIDE_LOOPS(WindowLoops, window_loops)

}  // namespace bedside::cpu
