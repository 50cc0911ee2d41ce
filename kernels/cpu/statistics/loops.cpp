// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "statistics/loops.h"

#include <cstring>

#include "bedside/ordered_bits.h"

namespace bedside::cpu {

namespace {

template <typename T>
void extremes(const void* src_, Index n, Extremes& found) {
  const T* __restrict src = static_cast<const T*>(src_);
  T low = src[0], high = src[0];
  for (Index i = 0; i < n; ++i) {
    low = src[i] < low ? src[i] : low;
    high = src[i] > high ? src[i] : high;
  }
  if (low < found.low) found.low = low;
  if (high > found.high) found.high = high;
}

// Whole numbers, which any compiler reduces with vectors; comparisons of floats it must leave in order.
void extremes_f32(const void* src_, Index n, Extremes& found) {
  const std::int32_t* __restrict src = static_cast<const std::int32_t*>(src_);
  std::int32_t low = found.low, high = found.high, nan = 0, infinite = 0;
  for (Index i = 0; i < n; ++i) {
    const std::int32_t order = signed_order(src[i]);
    const std::int32_t not_a_number = -static_cast<std::int32_t>(is_nan_bits(src[i]));
    const std::int32_t as_low = (order & ~not_a_number) | (INT32_MAX & not_a_number);
    const std::int32_t as_high = (order & ~not_a_number) | (INT32_MIN & not_a_number);
    low = as_low < low ? as_low : low;
    high = as_high > high ? as_high : high;
    nan -= not_a_number;
    infinite += static_cast<std::int32_t>(is_infinite_bits(src[i]));
  }
  found.low = low;
  found.high = high;
  found.nan += nan;
  found.infinite += infinite;
}

// Wide is the type in which 4096 squares have room.
template <typename T, typename Wide>
void sums(const void* src_, Index n, bool nonzero, Sums& found) {
  const T* __restrict src = static_cast<const T*>(src_);
  std::int32_t sum = 0;
  Wide squares = 0;
  for (Index i = 0; i < n; ++i) {
    const std::int32_t v = src[i];
    sum += v;
    squares += static_cast<std::uint32_t>(v) * static_cast<std::uint32_t>(v);
  }
  std::int32_t count = static_cast<std::int32_t>(n);
  if (nonzero) {
    count = 0;
    for (Index i = 0; i < n; ++i) count += src[i] != 0;
  }
  found.count += count;
  found.sum += sum;
  found.squares += squares;
}

// Eight sums side by side, whatever the width of a vector: every instruction set adds in the same order.
constexpr Index kLanes = 8;

template <typename T>
Moments block_moments(const T* __restrict src, Index n, std::int64_t count, T shift_) {
  const double shift = static_cast<double>(shift_);
  double sum[kLanes] = {}, squares[kLanes] = {};
  const Index whole = n - n % kLanes;
  for (Index i = 0; i < whole; i += kLanes) {
    for (Index lane = 0; lane < kLanes; ++lane) {
      const double d = static_cast<double>(src[i + lane]) - shift;
      sum[lane] += d;
      squares[lane] += d * d;
    }
  }
  for (Index i = whole; i < n; ++i) {
    const double d = static_cast<double>(src[i]) - shift;
    sum[i - whole] += d;
    squares[i - whole] += d * d;
  }
  for (Index half = kLanes / 2; half > 0; half /= 2) {
    for (Index lane = 0; lane < half; ++lane) {
      sum[lane] += sum[lane + half];
      squares[lane] += squares[lane + half];
    }
  }
  return shifted_moments(count, shift, sum[0], squares[0]);
}

template <typename T>
Moments moments(const void* src_, Index n, bool nonzero) {
  const T* __restrict src = static_cast<const T*>(src_);
  if (!nonzero) return block_moments(src, n, n, src[0]);
  std::int32_t count = 0;
  for (Index i = 0; i < n; ++i) count += src[i] != T(0);
  if (count == 0) return {0, 0.0, 0.0};
  if (count == n) return block_moments(src, n, n, src[0]);
  T shift = T(0);
  for (Index i = 0; shift == T(0); ++i) shift = src[i];
  // What is left out becomes the shift, which adds nothing to either sum.
  T kept[StatisticsLoops::kMost];
  for (Index i = 0; i < n; ++i) kept[i] = src[i] == T(0) ? shift : src[i];
  return block_moments(kept, n, count, shift);
}

constexpr Index kTables = StatisticsLoops::kTables;

// The bits in which any of so many values differs from the first. Where an image is flat, and much of it is, a group is
// counted at once: increments of one counter would each wait for the one before.
template <Index Group, typename T>
BEDSIDE_HD T differing_bits(const T* __restrict src) {
  const T first = src[0];
  T bits = 0;
  for (Index i = 0; i < Group; ++i) bits |= static_cast<T>(src[i] ^ first);
  return bits;
}

void count_8(const void* src_, Index n, std::uint32_t* __restrict tables) {
  const std::uint8_t* __restrict src = static_cast<const std::uint8_t*>(src_);
  constexpr Index kGroup = 64;
  Index i = 0;
  for (; i + kGroup <= n; i += kGroup) {
    if (differing_bits<kGroup>(src + i) == 0) {
      tables[src[i]] += kGroup;
      continue;
    }
    for (Index at = i; at < i + kGroup; at += 8) {
      std::uint64_t eight;
      std::memcpy(&eight, src + at, 8);
      for (Index k = 0; k < 8; ++k) ++tables[(k % kTables) * 256 + static_cast<Index>(eight >> (8 * k) & 0xffu)];
    }
  }
  for (; i < n; ++i) ++tables[src[i]];
}

void count_16(const void* src_, Index n, std::uint32_t* __restrict tables) {
  const std::uint16_t* __restrict src = static_cast<const std::uint16_t*>(src_);
  constexpr Index kGroup = 32;
  Index i = 0;
  for (; i + kGroup <= n; i += kGroup) {
    if (differing_bits<kGroup>(src + i) == 0) {
      tables[src[i]] += kGroup;
      continue;
    }
    for (Index at = i; at < i + kGroup; at += 4) {
      std::uint64_t four;
      std::memcpy(&four, src + at, 8);
      for (Index k = 0; k < 4; ++k) ++tables[k % kTables * 65536 + static_cast<Index>(four >> (16 * k) & 0xffffu)];
    }
  }
  for (; i < n; ++i) ++tables[src[i]];
}

void count_upper(const void* src_, Index n, std::uint32_t* __restrict tables) {
  const std::uint32_t* __restrict src = static_cast<const std::uint32_t*>(src_);
  constexpr Index kGroup = 32;
  Index i = 0;
  for (; i + kGroup <= n; i += kGroup) {
    if (differing_bits<kGroup>(src + i) < 65536u) {
      tables[src[i] >> 16] += kGroup;
      continue;
    }
    for (Index at = i; at < i + kGroup; at += 4) {
      for (Index k = 0; k < 4; ++k) ++tables[k % kTables * 65536 + static_cast<Index>(src[at + k] >> 16)];
    }
  }
  for (; i < n; ++i) ++tables[src[i] >> 16];
}

void count_lower(const void* src_, Index n, const std::uint32_t* upper, int wanted, std::uint32_t* __restrict tables) {
  const std::uint32_t* __restrict src = static_cast<const std::uint32_t*>(src_);
  constexpr Index kGroup = 32;
  std::uint32_t hits[kGroup];
  for (Index i = 0; i < n; i += kGroup) {
    const Index some = n - i < kGroup ? n - i : kGroup;
    const bool flat = some == kGroup && differing_bits<kGroup>(src + i) == 0;
    for (int k = 0; k < wanted; ++k) {
      // (v ^ top) < 65536 says that the upper bits are equal; what is left is the lower half.
      const std::uint32_t top = upper[k] << 16;
      std::uint32_t* const table = tables + static_cast<Index>(k) * 65536;
      if (flat) {
        if ((src[i] ^ top) < 65536u) table[src[i] ^ top] += kGroup;
        continue;
      }
      // Most groups have none: that is found out with vectors.
      std::uint32_t any = 0;
      if (some == kGroup) {
        for (Index j = 0; j < kGroup; ++j) any |= (src[i + j] ^ top) < 65536u;
        if (any == 0) continue;
      }
      Index found = 0;
      for (Index j = 0; j < some; ++j) {
        hits[found] = src[i + j] ^ top;
        found += hits[found] < 65536u;
      }
      for (Index j = 0; j < found; ++j) ++table[hits[j]];
    }
  }
}

Index count_equal(const void* src_, Index n, std::uint32_t bits) {
  const std::uint32_t* __restrict src = static_cast<const std::uint32_t*>(src_);
  std::uint32_t count = 0;
  for (Index i = 0; i < n; ++i) count += src[i] == bits;
  return count;
}

// An integer as wide as an element, so that a vector of answers is as long as one of elements.
template <Index Size>
struct Answer;
template <>
struct Answer<1> {
  using Type = std::uint8_t;
};
template <>
struct Answer<2> {
  using Type = std::uint16_t;
};
template <>
struct Answer<4> {
  using Type = std::uint32_t;
};

template <Index N, typename T>
bool any(const T* __restrict src, const ValueRange<T>& range_) {
  const ValueRange<T> range{range_.low, range_.high, false};
  typename Answer<sizeof(T)>::Type some = 0, all = 1;
  for (Index i = 0; i < N; ++i) {
    const typename Answer<sizeof(T)>::Type inside = in_range(src[i], range) ? 1 : 0;
    some |= inside;
    all &= inside;
  }
  return range_.outside ? all == 0 : some != 0;
}

// Elements that are asked at once: many, and then few, so that the one that answers is soon found.
template <typename T>
constexpr Index kMany = 256 / sizeof(T);
template <typename T>
constexpr Index kFew = 64 / sizeof(T);

template <typename T>
Index first(const void* src_, Index stride, Index n, const void* range_) {
  const T* src = static_cast<const T*>(src_);
  const ValueRange<T> range = *static_cast<const ValueRange<T>*>(range_);
  Index i = 0;
  if (stride == 1) {
    while (i + kMany<T> <= n && !any<kMany<T>>(src + i, range)) i += kMany<T>;
    while (i + kFew<T> <= n && !any<kFew<T>>(src + i, range)) i += kFew<T>;
    if (i + kFew < T >> n && n >= kFew<T> && !any<kFew<T>>(src + n - kFew<T>, range)) return -1;
  }
  for (; i < n; ++i) {
    if (in_range(src[i * stride], range)) return i;
  }
  return -1;
}

template <typename T>
Index last(const void* src_, Index stride, Index n, const void* range_) {
  const T* src = static_cast<const T*>(src_);
  const ValueRange<T> range = *static_cast<const ValueRange<T>*>(range_);
  const Index all = n;
  if (stride == 1) {
    while (n >= kMany<T> && !any<kMany<T>>(src + n - kMany<T>, range)) n -= kMany<T>;
    while (n >= kFew<T> && !any<kFew<T>>(src + n - kFew<T>, range)) n -= kFew<T>;
    if (n < kFew<T> && all >= kFew<T> && !any<kFew<T>>(src, range)) return -1;
  }
  for (Index i = n - 1; i >= 0; --i) {
    if (in_range(src[i * stride], range)) return i;
  }
  return -1;
}

template <typename T>
void standardise(const void* src_, Index src_stride, float* out, Index out_stride, Index n, bool nonzero,
                 const Standardise& p_) {
  const T* src = static_cast<const T*>(src_);
  const Standardise p = p_;
  if (src_stride != 1 || out_stride != 1) {
    for (Index i = 0; i < n; ++i) {
      const T v = src[i * src_stride];
      out[i * out_stride] = nonzero ? standardise_nonzero(v, p) : standardise_voxel(v, p);
    }
  } else if (nonzero) {
    for (Index i = 0; i < n; ++i) out[i] = standardise_nonzero(src[i], p);
  } else {
    for (Index i = 0; i < n; ++i) out[i] = standardise_voxel(src[i], p);
  }
}

constexpr StatisticsLoops make_table() {
  return {
      {extremes<std::uint8_t>, extremes<std::int8_t>, extremes<std::uint16_t>, extremes<std::int16_t>,
       extremes<std::int32_t>, extremes_f32},
      {sums<std::uint8_t, std::uint32_t>, sums<std::int8_t, std::uint32_t>, sums<std::uint16_t, std::uint64_t>,
       sums<std::int16_t, std::uint64_t>},
      {moments<std::int32_t>, moments<float>},
      count_8,
      count_16,
      count_upper,
      count_lower,
      count_equal,
      {first<std::uint8_t>, first<std::int8_t>, first<std::uint16_t>, first<std::int16_t>, first<std::int32_t>,
       first<float>},
      {last<std::uint8_t>, last<std::int8_t>, last<std::uint16_t>, last<std::int16_t>, last<std::int32_t>, last<float>},
      {standardise<std::uint8_t>, standardise<std::int8_t>, standardise<std::uint16_t>, standardise<std::int16_t>,
       standardise<std::int32_t>, standardise<float>},
  };
}

}  // namespace

constexpr StatisticsLoops BEDSIDE_LEVEL(statistics_loops) = make_table();

}  // namespace bedside::cpu
