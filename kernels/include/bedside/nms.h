// Overlap of boxes, as MONAI takes it (monai.data.box_utils.box_iou): float32, from corners, with the smallest step of
// a float32 at 1 added to the union.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

// Extent of the overlap along one axis.
BEDSIDE_HD float shared_extent(float a_low, float a_high, float b_low, float b_high) {
  const float low = a_low > b_low ? a_low : b_low, high = a_high < b_high ? a_high : b_high;
  const float extent = high - low;
  return extent > 0.0f ? extent : 0.0f;
}

// a and b are the sizes (area or volume) of the boxes, shared that of their intersection.
BEDSIDE_HD float intersection_over_union(float a, float b, float shared) {
  return shared / (a + b - shared + 1.1920928955078125e-7f);
}

}  // namespace bedside
