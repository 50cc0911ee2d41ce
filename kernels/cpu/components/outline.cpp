#include "components/outline.h"

#include <algorithm>

#include "scratch.h"
#include "thread_pool.h"

namespace bedside::cpu {

void outline(const ConstArray3& slice, const std::uint8_t* group, const std::int32_t* rows, const std::int32_t* columns,
             const std::uint8_t color[3], int width, const Array3& picture, int threads, Runs& memory) {
  find_runs(slice, 1, 0, group, threads, memory);
  const Index height = picture.shape[0], across = picture.shape[1];
  if (memory.count() == 0 || height == 0 || across == 0) return;
  Run* const run = memory.run.data();
  const std::uint32_t* const first = memory.first.data();
  // Runs of voxels become runs of pixels; one may be of no pixel where the picture is smaller than the slice.
  Index left = across, right = 0;
  for (std::uint32_t i = 0; i < memory.count(); ++i) {
    const auto pixel = [&](std::int32_t voxel) {
      return static_cast<std::int32_t>(std::lower_bound(columns, columns + across, voxel) - columns);
    };
    run[i].begin = pixel(run[i].begin);
    run[i].end = pixel(run[i].end);
    if (run[i].begin == run[i].end) continue;
    left = std::min<Index>(left, run[i].begin);
    right = std::max<Index>(right, run[i].end);
  }
  const Index margin = width + 2;
  left = std::max<Index>(0, left - margin);
  right = std::min(across, right + margin);
  if (left >= right) return;
  const Index span = right - left;
  threads = resolve_threads(threads);
  std::int32_t* const lines =
      static_cast<std::int32_t*>(scratch(static_cast<std::size_t>(threads * 3 * (span + 1)) * sizeof(std::int32_t)));
  parallel_for(height, 64, threads, [&](int slot, Index begin, Index end) {
    std::int32_t* const line = lines + slot * 3 * (span + 1);
    const int reaches[3] = {0, width, width + 1};
    for (Index y = begin; y < end; ++y) {
      bool any = false;
      std::fill(line, line + 3 * (span + 1), 0);
      // Within reach r of the shape and its four neighbours: r rows away r + 1 pixels to each side, one row more r
      // pixels. Each run adds 1 where it begins and takes it where it ends.
      for (int part = 0; part < 3; ++part) {
        std::int32_t* const steps = line + part * (span + 1);
        const Index r = reaches[part];
        for (Index other = std::max<Index>(0, y - r - 1); other < std::min(height, y + r + 2); ++other) {
          const Index beside = other < y - r || other > y + r ? r : r + 1;
          for (std::uint32_t i = first[rows[other]]; i < first[rows[other] + 1]; ++i) {
            if (run[i].begin == run[i].end) continue;
            any = true;
            ++steps[std::max<Index>(0, run[i].begin - beside - left)];
            --steps[std::min<Index>(span, run[i].end + beside - left)];
          }
        }
      }
      if (!any) continue;
      std::uint8_t* at = static_cast<std::uint8_t*>(picture.data) + y * picture.stride[0] + left * picture.stride[1];
      std::int32_t inside[3] = {0, 0, 0};
      for (Index x = 0; x < span; ++x, at += picture.stride[1]) {
        for (int part = 0; part < 3; ++part) inside[part] += line[part * (span + 1) + x];
        if (inside[0] > 0 || inside[2] <= 0) continue;
        for (int c = 0; c < 3; ++c) at[c * picture.stride[2]] = inside[1] > 0 ? color[c] : std::uint8_t{0};
      }
    }
  });
}

}  // namespace bedside::cpu
