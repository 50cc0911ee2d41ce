// The inner loops of the 3D resample.
#pragma once

#include "array.h"
#include "bedside/resample.h"
#include "bedside/rescale.h"
#include "isa.h"
#include "turn.h"

namespace bedside::cpu {

// A row of the output of a generic (rotated, sheared) resample. The source's axes come in the order of their strides.
struct AffineRow {
  const void* src;
  const Index* shape;
  const Index* stride;
  double origin[3];  // source coordinate of the row's voxel 0
  double step[3];    // and how it changes from voxel to voxel
  Padding padding;
  double fill;
};

BEDSIDE_HD double source_coordinate(const AffineRow& row, int axis, Index i) {
  return row.origin[axis] + row.step[axis] * static_cast<double>(i);
}

// Voxels of such a row are made so many at a time, step by step, in arrays that stay in the first-level cache.
inline constexpr int kChunk = 64;

// sample_row takes its columns in blocks of so many.
inline constexpr Index kSampleBlock = 16;

// How 16 bytes of a row are picked from 32 bytes of another: where those begin, and which of them (0 to 15 of either
// half, 255: none) each byte is; `fill` is what it is else.
struct Pick {
  Index begin;
  alignas(16) std::uint8_t low[16];
  alignas(16) std::uint8_t high[16];
  alignas(16) std::uint8_t fill[16];
};

using BlendSourceRows = void (*)(const void* a, const void* b, Index stride, float w, float fill, float* out, Index n);

struct ResampleLoops {
  // Rows a and b of the source (either may be null: all fill), blended.
  BlendSourceRows blend_source_rows[kDTypes];

  // out[i] between row[index[i]] and the next. index rises or falls along the row. index and weight have whole blocks
  // of kSampleBlock; whole blocks are written; of row, 2 * kSampleBlock more than the last index are readable.
  void (*sample_row)(const float* row, const std::int32_t* index, const float* weight, float* out, Index n);

  // a and b blended, and rescaled unless `rescale` is null; past the cache where `stream` (a fence must follow).
  void (*finish)(const float* a, const float* b, float w, const Rescale* rescale, float* out, Index n, bool stream);

  // As memcpy, past the cache (a fence must follow).
  void (*stream)(void* to, const void* from, std::size_t bytes);

  Turn turn[5];  // [bytes of an element], transpose.h

  // Nearest along the axes: picks[] fill whole 16 bytes of `to`; or, element by element, src[index[i] * stride], where
  // an index below 0 is `fill` (an element).
  void (*pick_row)(const void* src, const Pick* picks, void* to, Index count);
  void (*index_row[kDTypes])(const void* src, Index stride, const std::int32_t* index, const void* fill, void* to,
                             Index n);

  // Generic: [type of src]; nearest: [0: out of the same type, 1: out f32].
  void (*affine_linear[kDTypes])(const AffineRow& row, float* out, Index n);
  void (*affine_nearest[kDTypes][2])(const AffineRow& row, void* out, Index out_stride, Index n);
};
BEDSIDE_LOOPS(ResampleLoops, resample_loops)

}  // namespace bedside::cpu
