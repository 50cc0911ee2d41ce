// The inner loops of a sliding window's blending.
#pragma once

#include "array.h"
#include "isa.h"

namespace bedside::cpu {

struct WindowLoops {
  void (*accumulate)(const float* patch, Index patch_stride, const float* weight, Index weight_stride, float* total,
                     Index total_stride, Index n);
  void (*add)(const float* term, Index term_stride, float* total, Index total_stride, Index n);
  void (*argmax)(const float* total, Index stride, Index channel_stride, Index channels, std::uint8_t* out,
                 Index out_stride, Index n);
  void (*threshold)(const float* total, Index stride, Index channel_stride, Index channels, const float* norm,
                    Index norm_stride, float level, std::uint8_t* out, Index out_stride, Index n);
};
BEDSIDE_LOOPS(WindowLoops, window_loops)

}  // namespace bedside::cpu
