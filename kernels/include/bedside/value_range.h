// Which voxels count as foreground.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

// The values from low to high, or with `outside` all others. A NaN is in no range, so it is outside every one.
template <typename T>
struct ValueRange {
  T low, high;
  bool outside;
};

template <typename T>
BEDSIDE_HD bool in_range(T v, const ValueRange<T>& range) {
  return ((v >= range.low) & (v <= range.high)) != range.outside;
}

}  // namespace bedside
