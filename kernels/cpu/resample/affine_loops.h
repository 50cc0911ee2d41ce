// Trilinear along any direction: cells are located chunk by chunk, then blended. A part of loops.cpp, which alone
// includes it.
#pragma once

#include <cstring>

#include "resample/loops.h"

#if defined(__SSE4_2__)
#include <immintrin.h>
#endif

namespace bedside::cpu {

namespace {

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

}  // namespace

}  // namespace bedside::cpu
