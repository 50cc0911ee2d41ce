// The launches of pack_bits.
#pragma once

#include "bedside/pack_bits.h"
#include "grid.h"

namespace bedside::cuda {

// A column is a frame.
struct ClearFlags {
  bool* flag;

  BEDSIDE_HD void operator()(Index, Index column) const { flag[column] = false; }
};

// A column is a byte of the packed data.
struct PackBits {
  View<const std::uint8_t> mask;
  std::uint8_t* out;
  bool* occupied;
  std::uint8_t label;

  BEDSIDE_HD void operator()(Index, Index column) const {
    const Index plane = mask.shape[1] * mask.shape[2], all = mask.shape[0] * plane, first = 8 * column;
    const int count = all - first < 8 ? static_cast<int>(all - first) : 8;
    std::uint8_t voxel[8];
    for (int i = 0; i < count; ++i) {
      const Index at = first + i, frame = at / plane, within = at % plane;
      voxel[i] = mask.at(frame, within / mask.shape[2], within % mask.shape[2]);
      // Threads that meet here write the same.
      if (voxel[i] == label) occupied[frame] = true;
    }
    out[column] = pack_byte(voxel, count, label);
  }
};

template <typename Launch>
auto pack_bits(const cpu::ConstArray3& mask, std::uint8_t* out, bool* occupied, std::uint8_t label, Launch&& launch) {
  const Index voxels = mask.shape[0] * mask.shape[1] * mask.shape[2];
  const auto cleared = launch(Extent{1, mask.shape[0]}, ClearFlags{occupied});
  if (cleared != decltype(cleared){}) return cleared;
  return launch(Extent{1, (voxels + 7) / 8}, PackBits{view<std::uint8_t>(mask), out, occupied, label});
}

}  // namespace bedside::cuda
