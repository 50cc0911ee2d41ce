// Compiled once an instruction set; BEDSIDE_LOOPS names the table and BEDSIDE_ISA the set. Everything here but the
// table is in an anonymous namespace or always inlined, so that no two builds of one function meet in the linker.
#include "loops.h"

#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "bedside/accumulate.h"
#include "bedside/argmax_blend.h"
#include "bedside/pack_bits.h"
#include "bedside/threshold_blend.h"

namespace bedside::cpu {

extern const Loops BEDSIDE_LOOPS;

namespace {

// Strides of 1 are worth a loop of their own: the compiler vectorises it without gathers.
template <typename T>
void rescale(const void* src_, Index src_stride, float* __restrict out, Index out_stride, Index n, const Rescale& p_) {
  const T* __restrict src = static_cast<const T*>(src_);
  const Rescale p = p_;
  if (src_stride == 1 && out_stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = rescale_voxel(src[i], p);
  } else {
    for (Index i = 0; i < n; ++i) out[i * out_stride] = rescale_voxel(src[i * src_stride], p);
  }
}

// rescale in place: src and out are the same floats, in the same order.
void rescale_f32(const void* src_, Index src_stride, float* out, Index out_stride, Index n, const Rescale& p_) {
  if (src_ != out) return rescale<float>(src_, src_stride, out, out_stride, n, p_);
  const Rescale p = p_;
  if (out_stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = rescale_voxel(out[i], p);
  } else {
    for (Index i = 0; i < n; ++i) out[i * out_stride] = rescale_voxel(out[i * out_stride], p);
  }
}

void transpose(const float* __restrict from, Index from_stride, float* __restrict to, Index to_stride, Index rows,
               Index columns) {
  for (Index c = 0; c < columns; ++c) {
    for (Index r = 0; r < rows; ++r) to[c * to_stride + r] = from[r * from_stride + c];
  }
}

template <typename T>
void blend_source_rows(const void* a_, const void* b_, Index stride, float w, float fill, float* __restrict out,
                       Index n) {
  const T* a = static_cast<const T*>(a_);
  const T* b = static_cast<const T*>(b_);
  if (a == nullptr && b == nullptr) {
    for (Index i = 0; i < n; ++i) out[i] = fill;
  } else if (a == nullptr) {
    for (Index i = 0; i < n; ++i) out[i] = lerp(fill, static_cast<float>(b[i * stride]), w);
  } else if (b == nullptr) {
    for (Index i = 0; i < n; ++i) out[i] = lerp(static_cast<float>(a[i * stride]), fill, w);
  } else if (w == 0.0f) {
    if (stride == 1) {
      for (Index i = 0; i < n; ++i) out[i] = static_cast<float>(a[i]);
    } else {
      for (Index i = 0; i < n; ++i) out[i] = static_cast<float>(a[i * stride]);
    }
  } else if (stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = lerp(static_cast<float>(a[i]), static_cast<float>(b[i]), w);
  } else {
    for (Index i = 0; i < n; ++i) {
      out[i] = lerp(static_cast<float>(a[i * stride]), static_cast<float>(b[i * stride]), w);
    }
  }
}

void sample_row(const float* __restrict row, const std::int32_t* __restrict index, const float* __restrict weight,
                float* __restrict out, Index n) {
  for (Index i = 0; i < n; ++i) out[i] = lerp(row[index[i]], row[index[i] + 1], weight[i]);
}

void blend_rows(const float* __restrict a, const float* __restrict b, float w, float* __restrict out, Index out_stride,
                Index n) {
  if (out_stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = lerp(a[i], b[i], w);
  } else {
    for (Index i = 0; i < n; ++i) out[i * out_stride] = lerp(a[i], b[i], w);
  }
}

template <typename T, typename Out>
void nearest_row(const void* src_, Index stride, const std::int32_t* __restrict index, double fill_, void* out_,
                 Index out_stride, Index n) {
  const T* src = static_cast<const T*>(src_);
  Out* out = static_cast<Out*>(out_);
  const Out fill = static_cast<Out>(fill_);
  for (Index i = 0; i < n; ++i) {
    out[i * out_stride] = index[i] < 0 ? fill : static_cast<Out>(src[index[i] * stride]);
  }
}

BEDSIDE_HD void source_coordinate(const AffineRow& row, Index i, double c[3]) {
  for (int axis = 0; axis < 3; ++axis) c[axis] = row.origin[axis] + row.step[axis] * static_cast<double>(i);
}

// The part [begin, end) of a row of n whose eight neighbours all lie inside the source: estimated, then checked at both
// ends, which is enough since a coordinate is monotonous along the row. May leave out a few voxels.
BEDSIDE_HD void interior(const AffineRow& row, Index n, Index& begin, Index& end) {
  double first = 0.0, last = static_cast<double>(n) - 1.0;
  for (int axis = 0; axis < 3; ++axis) {
    const double high = static_cast<double>(row.shape[axis] - 1);
    if (row.step[axis] == 0.0) continue;
    const double at_low = (0.0 - row.origin[axis]) / row.step[axis];
    const double at_high = (high - row.origin[axis]) / row.step[axis];
    const double enter = (at_low < at_high ? at_low : at_high) + 1.0,
                 leave = (at_low < at_high ? at_high : at_low) - 1.0;
    first = enter > first ? enter : first;
    last = leave < last ? leave : last;
  }
  begin = end = 0;
  if (!(first <= last)) return;
  const Index from = static_cast<Index>(first), to = static_cast<Index>(last);
  for (int k = 0; k < 2; ++k) {
    const Index i = k == 0 ? from : to;
    double c[3];
    source_coordinate(row, i, c);
    for (int axis = 0; axis < 3; ++axis) {
      if (!(c[axis] >= 0.0 && c[axis] < static_cast<double>(row.shape[axis] - 1))) return;
    }
  }
  begin = from;
  end = to + 1;
}

template <typename T>
void affine_linear(const AffineRow& row_, float* out, Index out_stride, Index n) {
  const AffineRow row = row_;
  const T* src = static_cast<const T*>(row.src);
  const Index shape[3] = {row.shape[0], row.shape[1], row.shape[2]};
  const Index stride[3] = {row.stride[0], row.stride[1], row.stride[2]};
  const float fill = static_cast<float>(row.fill);
  Index begin, end;
  interior(row, n, begin, end);
  double c[3];
  for (Index i = 0; i < begin; ++i) {
    source_coordinate(row, i, c);
    out[i * out_stride] = trilinear(src, shape, stride, c, row.padding, fill);
  }
  for (Index i = begin; i < end; ++i) {
    source_coordinate(row, i, c);
    out[i * out_stride] = trilinear_interior(src, stride, c);
  }
  for (Index i = end; i < n; ++i) {
    source_coordinate(row, i, c);
    out[i * out_stride] = trilinear(src, shape, stride, c, row.padding, fill);
  }
}

template <typename T, typename Out>
void affine_nearest(const AffineRow& row, void* out_, Index out_stride, Index n) {
  const T* src = static_cast<const T*>(row.src);
  Out* out = static_cast<Out*>(out_);
  const Index shape[3] = {row.shape[0], row.shape[1], row.shape[2]};
  const Index stride[3] = {row.stride[0], row.stride[1], row.stride[2]};
  const Out fill = static_cast<Out>(row.fill);
  for (Index i = 0; i < n; ++i) {
    double c[3];
    source_coordinate(row, i, c);
    const Index z = nearest_sample(c[0], shape[0], row.padding);
    const Index y = nearest_sample(c[1], shape[1], row.padding);
    const Index x = nearest_sample(c[2], shape[2], row.padding);
    const bool inside = z >= 0 && z < shape[0] && y >= 0 && y < shape[1] && x >= 0 && x < shape[2];
    out[i * out_stride] = inside ? static_cast<Out>(src[z * stride[0] + y * stride[1] + x * stride[2]]) : fill;
  }
}

void accumulate(const float* __restrict patch, Index patch_stride, const float* __restrict weight, Index weight_stride,
                float* __restrict total, Index total_stride, Index n) {
  if (patch_stride == 1 && weight_stride == 1 && total_stride == 1) {
    for (Index i = 0; i < n; ++i) total[i] = accumulate_voxel(total[i], patch[i], weight[i]);
  } else {
    for (Index i = 0; i < n; ++i) {
      float& at = total[i * total_stride];
      at = accumulate_voxel(at, patch[i * patch_stride], weight[i * weight_stride]);
    }
  }
}

void add(const float* __restrict term, Index term_stride, float* __restrict total, Index total_stride, Index n) {
  if (term_stride == 1 && total_stride == 1) {
    for (Index i = 0; i < n; ++i) total[i] += term[i];
  } else {
    for (Index i = 0; i < n; ++i) total[i * total_stride] += term[i * term_stride];
  }
}

// Voxels of a row that the channel loops keep in the first-level cache.
constexpr Index kBlock = 1024;

void argmax(const float* total, Index stride, Index channel_stride, Index channels, std::uint8_t* out, Index out_stride,
            Index n) {
  float best[kBlock];
  std::int32_t winner[kBlock];  // as wide as the values, for the vectoriser
  for (Index begin = 0; begin < n; begin += kBlock) {
    const Index count = n - begin < kBlock ? n - begin : kBlock;
    const float* value = total + begin * stride;
    for (Index i = 0; i < count; ++i) {
      best[i] = value[i * stride];
      winner[i] = 0;
    }
    for (Index c = 1; c < channels; ++c) {
      value += channel_stride;
      const std::int32_t channel = static_cast<std::int32_t>(c);
      if (stride == 1) {
        for (Index i = 0; i < count; ++i) {
          const bool wins = argmax_takes_over(value[i], best[i]);
          winner[i] = wins ? channel : winner[i];
          best[i] = wins ? value[i] : best[i];
        }
      } else {
        for (Index i = 0; i < count; ++i) {
          const bool wins = argmax_takes_over(value[i * stride], best[i]);
          winner[i] = wins ? channel : winner[i];
          best[i] = wins ? value[i * stride] : best[i];
        }
      }
    }
    std::uint8_t* label = out + begin * out_stride;
    if (out_stride == 1) {
      for (Index i = 0; i < count; ++i) label[i] = static_cast<std::uint8_t>(winner[i]);
    } else {
      for (Index i = 0; i < count; ++i) label[i * out_stride] = static_cast<std::uint8_t>(winner[i]);
    }
  }
}

void threshold(const float* total, Index stride, Index channel_stride, Index channels, const float* norm,
               Index norm_stride, float level, std::uint8_t* out, Index out_stride, Index n) {
  std::int32_t winner[kBlock];
  for (Index begin = 0; begin < n; begin += kBlock) {
    const Index count = n - begin < kBlock ? n - begin : kBlock;
    const float* divisor = norm + begin * norm_stride;
    for (Index i = 0; i < count; ++i) winner[i] = 0;
    for (Index c = channels; c-- > 0;) {  // the last written is the first channel
      const float* value = total + begin * stride + c * channel_stride;
      const std::int32_t channel = static_cast<std::int32_t>(c) + 1;
      if (stride == 1 && norm_stride == 1) {
        for (Index i = 0; i < count; ++i) {
          winner[i] = threshold_voxel(value[i], divisor[i], level) ? channel : winner[i];
        }
      } else {
        for (Index i = 0; i < count; ++i) {
          winner[i] = threshold_voxel(value[i * stride], divisor[i * norm_stride], level) ? channel : winner[i];
        }
      }
    }
    std::uint8_t* label = out + begin * out_stride;
    for (Index i = 0; i < count; ++i) label[i * out_stride] = static_cast<std::uint8_t>(winner[i]);
  }
}

bool pack(const std::uint8_t* mask, Index n, std::uint8_t label, std::uint8_t* out) {
  std::uint64_t any = 0;
  Index i = 0;
#if defined(__AVX512BW__)
  const __m512i wanted = _mm512_set1_epi8(static_cast<char>(label));
  for (; i + 64 <= n; i += 64) {
    const std::uint64_t bits = _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(mask + i), wanted);
    any |= bits;
    std::memcpy(out + i / 8, &bits, 8);
  }
#elif defined(__AVX2__)
  const __m256i wanted = _mm256_set1_epi8(static_cast<char>(label));
  for (; i + 32 <= n; i += 32) {
    const __m256i voxels = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask + i));
    const std::uint32_t bits = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(voxels, wanted)));
    any |= bits;
    std::memcpy(out + i / 8, &bits, 4);
  }
#elif defined(__SSE2__)
  const __m128i wanted = _mm_set1_epi8(static_cast<char>(label));
  for (; i + 16 <= n; i += 16) {
    const __m128i voxels = _mm_loadu_si128(reinterpret_cast<const __m128i*>(mask + i));
    const std::uint16_t bits = static_cast<std::uint16_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(voxels, wanted)));
    any |= bits;
    std::memcpy(out + i / 8, &bits, 2);
  }
#endif
  for (; i < n; i += 8) {
    const std::uint8_t bits = pack_byte(mask + i, n - i < 8 ? static_cast<int>(n - i) : 8, label);
    any |= bits;
    out[i / 8] = bits;
  }
  return any != 0;
}

template <typename T>
constexpr void add_type(Loops& table, DType type) {
  const int i = static_cast<int>(type);
  table.rescale[i] = rescale<T>;
  table.blend_source_rows[i] = blend_source_rows<T>;
  table.nearest_row[i][0] = nearest_row<T, T>;
  table.nearest_row[i][1] = nearest_row<T, float>;
  table.affine_linear[i] = affine_linear<T>;
  table.affine_nearest[i][0] = affine_nearest<T, T>;
  table.affine_nearest[i][1] = affine_nearest<T, float>;
}

constexpr Loops make_table() {
  Loops table{};
  table.isa = BEDSIDE_ISA;
  add_type<std::uint8_t>(table, DType::u8);
  add_type<std::int8_t>(table, DType::i8);
  add_type<std::uint16_t>(table, DType::u16);
  add_type<std::int16_t>(table, DType::i16);
  add_type<std::int32_t>(table, DType::i32);
  add_type<float>(table, DType::f32);
  table.rescale[static_cast<int>(DType::f32)] = rescale_f32;
  table.transpose = transpose;
  table.sample_row = sample_row;
  table.blend_rows = blend_rows;
  table.accumulate = accumulate;
  table.add = add;
  table.argmax = argmax;
  table.threshold = threshold;
  table.pack = pack;
  return table;
}

}  // namespace

// A constant: no code of this file runs before the CPU is known to have its instructions.
constexpr Loops BEDSIDE_LOOPS = make_table();

}  // namespace bedside::cpu
