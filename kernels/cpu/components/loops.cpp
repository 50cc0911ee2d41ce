// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "components/loops.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "bedside/nms.h"

namespace bedside::cpu {

namespace {

constexpr Index kBlock = 64;

// Bit k: whether p[k] differs from the voxel before it.
BEDSIDE_HD std::uint64_t changes(const std::uint8_t* p) {
#if defined(__AVX512BW__)
  return _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(p), _mm512_loadu_si512(p - 1));
#elif defined(__AVX2__)
  std::uint64_t same = 0;
  for (int k = 0; k < 64; k += 32) {
    const __m256i here = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + k));
    const __m256i before = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + k - 1));
    const int bits = _mm256_movemask_epi8(_mm256_cmpeq_epi8(here, before));
    same |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(bits)) << k;
  }
  return ~same;
#elif defined(__SSE2__)
  std::uint64_t same = 0;
  for (int k = 0; k < 64; k += 16) {
    const __m128i here = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + k));
    const __m128i before = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + k - 1));
    const int bits = _mm_movemask_epi8(_mm_cmpeq_epi8(here, before));
    same |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(bits)) << k;
  }
  return ~same;
#elif defined(__ARM_NEON) && defined(__aarch64__)
  static const std::uint8_t kBits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t bits = vld1q_u8(kBits);
  uint8x16_t part[4];
  for (int k = 0; k < 4; ++k) {
    part[k] = vandq_u8(veorq_u8(vceqq_u8(vld1q_u8(p + 16 * k), vld1q_u8(p + 16 * k - 1)), vdupq_n_u8(255)), bits);
  }
  const uint8x16_t pairs = vpaddq_u8(vpaddq_u8(part[0], part[1]), vpaddq_u8(part[2], part[3]));
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(pairs, pairs)), 0);
#else
  std::uint64_t found = 0;
  for (int k = 0; k < 64; ++k) found |= static_cast<std::uint64_t>(p[k] != p[k - 1]) << k;
  return found;
#endif
}

template <bool write>
BEDSIDE_HD std::uint32_t scan(const std::uint8_t* row, Index n, const std::uint8_t* group, Run* to,
                              std::uint32_t room) {
  std::uint32_t count = 0;
  std::uint8_t open = 0;  // label of the run that has begun, 0 where there is none
  const auto change = [&](Index x) {
    const std::uint8_t label = group[row[x]];
    if (label == open) return;
    if (write && open != 0) to[count - 1].end = static_cast<std::int32_t>(x);
    open = label;
    if (label == 0) return;
    if (write && count == room) {
      open = 0;
      return;
    }
    if (write) to[count] = {static_cast<std::int32_t>(x), 0, 0, label};
    ++count;
  };
  change(0);
  if (n > kBlock) {
    Index x = 1;
    std::uint64_t later = ~std::uint64_t{0};  // which bits of the block have not been seen
    while (x < n) {
      if (x + kBlock > n) {
        later <<= x - (n - kBlock);
        x = n - kBlock;
      }
      std::uint64_t bits = changes(row + x) & later;
      for (; bits != 0; bits &= bits - 1) change(x + __builtin_ctzll(bits));
      x += kBlock;
    }
  } else {
    for (Index x = 1; x < n; ++x) {
      if (row[x] != row[x - 1]) change(x);
    }
  }
  if (write && open != 0) to[count - 1].end = static_cast<std::int32_t>(n);
  return count;
}

std::uint32_t count_runs(const std::uint8_t* row, Index n, const std::uint8_t* group) {
  return scan<false>(row, n, group, nullptr, 0);
}

std::uint32_t write_runs(const std::uint8_t* row, Index n, const std::uint8_t* group, Run* to, std::uint32_t room) {
  return scan<true>(row, n, group, to, room);
}

void merge_rows(std::uint8_t* to, const std::uint8_t* from, Index n) {
  for (Index x = 0; x < n; ++x) to[x] = static_cast<std::uint8_t>(to[x] | from[x]);
}

BEDSIDE_HD void take_range(double low, double high, ValueSums& to) {
  to.low = low < to.low ? low : to.low;
  to.high = high > to.high ? high : to.high;
}

template <typename T, bool padded>
BEDSIDE_HD void add_exactly(const T* v, Index stride, Index n, T padding, ValueSums& to) {
  constexpr Index kChunk = 2048;  // 16 bits each: their sum has 27 at most
  for (Index start = 0; start < n; start += kChunk) {
    const Index size = n - start < kChunk ? n - start : kChunk;
    std::int32_t sum = 0, low = 1 << 20, high = -(1 << 20), count = 0;
    std::int64_t squares = 0;
    const auto add = [&](std::int32_t x) {
      const bool is_value = !padded || x != padding;
      const std::int32_t term = is_value ? x : 0;
      count += is_value;
      sum += term;
      squares += static_cast<std::int64_t>(term) * term;
      low = is_value && x < low ? x : low;
      high = is_value && x > high ? x : high;
    };
    if (stride == 1) {
      for (Index k = 0; k < size; ++k) add(v[start + k]);
    } else {
      for (Index k = 0; k < size; ++k) add(v[(start + k) * stride]);
    }
    if (count == 0) continue;
    if (to.count == 0) {
      to.low = low;
      to.high = high;
    }
    take_range(low, high, to);
    to.count += count;
    to.sum += sum;
    to.squares += squares;
  }
}

template <typename T>
void add_integers(const void* first, Index stride, Index n, const double* padding, ValueSums& to) {
  const T* const v = static_cast<const T*>(first);
  if (padding != nullptr) {
    add_exactly<T, true>(v, stride, n, static_cast<T>(*padding), to);
  } else {
    add_exactly<T, false>(v, stride, n, T{0}, to);
  }
}

// In a fixed order whatever the instruction set: value k is added to sum k % 8.
template <typename T>
void add_in_doubles(const void* first, Index stride, Index n, const double* padding, ValueSums& to) {
  const T* const v = static_cast<const T*>(first);
  constexpr int kLanes = 8;
  constexpr double kLargest = 1.7976931348623157e308;
  const T pad = padding != nullptr ? static_cast<T>(*padding) : T{0};
  double sum[kLanes] = {}, squares[kLanes] = {};
  for (Index k = 0; k < n; ++k) {
    if (padding != nullptr && v[k * stride] == pad) continue;
    const double x = static_cast<double>(v[k * stride]);
    if (to.count == 0) {
      to.shift = x >= -kLargest && x <= kLargest ? x : 0;  // any finite value will do
      to.low = to.high = x;
    } else if (x != x) {
      to.low = to.high = x;
    } else if (to.low == to.low) {
      take_range(x, x, to);
    }
    ++to.count;
    const double d = x - to.shift;
    sum[k % kLanes] += d;
    squares[k % kLanes] += d * d;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    to.shifted_sum += sum[lane];
    to.shifted_squares += squares[lane];
  }
}

template <int axes>
void suppress(const float* boxes, Index n, Index with, Index begin, Index end, float threshold, std::uint8_t* out) {
  const float* const size = boxes + 2 * axes * n;
  for (Index k = begin; k < end; ++k) {
    float shared = 1.0f;
    for (int axis = 0; axis < axes; ++axis) {
      const float *const low = boxes + axis * n, *const high = boxes + (axes + axis) * n;
      shared *= shared_extent(low[k], high[k], low[with], high[with]);
    }
    const bool over = intersection_over_union(size[k], size[with], shared) > threshold;
    out[k] = static_cast<std::uint8_t>(out[k] | over);
  }
}

}  // namespace

constexpr ComponentLoops BEDSIDE_LEVEL(component_loops) = {
    count_runs,
    write_runs,
    merge_rows,
    {add_integers<std::uint8_t>, add_integers<std::int8_t>, add_integers<std::uint16_t>, add_integers<std::int16_t>,
     add_in_doubles<std::int32_t>, add_in_doubles<float>, nullptr},
    {suppress<2>, suppress<3>},
};

}  // namespace bedside::cpu
