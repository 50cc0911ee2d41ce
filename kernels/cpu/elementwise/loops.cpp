// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "elementwise/loops.h"

#include "transpose.h"

namespace bedside::cpu {

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

template <typename Out>
void store_row(const float* __restrict from, void* to_, Index to_stride, Index n, const Quantization& q_) {
  Out* __restrict to = static_cast<Out*>(to_);
  const Quantization q = q_;
  if (to_stride == 1) {
    for (Index i = 0; i < n; ++i) to[i] = store<Out>(from[i], q);
  } else {
    for (Index i = 0; i < n; ++i) to[i * to_stride] = store<Out>(from[i], q);
  }
}

constexpr ElementwiseLoops make_table() {
  ElementwiseLoops table{};
  const auto add = [&](DType type, auto row) { table.rescale[static_cast<int>(type)] = row; };
  add(DType::u8, rescale<std::uint8_t>);
  add(DType::i8, rescale<std::int8_t>);
  add(DType::u16, rescale<std::uint16_t>);
  add(DType::i16, rescale<std::int16_t>);
  add(DType::i32, rescale<std::int32_t>);
  add(DType::f32, rescale_f32);
  table.store[static_cast<int>(DType::f32)] = store_row<float>;
  table.store[static_cast<int>(DType::f16)] = store_row<Half>;
  table.store[static_cast<int>(DType::u8)] = store_row<std::uint8_t>;
  table.store[static_cast<int>(DType::i8)] = store_row<std::int8_t>;
  table.store[static_cast<int>(DType::u16)] = store_row<std::uint16_t>;
  table.store[static_cast<int>(DType::i16)] = store_row<std::int16_t>;
  table.transpose = transpose;
  return table;
}

}  // namespace

constexpr ElementwiseLoops BEDSIDE_LEVEL(elementwise_loops) = make_table();

}  // namespace bedside::cpu
