// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "resize/loops.h"

#include "bedside/resample.h"

namespace bedside::cpu {

namespace {

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
    for (Index i = 0; i < n; ++i) out[i] = sum(i, i);
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
    for (Index i = 0; i < n; ++i) out[i] = lerp(static_cast<float>(a[i]), static_cast<float>(b[i]), w);
  } else {
    for (Index i = 0; i < n; ++i) {
      out[i] = lerp(static_cast<float>(a[i * stride]), static_cast<float>(b[i * stride]), w);
    }
  }
}

template <int Taps, bool kFirst>
void sample_of(const float* __restrict line, const std::int32_t* __restrict index, Index step,
               const float* __restrict weight, float* __restrict out, Index n) {
  for (Index i = 0; i < n; ++i) {
    float v = kFirst ? 0.0f : out[i];
    for (int k = 0; k < Taps; ++k) v = add_weighted(v, line[index[i] + k * step], weight[k * n + i]);
    out[i] = v;
  }
}

void sample(const float* line, const std::int32_t* index, Index step, const float* weight, Index taps, float* out,
            Index n) {
  switch (taps) {
    case 1:
      return sample_of<1, true>(line, index, step, weight, out, n);
    case 2:
      return sample_of<2, true>(line, index, step, weight, out, n);
    case 3:
      return sample_of<3, true>(line, index, step, weight, out, n);
    default:
      sample_of<4, true>(line, index, step, weight, out, n);
  }
  Index k = 4;
  for (; k + 4 <= taps; k += 4) sample_of<4, false>(line + k * step, index, step, weight + k * n, out, n);
  for (; k < taps; ++k) sample_of<1, false>(line + k * step, index, step, weight + k * n, out, n);
}

void lerp_sample(const float* __restrict line, const std::int32_t* __restrict index, Index step,
                 const float* __restrict weight, float* __restrict out, Index n) {
  for (Index i = 0; i < n; ++i) out[i] = lerp(line[index[i]], line[index[i] + step], weight[i]);
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
  add_type<std::uint8_t>(table, DType::u8);
  add_type<std::int8_t>(table, DType::i8);
  add_type<std::uint16_t>(table, DType::u16);
  add_type<std::int16_t>(table, DType::i16);
  add_type<std::int32_t>(table, DType::i32);
  add_type<float>(table, DType::f32);
  table.sample = sample;
  table.lerp_sample = lerp_sample;
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
