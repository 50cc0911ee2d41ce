#include "window/window.h"

#include <algorithm>

#include "thread_pool.h"
#include "window/loops.h"

namespace bedside::cpu {

void accumulate(const ConstArray3& patch, Index patch_channel_stride, const ConstArray3& weight, const Array3& total,
                Index total_channel_stride, const Array3& norm, Index channels, const Index start[3], int threads) {
  Index low[3], count[3];  // the part of the patch that lies inside
  for (int axis = 0; axis < 3; ++axis) {
    low[axis] = std::max<Index>(0, -start[axis]);
    count[axis] = std::min(weight.shape[axis], norm.shape[axis] - start[axis]) - low[axis];
    if (count[axis] <= 0) return;
  }
  const auto first = [&](const auto& array, int sign) {
    Index offset = 0;
    for (int axis = 0; axis < 3; ++axis) {
      offset += (low[axis] + (sign > 0 ? start[axis] : 0)) * array.stride[axis];
    }
    return offset;
  };
  const float* const patch0 = static_cast<const float*>(patch.data) + first(patch, 0);
  const float* const weight0 = static_cast<const float*>(weight.data) + first(weight, 0);
  float* const total0 = static_cast<float*>(total.data) + first(total, 1);
  float* const norm0 = static_cast<float*>(norm.data) + first(norm, 1);
  const WindowLoops& loop = window_loops();

  // The rows of a slice of one channel, the norm counting as one channel more.
  const Index grain = std::max<Index>(1, (Index{1} << 15) / (count[1] * count[2]));
  parallel_for(count[0] * (channels + 1), grain, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      const Index channel = item / count[0], z = item % count[0];
      for (Index y = 0; y < count[1]; ++y) {
        const float* const w = weight0 + z * weight.stride[0] + y * weight.stride[1];
        if (channel == channels) {
          loop.add(w, weight.stride[2], norm0 + z * norm.stride[0] + y * norm.stride[1], norm.stride[2], count[2]);
        } else {
          loop.accumulate(patch0 + channel * patch_channel_stride + z * patch.stride[0] + y * patch.stride[1],
                          patch.stride[2], w, weight.stride[2],
                          total0 + channel * total_channel_stride + z * total.stride[0] + y * total.stride[1],
                          total.stride[2], count[2]);
        }
      }
    }
  });
}

}  // namespace bedside::cpu
