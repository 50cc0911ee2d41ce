// A tile turned in the cache, blocks of it in registers. Static: every build of the loops has its own.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "bedside/host_device.h"
#include "turn.h"

namespace bedside::cpu {

// A block of kFloatBlock x kFloatBlock floats, 16 x 16 bytes.
#if defined(__AVX__)
inline constexpr Index kFloatBlock = 8;

static inline void transpose_block(const float* from, Index from_stride, float* to, Index to_stride) {
  __m256 a[8], b[8];
  for (int i = 0; i < 4; ++i) {  // halves of rows i and i + 4 beside each other
    const float* const upper = from + i * from_stride;
    const float* const lower = from + (i + 4) * from_stride;
    a[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(upper)), _mm_loadu_ps(lower), 1);
    a[i + 4] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(upper + 4)), _mm_loadu_ps(lower + 4), 1);
  }
  for (int half = 0; half < 8; half += 4) {
    b[half] = _mm256_unpacklo_ps(a[half], a[half + 1]);
    b[half + 1] = _mm256_unpackhi_ps(a[half], a[half + 1]);
    b[half + 2] = _mm256_unpacklo_ps(a[half + 2], a[half + 3]);
    b[half + 3] = _mm256_unpackhi_ps(a[half + 2], a[half + 3]);
  }
  for (int half = 0; half < 8; half += 4) {
    _mm256_storeu_ps(to + half * to_stride, _mm256_shuffle_ps(b[half], b[half + 2], 0x44));
    _mm256_storeu_ps(to + (half + 1) * to_stride, _mm256_shuffle_ps(b[half], b[half + 2], 0xee));
    _mm256_storeu_ps(to + (half + 2) * to_stride, _mm256_shuffle_ps(b[half + 1], b[half + 3], 0x44));
    _mm256_storeu_ps(to + (half + 3) * to_stride, _mm256_shuffle_ps(b[half + 1], b[half + 3], 0xee));
  }
}
#elif defined(__SSE2__)
inline constexpr Index kFloatBlock = 4;

static inline void transpose_block(const float* from, Index from_stride, float* to, Index to_stride) {
  __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + from_stride);
  __m128 c = _mm_loadu_ps(from + 2 * from_stride), d = _mm_loadu_ps(from + 3 * from_stride);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(to, a);
  _mm_storeu_ps(to + to_stride, b);
  _mm_storeu_ps(to + 2 * to_stride, c);
  _mm_storeu_ps(to + 3 * to_stride, d);
}
#elif defined(__aarch64__)
inline constexpr Index kFloatBlock = 4;

static inline void transpose_block(const float* from, Index from_stride, float* to, Index to_stride) {
  const float32x4_t a = vld1q_f32(from), b = vld1q_f32(from + from_stride);
  const float32x4_t c = vld1q_f32(from + 2 * from_stride), d = vld1q_f32(from + 3 * from_stride);
  const float32x4_t ac_low = vzip1q_f32(a, c), ac_high = vzip2q_f32(a, c);
  const float32x4_t bd_low = vzip1q_f32(b, d), bd_high = vzip2q_f32(b, d);
  vst1q_f32(to, vzip1q_f32(ac_low, bd_low));
  vst1q_f32(to + to_stride, vzip2q_f32(ac_low, bd_low));
  vst1q_f32(to + 2 * to_stride, vzip1q_f32(ac_high, bd_high));
  vst1q_f32(to + 3 * to_stride, vzip2q_f32(ac_high, bd_high));
}
#else
inline constexpr Index kFloatBlock = 1;

static inline void transpose_block(const float* from, Index, float* to, Index) {
  *to = *from;
}
#endif

// Interleaving row i with row i + 8, four times, turns 16 rows of 16 bytes.
#if defined(__SSE2__)
inline constexpr Index kByteBlock = 16;

static inline void transpose_block(const std::uint8_t* from, Index from_stride, std::uint8_t* to, Index to_stride) {
  __m128i a[16], b[16];
  for (int i = 0; i < 16; ++i) a[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * from_stride));
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 8; ++i) {
      b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
      b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
    }
    for (int i = 0; i < 16; ++i) a[i] = b[i];
  }
  for (int i = 0; i < 16; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_stride), a[i]);
}
#elif defined(__aarch64__)
inline constexpr Index kByteBlock = 16;

static inline void transpose_block(const std::uint8_t* from, Index from_stride, std::uint8_t* to, Index to_stride) {
  uint8x16_t a[16], b[16];
  for (int i = 0; i < 16; ++i) a[i] = vld1q_u8(from + i * from_stride);
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 8; ++i) {
      b[2 * i] = vzip1q_u8(a[i], a[i + 8]);
      b[2 * i + 1] = vzip2q_u8(a[i], a[i + 8]);
    }
    for (int i = 0; i < 16; ++i) a[i] = b[i];
  }
  for (int i = 0; i < 16; ++i) vst1q_u8(to + i * to_stride, a[i]);
}
#else
inline constexpr Index kByteBlock = 1;

static inline void transpose_block(const std::uint8_t* from, Index, std::uint8_t* to, Index) {
  *to = *from;
}
#endif

// Interleaving row i with row i + 4, three times, turns 8 rows of 8 elements of 2 bytes.
#if defined(__SSE2__)
inline constexpr Index kShortBlock = 8;

static inline void transpose_block(const std::uint16_t* from, Index from_stride, std::uint16_t* to, Index to_stride) {
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
}
#elif defined(__aarch64__)
inline constexpr Index kShortBlock = 8;

static inline void transpose_block(const std::uint16_t* from, Index from_stride, std::uint16_t* to, Index to_stride) {
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
}
#else
inline constexpr Index kShortBlock = 1;

static inline void transpose_block(const std::uint16_t* from, Index, std::uint16_t* to, Index) {
  *to = *from;
}
#endif

template <Index Block, typename T>
static inline void transpose_blocks(const T* __restrict from, Index from_stride, T* __restrict to, Index to_stride,
                                    Index rows, Index columns) {
  const Index whole_rows = rows / Block * Block, whole_columns = columns / Block * Block;
  for (Index c = 0; c < whole_columns; c += Block) {
    for (Index r = 0; r < whole_rows; r += Block) {
      transpose_block(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
    }
  }
  for (Index c = 0; c < columns; ++c) {
    for (Index r = c < whole_columns ? whole_rows : 0; r < rows; ++r) to[c * to_stride + r] = from[r * from_stride + c];
  }
}

// to[c * to_stride + r] = from[r * from_stride + c]
static inline void transpose(const float* from, Index from_stride, float* to, Index to_stride, Index rows,
                             Index columns) {
  transpose_blocks<kFloatBlock>(from, from_stride, to, to_stride, rows, columns);
}

static inline void transpose_bytes(const std::uint8_t* from, Index from_stride, std::uint8_t* to, Index to_stride,
                                   Index rows, Index columns) {
  transpose_blocks<kByteBlock>(from, from_stride, to, to_stride, rows, columns);
}

template <Index Block, typename T>
static inline void turn_elements(const void* from, Index from_stride, void* to, Index to_stride, Index rows,
                                 Index columns) {
  transpose_blocks<Block>(static_cast<const T*>(from), from_stride, static_cast<T*>(to), to_stride, rows, columns);
}

// By the bytes of an element; those of 4 move through float registers, which keep every bit.
static constexpr void add_turns(Turn (&turn)[5]) {
  turn[1] = turn_elements<kByteBlock, std::uint8_t>;
  turn[2] = turn_elements<kShortBlock, std::uint16_t>;
  turn[4] = turn_elements<kFloatBlock, float>;
}

}  // namespace bedside::cpu
