// The outline of a finding, drawn onto its picture. Callers check shapes and strides (bindings/checks.h).
#pragma once

#include "components/runs.h"

namespace bedside::cpu {

// picture is u8 [y, x, 3]. rows[y] and columns[x], which never fall, are the voxel of the slice [1, rows, columns] that
// lies under a pixel. Around the pixels whose voxel has a group that is not 0 a gap of one pixel (its four neighbours)
// stays as it is, then comes a line of `width` pixels of that colour, then one black pixel, both by eight neighbours.
void outline(const ConstArray3& slice, const std::uint8_t* group, const std::int32_t* rows, const std::int32_t* columns,
             const std::uint8_t color[3], int width, const Array3& picture, int threads, Runs& memory);

}  // namespace bedside::cpu
