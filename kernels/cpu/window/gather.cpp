#include "bedside/gather.h"

#include <algorithm>

#include "elementwise/loops.h"
#include "layout.h"
#include "thread_pool.h"
#include "window/loops.h"
#include "window/window.h"

namespace bedside::cpu {

namespace {

// Copies and maps rows.
struct RowCopy {
  const WindowLoops& loop = window_loops();
  const Rescale* map;
  void (*mapped)(const void* src, Index src_stride, float* out, Index out_stride, Index n, const Rescale&);
  const char* from;
  Index size;

  RowCopy(const ConstArray3& src, const Rescale* map_)
      : map(map_),
        mapped(elementwise_loops().rescale[static_cast<int>(src.type)]),
        from(static_cast<const char*>(src.data)),
        size(item_size(src.type)) {}

  void operator()(Index at, Index stride, float* out, Index out_stride, Index n) const {
    const char* const src = from + at * size;
    if (map != nullptr) {
      mapped(src, stride, out, out_stride, n, *map);
    } else {
      loop.copy(reinterpret_cast<const float*>(src), stride, out, out_stride, n);
    }
  }
};

// The window lies inside of the image.
void gather_inside(const ConstArray3& src, Index src_channel_stride, const Array3& out, Index out_channel_stride,
                   Index channels, Index origin, const RowCopy& row, int threads) {
  float* const to = static_cast<float*>(out.data);
  const RowWalk walk(out.shape, false, out.stride, src.stride);
  // A transposed view: rows are read along the source and turned in the cache.
  const bool turn = walk.crossed() && walk.inner_stride[0] == 1;
  parallel_for(walk.pieces() * channels, 1, threads, [&](int, Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      const Index channel = item / walk.pieces(), piece = item % walk.pieces();
      const Index from = origin + channel * src_channel_stride;
      float* const target = to + channel * out_channel_stride;
      if (turn) {
        walk.tiles(piece, [&](Index, Index at_out, Index at_src, Index n, Index rows) {
          float tile[walk.kTile * walk.kTileRows];
          for (Index i = 0; i < n; ++i) {
            row(from + at_src + i * walk.inner_stride[1], walk.middle_stride(1), tile + i * rows, 1, rows);
          }
          row.loop.transpose(tile, rows, target + at_out, walk.middle_stride(0), n, rows);
        });
      } else {
        walk.rows(piece, [&](Index, Index at_out, Index at_src, Index n) {
          row(from + at_src, walk.inner_stride[1], target + at_out, walk.inner_stride[0], n);
        });
      }
    }
  });
}

}  // namespace

void gather(const ConstArray3& src, Index src_channel_stride, const Array3& out, Index out_channel_stride,
            Index channels, const Index start[3], Outside mode, float fill, const Rescale* map, int threads) {
  if (out.shape[0] == 0 || out.shape[1] == 0 || out.shape[2] == 0) return;
  const RowCopy row(src, map);
  bool inside = true;
  for (int axis = 0; axis < 3; ++axis) {
    inside = inside && start[axis] >= 0 && start[axis] + out.shape[axis] <= src.shape[axis];
  }
  if (inside) {
    const Index origin = start[0] * src.stride[0] + start[1] * src.stride[1] + start[2] * src.stride[2];
    gather_inside(src, src_channel_stride, out, out_channel_stride, channels, origin, row, resolve_threads(threads));
    return;
  }
  float* const to = static_cast<float*>(out.data);
  const Index rows = out.shape[1], n = out.shape[2];
  const Index grain = std::max<Index>(1, (Index{1} << 14) / n);
  parallel_for(channels * out.shape[0] * rows, grain, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      const Index y = item % rows, z = item / rows % out.shape[0], channel = item / rows / out.shape[0];
      float* const target = to + channel * out_channel_stride + z * out.stride[0] + y * out.stride[1];
      const Index source_z = voxel_for(start[0] + z, src.shape[0], mode);
      const Index source_y = voxel_for(start[1] + y, src.shape[1], mode);
      if (source_z == kNowhere || source_y == kNowhere) {
        row.loop.fill(fill, target, out.stride[2], n);
        continue;
      }
      const Index from = channel * src_channel_stride + source_z * src.stride[0] + source_y * src.stride[1];
      // Runs of voxels that lie evenly in the source: of step 1, -1 (mirrored) or 0 (repeated).
      for (Index x = 0; x < n;) {
        const Index at = voxel_for(start[2] + x, src.shape[2], mode);
        Index end_x = x + 1, step = 0;
        if (end_x < n) {
          const Index next = voxel_for(start[2] + end_x, src.shape[2], mode);
          step = next - at;
          if (at == kNowhere || next == kNowhere || step < -1 || step > 1) step = at == next ? 0 : 2;
          if (step != 2) {
            while (end_x < n && voxel_for(start[2] + end_x, src.shape[2], mode) == at + (end_x - x) * step) ++end_x;
          }
        }
        if (at == kNowhere) {
          row.loop.fill(fill, target + x * out.stride[2], out.stride[2], end_x - x);
        } else {
          row(from + at * src.stride[2], (step == 2 ? 0 : step) * src.stride[2], target + x * out.stride[2],
              out.stride[2], end_x - x);
        }
        x = end_x;
      }
    }
  });
}

}  // namespace bedside::cpu
