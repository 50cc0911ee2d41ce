// The inner loops of the kernels that work on runs.
#pragma once

#include "array.h"
#include "bedside/components.h"
#include "bedside/value_sums.h"
#include "isa.h"

namespace bedside::cpu {

struct ComponentLoops {
  // The runs of a row of n > 0 voxels where group[voxel] is not 0, that being the run's label; neighbours of one group
  // are one run. Returns how many; count_runs only counts them, write_runs writes `room` at most.
  std::uint32_t (*count_runs)(const std::uint8_t* row, Index n, const std::uint8_t* group);
  std::uint32_t (*write_runs)(const std::uint8_t* row, Index n, const std::uint8_t* group, Run* to, std::uint32_t room);
  // to |= from
  void (*merge_rows)(std::uint8_t* to, const std::uint8_t* from, Index n);
  // Adds n values, `stride` elements apart, that are not `padding` (if there is any) to `to`; by DType, null for f16.
  void (*add_values[kDTypes])(const void* first, Index stride, Index n, const double* padding, ValueSums& to);
  // Boxes of 2 and of 3 axes, n of each coordinate one after the other, then their sizes: sets out[k] for those of
  // begin
  // ... end - 1 whose overlap with box `with` is above the threshold.
  void (*suppress[2])(const float* boxes, Index n, Index with, Index begin, Index end, float threshold,
                      std::uint8_t* out);
};
BEDSIDE_LOOPS(ComponentLoops, component_loops)

}  // namespace bedside::cpu
