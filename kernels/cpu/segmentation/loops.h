// The inner loops of the segmentation kernels.
#pragma once

#include "array.h"
#include "isa.h"

namespace bedside::cpu {

struct SegmentationLoops {
  // n voxels to ceil(n / 8) bytes; true where any bit is set.
  bool (*pack)(const std::uint8_t* mask, Index n, std::uint8_t label, std::uint8_t* out);
  // to[c * to_stride + r] = from[r * from_stride + c]
  void (*transpose)(const std::uint8_t* from, Index from_stride, std::uint8_t* to, Index to_stride, Index rows,
                    Index columns);
};
BEDSIDE_LOOPS(SegmentationLoops, segmentation_loops)

}  // namespace bedside::cpu
