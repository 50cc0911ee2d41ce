// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "resize/loops.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "bedside/resample.h"

namespace bedside::cpu {

namespace {

// As many source samples as a register has floats. Compilers widen in steps, by shuffles; a load that widens at once is
// twice as fast.
#if defined(__AVX512F__)
using Floats = __m512;
constexpr Index kFloats = 16;
BEDSIDE_HD Floats load(const std::uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
BEDSIDE_HD Floats load(const std::int8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
BEDSIDE_HD Floats load(const std::uint16_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
BEDSIDE_HD Floats load(const std::int16_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
BEDSIDE_HD Floats load(const std::int32_t* p) {
  return _mm512_cvtepi32_ps(_mm512_loadu_si512(p));
}
BEDSIDE_HD Floats load(const float* p) {
  return _mm512_loadu_ps(p);
}
BEDSIDE_HD void store(float* p, Floats v) {
  _mm512_storeu_ps(p, v);
}
BEDSIDE_HD Floats all(float v) {
  return _mm512_set1_ps(v);
}
#elif defined(__AVX2__)
using Floats = __m256;
constexpr Index kFloats = 8;
BEDSIDE_HD Floats load(const std::uint8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
BEDSIDE_HD Floats load(const std::int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
BEDSIDE_HD Floats load(const std::uint16_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
BEDSIDE_HD Floats load(const std::int16_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
BEDSIDE_HD Floats load(const std::int32_t* p) {
  return _mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
BEDSIDE_HD Floats load(const float* p) {
  return _mm256_loadu_ps(p);
}
BEDSIDE_HD void store(float* p, Floats v) {
  _mm256_storeu_ps(p, v);
}
BEDSIDE_HD Floats all(float v) {
  return _mm256_set1_ps(v);
}
#endif

template <typename T, int Rows, bool kFirst>
void add_rows_of(const void* const* row_, const float* weight, Index stride, float* __restrict out, Index n) {
  const T* row[Rows];
  float w[Rows];
  for (int k = 0; k < Rows; ++k) {
    row[k] = static_cast<const T*>(row_[k]);
    w[k] = weight[k];
  }
  const auto sum = [&](Index i, Index at) {
    float v = kFirst ? w[0] * static_cast<float>(row[0][at]) : out[i] + w[0] * static_cast<float>(row[0][at]);
    for (int k = 1; k < Rows; ++k) v += w[k] * static_cast<float>(row[k][at]);
    return v;
  };
  if (stride == 1) {
    Index i = 0;
#if defined(__AVX2__)
    for (; i + kFloats <= n; i += kFloats) {
      Floats v = all(w[0]) * load(row[0] + i);
      if (!kFirst) v = load(out + i) + v;
      for (int k = 1; k < Rows; ++k) v = v + all(w[k]) * load(row[k] + i);
      store(out + i, v);
    }
#endif
    for (; i < n; ++i) out[i] = sum(i, i);
  } else {
    for (Index i = 0; i < n; ++i) out[i] = sum(i, i * stride);
  }
}

template <typename T>
void add_rows(const void* const* row, const float* weight, int rows, bool first, Index stride, float* out, Index n) {
  switch (2 * rows + (first ? 1 : 0)) {
    case 2:
      return add_rows_of<T, 1, false>(row, weight, stride, out, n);
    case 3:
      return add_rows_of<T, 1, true>(row, weight, stride, out, n);
    case 4:
      return add_rows_of<T, 2, false>(row, weight, stride, out, n);
    case 5:
      return add_rows_of<T, 2, true>(row, weight, stride, out, n);
    case 6:
      return add_rows_of<T, 3, false>(row, weight, stride, out, n);
    case 7:
      return add_rows_of<T, 3, true>(row, weight, stride, out, n);
    case 8:
      return add_rows_of<T, 4, false>(row, weight, stride, out, n);
    default:
      return add_rows_of<T, 4, true>(row, weight, stride, out, n);
  }
}

template <typename T>
void lerp_rows(const void* a_, const void* b_, float w, Index stride, float* __restrict out, Index n) {
  const T* a = static_cast<const T*>(a_);
  const T* b = static_cast<const T*>(b_);
  if (w == 0.0f) {
    const float one = 1.0f;
    add_rows_of<T, 1, true>(&a_, &one, stride, out, n);
  } else if (stride == 1) {
    Index i = 0;
#if defined(__AVX2__)
    for (; i + kFloats <= n; i += kFloats) {
      const Floats from = load(a + i);
      store(out + i, from + all(w) * (load(b + i) - from));
    }
#endif
    for (; i < n; ++i) out[i] = lerp(static_cast<float>(a[i]), static_cast<float>(b[i]), w);
  } else {
    for (Index i = 0; i < n; ++i) {
      out[i] = lerp(static_cast<float>(a[i * stride]), static_cast<float>(b[i * stride]), w);
    }
  }
}

// Four floats, in what every CPU has. Loading neighbours together and turning them in registers is twice as fast as
// gathering them one by one.
typedef float Four __attribute__((vector_size(16)));

BEDSIDE_HD Four load_four(const float* p) {
  Four v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

BEDSIDE_HD void store_four(float* p, Four v) {
  __builtin_memcpy(p, &v, sizeof v);
}

BEDSIDE_HD Four all_four(float v) {
  return Four{v, v, v, v};
}

BEDSIDE_HD Four add_weighted_four(Four sum, Four value, Four weight) {
  const Four next = sum + weight * value;
  return weight == all_four(0.0f) ? sum : next;
}

BEDSIDE_HD Four lerp_four(Four a, Four b, Four w) {
  const Four blended = a + w * (b - a);
  return w == all_four(0.0f) ? a : blended;
}

// Lane j of v[i] becomes lane i of v[j].
BEDSIDE_HD void turn(Four v[4]) {
  const Four a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5), b = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
  const Four c = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7), d = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
  v[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  v[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  v[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  v[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

// Two neighbours of each of four places: the first ones and the second ones.
BEDSIDE_HD void load_pairs(const float* line, const std::int32_t* index, Four& first, Four& second) {
  typedef float Two __attribute__((vector_size(8)));
  Two pair[4];
  for (int j = 0; j < 4; ++j) __builtin_memcpy(&pair[j], line + index[j], sizeof pair[j]);
  const Four a = __builtin_shufflevector(pair[0], pair[1], 0, 1, 2, 3);
  const Four b = __builtin_shufflevector(pair[2], pair[3], 0, 1, 2, 3);
  first = __builtin_shufflevector(a, b, 0, 2, 4, 6);
  second = __builtin_shufflevector(a, b, 1, 3, 5, 7);
}

BEDSIDE_HD float sample_one(const float* line, Index step, const float* weight, Index taps, Index n) {
  float v = 0.0f;
  for (Index k = 0; k < taps; ++k) v = add_weighted(v, line[k * step], weight[k * n]);
  return v;
}

void sample(const float* __restrict line, const std::int32_t* __restrict index, Index step,
            const float* __restrict weight, Index taps, float* __restrict out, Index n) {
  Index i = 0;
  if (taps == 1) {
    for (; i < n; ++i) out[i] = sample_one(line + index[i], 0, weight + i, 1, n);
  } else if (step == 1) {
    for (; i + 4 <= n; i += 4) {
      Four sum = all_four(0.0f);
      for (Index k = 0; k < taps; k += kTapsAtOnce) {
        Four v[4];
        for (int j = 0; j < 4; ++j) v[j] = load_four(line + index[i + j] + k);
        turn(v);
        for (int j = 0; j < 4; ++j) sum = add_weighted_four(sum, v[j], load_four(weight + (k + j) * n + i));
      }
      store_four(out + i, sum);
    }
  }
  for (; i < n; ++i) out[i] = sample_one(line + index[i], step, weight + i, taps, n);
}

void lerp_sample(const float* __restrict line, const std::int32_t* __restrict index, Index step,
                 const float* __restrict weight, float* __restrict out, Index n) {
  Index i = 0;
  if (step == 1) {
    for (; i + 4 <= n; i += 4) {
      Four left, right;
      load_pairs(line, index + i, left, right);
      store_four(out + i, lerp_four(left, right, load_four(weight + i)));
    }
  }
  for (; i < n; ++i) out[i] = lerp(line[index[i]], line[index[i] + step], weight[i]);
}

// pixel(i) is the colour of output i, in the first three lanes.
template <typename F>
BEDSIDE_HD void write_colour(float* __restrict out, Index n, F&& pixel) {
  Index i = 0;
  for (; i + 4 <= n; i += 4) {
    Four v[4] = {pixel(i), pixel(i + 1), pixel(i + 2), pixel(i + 3)};
    turn(v);
    for (Index c = 0; c < 3; ++c) store_four(out + c * n + i, v[c]);
  }
  for (; i < n; ++i) {
    const Four v = pixel(i);
    for (Index c = 0; c < 3; ++c) out[c * n + i] = v[c];
  }
}

void sample_colour(const float* __restrict line, const std::int32_t* __restrict index, Index step,
                   const float* __restrict weight, Index taps, float* __restrict out, Index n) {
  write_colour(out, n, [&](Index i) __attribute__((always_inline)) {
    Four sum = all_four(0.0f);
    for (Index k = 0; k < taps; ++k) {
      sum = add_weighted_four(sum, load_four(line + index[i] + k * step), all_four(weight[k * n + i]));
    }
    return sum;
  });
}

void lerp_sample_colour(const float* __restrict line, const std::int32_t* __restrict index, Index step,
                        const float* __restrict weight, float* __restrict out, Index n) {
  write_colour(out, n, [&](Index i) __attribute__((always_inline)) {
    const float* const p = line + index[i];
    return lerp_four(load_four(p), load_four(p + step), all_four(weight[i]));
  });
}

void gray(const float* __restrict line, Index pixel, Index channel, float* __restrict out, Index n) {
  if (pixel == 3) {
    for (Index i = 0; i < n; ++i) out[i] = gray_of(line[3 * i], line[3 * i + 1], line[3 * i + 2]);
  } else {
    for (Index i = 0; i < n; ++i) out[i] = gray_of(line[i], line[channel + i], line[2 * channel + i]);
  }
}

void divide(float* __restrict row, const float* __restrict count, float rows, Index n) {
  for (Index i = 0; i < n; ++i) row[i] /= count[i] * rows;
}

template <typename T>
void pick(const void* src_, Index stride, const std::int32_t* __restrict index, void* out_, Index out_stride, Index n) {
  const T* __restrict src = static_cast<const T*>(src_);
  T* __restrict out = static_cast<T*>(out_);
  if (stride == 1 && out_stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = src[index[i]];
  } else {
    for (Index i = 0; i < n; ++i) out[i * out_stride] = src[index[i] * stride];
  }
}

template <typename T>
constexpr void add_type(ResizeLoops& table, DType type) {
  table.add_rows[static_cast<int>(type)] = add_rows<T>;
  table.lerp_rows[static_cast<int>(type)] = lerp_rows<T>;
}

constexpr ResizeLoops make_table() {
  ResizeLoops table{};
  each_stored_type([&](auto zero, DType type) { add_type<decltype(zero)>(table, type); });
  table.sample = sample;
  table.lerp_sample = lerp_sample;
  table.sample_colour = sample_colour;
  table.lerp_sample_colour = lerp_sample_colour;
  table.gray = gray;
  table.divide = divide;
  table.pick[0] = pick<std::uint8_t>;
  table.pick[1] = pick<std::uint16_t>;
  table.pick[2] = pick<std::uint32_t>;
  table.pick[3] = pick<std::uint64_t>;
  return table;
}

}  // namespace

constexpr ResizeLoops BEDSIDE_LEVEL(resize_loops) = make_table();

}  // namespace bedside::cpu
