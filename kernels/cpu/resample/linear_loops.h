// Trilinear along the axes. A part of loops.cpp, which alone includes it.
#pragma once

#include "resample/loops.h"
#include "stream.h"

#if defined(__SSE4_2__)
#include <immintrin.h>
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

}  // namespace

}  // namespace bedside::cpu
