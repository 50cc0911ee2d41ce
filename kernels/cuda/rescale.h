// The launch of rescale.
#pragma once

#include "bedside/rescale.h"
#include "elementwise/rescale.h"
#include "grid.h"

namespace bedside::cuda {

// A row is a row of a slice.
template <typename T>
struct RescaleRows {
  View<const T> src;
  View<float> out;
  cpu::PerSlice slope, intercept;
  float low, high, scale, offset;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index z = row / src.shape[1], y = row % src.shape[1];
    const Rescale p{slope.data[z * slope.stride], intercept.data[z * intercept.stride], low, high, scale, offset};
    out.at(z, y, x) = rescale_voxel(src.at(z, y, x), p);
  }
};

template <typename Launch>
auto rescale(const cpu::ConstArray3& src, const cpu::Array3& out, cpu::PerSlice slope, cpu::PerSlice intercept,
             float low, float high, float scale, float offset, Launch&& launch) {
  return with_stored(src.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return launch(Extent{src.shape[0] * src.shape[1], src.shape[2]},
                  RescaleRows<T>{view<T>(src), view<float>(out), slope, intercept, low, high, scale, offset});
  });
}

}  // namespace bedside::cuda
