// Nearest neighbours, along the axes and along any direction. A part of loops.cpp, which alone includes it.
#pragma once

#include "resample/loops.h"

#if defined(__SSE4_2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace bedside::cpu {

namespace {

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

}  // namespace

}  // namespace bedside::cpu
