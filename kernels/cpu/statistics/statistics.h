// What an array holds, each in one pass over it. Callers check shapes and strides (bindings/checks.h); these trust
// them. Every result is the same to the last bit on every CPU and with every thread count.
#pragma once

#include "array.h"
#include "bedside/moments.h"
#include "bedside/standardise.h"
#include "statistics/sequence.h"

namespace bedside::cpu {

struct MinMax {
  double low, high;     // NaN where there is no number
  Index nan, infinite;  // how many
};

// src is not empty. A NaN is neither least nor greatest; -0 is below +0.
MinMax minmax(const ConstArray4& src, int threads);

// Of all values, or of those that are not 0. Of integers of 8 and 16 bits the sums are exact; of others they are taken
// in double over blocks of 4096, which are combined in a fixed order.
Moments moments(const ConstArray4& src, bool nonzero, int threads);

// u8, i8, u16 or i16: counts[v - least value of the type] is the number of voxels of value v; 256 or 65536 counts.
void histogram(const ConstArray4& src, std::int64_t* counts, int threads);

// Percentiles (0 to 100) with linear interpolation, of all values or of those that are not 0; NaN where there are none
// or where one is NaN. Exact: values are counted, of 32 bits the upper half of the bits first and the lower half of the
// wanted ones in a second pass.
void percentiles(const ConstArray4& src, const double* percents, Index wanted, bool nonzero, double* out, int threads);

struct Foreground {
  enum class Kind { nonzero, above, equal } kind;
  double value;
};

// The smallest box of what counts as foreground: [begin, end) a axis; false where nothing does.
bool bounding_box(const ConstArray3& src, const Foreground& foreground, Index box[3][2], int threads);

// out = (src - mean) / deviation; with `nonzero` a 0 stays 0. out is f32 and may be src.
void standardise(const ConstArray3& src, const Array3& out, const Standardise& by, bool nonzero, int threads);

}  // namespace bedside::cpu
