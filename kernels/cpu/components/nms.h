// Non-maximum suppression of boxes. Callers check shapes, strides and values (bindings/checks.h).
#pragma once

#include "bedside/host_device.h"

namespace bedside::cpu {

// boxes: n rows of lower corner and upper corner, `axes` (2 or 3) coordinates each, row_stride and stride elements
// apart. Box after box by falling score, of equal ones the first, is kept unless its overlap with one that was kept is
// above `threshold`, until `most` are. Writes the indices of those that are kept; returns how many. Throws
// std::bad_alloc.
Index nms(const float* boxes, Index row_stride, Index stride, const float* scores, Index score_stride, Index n,
          int axes, float threshold, Index most, std::int64_t* kept, int threads);

}  // namespace bedside::cpu
