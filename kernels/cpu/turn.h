// Turning a block of an array in the cache (transpose.h), as a table of loops holds it.
#pragma once

#include "bedside/host_device.h"

namespace bedside::cpu {

// to[c * to_stride + r] = from[r * from_stride + c], whatever the bits of the elements are.
using Turn = void (*)(const void* from, Index from_stride, void* to, Index to_stride, Index rows, Index columns);

}  // namespace bedside::cpu
