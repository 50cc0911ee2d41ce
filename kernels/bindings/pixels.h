// Pixels of several samples, as the kernels of colour take them.
#pragma once

#include <initializer_list>

#include "checks.h"

namespace bedside::bindings {

// The last four axes of an array as a kernel sees them.
template <typename Pixels, typename Pointer>
Pixels four_axes(const Argument& a, cpu::DType type, Pointer data) {
  Pixels view{data, type, {}, {}};
  for (Index axis = 0; axis < 4; ++axis) {
    view.shape[axis] = a.array.shape(axis);
    view.stride[axis] = element_stride(a, axis);
  }
  return view;
}

inline cpu::ConstPixels pixels_in(const Argument& src, std::initializer_list<cpu::DType> allowed) {
  check_dimensions(src, 4, "[n, y, x, c]");
  return four_axes<cpu::ConstPixels>(src, check_dtype(src, allowed), src.array.data());
}

inline cpu::ConstPixels colour_in(const Argument& src, std::initializer_list<cpu::DType> allowed) {
  check_dimensions(src, 4, "[n, y, x, 3]");
  if (src.array.shape(3) != 3) src.refuse("must have 3 samples a pixel, got shape " + src.shape());
  return pixels_in(src, allowed);
}

inline cpu::Pixels pixels_out(const Argument& out, cpu::DType type) {
  check_output(out);
  return four_axes<cpu::Pixels>(out, type, py::array(out.array).mutable_data());
}

}  // namespace bedside::bindings
