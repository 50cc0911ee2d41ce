#include "bedside/accumulate.h"

#include <algorithm>
#include <atomic>

#include "scratch.h"
#include "thread_pool.h"
#include "window/loops.h"
#include "window/window.h"

namespace bedside::cpu {

std::int32_t accumulate(const ConstArray3& patch, Index patch_channel_stride, const WindowWeights& weights,
                        const Array3& total, Index total_channel_stride, Index channels, Index planes,
                        const Index start[3], const Index fresh[3], int threads) {
  const Index image[3] = {planes, total.shape[1], total.shape[2]};
  Index low[3], count[3];  // the part of the patch that lies inside
  for (int axis = 0; axis < 3; ++axis) {
    low[axis] = std::max<Index>(0, -start[axis]);
    count[axis] = std::min(weights.shape[axis], image[axis] - start[axis]) - low[axis];
    if (count[axis] <= 0) return 0;
  }
  const float* const patch0 =
      static_cast<const float*>(patch.data) + low[1] * patch.stride[1] + low[2] * patch.stride[2];
  float* const total0 =
      static_cast<float*>(total.data) + (start[1] + low[1]) * total.stride[1] + (start[2] + low[2]) * total.stride[2];
  const WindowLoops& loop = window_loops();
  const Index fresh_x = std::clamp<Index>(fresh[2] - low[2], 0, count[2]);
  std::atomic<std::int32_t> peak{0};

  const Index grain = std::max<Index>(1, (Index{1} << 15) / (count[1] * count[2]));
  parallel_for(count[0] * channels, grain, resolve_threads(threads), [&](int, Index begin, Index end) {
    std::int32_t most = 0;
    for (Index item = begin; item < end; ++item) {
      const Index channel = item / count[0], z = low[0] + item % count[0];
      const Index place = (start[0] + z) % total.shape[0];
      most =
          std::max(most, loop.accumulate({patch0 + channel * patch_channel_stride + z * patch.stride[0],
                                          {patch.stride[1], patch.stride[2]},
                                          total0 + channel * total_channel_stride + place * total.stride[0],
                                          {total.stride[1], total.stride[2]},
                                          count[1],
                                          count[2],
                                          weights.bell[0][z],
                                          weights.bell[1] + low[1],
                                          weights.bell[2] + low[2],
                                          weights.floor,
                                          z < fresh[0] ? count[1] : std::clamp<Index>(fresh[1] - low[1], 0, count[1]),
                                          fresh_x}));
    }
    std::int32_t seen = peak.load(std::memory_order_relaxed);
    while (most > seen && !peak.compare_exchange_weak(seen, most, std::memory_order_relaxed)) {
    }
  });
  return peak.load();
}

namespace {

// Whether two positions along an axis lie in the same places of the same number of windows, in the same order.
bool same_places(const std::int64_t* starts, Index count, Index size, Index a, Index b) {
  Index i = 0, j = 0;
  for (;; ++i, ++j) {
    while (i < count && (a < starts[i] || a - starts[i] >= size)) ++i;
    while (j < count && (b < starts[j] || b - starts[j] >= size)) ++j;
    if (i == count || j == count) return i == count && j == count;
    if (a - starts[i] != b - starts[j]) return false;
  }
}

}  // namespace

void window_norm(const WindowWeights& weights, const WindowGrid& grid, Index first, const Array3& out, int threads) {
  const WindowLoops& loop = window_loops();
  const Index rows = out.shape[1], n = out.shape[2];
  if (out.shape[0] == 0 || rows == 0 || n == 0) return;
  threads = resolve_threads(threads);
  float* const to = static_cast<float*>(out.data);
  // Away from the edges windows repeat every step, and so do the rows: each kind is added up once and then copied.
  Index* const like = static_cast<Index*>(scratch(static_cast<std::size_t>(rows) * sizeof(Index)));
  for (Index y = 0; y < rows; ++y) {
    like[y] = y;
    for (Index other = 0; other < y; ++other) {
      if (like[other] == other && same_places(grid.starts[1], grid.count[1], weights.shape[1], y, other)) {
        like[y] = other;
        break;
      }
    }
  }
  const auto row = [&](Index z, Index y) { return to + z * out.stride[0] + y * out.stride[1]; };
  const Index grain = std::max<Index>(1, (Index{1} << 15) / n);
  parallel_for(out.shape[0] * rows, grain, threads, [&](int, Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      const Index at_z = item / rows, at_y = item % rows;
      if (like[at_y] != at_y) continue;
      float* const sum = row(at_z, at_y);
      loop.fill(0.0f, sum, out.stride[2], n);
      for (Index i = 0; i < grid.count[0]; ++i) {
        const Index z = first + at_z - grid.starts[0][i];
        if (z < 0 || z >= weights.shape[0]) continue;
        for (Index j = 0; j < grid.count[1]; ++j) {
          const Index y = at_y - grid.starts[1][j];
          if (y < 0 || y >= weights.shape[1]) continue;
          const float zy = weights.bell[0][z] * weights.bell[1][y];
          for (Index k = 0; k < grid.count[2]; ++k) {
            const Index start = grid.starts[2][k];
            const Index low = std::max<Index>(start, 0), high = std::min(start + weights.shape[2], n);
            if (low >= high) continue;
            loop.add_weights(zy, weights.bell[2] + low - start, weights.floor, sum + low * out.stride[2], out.stride[2],
                             high - low);
          }
        }
      }
    }
  });
  parallel_for(out.shape[0] * rows, grain, threads, [&](int, Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      const Index z = item / rows, y = item % rows;
      if (like[y] != y) loop.copy(row(z, like[y]), out.stride[2], row(z, y), out.stride[2], n);
    }
  });
}

}  // namespace bedside::cpu
