// Count, sums and range of stored values of a set of voxels.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

// Integers of at most 16 bits are summed as integers, exactly (2^31 of them at most). Other values are summed in
// doubles, relative to `shift`, one of them, so that squares do not cancel; there the order of the values decides the
// last bits.
struct ValueSums {
  std::int64_t count, sum, squares;
  double shift, shifted_sum, shifted_squares;
  double low, high;  // of no meaning while count is 0; not a number where a value is none
};

}  // namespace bedside
