// The inner loops of the statistics: n elements that lie beside each other.
#pragma once

#include "array.h"
#include "bedside/moments.h"
#include "bedside/standardise.h"
#include "bedside/value_range.h"
#include "isa.h"

namespace bedside::cpu {

// Types that pixels are stored in: the first of DType.
inline constexpr int kStoredTypes = 6;

struct Extremes {
  std::int32_t low, high;  // of floats the signed order (bedside/ordered_bits.h); a NaN is not among them
  Index nan, infinite;
};

struct Sums {
  Index count;
  std::int64_t sum;
  std::uint64_t squares;  // of at most 2^32 values of 16 bits
};

struct StatisticsLoops {
  // Widens what is there. At most 2^30 elements.
  void (*extremes[kStoredTypes])(const void* src, Index n, Extremes&);
  // Adds to what is there; u8, i8, u16 and i16, at most kMost elements. Of the values that are not 0, or of all.
  void (*sums[4])(const void* src, Index n, bool nonzero, Sums&);
  // The others: [0] is i32, [1] is f32; 1 to kMost elements.
  Moments (*moments[2])(const void* src, Index n, bool nonzero);
  // Adds to tables[kTables][256 or 65536], by the bits as an unsigned number; of 32 bits the upper 16.
  void (*count_8)(const void* src, Index n, std::uint32_t* tables);
  void (*count_16)(const void* src, Index n, std::uint32_t* tables);
  void (*count_upper)(const void* src, Index n, std::uint32_t* tables);
  // Adds to tables[k][65536], by the lower 16 bits, what has upper[k] as its upper 16 bits; k below `wanted`, at most
  // kMostUpper. At most kMost elements.
  void (*count_lower)(const void* src, Index n, const std::uint32_t* upper, int wanted, std::uint32_t* tables);
  // How many have these 32 bits.
  Index (*count_equal)(const void* src, Index n, std::uint32_t bits);
  // Index of the first or last element in the range, -1 where there is none.
  Index (*first[kStoredTypes])(const void* src, Index stride, Index n, const void* range);
  Index (*last[kStoredTypes])(const void* src, Index stride, Index n, const void* range);
  // src may be out.
  void (*standardise[kStoredTypes])(const void* src, Index src_stride, float* out, Index out_stride, Index n,
                                    bool nonzero, const Standardise&);

  static constexpr Index kMost = 4096;
  // Equal values that follow each other are counted in different tables, so that no sum waits for the one before.
  static constexpr Index kTables = 4;
  static constexpr int kMostUpper = 8;
};
BEDSIDE_LOOPS(StatisticsLoops, statistics_loops)

}  // namespace bedside::cpu
