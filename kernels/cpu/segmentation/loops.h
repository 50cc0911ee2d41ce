// The inner loop of the segmentation kernels.
#pragma once

#include "array.h"
#include "isa.h"

namespace bedside::cpu {

struct SegmentationLoops {
  // n voxels to ceil(n / 8) bytes; true where any bit is set.
  bool (*pack)(const std::uint8_t* mask, Index n, std::uint8_t label, std::uint8_t* out);
};
BEDSIDE_LOOPS(SegmentationLoops, segmentation_loops)

}  // namespace bedside::cpu
