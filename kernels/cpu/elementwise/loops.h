// The inner loops of the elementwise kernels.
#pragma once

#include "array.h"
#include "bedside/rescale.h"
#include "bedside/store.h"
#include "isa.h"

namespace bedside::cpu {

struct ElementwiseLoops {
  void (*rescale[kDTypes])(const void* src, Index src_stride, float* out, Index out_stride, Index n, const Rescale&);
  // For every type a network's input may have: f32, f16, u8, i8, u16, i16; the others are null. Other groups of
  // kernels use it too, on a block of floats that is still in the first-level cache. to must not be from.
  void (*store[kDTypes])(const float* from, void* to, Index to_stride, Index n, const Quantization&);
  // to[c * to_stride + r] = from[r * from_stride + c]
  void (*transpose)(const float* from, Index from_stride, float* to, Index to_stride, Index rows, Index columns);
};
BEDSIDE_LOOPS(ElementwiseLoops, elementwise_loops)

}  // namespace bedside::cpu
