// The inner loops of the elementwise kernels.
#pragma once

#include "array.h"
#include "bedside/rescale.h"
#include "isa.h"

namespace bedside::cpu {

struct ElementwiseLoops {
  void (*rescale[kDTypes])(const void* src, Index src_stride, float* out, Index out_stride, Index n, const Rescale&);
  // to[c * to_stride + r] = from[r * from_stride + c]
  void (*transpose)(const float* from, Index from_stride, float* to, Index to_stride, Index rows, Index columns);
};
BEDSIDE_LOOPS(ElementwiseLoops, elementwise_loops)

}  // namespace bedside::cpu
