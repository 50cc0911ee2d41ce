// The SIGMOID VOI LUT function (DICOM PS3.3 C.11.2.1.3.1).
#pragma once

#include "bedside/exponential.h"

namespace bedside {

struct SigmoidWindow {
  float slope, intercept;   // stored value to modality unit
  float center, steepness;  // steepness: -4 / width
  float scale, offset;      // what follows the window's 0 to 1
};

template <typename T>
BEDSIDE_HD float sigmoid_window_voxel(T stored, const SigmoidWindow& p) {
  const float v = static_cast<float>(stored) * p.slope + p.intercept;
  float x = (v - p.center) * p.steepness;
  x = x > 80.0f ? 80.0f : x;  // beyond it what is left of 1 is no normal float
  return 1.0f / (1.0f + exponential(x)) * p.scale + p.offset;
}

}  // namespace bedside
