// The inner loops of resizing and correlating.
#pragma once

#include "array.h"
#include "bedside/resize.h"
#include "isa.h"

namespace bedside::cpu {

inline constexpr int kRowsAtOnce = 4;
inline constexpr Index kTapsAtOnce = 4;

struct ResizeLoops {
  // out = (first ? 0 : out) + sum of weight[k] * row[k] over 1..kRowsAtOnce rows, in their order.
  void (*add_rows[kDTypes])(const void* const* row, const float* weight, int rows, bool first, Index stride, float* out,
                            Index n);
  // out = a + w * (b - a); with w = 0 b is not looked at.
  void (*lerp_rows[kDTypes])(const void* a, const void* b, float w, Index stride, float* out, Index n);
  // out[i] = sum over k of weight[k * n + i] * line[index[i] + k * step]. A sample of weight 0 is read, but not looked
  // at; so are those up to a multiple of kTapsAtOnce: weight has as many rows.
  void (*sample)(const float* line, const std::int32_t* index, Index step, const float* weight, Index taps, float* out,
                 Index n);
  // The same for two samples, blended as lerp_rows does with the weight of the second, which is all that weight holds.
  void (*lerp_sample)(const float* line, const std::int32_t* index, Index step, const float* weight, float* out,
                      Index n);
  // Both for three channels side by side in the line; out[c * n + i]. One float beyond them is read.
  void (*sample_colour)(const float* line, const std::int32_t* index, Index step, const float* weight, Index taps,
                        float* out, Index n);
  void (*lerp_sample_colour)(const float* line, const std::int32_t* index, Index step, const float* weight, float* out,
                             Index n);
  void (*gray)(const float* line, Index pixel, Index channel, float* out, Index n);
  // row[i] /= count[i] * rows
  void (*divide)(float* row, const float* count, float rows, Index n);
  // out[i] = src[index[i]] for items of 1, 2, 4 and 8 bytes
  void (*pick[4])(const void* src, Index stride, const std::int32_t* index, void* out, Index out_stride, Index n);
};
BEDSIDE_LOOPS(ResizeLoops, resize_loops)

}  // namespace bedside::cpu
