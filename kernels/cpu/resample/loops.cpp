// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "resample/loops.h"

#include <cstring>

#include "stream.h"
#include "transpose.h"

#if defined(__SSE4_2__)
#include <immintrin.h>
// GCC's intrinsics leave unused lanes undefined on purpose, and warn of it.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace bedside::cpu {

namespace {

// Strides of 1 and -1 are worth a loop of their own: the compiler vectorises it without gathers.
template <typename T, typename Of>
BEDSIDE_HD void each_of(const T* __restrict a, Index stride, float* __restrict out, Index n, Of of) {
  if (stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = of(static_cast<float>(a[i]));
  } else if (stride == -1) {
    for (Index i = 0; i < n; ++i) out[i] = of(static_cast<float>(a[-i]));
  } else {
    for (Index i = 0; i < n; ++i) out[i] = of(static_cast<float>(a[i * stride]));
  }
}

template <typename T>
void blend_source_rows(const void* a_, const void* b_, Index stride, float w, float fill, float* __restrict out,
                       Index n) {
  const T* __restrict a = static_cast<const T*>(a_);
  const T* __restrict b = static_cast<const T*>(b_);
  if (a == nullptr && (b == nullptr || w == 0.0f)) {
    for (Index i = 0; i < n; ++i) out[i] = fill;
  } else if (a == nullptr) {
    each_of(b, stride, out, n, [=](float v) { return lerp(fill, v, w); });
  } else if (w == 0.0f) {
    each_of(a, stride, out, n, [](float v) { return v; });
  } else if (b == nullptr) {
    each_of(a, stride, out, n, [=](float v) { return lerp(v, fill, w); });
  } else if (stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = lerp(static_cast<float>(a[i]), static_cast<float>(b[i]), w);
  } else if (stride == -1) {
    for (Index i = 0; i < n; ++i) out[i] = lerp(static_cast<float>(a[-i]), static_cast<float>(b[-i]), w);
  } else {
    for (Index i = 0; i < n; ++i) {
      out[i] = lerp(static_cast<float>(a[i * stride]), static_cast<float>(b[i * stride]), w);
    }
  }
}

// The left and right neighbours of a block of columns usually lie within two registers: two permutes take the place of
// gathers, which are slow on every CPU and very slow on some.
void sample_row(const float* __restrict row, const std::int32_t* __restrict index, const float* __restrict weight,
                float* __restrict out, Index n) {
  for (Index i = 0; i < n; i += kSampleBlock) {
    const std::int32_t *const at = index + i, last = at[kSampleBlock - 1];
    const float* const w = weight + i;
    float* const to = out + i;
#if defined(__AVX512F__)
    const std::int32_t begin = at[0] < last ? at[0] : last, end = at[0] < last ? last : at[0];
    if (end - begin <= 30) {
      const __m512i place = _mm512_sub_epi32(_mm512_loadu_si512(at), _mm512_set1_epi32(begin));
      const __m512 low = _mm512_loadu_ps(row + begin), high = _mm512_loadu_ps(row + begin + 16);
      const __m512 left = _mm512_permutex2var_ps(low, place, high);
      const __m512 right = _mm512_permutex2var_ps(low, _mm512_add_epi32(place, _mm512_set1_epi32(1)), high);
      const __m512 part = _mm512_loadu_ps(w);
      const __m512 value = _mm512_add_ps(left, _mm512_mul_ps(part, _mm512_sub_ps(right, left)));
      const __mmask16 none = _mm512_cmp_ps_mask(part, _mm512_setzero_ps(), _CMP_EQ_OQ);
      _mm512_storeu_ps(to, _mm512_mask_mov_ps(value, none, left));
      continue;
    }
#elif defined(__AVX2__)
    (void)last;
    const auto fits = [&](int k) {
      const std::int32_t span = at[k] < at[k + 7] ? at[k + 7] - at[k] : at[k] - at[k + 7];
      return span <= 14;
    };
    if (fits(0) && fits(8)) {
      for (int k = 0; k < 16; k += 8) {
        const std::int32_t begin = at[k] < at[k + 7] ? at[k] : at[k + 7];
        const __m256 low = _mm256_loadu_ps(row + begin), high = _mm256_loadu_ps(row + begin + 8);
        const __m256i place =
            _mm256_sub_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + k)), _mm256_set1_epi32(begin));
        const auto take = [&](__m256i p) {  // bit 3 of a place says which register
          return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, p), _mm256_permutevar8x32_ps(high, p),
                                  _mm256_castsi256_ps(_mm256_slli_epi32(p, 28)));
        };
        const __m256 left = take(place), right = take(_mm256_add_epi32(place, _mm256_set1_epi32(1)));
        const __m256 part = _mm256_loadu_ps(w + k);
        const __m256 value = _mm256_add_ps(left, _mm256_mul_ps(part, _mm256_sub_ps(right, left)));
        const __m256 none = _mm256_cmp_ps(part, _mm256_setzero_ps(), _CMP_EQ_OQ);
        _mm256_storeu_ps(to + k, _mm256_blendv_ps(value, left, none));
      }
      continue;
    }
#else
    (void)last;
#endif
    for (Index k = 0; k < kSampleBlock; ++k) to[k] = lerp(row[at[k]], row[at[k] + 1], w[k]);
  }
}

BEDSIDE_HD void blend(const float* a, const float* b, float w, const Rescale* rescale, float* __restrict out, Index n) {
  if (rescale == nullptr) {
    if (w == 0.0f) {
      for (Index i = 0; i < n; ++i) out[i] = a[i];
    } else {
      for (Index i = 0; i < n; ++i) out[i] = lerp(a[i], b[i], w);
    }
    return;
  }
  const Rescale p = *rescale;
  if (w == 0.0f) {
    for (Index i = 0; i < n; ++i) out[i] = rescale_voxel(a[i], p);
  } else {
    for (Index i = 0; i < n; ++i) out[i] = rescale_voxel(lerp(a[i], b[i], w), p);
  }
}

void finish(const float* a, const float* b, float w, const Rescale* rescale, float* out, Index n, bool past) {
  if (!past) return blend(a, b, w, rescale, out, n);
  constexpr Index most = kStreamBlock / sizeof(float);
  alignas(64) float block[most];
  for (Index i = 0; i < n; i += most) {
    const Index count = n - i < most ? n - i : most;
    blend(a + i, b + i, w, rescale, block, count);
    stream(out + i, block, static_cast<std::size_t>(count) * sizeof(float));
  }
}

void stream_bytes(void* to, const void* from, std::size_t bytes) {
  stream(to, from, bytes);
}

// A block of 8 x 8 elements of 2 bytes: interleaving row i with row i + 4, three times, turns it.
BEDSIDE_HD void turn_block(const std::uint16_t* from, Index from_stride, std::uint16_t* to, Index to_stride) {
#if defined(__SSE4_2__)
  __m128i a[8], b[8];
  for (int i = 0; i < 8; ++i) a[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * from_stride));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) {
      b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
      b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    }
    for (int i = 0; i < 8; ++i) a[i] = b[i];
  }
  for (int i = 0; i < 8; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_stride), a[i]);
#elif defined(__aarch64__)
  uint16x8_t a[8], b[8];
  for (int i = 0; i < 8; ++i) a[i] = vld1q_u16(from + i * from_stride);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) {
      b[2 * i] = vzip1q_u16(a[i], a[i + 4]);
      b[2 * i + 1] = vzip2q_u16(a[i], a[i + 4]);
    }
    for (int i = 0; i < 8; ++i) a[i] = b[i];
  }
  for (int i = 0; i < 8; ++i) vst1q_u16(to + i * to_stride, a[i]);
#else
  for (int c = 0; c < 8; ++c) {
    for (int r = 0; r < 8; ++r) to[c * to_stride + r] = from[r * from_stride + c];
  }
#endif
}

void turn_2(const void* from_, Index from_stride, void* to_, Index to_stride, Index rows, Index columns) {
  const std::uint16_t* __restrict from = static_cast<const std::uint16_t*>(from_);
  std::uint16_t* __restrict to = static_cast<std::uint16_t*>(to_);
  const Index whole_rows = rows / 8 * 8, whole_columns = columns / 8 * 8;
  for (Index c = 0; c < whole_columns; c += 8) {
    for (Index r = 0; r < whole_rows; r += 8) {
      turn_block(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
    }
  }
  for (Index c = 0; c < columns; ++c) {
    for (Index r = c < whole_columns ? whole_rows : 0; r < rows; ++r) to[c * to_stride + r] = from[r * from_stride + c];
  }
}

void turn_1(const void* from, Index from_stride, void* to, Index to_stride, Index rows, Index columns) {
  transpose_bytes(static_cast<const std::uint8_t*>(from), from_stride, static_cast<std::uint8_t*>(to), to_stride, rows,
                  columns);
}

void pick_row(const void* src_, const Pick* picks, void* to_, Index count) {
  const std::uint8_t* const src = static_cast<const std::uint8_t*>(src_);
  std::uint8_t* const to = static_cast<std::uint8_t*>(to_);
  for (Index k = 0; k < count; ++k) {
    const Pick& pick = picks[k];
    const std::uint8_t* const from = src + pick.begin;
#if defined(__SSE4_2__)
    const auto load = [](const std::uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); };
    const __m128i low = _mm_shuffle_epi8(load(from), load(pick.low));
    const __m128i high = _mm_shuffle_epi8(load(from + 16), load(pick.high));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 16 * k), _mm_or_si128(_mm_or_si128(low, high), load(pick.fill)));
#elif defined(__aarch64__)
    const uint8x16_t low = vqtbl1q_u8(vld1q_u8(from), vld1q_u8(pick.low));
    const uint8x16_t high = vqtbl1q_u8(vld1q_u8(from + 16), vld1q_u8(pick.high));
    vst1q_u8(to + 16 * k, vorrq_u8(vorrq_u8(low, high), vld1q_u8(pick.fill)));
#else
    for (int i = 0; i < 16; ++i) {
      const std::uint8_t low = pick.low[i] < 16 ? from[pick.low[i]] : 0;
      const std::uint8_t high = pick.high[i] < 16 ? from[16 + pick.high[i]] : 0;
      to[16 * k + i] = low | high | pick.fill[i];
    }
#endif
  }
}

template <typename T>
void index_row(const void* src_, Index stride, const std::int32_t* __restrict index, const void* fill_, void* to_,
               Index n) {
  const T* src = static_cast<const T*>(src_);
  T* to = static_cast<T*>(to_);
  const T fill = *static_cast<const T*>(fill_);
  for (Index i = 0; i < n; ++i) to[i] = index[i] < 0 ? fill : src[index[i] * stride];
}

// ---- generic

BEDSIDE_HD double source_coordinate(const AffineRow& row, int axis, Index i) {
  return row.origin[axis] + row.step[axis] * static_cast<double>(i);
}

// Voxels [begin, end) of a row of n where low <= coordinate < high[axis] on every axis, or some fewer: estimated, then
// checked at both ends, which is enough since a coordinate is monotonous along the row.
BEDSIDE_HD void surely_within(const AffineRow& row, double low, const double high[3], Index n, Index& begin,
                              Index& end) {
  double first = 0.0, last = static_cast<double>(n) - 1.0;
  for (int axis = 0; axis < 3; ++axis) {
    if (row.step[axis] == 0.0) continue;
    const double at_low = (low - row.origin[axis]) / row.step[axis];
    const double at_high = (high[axis] - row.origin[axis]) / row.step[axis];
    const double enter = (at_low < at_high ? at_low : at_high) + 1.0;
    const double leave = (at_low < at_high ? at_high : at_low) - 1.0;
    first = enter > first ? enter : first;
    last = leave < last ? leave : last;
  }
  begin = end = 0;
  if (!(first <= last)) return;
  const Index from = static_cast<Index>(first), to = static_cast<Index>(last);
  for (int k = 0; k < 2; ++k) {
    for (int axis = 0; axis < 3; ++axis) {
      const double c = source_coordinate(row, axis, k == 0 ? from : to);
      if (!(c >= low && c < high[axis])) return;
    }
  }
  begin = from;
  end = to + 1;
}

// The voxels of a row that may see the source (constant padding), or some more.
BEDSIDE_HD void perhaps_touching(const AffineRow& row, Index n, Index& begin, Index& end) {
  double first = 0.0, last = static_cast<double>(n) - 1.0;
  for (int axis = 0; axis < 3; ++axis) {
    const double high = static_cast<double>(row.shape[axis]);
    if (row.step[axis] == 0.0) {
      if (row.origin[axis] <= -1.0 || row.origin[axis] >= high) last = -1.0;
      continue;
    }
    const double at_low = (-1.0 - row.origin[axis]) / row.step[axis];
    const double at_high = (high - row.origin[axis]) / row.step[axis];
    const double enter = (at_low < at_high ? at_low : at_high) - 1.0;
    const double leave = (at_low < at_high ? at_high : at_low) + 1.0;
    first = enter > first ? enter : first;
    last = leave < last ? leave : last;
  }
  begin = end = 0;
  if (!(first <= last)) return;
  begin = static_cast<Index>(first);
  end = static_cast<Index>(last) + 1;
}

// Voxels of a row are made so many at a time, step by step, in arrays that stay in the first-level cache.
constexpr int kChunk = 64;

struct Places {
  std::int32_t offset[kChunk];  // of the cell's first voxel, in elements
  float weight[3][kChunk];
};

// Whether every element is within 2^31 of the first.
BEDSIDE_HD bool offsets_fit(const AffineRow& row) {
  Index reach = 1;
  for (int axis = 0; axis < 3; ++axis) reach += (row.shape[axis] - 1) * magnitude(row.stride[axis]);
  return reach <= Index{0x7fffffff};
}

// The cells of voxels first to first + n, which lie inside the source.
void locate_inside(const AffineRow& row, Index first, int n, Places& places) {
  for (int i = 0; i < n; ++i) places.offset[i] = 0;
  for (int axis = 0; axis < 3; ++axis) {
    const double origin = row.origin[axis], step = row.step[axis];
    const std::int32_t stride = static_cast<std::int32_t>(row.stride[axis]), at = static_cast<std::int32_t>(first);
    float* __restrict weight = places.weight[axis];
    std::int32_t* __restrict offset = places.offset;
    for (int i = 0; i < n; ++i) {
      const double c = origin + step * static_cast<double>(at + i);
      const std::int32_t index = static_cast<std::int32_t>(c);
      weight[i] = static_cast<float>(c - static_cast<double>(index));
      offset[i] += index * stride;
    }
  }
}

// The cells of voxels first to first + n, coordinates clamped to the source. At the last voxel of an axis the cell is
// the one before, with weight 1.
void locate_clamped(const AffineRow& row, Index first, int n, Places& places) {
  for (int i = 0; i < n; ++i) places.offset[i] = 0;
  for (int axis = 0; axis < 3; ++axis) {
    const double origin = row.origin[axis], step = row.step[axis], high = static_cast<double>(row.shape[axis] - 1);
    const std::int32_t stride = static_cast<std::int32_t>(row.stride[axis]), at = static_cast<std::int32_t>(first);
    const std::int32_t last = static_cast<std::int32_t>(row.shape[axis] > 1 ? row.shape[axis] - 2 : 0);
    float* __restrict weight = places.weight[axis];
    std::int32_t* __restrict offset = places.offset;
    for (int i = 0; i < n; ++i) {
      const double c = clamp_coordinate(origin + step * static_cast<double>(at + i), 0.0, high);
      const std::int32_t below = static_cast<std::int32_t>(c), index = below < last ? below : last;
      weight[i] = static_cast<float>(c - static_cast<double>(index));
      offset[i] += index * stride;
    }
  }
}

template <int Size>
struct PairOf;
template <>
struct PairOf<1> {
  using type = std::uint16_t;
};
template <>
struct PairOf<2> {
  using type = std::uint32_t;
};
template <>
struct PairOf<4> {
  using type = std::uint64_t;
};

#if defined(__AVX512F__)
// fetch() for types of 2 and 4 bytes; of left and right whole registers are written.
template <typename T>
BEDSIDE_HD void gather_pairs(const T* src, const std::int32_t* offset, float* left, float* right, int n) {
  constexpr bool is_signed = static_cast<T>(-1) < static_cast<T>(0);
  for (int i = 0; i < n; i += 16) {
    const __mmask16 wanted = static_cast<__mmask16>(n - i < 16 ? (1u << (n - i)) - 1u : 0xffffu);
    const __m512i at = _mm512_maskz_loadu_epi32(wanted, offset + i);
    __m512i a, b;
    if constexpr (sizeof(T) == 2) {
      const __m512i pair = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), wanted, at, src, 2);
      a = is_signed ? _mm512_srai_epi32(_mm512_slli_epi32(pair, 16), 16)
                    : _mm512_and_si512(pair, _mm512_set1_epi32(0xffff));
      b = is_signed ? _mm512_srai_epi32(pair, 16) : _mm512_srli_epi32(pair, 16);
    } else {
      const __m512i none = _mm512_setzero_si512();
      const __m512i low =
          _mm512_mask_i32gather_epi64(none, static_cast<__mmask8>(wanted), _mm512_castsi512_si256(at), src, 4);
      const __m512i high = _mm512_mask_i32gather_epi64(none, static_cast<__mmask8>(wanted >> 8),
                                                       _mm512_extracti64x4_epi64(at, 1), src, 4);
      const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
      a = _mm512_permutex2var_epi32(low, even, high);
      b = _mm512_permutex2var_epi32(low, _mm512_add_epi32(even, _mm512_set1_epi32(1)), high);
    }
    const bool is_float = static_cast<T>(0.5f) != static_cast<T>(0);
    _mm512_storeu_ps(left + i, is_float ? _mm512_castsi512_ps(a) : _mm512_cvtepi32_ps(a));
    _mm512_storeu_ps(right + i, is_float ? _mm512_castsi512_ps(b) : _mm512_cvtepi32_ps(b));
  }
}
#endif

// Voxels at src + offset[i] and one further along the source's rows. Two neighbours in memory are one load.
template <typename T>
BEDSIDE_HD void fetch(const T* src, const std::int32_t* __restrict offset, Index right_stride, float* __restrict left,
                      float* __restrict right, int n) {
  if (right_stride != 1) {
    for (int i = 0; i < n; ++i) {
      left[i] = static_cast<float>(src[offset[i]]);
      right[i] = static_cast<float>(src[offset[i] + right_stride]);
    }
    return;
  }
#if defined(__AVX512F__)
  if constexpr (sizeof(T) > 1) return gather_pairs(src, offset, left, right, n);
#endif
  using Pair = typename PairOf<sizeof(T)>::type;
  Pair pairs[kChunk];
  for (int i = 0; i < n; ++i) std::memcpy(&pairs[i], src + offset[i], sizeof(Pair));
  T both[2 * kChunk];
  std::memcpy(both, pairs, sizeof both);
  for (int i = 0; i < n; ++i) {
    left[i] = static_cast<float>(both[2 * i]);
    right[i] = static_cast<float>(both[2 * i + 1]);
  }
}

// A weight of 1 takes b as it is: see locate_clamped.
template <bool Clamped>
BEDSIDE_HD float between(float a, float b, float w) {
  const float v = lerp(a, b, w);
  return Clamped && w == 1.0f ? b : v;
}

template <typename T, bool Clamped>
void blend_cells(const AffineRow& row, const Places& places, float* __restrict out, int n) {
  const T* const src = static_cast<const T*>(row.src);
  Index step[3];
  for (int axis = 0; axis < 3; ++axis) step[axis] = row.shape[axis] > 1 ? row.stride[axis] : 0;
  float plane[2][kChunk];
  for (int z = 0; z < 2; ++z) {
    float left[2][kChunk], right[2][kChunk];
    for (int y = 0; y < 2; ++y) fetch(src + z * step[0] + y * step[1], places.offset, step[2], left[y], right[y], n);
    for (int i = 0; i < n; ++i) {
      const float a = between<Clamped>(left[0][i], left[1][i], places.weight[1][i]);
      const float b = between<Clamped>(right[0][i], right[1][i], places.weight[1][i]);
      plane[z][i] = between<Clamped>(a, b, places.weight[2][i]);
    }
  }
  for (int i = 0; i < n; ++i) out[i] = between<Clamped>(plane[0][i], plane[1][i], places.weight[0][i]);
}

template <typename T, bool Clamped>
void affine_chunks(const AffineRow& row, Index begin, Index end, float* out) {
  Places places;
  for (Index i = begin; i < end; i += kChunk) {
    const int n = static_cast<int>(end - i < kChunk ? end - i : kChunk);
    if (Clamped) {
      locate_clamped(row, i, n, places);
    } else {
      locate_inside(row, i, n, places);
    }
    blend_cells<T, Clamped>(row, places, out + i, n);
  }
}

template <typename T>
void affine_voxels(const AffineRow& row, Index begin, Index end, float* out) {
  for (Index i = begin; i < end; ++i) {
    double c[3];
    for (int axis = 0; axis < 3; ++axis) c[axis] = source_coordinate(row, axis, i);
    out[i] =
        trilinear(static_cast<const T*>(row.src), row.shape, row.stride, c, row.padding, static_cast<float>(row.fill));
  }
}

template <typename T>
void affine_linear(const AffineRow& row, float* out, Index n) {
  if (!offsets_fit(row) || n > Index{0x7fffffff}) return affine_voxels<T>(row, 0, n, out);
  Index begin, end;
  const double high[3] = {static_cast<double>(row.shape[0] - 1), static_cast<double>(row.shape[1] - 1),
                          static_cast<double>(row.shape[2] - 1)};
  surely_within(row, 0.0, high, n, begin, end);
  affine_chunks<T, false>(row, begin, end, out);
  if (row.padding == Padding::border) {
    affine_chunks<T, true>(row, 0, begin, out);
    affine_chunks<T, true>(row, end, n, out);
    return;
  }
  Index touch_begin, touch_end;
  perhaps_touching(row, n, touch_begin, touch_end);
  if (begin == end) begin = end = touch_begin;
  const float fill = static_cast<float>(row.fill);
  for (Index i = 0; i < touch_begin; ++i) out[i] = fill;
  affine_voxels<T>(row, touch_begin, begin, out);
  affine_voxels<T>(row, end, touch_end, out);
  for (Index i = touch_end; i < n; ++i) out[i] = fill;
}

template <typename T, typename Out>
void affine_nearest(const AffineRow& row, void* out_, Index out_stride, Index n) {
  const T* const src = static_cast<const T*>(row.src);
  Out* const out = static_cast<Out*>(out_);
  const Out fill = static_cast<Out>(row.fill);
  for (Index first = 0; first < n; first += kChunk) {
    const int count = static_cast<int>(n - first < kChunk ? n - first : kChunk);
    Index offset[kChunk];
    bool outside[kChunk];
    for (int i = 0; i < count; ++i) offset[i] = 0, outside[i] = false;
    for (int axis = 0; axis < 3; ++axis) {
      const Index size = row.shape[axis], stride = row.stride[axis];
      for (int i = 0; i < count; ++i) {
        const Index at = nearest_sample(source_coordinate(row, axis, first + i), size, row.padding);
        offset[i] += at * stride;
        outside[i] = outside[i] | (at < 0) | (at >= size);
      }
    }
    for (int i = 0; i < count; ++i) {
      out[(first + i) * out_stride] = outside[i] ? fill : static_cast<Out>(src[offset[i]]);
    }
  }
}

template <typename T>
constexpr void add_type(ResampleLoops& table, DType type) {
  const int i = static_cast<int>(type);
  table.blend_source_rows[i] = blend_source_rows<T>;
  table.index_row[i] = index_row<T>;
  table.affine_linear[i] = affine_linear<T>;
  table.affine_nearest[i][0] = affine_nearest<T, T>;
  table.affine_nearest[i][1] = affine_nearest<T, float>;
}

constexpr ResampleLoops make_table() {
  ResampleLoops table{};
  add_type<std::uint8_t>(table, DType::u8);
  add_type<std::int8_t>(table, DType::i8);
  add_type<std::uint16_t>(table, DType::u16);
  add_type<std::int16_t>(table, DType::i16);
  add_type<std::int32_t>(table, DType::i32);
  add_type<float>(table, DType::f32);
  table.sample_row = sample_row;
  table.finish = finish;
  table.stream = stream_bytes;
  table.transpose = transpose;
  table.turn_1 = turn_1;
  table.turn_2 = turn_2;
  table.pick_row = pick_row;
  return table;
}

}  // namespace

constexpr ResampleLoops BEDSIDE_LEVEL(resample_loops) = make_table();

}  // namespace bedside::cpu
