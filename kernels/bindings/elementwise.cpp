// The elementwise kernels, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <optional>
#include <string>

#include "../cpu/elementwise/colour.h"
#include "../cpu/elementwise/crop_pad.h"
#include "../cpu/elementwise/rescale.h"
#include "../cpu/elementwise/stored.h"
#include "bindings.h"
#include "checks.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

constexpr std::initializer_list<DType> kIntegers = {DType::u8, DType::i8, DType::u16, DType::i16, DType::i32};

// The last four axes of an array as a kernel sees them.
template <typename Pixels, typename Pointer>
Pixels four_axes(const Argument& a, DType type, Pointer data) {
  Pixels view{data, type, {}, {}};
  for (Index axis = 0; axis < 4; ++axis) {
    view.shape[axis] = a.array.shape(axis);
    view.stride[axis] = element_stride(a, axis);
  }
  return view;
}

void rescale(py::object src_, py::object out_, py::object slope_, py::object intercept_, double low, double high,
             double scale, double offset, double quant_scale, long long zero_point, bool truncate,
             std::optional<double> padding, double padding_out, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 3, "[z, y, x]");
  const cpu::ConstArray3 from = input(src, check_dtype(src, kStored));
  const DType type = check_dtype(out, truncate ? kIntegers : kNetworkInput);
  check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
  const cpu::Array3 to = output(out, type);
  if (!same_view(src.array, out.array) || type != DType::f32) check_apart(out, src);
  const NumberOrEach slope("slope", slope_, from.shape[0], &out),
      intercept("intercept", intercept_, from.shape[0], &out);
  const Rescale map = check_map(1.0, 0.0, low, high, scale, offset);
  Quantization quantization = check_quantization(type, quant_scale, zero_point);
  if (truncate && (quant_scale != 1 || zero_point != 0)) {
    throw py::value_error("'truncate' excludes 'quant_scale' and 'zero_point'");
  }
  quantization.truncates = truncate;
  if (padding) check_not_nan("padding", *padding);
  check_threads(threads);
  const cpu::PaddingValue special{padding.value_or(0), static_cast<float>(padding_out)};
  py::gil_scoped_release release;
  cpu::rescale(from, to, {slope.data(), slope.stride()}, {intercept.data(), intercept.stride()}, map.low, map.high,
               map.scale, map.offset, threads, {quantization, padding ? &special : nullptr});
}

void sigmoid_window(py::object src_, py::object out_, double center, double width, double slope, double intercept,
                    double scale, double offset, double quant_scale, long long zero_point, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 3, "[z, y, x]");
  const cpu::ConstArray3 from = input(src, check_dtype(src, kStored));
  const DType type = check_dtype(out, kNetworkInput);
  check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
  const cpu::Array3 to = output(out, type);
  if (!same_view(src.array, out.array) || type != DType::f32) check_apart(out, src);
  check_not_nan("center", center);
  check_map(slope, intercept, -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity(), scale,
            offset);
  if (!(width > 0) || std::isinf(width)) throw py::value_error("'width' must be above 0 and finite");
  const Quantization quantization = check_quantization(type, quant_scale, zero_point);
  check_threads(threads);
  const SigmoidWindow window{static_cast<float>(slope),  static_cast<float>(intercept),
                             static_cast<float>(center), static_cast<float>(-4.0 / width),
                             static_cast<float>(scale),  static_cast<float>(offset)};
  py::gil_scoped_release release;
  cpu::sigmoid_window(from, to, window, threads, {quantization, nullptr});
}

void to_planes(py::object src_, py::object out_, py::object slope_, py::object intercept_, double low, double high,
               double scale, double offset, double quant_scale, long long zero_point, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 4, "[n, y, x, c]");
  const cpu::ConstPixels from = four_axes<cpu::ConstPixels>(src, check_dtype(src, kStored), src.array.data());
  const DType type = check_dtype(out, kNetworkInput);
  check_dimensions(out, 4, "[n, c, y, x]");
  const Index channels = from.shape[3] == 1 ? out.array.shape(1) : from.shape[3];
  check_shape(out, {from.shape[0], channels, from.shape[1], from.shape[2]});
  check_output(out);
  check_apart(out, src);
  const cpu::Pixels to = four_axes<cpu::Pixels>(out, type, py::array(out.array).mutable_data());
  const NumberOrEach slope("slope", slope_, channels, &out), intercept("intercept", intercept_, channels, &out);
  const Rescale map = check_map(1.0, 0.0, low, high, scale, offset);
  const Quantization quantization = check_quantization(type, quant_scale, zero_point);
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::to_planes(from, to, {slope.data(), slope.stride()}, {intercept.data(), intercept.stride()}, map.low, map.high,
                 map.scale, map.offset, quantization, threads);
}

void to_gray(py::object src_, py::object out_, const std::string& photometric, double slope, double intercept,
             double low, double high, double scale, double offset, double quant_scale, long long zero_point,
             int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 4, "[n, y, x, 3]");
  if (src.array.shape(3) != 3) src.refuse("must have 3 samples a pixel, got shape " + src.shape());
  const cpu::ConstPixels from = four_axes<cpu::ConstPixels>(src, check_dtype(src, kStored), src.array.data());
  const DType type = check_dtype(out, kNetworkInput);
  check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
  const cpu::Array3 to = output(out, type);
  check_apart(out, src);
  if (photometric != "RGB" && photometric != "YBR_FULL") {
    throw py::value_error("'photometric' must be RGB or YBR_FULL, got " + photometric);
  }
  const Rescale map = check_map(slope, intercept, low, high, scale, offset);
  const Quantization quantization = check_quantization(type, quant_scale, zero_point);
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::to_gray(from, to, photometric == "RGB" ? cpu::Photometric::rgb : cpu::Photometric::ybr_full, map, quantization,
               threads);
}

void ybr_to_rgb(py::object src_, py::object out_, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 4, "[n, y, x, 3]");
  if (src.array.shape(3) != 3) src.refuse("must have 3 samples a pixel, got shape " + src.shape());
  const cpu::ConstPixels from = four_axes<cpu::ConstPixels>(src, check_dtype(src, {DType::u8}), src.array.data());
  check_dtype(out, {DType::u8});
  check_shape(out, {from.shape[0], from.shape[1], from.shape[2], 3});
  check_output(out);
  if (!same_view(src.array, out.array)) check_apart(out, src);
  const cpu::Pixels to = four_axes<cpu::Pixels>(out, DType::u8, py::array(out.array).mutable_data());
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::ybr_to_rgb(from, to, threads);
}

void crop_pad(py::object src_, py::object out_, const std::array<Index, 3>& start, double fill, double slope,
              double intercept, double low, double high, double scale, double offset, double quant_scale,
              long long zero_point, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 3, "[z, y, x]");
  const cpu::ConstArray3 from =
      input(src, check_dtype(src, {DType::u8, DType::i8, DType::u16, DType::i16, DType::i32, DType::f32, DType::f16}));
  check_dimensions(out, 3, "[z, y, x]");
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const bool maps = slope != 1 || intercept != 0 || low != -infinity || high != infinity || scale != 1 || offset != 0 ||
                    quant_scale != 1 || zero_point != 0;
  const bool copies = !maps && src.array.dtype().equal(out.array.dtype());
  const DType type = copies ? from.type : check_dtype(out, kNetworkInput);
  if (!copies && from.type == DType::f16) src.refuse("of float16 can only be copied to an 'out' of float16");
  const cpu::Array3 to = output(out, type);
  check_apart(out, src);
  for (const Index at : start) {
    if (at < -(Index{1} << 40) || at > Index{1} << 40) throw py::value_error("'start' must be within +-2^40");
  }
  const Rescale map = check_map(slope, intercept, low, high, scale, offset);
  const Quantization quantization = copies ? Quantization{1, 0} : check_quantization(type, quant_scale, zero_point);
  if (copies && !can_hold(type, fill)) throw py::value_error("'fill' must be a value of " + out.dtype());
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::crop_pad(from, to, start.data(), fill, copies ? nullptr : &map, quantization, threads);
}

void look_up(py::object src_, py::object out_, py::object table_, long long first, double slope, double intercept,
             int threads) {
  const Argument src("src", src_), out("out", out_), table("table", table_);
  check_dimensions(src, 3, "[z, y, x]");
  const cpu::ConstArray3 from = input(src, check_dtype(src, kStored));
  const bool colour = table.array.ndim() == 2;
  const DType type = colour ? check_dtype(table, {DType::u8}) : check_dtype(table, {DType::u8, DType::u16, DType::f32});
  if (colour) {
    check_shape(table, {table.array.shape(0), 3});
    check_shape(out, {from.shape[0], from.shape[1], from.shape[2], 3});
  } else {
    check_dimensions(table, 1, "[n] (or [n, 3])");
    check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
  }
  const Index entries = table.array.shape(0);
  if (entries < 1 || entries > 1 << 20) table.refuse("must have 1 to 1048576 entries, got shape " + table.shape());
  if (!(table.array.flags() & py::array::c_style)) table.refuse("must be C-contiguous");
  check_dtype(out, {type});
  check_output(out);
  check_apart(out, src);
  check_apart(out, table);
  check_not_nan("slope", slope);
  check_not_nan("intercept", intercept);
  if (first < -(1 << 20) || first > 1 << 20) throw py::value_error("'first' must be within +-1048576");
  check_threads(threads);
  cpu::Array3 to{py::array(out.array).mutable_data(), type, {}, {}};
  for (Index axis = 0; axis < 3; ++axis) {
    to.shape[axis] = out.array.shape(axis);
    to.stride[axis] = element_stride(out, axis);
  }
  const Index between = colour ? element_stride(out, 3) : 0;
  element_stride(table, 0);
  const LookUp how{static_cast<float>(slope), static_cast<float>(intercept), static_cast<std::int32_t>(first),
                   static_cast<std::int32_t>(entries - 1)};
  const void* const entries_data = table.array.data();
  py::gil_scoped_release release;
  cpu::look_up(from, to, entries_data, colour ? 3 : 1, between, how, threads);
}

void extract_bits(py::object src_, py::object out_, int shift, int bits, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 3, "[z, y, x]");
  const cpu::ConstArray3 from = input(src, check_dtype(src, kIntegers));
  const DType type = check_dtype(out, kIntegers);
  check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
  const cpu::Array3 to = output(out, type);
  if (!same_view(src.array, out.array)) check_apart(out, src);
  const int width = static_cast<int>(8 * cpu::item_size(from.type));
  if (shift < 0 || shift >= width) throw py::value_error("'shift' must be 0 to " + std::to_string(width - 1));
  if (bits < 1 || bits > width - shift) {
    throw py::value_error("'bits' must be 1 to " + std::to_string(width - shift) + " with that 'shift'");
  }
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::extract_bits(from, to, shift, bits, threads);
}

void mirror(py::object values_, long long total, std::optional<double> padding, int threads) {
  const Argument values("values", values_);
  check_dimensions(values, 3, "[z, y, x]");
  const cpu::Array3 array = output(values, check_dtype(values, kStored));
  if (padding) check_not_nan("padding", *padding);
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::mirror(array, total, padding ? &*padding : nullptr, threads);
}

}  // namespace

void bind_elementwise(py::module_& m) {
  constexpr double infinity = std::numeric_limits<double>::infinity();

  m.def("rescale", &rescale, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("slope"), py::arg("intercept"),
        py::arg("low") = -infinity, py::arg("high") = infinity, py::arg("scale") = 1.0, py::arg("offset") = 0.0,
        py::arg("quant_scale") = 1.0, py::arg("zero_point") = 0, py::arg("truncate") = false,
        py::arg("padding") = py::none(), py::arg("padding_out") = 0.0, py::arg("threads") = 0,
        R"(Stored values to network input: ``out = clip(src * slope + intercept, low, high) * scale + offset``.

The arithmetic is float32, in that order, the same to the last bit on every CPU and with every thread count.
Modality rescale: DICOM PS3.3 C.11.1.1.2. A window is ``low``, ``high`` and what maps them to the range wanted;
MONOCHROME1 is inverted by a negative ``scale``.

An out of float16 is rounded half to even, what exceeds its range is infinite. One of integers is quantised as ONNX
QuantizeLinear does: ``saturate(round_half_even(v / quant_scale) + zero_point)``. A NaN stays a NaN, or becomes
``zero_point``. With ``truncate`` integers are cut towards zero instead, as numpy's ``astype`` does, and saturate; a NaN
becomes 0.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [z, y, x], any strides
out : float32, float16, uint8, int8, uint16 or int16 (with ``truncate`` an integer, also int32) of src's shape, any
    strides; may be src itself if both are float32
slope, intercept : float or float32 [z]
low, high : clip, in modality units
scale, offset : what follows the clip
quant_scale, zero_point : of an out of integers; the zero point is a value of its type
truncate : cut to integers, without quant_scale and zero_point
padding : a stored value that stands for no pixel (Pixel Padding Value, DICOM PS3.3 C.7.5.1.1.2), or None
padding_out : what such a pixel becomes, before out is quantised; may be NaN
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps src otherwise, low above high; the argument is named.
)");

  m.def("sigmoid_window", &sigmoid_window, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("center"),
        py::arg("width"), py::arg("slope") = 1.0, py::arg("intercept") = 0.0, py::arg("scale") = 1.0,
        py::arg("offset") = 0.0, py::arg("quant_scale") = 1.0, py::arg("zero_point") = 0, py::arg("threads") = 0,
        R"(Through a SIGMOID window: ``out = 1 / (1 + exp(-4 * (v - center) / width)) * scale + offset``.

``v`` is ``src * slope + intercept``. The arithmetic is float32, the exponential within 2 units in its last place and
the same to the last bit on every CPU. DICOM PS3.3 C.11.2.1.3.1.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [z, y, x], any strides
out : as rescale's
center, width : of the window, in modality units; the width is above 0
slope, intercept : stored value to modality unit
scale, offset : what follows the window's 0 to 1
quant_scale, zero_point : of an out of integers, as rescale's
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps src, a width that is none; the argument is named.
)");

  m.def(
      "to_planes", &to_planes, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("slope") = 1.0,
      py::arg("intercept") = 0.0, py::arg("low") = -infinity, py::arg("high") = infinity, py::arg("scale") = 1.0,
      py::arg("offset") = 0.0, py::arg("quant_scale") = 1.0, py::arg("zero_point") = 0, py::arg("threads") = 0,
      R"(Pixels to planes, each channel by its value map: ``clip(src * slope + intercept, low, high) * scale + offset``.

A mean and a standard deviation a channel are ``slope = 1 / std`` and ``intercept = -mean / std``. A src of one channel is
repeated into all of out's. Other layouts are views: NHWC is ``out.transpose(0, 3, 1, 2)``, one CDHW is
``out.transpose(1, 0, 2, 3)``.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [n, y, x, c], any strides
out : float32, float16, uint8, int8, uint16 or int16 [n, c, y, x], any strides
slope, intercept : float or float32 [c], c being out's
low, high, scale, offset, quant_scale, zero_point : as rescale's
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps src, low above high; the argument is named.
)");

  m.def("to_gray", &to_gray, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("photometric") = "RGB",
        py::arg("slope") = 1.0, py::arg("intercept") = 0.0, py::arg("low") = -infinity, py::arg("high") = infinity,
        py::arg("scale") = 1.0, py::arg("offset") = 0.0, py::arg("quant_scale") = 1.0, py::arg("zero_point") = 0,
        py::arg("threads") = 0,
        R"(Colour to gray: luma ``0.299 R + 0.587 G + 0.114 B``, not rounded, by rescale's value map.

ITU-R BT.601, the luma of YBR_FULL (DICOM PS3.3 C.7.6.3.1.2), whose gray is therefore its first sample. The arithmetic
is float32, the same to the last bit on every CPU.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [n, y, x, 3], any strides
out : float32, float16, uint8, int8, uint16 or int16 [n, y, x], any strides
photometric : "RGB" or "YBR_FULL"
slope, intercept, low, high, scale, offset, quant_scale, zero_point : as rescale's
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps src, low above high; the argument is named.
)");

  m.def("ybr_to_rgb", &ybr_to_rgb, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("threads") = 0,
        R"(YBR_FULL to RGB, 8 bits, rounded half to even and saturated.

DICOM PS3.3 C.7.6.3.1.2; the inverse is that of ITU-T T.871 (JFIF).

Parameters
----------
src : uint8 [n, y, x, 3], any strides
out : uint8 of src's shape, any strides; may be src itself
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps src otherwise; the argument is named.
)");

  m.def("crop_pad", &crop_pad, py::arg("src"), py::arg("out"), py::arg("start"), py::kw_only(), py::arg("fill") = 0.0,
        py::arg("slope") = 1.0, py::arg("intercept") = 0.0, py::arg("low") = -infinity, py::arg("high") = infinity,
        py::arg("scale") = 1.0, py::arg("offset") = 0.0, py::arg("quant_scale") = 1.0, py::arg("zero_point") = 0,
        py::arg("threads") = 0,
        R"(A box of a volume: ``out[o] = src[o + start]``, and ``fill`` where that is outside of src.

Where out has src's dtype and no value map is given, elements are copied bit by bit; otherwise they go through
rescale's value map.

Parameters
----------
src : uint8, int8, uint16, int16, int32, float32 or float16 [z, y, x], any strides
out : of src's dtype, or (not from float16) float32, float16, uint8, int8, uint16 or int16; [z, y, x], any strides
start : index of src (z, y, x) that out's first element is; below 0 pads
fill : what is outside: a value of out's dtype, or what the value map gives before out is quantised
slope, intercept, low, high, scale, offset, quant_scale, zero_point : as rescale's
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps src, a fill that out's dtype has not; the argument is named.
)");

  m.def("look_up", &look_up, py::arg("src"), py::arg("out"), py::arg("table"), py::kw_only(), py::arg("first") = 0,
        py::arg("slope") = 1.0, py::arg("intercept") = 0.0, py::arg("threads") = 0,
        R"(Through a look-up table: ``out = table[clip(round(src * slope + intercept) - first, 0, n - 1)]``.

Modality LUT, VOI LUT and palette (DICOM PS3.3 C.11.1.1.1, C.11.2.1.1, C.7.6.3.1.5): ``first`` is the value that the
first entry stands for. Rounded half to even; a NaN takes the first entry.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [z, y, x], any strides
out : of the table's dtype and src's shape, any strides; with a table [n, 3], [z, y, x, 3]
table : uint8, uint16 or float32 [n], or uint8 [n, 3]; C-contiguous, 1 to 1048576 entries
first : within +-1048576
slope, intercept : stored value to what the table is indexed by
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps another, an empty table; the argument is named.
)");

  m.def("extract_bits", &extract_bits, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("shift"), py::arg("bits"),
        py::arg("threads") = 0,
        R"(Bits ``shift`` to ``shift + bits - 1`` of integers, sign-extended where out is signed.

What Bits Stored and High Bit leave of a stored value (DICOM PS3.5 8.1.1). Bits that out has no room for are dropped.

Parameters
----------
src : uint8, int8, uint16, int16 or int32 [z, y, x], any strides
out : one of these dtypes, src's shape, any strides; may be src itself
shift, bits : within the width of src's dtype, bits 1 or more
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps src otherwise, bits that src has not; the argument is named.
)");

  m.def("mirror", &mirror, py::arg("values"), py::arg("total"), py::kw_only(), py::arg("padding") = py::none(),
        py::arg("threads") = 0,
        R"(Mirror values in place: ``values = total - values``; integers wrap around.

MONOCHROME1 to MONOCHROME2 with ``total`` the sum of the least and the largest stored value (DICOM PS3.3 C.7.6.3.1.2).

Parameters
----------
values : uint8, int8, uint16, int16, int32 or float32 [z, y, x], any strides
total : int
padding : a value that stays as it is, or None
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, or values read-only; the argument is named.
)");
}
