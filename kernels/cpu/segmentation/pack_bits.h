// Frames of a binary segmentation. Callers check shapes, strides and overlap (bindings/checks.h); these trust them.
#pragma once

#include "array.h"

namespace bedside::cpu {

// Bit i of the packed data is mask voxel i == label; frames follow each other without a gap. out holds
// ceil(frames * rows * columns / 8) bytes, occupied one flag a frame.
void pack_bits(const ConstArray3& mask, std::uint8_t* out, bool* occupied, std::uint8_t label, int threads);

}  // namespace bedside::cpu
