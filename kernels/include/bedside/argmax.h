// Which channel wins at a voxel.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

// Whether a later channel's value takes over from the best so far: numpy.argmax's rule, so the first of equals stays
// and the first NaN wins for good. Without && and ||, which would keep loops from being vectorised.
BEDSIDE_HD bool argmax_takes_over(float value, float best) {
  return (value > best) | ((value != value) & (best == best));
}

}  // namespace bedside
