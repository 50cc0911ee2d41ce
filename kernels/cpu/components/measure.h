// Measurements of components, from their runs: the cost is that of the runs, whatever the size of the volume.
#pragma once

#include "components/runs.h"

namespace bedside::cpu {

// A run with its place, z * height + y.
struct Piece {
  std::uint32_t row;
  std::int32_t begin, end;
};

// The runs of each component, in raster order.
struct Pieces {
  Buffer<std::uint32_t> first;  // [components + 1]
  Buffer<Piece> piece;
};
void sort_pieces(const Runs& runs, Pieces& pieces);

// One entry a component (three or six). A component without a voxel has zeros.
struct Extent {
  std::int64_t* voxels;
  std::int64_t* sum;        // of the indices z, y, x of its voxels
  std::int32_t* box;        // z, y, x: first, one past the last
  std::int32_t* key_slice;  // the first of those with the most voxels
  std::int64_t* key_area;   // so many
};
void measure_extent(const Runs& runs, const Pieces& pieces, const Extent& to, int threads);

// Count, and mean, population standard deviation, minimum and maximum of stored * slope[z] + intercept[z], without
// voxels that hold `padding` (null: there is none). NaN where the count is 0.
void measure_values(const Runs& runs, const Pieces& pieces, const ConstArray3& stored, const float* slope,
                    const float* intercept, const double* padding, std::int64_t* count, double* values, int threads);

// The largest distance between the centres of two voxels of a component in one slice: its length in the unit of `pixel`
// ([components][2], along y and x), the slice, and both ends (y, x). only[k], if given, is the one slice to look at. Of
// equal ones the first, slices with the longer diagonal of their box before others, then in raster order of the ends: a
// row's left end before its right end, all left ends before right ends. Without a voxel there: -1 and zeros.
void measure_diameter(const Runs& runs, const Pieces& pieces, const double* pixel, const std::int32_t* only,
                      double* length, std::int32_t* slice, std::int32_t* ends, int threads);

}  // namespace bedside::cpu
