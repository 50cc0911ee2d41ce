// What is asked of the arrays that come from Python, said once. Every refusal is a ValueError that names the argument.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>

#include "../cpu/array.h"
#include "bedside/rescale.h"
#include "bedside/store.h"

namespace bedside::bindings {

namespace py = pybind11;

// Types that pixels are stored in.
inline constexpr std::initializer_list<cpu::DType> kStored = {cpu::DType::u8,  cpu::DType::i8,  cpu::DType::u16,
                                                              cpu::DType::i16, cpu::DType::i32, cpu::DType::f32};

inline constexpr std::initializer_list<cpu::DType> kIntegers = {cpu::DType::u8, cpu::DType::i8, cpu::DType::u16,
                                                                cpu::DType::i16, cpu::DType::i32};

// Types that a network's input may have (bedside/store.h).
inline constexpr std::initializer_list<cpu::DType> kNetworkInput = {cpu::DType::f32, cpu::DType::f16, cpu::DType::u8,
                                                                    cpu::DType::i8,  cpu::DType::u16, cpu::DType::i16};

[[noreturn]] inline void refuse(const char* name, const std::string& what) {
  throw py::value_error(std::string("'") + name + "' " + what);
}

inline std::string type_name(const py::object& object) {
  return py::str(py::type::of(object).attr("__name__"));
}

// numpy's, or any that gives its memory by DLPack.
inline bool is_array(const py::object& object) {
  return py::isinstance<py::array>(object) || py::hasattr(object, "__dlpack__");
}

// A base of what Python makes by __init__ only. pybind11 asks a class for the memory of an object whose __init__ was
// not called and then calls methods on what happens to lie there; this one refuses. C++ makes such objects by ::new.
struct MadeByInit {
  static void* operator new(std::size_t) { throw py::type_error("__init__ was not called"); }
};

// A numpy array of the object's memory, without a copy.
inline py::array as_array(const char* name, const py::object& object) {
  if (py::isinstance<py::array>(object)) {
    if (Py_TYPE(object.ptr()) != py::detail::npy_api::get().PyArray_Type_ &&
        py::isinstance(object, py::module_::import("numpy.ma").attr("MaskedArray"))) {
      refuse(name, "must not be a masked array, whose mask would be ignored; pass its data, or fill it");
    }
    return py::reinterpret_borrow<py::array>(object);
  }
  if (!is_array(object)) refuse(name, "must be a numpy array, got " + type_name(object));
  constexpr int kHost = 1;  // kDLCPU
  try {
    const py::tuple device = object.attr("__dlpack_device__")();
    if (py::cast<int>(py::int_(device[0])) != kHost) refuse(name, "must be in the memory of the CPU");
    return py::module_::import("numpy").attr("from_dlpack")(object);
  } catch (const py::error_already_set& error) {
    refuse(name, "cannot be taken over by DLPack: " + std::string(py::str(error.value())));
  }
}

// An argument with the name the user knows it by.
struct Argument {
  const char* name;
  py::array array;

  Argument(const char* name_, const py::object& object) : name(name_), array(as_array(name_, object)) {}

  [[noreturn]] void refuse(const std::string& what) const { bindings::refuse(name, what); }
  std::string dtype() const { return py::str(array.dtype()); }
  std::string shape() const { return py::str(array.attr("shape")); }
};

inline std::string shape_text(std::initializer_list<Index> shape) {
  std::string text = "(";
  for (const Index n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + (shape.size() == 1 ? ",)" : ")");
}

inline void check_dimensions(const Argument& a, int dimensions, const char* axes) {
  if (a.array.ndim() != dimensions) {
    a.refuse("must have " + std::to_string(dimensions) + " dimensions " + axes + ", got shape " + a.shape());
  }
}

inline void check_shape(const Argument& a, std::initializer_list<Index> shape) {
  bool same = a.array.ndim() == static_cast<Index>(shape.size());
  Index axis = 0;
  for (const Index n : shape) same = same && a.array.shape(axis++) == n;
  if (!same) a.refuse("must have shape " + shape_text(shape) + ", got " + a.shape());
}

inline cpu::DType check_dtype(const Argument& a, std::initializer_list<cpu::DType> allowed) {
  static constexpr const char* kNames[cpu::kDTypes] = {"uint8", "int8",    "uint16", "int16",
                                                       "int32", "float32", "float16"};
  static constexpr char kKinds[cpu::kDTypes] = {'u', 'i', 'u', 'i', 'i', 'f', 'f'};
  static constexpr Index kSizes[cpu::kDTypes] = {1, 1, 2, 2, 4, 4, 2};
  const py::dtype dtype = a.array.dtype();
  const bool native = dtype.byteorder() == '=' || dtype.byteorder() == '|';
  std::string names;
  for (const cpu::DType type : allowed) {
    const int i = static_cast<int>(type);
    if (native && dtype.kind() == kKinds[i] && dtype.itemsize() == kSizes[i]) return type;
    names += (names.empty() ? "" : ", ") + std::string(kNames[i]);
  }
  a.refuse("must be " + names + ", got " + a.dtype());
}

// Strides in elements; refuses what no element pointer can walk.
inline Index element_stride(const Argument& a, Index axis) {
  const Index size = a.array.itemsize();
  if (a.array.strides(axis) % size != 0 ||
      reinterpret_cast<std::uintptr_t>(a.array.data()) % static_cast<std::uintptr_t>(size) != 0) {
    a.refuse("is not aligned to its elements; pass a copy");
  }
  return a.array.strides(axis) / size;
}

// The last three axes of an array as a kernel sees them.
template <typename Array3, typename Pointer>
Array3 last_three(const Argument& a, cpu::DType type, Pointer data) {
  const Index first = a.array.ndim() - 3;
  Array3 view{data, type, {}, {}};
  for (Index axis = 0; axis < 3; ++axis) {
    view.shape[axis] = a.array.shape(first + axis);
    view.stride[axis] = element_stride(a, first + axis);
  }
  return view;
}

inline cpu::ConstArray3 input(const Argument& a, cpu::DType type) {
  return last_three<cpu::ConstArray3>(a, type, a.array.data());
}

// The bytes an array spans, first to one past the last.
struct Span {
  std::uintptr_t begin, end;
};

inline Span span(const py::array& array) {
  std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(array.data()), end = begin + array.itemsize();
  for (Index axis = 0; axis < array.ndim(); ++axis) {
    if (array.shape(axis) == 0) return {begin, begin};
    const Index reach = (array.shape(axis) - 1) * array.strides(axis);
    (reach < 0 ? begin : end) += reach;
  }
  return {begin, end};
}

inline void check_apart(const Argument& out, const Argument& other) {
  const Span a = span(out.array), b = span(other.array);
  if (a.begin < b.end && b.begin < a.end) {
    out.refuse(std::string("must not share memory with '") + other.name + "'");
  }
}

// Whether two arrays are one view: the same elements in the same order.
inline bool same_view(const py::array& a, const py::array& b) {
  if (a.data() != b.data() || a.ndim() != b.ndim() || !a.dtype().equal(b.dtype())) return false;
  for (Index axis = 0; axis < a.ndim(); ++axis) {
    if (a.shape(axis) != b.shape(axis)) return false;
    if (a.shape(axis) > 1 && a.strides(axis) != b.strides(axis)) return false;
  }
  return true;
}

// An array the kernel writes: writeable, and no two of its elements in one place.
inline void check_output(const Argument& a) {
  if (!a.array.writeable()) a.refuse("is read-only");
  if (a.array.size() == 0) return;
  // Sorted by stride, each axis must step over all that the smaller ones reach.
  Index reach = a.array.itemsize() - 1;
  bool seen[32] = {};
  for (Index round = 0; round < a.array.ndim(); ++round) {
    Index next = -1;
    for (Index axis = 0; axis < a.array.ndim(); ++axis) {
      if (seen[axis]) continue;
      if (next < 0 || std::abs(a.array.strides(axis)) < std::abs(a.array.strides(next))) next = axis;
    }
    seen[next] = true;
    if (a.array.shape(next) == 1) continue;
    const Index stride = std::abs(a.array.strides(next));
    if (stride <= reach) a.refuse("has elements that share memory");
    reach += (a.array.shape(next) - 1) * stride;
  }
}

inline cpu::Array3 output(const Argument& a, cpu::DType type) {
  check_output(a);
  return last_three<cpu::Array3>(a, type, py::array(a.array).mutable_data());
}

inline void check_threads(int threads) {
  if (threads < 0) throw py::value_error("'threads' must be 0 (all cores) or more, got " + std::to_string(threads));
}

inline void check_not_nan(const char* name, double value) {
  if (std::isnan(value)) refuse(name, "must not be NaN");
}

// A number: int, float, a numpy scalar or an array without axes; NaN is one too.
inline double number_or_nan(const char* name, const py::object& object) {
  if (PyFloat_CheckExact(object.ptr())) return PyFloat_AS_DOUBLE(object.ptr());
  const bool has_axes = is_array(object) && py::cast<Index>(object.attr("ndim")) > 0;
  const double value = has_axes ? -1.0 : PyFloat_AsDouble(object.ptr());
  if (has_axes || PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    refuse(name, "must be a number, got " + type_name(object));
  }
  return value;
}

inline double number(const char* name, const py::object& object) {
  const double value = number_or_nan(name, object);
  check_not_nan(name, value);
  return value;
}

inline std::optional<double> number_or_none(const char* name, const py::object& object) {
  if (object.is_none()) return std::nullopt;
  return number(name, object);
}

inline Index whole_number(const char* name, const py::object& object) {
  const double value = number(name, object);
  if (value != std::floor(value) || std::abs(value) > 9007199254740992.0) {
    refuse(name, "must be a whole number, got " + std::to_string(value));
  }
  return static_cast<Index>(value);
}

// A number for all slices or channels, or float32 of each; keeps what it points to.
class NumberOrEach {
 public:
  // `out` is what the kernel writes while it reads this.
  NumberOrEach(const char* name, const py::object& object, Index count, const Argument* out = nullptr) {
    if (!is_array(object) || as_array(name, object).ndim() == 0) {
      one_ = static_cast<float>(number(name, object));
      return;
    }
    const Argument a(name, object);
    check_dtype(a, {cpu::DType::f32});
    check_shape(a, {count});
    if (out != nullptr) check_apart(*out, a);
    stride_ = element_stride(a, 0);
    each_ = a.array;
    for (Index i = 0; i < count; ++i) check_not_nan(name, data()[i * stride_]);
  }
  NumberOrEach(const NumberOrEach&) = delete;  // data() may point into it

  // As a kernel takes it: the stride is 0 where one number is for all.
  const float* data() const { return each_ ? static_cast<const float*>(each_->data()) : &one_; }
  Index stride() const { return stride_; }

 private:
  float one_ = 0;
  std::optional<py::array> each_;
  Index stride_ = 0;
};

inline void check_clip(double low, double high) {
  check_not_nan("low", low);
  check_not_nan("high", high);
  if (low > high) throw py::value_error("'low' must not be above 'high'");
}

// The value map of bedside/rescale.h from keywords.
inline Rescale check_map(double slope, double intercept, double low, double high, double scale, double offset) {
  check_not_nan("slope", slope);
  check_not_nan("intercept", intercept);
  check_clip(low, high);
  check_not_nan("scale", scale);
  check_not_nan("offset", offset);
  return {static_cast<float>(slope), static_cast<float>(intercept), static_cast<float>(low),
          static_cast<float>(high),  static_cast<float>(scale),     static_cast<float>(offset)};
}

inline bool changes_nothing(const Rescale& map) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  return map.slope == 1.0f && map.intercept == 0.0f && map.low == -infinity && map.high == infinity &&
         map.scale == 1.0f && map.offset == 0.0f;
}

// Whether an element of the type can be the number, but for rounding to float.
inline bool can_hold(cpu::DType type, double value) {
  if (type == cpu::DType::f32 || type == cpu::DType::f16) return true;
  const bool is_signed = type != cpu::DType::u8 && type != cpu::DType::u16;
  const double most = std::ldexp(1.0, static_cast<int>(8 * cpu::item_size(type)) - (is_signed ? 1 : 0)) - 1;
  return value == std::floor(value) && value >= (is_signed ? -most - 1 : 0) && value <= most;
}

// How an output of integers holds real numbers; a float output must leave both at their defaults, 1 and 0.
inline Quantization check_quantization(cpu::DType type, double quant_scale, long long zero_point) {
  const bool floating = type == cpu::DType::f32 || type == cpu::DType::f16;
  const bool is_signed = type == cpu::DType::i8 || type == cpu::DType::i16;
  const int bits = static_cast<int>(8 * cpu::item_size(type));
  const long long low = is_signed ? -(1LL << (bits - 1)) : 0, high = (1LL << (is_signed ? bits - 1 : bits)) - 1;
  const float scale = static_cast<float>(quant_scale);
  if (floating && quant_scale != 1) throw py::value_error("'quant_scale' is for an 'out' of integers");
  if (floating && zero_point != 0) throw py::value_error("'zero_point' is for an 'out' of integers");
  if (!(scale > 0) || std::isinf(scale)) throw py::value_error("'quant_scale' must be above 0 and finite");
  if (!floating && (zero_point < low || zero_point > high)) {
    throw py::value_error("'zero_point' must be " + std::to_string(low) + " to " + std::to_string(high) + ", got " +
                          std::to_string(zero_point));
  }
  return {scale, static_cast<std::int32_t>(zero_point)};
}

}  // namespace bedside::bindings
