#include "segmentation/pack_bits.h"

#include <algorithm>
#include <cstring>

#include "scratch.h"
#include "segmentation/loops.h"
#include "thread_pool.h"

namespace bedside::cpu {

void pack_bits(const ConstArray3& mask, std::uint8_t* out, bool* occupied, std::uint8_t label, int threads) {
  const Index frames = mask.shape[0], rows = mask.shape[1], columns = mask.shape[2];
  const Index voxels = rows * columns;
  if (frames == 0 || voxels == 0) {
    std::fill(occupied, occupied + frames, false);
    return;
  }
  const SegmentationLoops& loop = segmentation_loops();
  const std::uint8_t* const from = static_cast<const std::uint8_t*>(mask.data);
  // Eight frames always fill whole bytes, whatever the size of one.
  const Index group = voxels % 8 == 0 ? 1 : 8;
  const bool rows_follow = (columns == 1 || mask.stride[2] == 1) && (rows == 1 || mask.stride[1] == columns);
  const bool frames_follow = rows_follow && (group == 1 || frames == 1 || mask.stride[0] == voxels);
  const Index groups = (frames + group - 1) / group;
  threads = static_cast<int>(std::min<Index>(resolve_threads(threads), groups));
  std::uint8_t* const gathered =
      frames_follow ? nullptr : static_cast<std::uint8_t*>(scratch(static_cast<std::size_t>(threads * group * voxels)));

  const auto gather = [&](Index frame, std::uint8_t* to) {
    const std::uint8_t* const first = from + frame * mask.stride[0];
    if (mask.stride[2] == 1) {
      for (Index y = 0; y < rows; ++y) std::memcpy(to + y * columns, first + y * mask.stride[1], columns);
      return;
    }
    constexpr Index tile = 64;  // a transposed view: use its cache lines up
    for (Index x0 = 0; x0 < columns; x0 += tile) {
      const Index x1 = std::min(x0 + tile, columns);
      for (Index y = 0; y < rows; ++y) {
        const std::uint8_t* const row = first + y * mask.stride[1];
        for (Index x = x0; x < x1; ++x) to[y * columns + x] = row[x * mask.stride[2]];
      }
    }
  };

  const Index grain = std::max<Index>(1, (Index{1} << 18) / (group * voxels));
  parallel_for(groups, grain, threads, [&](int slot, Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      const Index frame = item * group, count = std::min(group, frames - frame);
      const std::uint8_t* run = from + frame * mask.stride[0];
      if (!frames_follow) {
        std::uint8_t* const mine = gathered + slot * group * voxels;
        for (Index k = 0; k < count; ++k) gather(frame + k, mine + k * voxels);
        run = mine;
      }
      const bool any = loop.pack(run, count * voxels, label, out + frame * voxels / 8);
      if (group == 1) {
        occupied[frame] = any;
      } else {
        for (Index k = 0; k < count; ++k) {
          occupied[frame + k] = any && std::memchr(run + k * voxels, label, voxels) != nullptr;
        }
      }
    }
  });
}

}  // namespace bedside::cpu
