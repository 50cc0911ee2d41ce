// Which voxel of an image stands for one outside of it, along one axis.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

enum class Outside {
  constant,   // none: kNowhere
  reflect,    // mirrored at the centres of the outermost voxels: 2 1 | 0 1 2 | 1 0
  replicate,  // the outermost voxel
  circular,   // the image repeated
};

constexpr Index kNowhere = -1;

// For any i, and n of at least 1: numpy.pad's "reflect", "edge" and "wrap", of which torch.nn.functional.pad allows the
// nearer part.
BEDSIDE_HD Index voxel_for(Index i, Index n, Outside mode) {
  if (i >= 0 && i < n) return i;
  if (mode == Outside::constant) return kNowhere;
  if (mode == Outside::replicate) return i < 0 ? 0 : n - 1;
  const Index period = mode == Outside::circular ? n : 2 * (n - 1);
  if (period == 0) return 0;  // a mirrored single voxel
  Index at = i % period;
  at = at < 0 ? at + period : at;
  return at < n ? at : period - at;
}

}  // namespace bedside
