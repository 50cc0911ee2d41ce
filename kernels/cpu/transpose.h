// A tile of floats turned in the cache. Static: every build of the loops has its own.
#pragma once

#include "bedside/host_device.h"

namespace bedside::cpu {

// to[c * to_stride + r] = from[r * from_stride + c]
static inline void transpose(const float* __restrict from, Index from_stride, float* __restrict to, Index to_stride,
                             Index rows, Index columns) {
  for (Index c = 0; c < columns; ++c) {
    for (Index r = 0; r < rows; ++r) to[c * to_stride + r] = from[r * from_stride + c];
  }
}

}  // namespace bedside::cpu
