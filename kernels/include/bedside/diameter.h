// The longest distance between the pixels of a shape: what is compared, and which pixels can be its ends.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

// Twice the signed area of the triangle a, b, c of (y, x) points.
BEDSIDE_HD std::int64_t turn(std::int64_t ay, std::int64_t ax, std::int64_t by, std::int64_t bx, std::int64_t cy,
                             std::int64_t cx) {
  return (by - ay) * (cx - ax) - (bx - ax) * (cy - ay);
}

BEDSIDE_HD double squared_distance(std::int32_t ay, std::int32_t ax, std::int32_t by, std::int32_t bx, double pixel_y,
                                   double pixel_x) {
  const double y = ay * pixel_y - by * pixel_y, x = ax * pixel_x - bx * pixel_x;
  return y * y + x * x;
}

// Which of n points (y[k], x[k]), one a row from top to bottom, are corners of their convex hull towards lower (side 1)
// or higher (side -1) x: the monotone chain (Andrew 1979), exact in integers. Returns how many; kept has room for n.
BEDSIDE_HD std::int32_t hull_chain(const std::int32_t* y, const std::int32_t* x, std::int32_t n, int side,
                                   std::int32_t* kept) {
  std::int32_t count = 0;
  for (std::int32_t k = 0; k < n; ++k) {
    while (count > 1) {
      const std::int32_t a = kept[count - 2], b = kept[count - 1];
      if (turn(y[a], x[a], y[b], x[b], y[k], x[k]) * side > 0) break;
      --count;
    }
    kept[count++] = k;
  }
  return count;
}

}  // namespace bedside
