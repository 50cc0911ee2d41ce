// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "resample/loops.h"

#include "transpose.h"

namespace bedside::cpu {

namespace {

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

template <typename T>
constexpr void add_type(ResampleLoops& table, DType type) {
  const int i = static_cast<int>(type);
  table.blend_source_rows[i] = blend_source_rows<T>;
  table.nearest_row[i][0] = nearest_row<T, T>;
  table.nearest_row[i][1] = nearest_row<T, float>;
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
  table.transpose = transpose;
  table.sample_row = sample_row;
  table.blend_rows = blend_rows;
  return table;
}

}  // namespace

constexpr ResampleLoops BEDSIDE_LEVEL(resample_loops) = make_table();

}  // namespace bedside::cpu
