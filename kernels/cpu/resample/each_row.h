// The rows of the output of a generic resample, shared out among threads.
#pragma once

#include <algorithm>

#include "resample/geometry.h"
#include "resample/loops.h"
#include "stream.h"
#include "thread_pool.h"

namespace bedside::cpu {

inline constexpr Index kVoxelsAtOnce = Index{1} << 15;  // that a thread takes

// Calls make(row of the source, row of the output, slot) for every row. g has been through order_output().
template <typename Row>
void each_row(const Geometry& g, Padding padding, double fill, int threads, Row&& make) {
  const Index rows = g.out.shape[1];
  const Index grain = std::max<Index>(1, kVoxelsAtOnce / g.out.shape[2]);
  const Index size = item_size(g.out.type);
  parallel_for(g.out.shape[0] * rows, grain, threads, [&](int slot, Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      const Index z = item / rows, y = item % rows;
      AffineRow row{g.src.data, g.src.shape, g.src.stride, {}, {}, padding, fill};
      for (int axis = 0; axis < 3; ++axis) {
        const double* const m = g.matrix[axis];
        row.origin[axis] = m[0] * static_cast<double>(z) + m[1] * static_cast<double>(y) + m[3];
        row.step[axis] = m[2];
      }
      make(row, static_cast<void*>(static_cast<char*>(g.out.data) + (z * g.out.stride[0] + y * g.out.stride[1]) * size),
           slot);
    }
    stream_fence();
  });
}

}  // namespace bedside::cpu
