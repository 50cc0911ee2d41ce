#include "segmentation/pack_bits.h"

#include <algorithm>
#include <cstring>

#include "scratch.h"
#include "segmentation/loops.h"
#include "thread_pool.h"

namespace bedside::cpu {

namespace {

// Rows of a tile in which interleaved frames are taken apart, and frames of it: a cache line of the mask. A multiple of
// 8 rows fills whole bytes.
constexpr Index kTileRows = 8, kTileFrames = 64;

// Frames that lie interleaved in memory (the view of a volume that is stored x, y, z), each of whole bytes.
void pack_interleaved(const ConstArray3& mask, std::uint8_t* out, bool* occupied, std::uint8_t label, int threads) {
  const SegmentationLoops& loop = segmentation_loops();
  const Index frames = mask.shape[0], rows = mask.shape[1], columns = mask.shape[2];
  const bool backwards = mask.stride[0] < 0;  // then the first frame in memory is the last
  const std::uint8_t* const from =
      static_cast<const std::uint8_t*>(mask.data) + (backwards ? (frames - 1) * mask.stride[0] : 0);
  const Index groups = (frames + kTileFrames - 1) / kTileFrames, blocks = (rows + kTileRows - 1) / kTileRows;
  const Index tile_frame = kTileRows * columns;
  threads = static_cast<int>(std::min<Index>(resolve_threads(threads), groups * blocks));
  std::uint8_t* const tiles = static_cast<std::uint8_t*>(scratch(threads * kTileFrames * tile_frame));
  std::fill(occupied, occupied + frames, false);
  parallel_for(groups * blocks, 1, threads, [&](int slot, Index begin, Index end) {
    std::uint8_t* const tile = tiles + slot * kTileFrames * tile_frame;
    for (Index item = begin; item < end; ++item) {
      const Index f0 = item / blocks * kTileFrames, count = std::min(kTileFrames, frames - f0);
      const Index y0 = item % blocks * kTileRows, height = std::min(kTileRows, rows - y0);
      constexpr Index kRun = 16;  // pixels along x at a time: as many pages are in use
      for (Index x = 0; x < columns; x += kRun) {
        for (Index y = 0; y < height; ++y) {
          loop.transpose(from + f0 + (y0 + y) * mask.stride[1] + x * mask.stride[2], mask.stride[2],
                         tile + y * columns + x, tile_frame, std::min(kRun, columns - x), count);
        }
      }
      for (Index f = 0; f < count; ++f) {
        const Index frame = backwards ? frames - 1 - (f0 + f) : f0 + f;
        std::uint8_t* const to = out + (frame * rows + y0) * columns / 8;
        if (loop.pack(tile + f * tile_frame, height * columns, label, to)) {
          __atomic_store_n(&occupied[frame], true, __ATOMIC_RELAXED);  // another thread has other rows of the frame
        }
      }
    }
  });
}

}  // namespace

void pack_bits(const ConstArray3& mask, std::uint8_t* out, bool* occupied, std::uint8_t label, int threads) {
  const Index frames = mask.shape[0], rows = mask.shape[1], columns = mask.shape[2];
  const Index voxels = rows * columns;
  if (frames == 0 || voxels == 0) {
    std::fill(occupied, occupied + frames, false);
    return;
  }
  const SegmentationLoops& loop = segmentation_loops();
  const std::uint8_t* const from = static_cast<const std::uint8_t*>(mask.data);
  const bool follow = mask.stride[2] == 1 || columns == 1;
  if (!follow && frames > 1 && voxels % 8 == 0 && magnitude(mask.stride[0]) == 1) {
    return pack_interleaved(mask, out, occupied, label, threads);
  }
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
    if (magnitude(mask.stride[1]) == 1) {  // rows lie across: turned in the cache, a tile of x at a time
      const bool backwards = mask.stride[1] < 0;
      const std::uint8_t* const start = first + (backwards ? (rows - 1) * mask.stride[1] : 0);
      std::uint8_t* const row = to + (backwards ? (rows - 1) * columns : 0);
      constexpr Index kRun = 64;
      for (Index x = 0; x < columns; x += kRun) {
        loop.transpose(start + x * mask.stride[2], mask.stride[2], row + x, backwards ? -columns : columns,
                       std::min(kRun, columns - x), rows);
      }
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
