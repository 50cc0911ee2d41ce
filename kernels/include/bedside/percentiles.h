// Percentiles between order statistics, as numpy.percentile's method "linear" has them (Hyndman and Fan 1996, type 7).
#pragma once

#include "bedside/host_device.h"

namespace bedside {

// Where a percentile lies among `count` sorted values: between ranks below and above, a share of the way.
struct Percentile {
  std::int64_t below, above;
  double share;
};

// percent is 0 to 100, count above 0.
BEDSIDE_HD Percentile percentile_place(double percent, std::int64_t count) {
  const double at = static_cast<double>(count - 1) * (percent / 100.0);
  const std::int64_t below = static_cast<std::int64_t>(at);  // not negative, so this is its floor
  return {below, below + 1 < count ? below + 1 : count - 1, at - static_cast<double>(below)};
}

// From the nearer end, so that it never leaves the two. `step` is high - low as the type of the values has it.
BEDSIDE_HD double between(double low, double high, double step, double share) {
  if (low == high || share == 0.0) return low;  // an infinity has no difference to what is beside it
  return share >= 0.5 ? high - step * (1.0 - share) : low + step * share;
}

}  // namespace bedside
