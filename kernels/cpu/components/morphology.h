// Label maps changed in place by looking at components. Callers check shapes and strides (bindings/checks.h).
#pragma once

#include "components/runs.h"

namespace bedside::cpu {

// What a call needs while it runs; equal calls that share it allocate once.
struct MorphologyMemory {
  Runs found, chosen;
  Buffer<std::int64_t> voxels;
  Buffer<std::uint32_t> order, numbers;
};

// Sets to 0 what is not in one of the `most` largest components of its group (see find_runs). Of components of one size
// the later in raster order counts as larger.
void keep_largest(const Array3& map, const std::uint8_t* group, Connectivity connectivity, Index most, int threads,
                  MorphologyMemory& memory);

// Gives what each label in turn encloses that label: the components of the rest of the map that do not reach its border
// (with neighbours in a slice only: the border of the slice).
void fill_holes(const Array3& map, const std::uint8_t* labels, int count, Connectivity connectivity, int threads,
                MorphologyMemory& memory);

}  // namespace bedside::cpu
