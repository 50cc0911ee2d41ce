// Where a value stands in a look-up table (DICOM PS3.3 C.11.1.1.1, C.11.2.1.1): the first entry is what `first` gives,
// values beyond an end take that end's entry.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

struct LookUp {
  float slope, intercept;  // stored value to what the table is indexed by
  std::int32_t first;      // of at most 22 bits, as the number of entries
  std::int32_t last;       // number of entries - 1
};

// Rounded half to even; a NaN takes the first entry.
template <typename T>
BEDSIDE_HD std::int32_t table_entry(T stored, const LookUp& p) {
  float v = static_cast<float>(stored) * p.slope + p.intercept;
  const float low = static_cast<float>(p.first), high = static_cast<float>(p.first + p.last);
  v = v > low ? v : low;
  v = v > high ? high : v;
  return static_cast<std::int32_t>((v + 12582912.0f) - 12582912.0f) - p.first;
}

}  // namespace bedside
