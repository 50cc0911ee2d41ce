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
#include "bindings.h"
#include "checks.h"
#include "documented.h"
#include "pixels.h"
#include "value_map.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

// A source [z, y, x] and an output of its shape, which may be the source itself where both are float32.
struct Volumes {
  cpu::ConstArray3 from;
  cpu::Array3 to;

  Volumes(const Argument& src, const Argument& out, std::initializer_list<DType> allowed) {
    check_dimensions(src, 3, "[z, y, x]");
    from = input(src, check_dtype(src, kStored));
    const DType type = check_dtype(out, allowed);
    check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
    to = output(out, type);
    if (!same_view(src.array, out.array) || type != DType::f32) check_apart(out, src);
  }
};

void rescale(py::object src_, py::object out_, bool truncate, py::object padding_value_, py::object padding_out_,
             const MapKeywords& keywords, int threads) {
  const Argument src("src", src_), out("out", out_);
  const Volumes volumes(src, out, truncate ? kIntegers : kNetworkInput);
  const NumberOrEach slope("slope", keywords.slope, volumes.from.shape[0], &out),
      intercept("intercept", keywords.intercept, volumes.from.shape[0], &out);
  const Rescale map = keywords.map_but_slope();
  Quantization quantization = keywords.quantization(volumes.to.type);
  if (truncate && (quantization.scale != 1 || quantization.zero_point != 0)) {
    throw py::value_error("'truncate' excludes 'quant_scale' and 'zero_point'");
  }
  quantization.truncates = truncate;
  const std::optional<double> padding = number_or_none("padding_value", padding_value_);
  const cpu::PaddingValue special{padding.value_or(0), static_cast<float>(number_or_nan("padding_out", padding_out_))};
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::rescale(volumes.from, volumes.to, {slope.data(), slope.stride()}, {intercept.data(), intercept.stride()},
               map.low, map.high, map.scale, map.offset, threads, {quantization, padding ? &special : nullptr});
}

void sigmoid_window(py::object src_, py::object out_, py::object center_, py::object width_, py::object slope,
                    py::object intercept, py::object scale, py::object offset, py::object quant_scale,
                    py::object zero_point, int threads) {
  const py::float_ infinity(std::numeric_limits<double>::infinity()), minus(-std::numeric_limits<double>::infinity());
  const MapKeywords keywords{slope, intercept, minus, infinity, scale, offset, quant_scale, zero_point};
  const Argument src("src", src_), out("out", out_);
  const Volumes volumes(src, out, kNetworkInput);
  const double center = number("center", center_), width = number("width", width_);
  const Rescale map = keywords.map();
  if (!(width > 0) || std::isinf(width)) throw py::value_error("'width' must be above 0 and finite");
  const Quantization quantization = keywords.quantization(volumes.to.type);
  check_threads(threads);
  const SigmoidWindow window{map.slope, map.intercept, static_cast<float>(center), static_cast<float>(-4.0 / width),
                             map.scale, map.offset};
  py::gil_scoped_release release;
  cpu::sigmoid_window(volumes.from, volumes.to, window, threads, {quantization, nullptr});
}

void to_planes(py::object src_, py::object out_, const MapKeywords& keywords, int threads) {
  const Argument src("src", src_), out("out", out_);
  const cpu::ConstPixels from = pixels_in(src, kStored);
  const DType type = check_dtype(out, kNetworkInput);
  check_dimensions(out, 4, "[n, c, y, x]");
  const Index channels = from.shape[3] == 1 ? out.array.shape(1) : from.shape[3];
  check_shape(out, {from.shape[0], channels, from.shape[1], from.shape[2]});
  const cpu::Pixels to = pixels_out(out, type);
  check_apart(out, src);
  const NumberOrEach slope("slope", keywords.slope, channels, &out),
      intercept("intercept", keywords.intercept, channels, &out);
  const Rescale map = keywords.map_but_slope();
  const Quantization quantization = keywords.quantization(type);
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::to_planes(from, to, {slope.data(), slope.stride()}, {intercept.data(), intercept.stride()}, map.low, map.high,
                 map.scale, map.offset, quantization, threads);
}

void to_gray(py::object src_, py::object out_, const std::string& photometric, const MapKeywords& keywords,
             int threads) {
  const Argument src("src", src_), out("out", out_);
  const cpu::ConstPixels from = colour_in(src, kStored);
  const DType type = check_dtype(out, kNetworkInput);
  check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
  const cpu::Array3 to = output(out, type);
  check_apart(out, src);
  if (photometric != "RGB" && photometric != "YBR_FULL") {
    throw py::value_error("'photometric' must be RGB or YBR_FULL, got " + photometric);
  }
  const Rescale map = keywords.map();
  const Quantization quantization = keywords.quantization(type);
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::to_gray(from, to, photometric == "RGB" ? cpu::Photometric::rgb : cpu::Photometric::ybr_full, map, quantization,
               threads);
}

void crop_pad(py::object src_, py::object out_, const std::array<Index, 3>& start, py::object fill_,
              const MapKeywords& keywords, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 3, "[z, y, x]");
  const cpu::ConstArray3 from =
      input(src, check_dtype(src, {DType::u8, DType::i8, DType::u16, DType::i16, DType::i32, DType::f32, DType::f16}));
  check_dimensions(out, 3, "[z, y, x]");
  const Rescale map = keywords.map();
  const double fill = number_or_nan("fill", fill_);
  const bool maps = !changes_nothing(map) || number("quant_scale", keywords.quant_scale) != 1 ||
                    whole_number("zero_point", keywords.zero_point) != 0;
  const bool copies = !maps && src.array.dtype().equal(out.array.dtype());
  const DType type = copies ? from.type : check_dtype(out, kNetworkInput);
  if (!copies && from.type == DType::f16) src.refuse("of float16 can only be copied to an 'out' of float16");
  const cpu::Array3 to = output(out, type);
  check_apart(out, src);
  for (const Index at : start) {
    if (at < -(Index{1} << 40) || at > Index{1} << 40) throw py::value_error("'start' must be within +-2^40");
  }
  const Quantization quantization = copies ? Quantization{1, 0} : keywords.quantization(type);
  if (copies && !can_hold(type, fill)) throw py::value_error("'fill' must be a value of " + out.dtype());
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::crop_pad(from, to, start.data(), fill, copies ? nullptr : &map, quantization, threads);
}

}  // namespace

void bind_elementwise(py::module_& m) {
  def_mapped<bool, py::object, py::object>(
      m, "rescale", rescale,
      documented(R"(Stored values to network input: ``out = clip(src * slope + intercept, low, high) * scale + offset``.

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
padding_value : a stored value that stands for no pixel (Pixel Padding Value, DICOM PS3.3 C.7.5.1.1.2), or None
padding_out : what such a pixel becomes, before out is quantised; may be NaN
)",
                 "Wrong dtype or shape, out overlaps src otherwise, low above high"),
      py::kw_only(), py::arg("truncate") = false, py::arg("padding_value") = py::none(), py::arg("padding_out") = 0.0);

  m.def("sigmoid_window", &sigmoid_window, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("center"),
        py::arg("width"), py::arg("slope") = 1.0, py::arg("intercept") = 0.0, py::arg("scale") = 1.0,
        py::arg("offset") = 0.0, py::arg("quant_scale") = 1.0, py::arg("zero_point") = 0, py::arg("threads") = 0,
        documented(R"(Through a SIGMOID window: ``out = 1 / (1 + exp(-4 * (v - center) / width)) * scale + offset``.

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
)",
                   "Wrong dtype or shape, out overlaps src, a width that is none")
            .c_str());

  def_mapped<>(
      m, "to_planes", to_planes,
      documented(
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
)",
          "Wrong dtype or shape, out overlaps src, low above high"),
      py::kw_only());

  def_mapped<std::string>(
      m, "to_gray", to_gray,
      documented(R"(Colour to gray: luma ``0.299 R + 0.587 G + 0.114 B``, not rounded, by rescale's value map.

ITU-R BT.601, the luma of YBR_FULL (DICOM PS3.3 C.7.6.3.1.2), whose gray is therefore its first sample. The arithmetic
is float32, the same to the last bit on every CPU.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [n, y, x, 3], any strides
out : float32, float16, uint8, int8, uint16 or int16 [n, y, x], any strides
photometric : "RGB" or "YBR_FULL"
slope, intercept, low, high, scale, offset, quant_scale, zero_point : as rescale's
)",
                 "Wrong dtype or shape, out overlaps src, low above high"),
      py::kw_only(), py::arg("photometric") = "RGB");

  def_mapped<std::array<Index, 3>, py::object>(
      m, "crop_pad", crop_pad,
      documented(R"(A box of a volume: ``out[o] = src[o + start]``, and ``fill`` where that is outside of src.

Where out has src's dtype and no value map is given, elements are copied bit by bit; otherwise they go through
rescale's value map.

Parameters
----------
src : uint8, int8, uint16, int16, int32, float32 or float16 [z, y, x], any strides
out : of src's dtype, or (not from float16) float32, float16, uint8, int8, uint16 or int16; [z, y, x], any strides
start : index of src (z, y, x) that out's first element is; below 0 pads
fill : what is outside: a value of out's dtype, or what the value map gives before out is quantised
slope, intercept, low, high, scale, offset, quant_scale, zero_point : as rescale's
)",
                 "Wrong dtype or shape, out overlaps src, a fill that out's dtype has not"),
      py::arg("start"), py::kw_only(), py::arg("fill") = 0.0);
}
