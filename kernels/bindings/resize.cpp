// The resizing kernels, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "../cpu/resize/resize.h"
#include "../cpu/scratch.h"
#include "bindings.h"
#include "checks.h"
#include "documented.h"
#include "value_map.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

constexpr Index kLongest = std::numeric_limits<std::int32_t>::max();

template <typename Value>
Value choice(const char* name, const std::string& given, std::initializer_list<std::pair<const char*, Value>> known) {
  std::string names;
  for (const auto& [text, value] : known) {
    if (given == text) return value;
    names += (names.empty() ? "'" : ", '") + std::string(text) + "'";
  }
  throw py::value_error(std::string("'") + name + "' must be one of " + names + ", got '" + given + "'");
}

// Three axes of an array from its first on.
template <typename Array3, typename Pointer>
Array3 three_from(const Argument& a, cpu::DType type, Pointer data, const Index (&axes)[3]) {
  Array3 view{data, type, {}, {}};
  for (int k = 0; k < 3; ++k) {
    view.shape[k] = a.array.shape(axes[k]);
    view.stride[k] = element_stride(a, axes[k]);
  }
  return view;
}

void resize(py::object src_, py::object out_, const std::string& mode, const std::string& coordinates, bool antialias,
            bool gray, const MapKeywords& keywords, int threads) {
  const Argument src("src", src_), out("out", out_);
  const bool coloured = src.array.ndim() == 4;
  if (!coloured) check_dimensions(src, 3, "[n, y, x] or [n, y, x, channel]");
  cpu::Resize how{};
  how.mode = choice<ResizeMode>("mode", mode,
                                {{"nearest", ResizeMode::nearest},
                                 {"linear", ResizeMode::linear},
                                 {"cubic", ResizeMode::cubic},
                                 {"area", ResizeMode::area},
                                 {"coverage", ResizeMode::coverage}});
  how.coordinates = choice<Coordinates>("coordinates", coordinates,
                                        {{"half_pixel", Coordinates::half_pixel},
                                         {"align_corners", Coordinates::align_corners},
                                         {"asymmetric", Coordinates::asymmetric}});
  const bool half_pixel = how.coordinates == Coordinates::half_pixel;
  if (!half_pixel && (how.mode == ResizeMode::area || how.mode == ResizeMode::coverage)) {
    throw py::value_error("'coordinates' has no meaning with mode '" + mode + "'");
  }
  if (antialias && how.mode != ResizeMode::linear && how.mode != ResizeMode::cubic) {
    throw py::value_error("'antialias' has no meaning with mode '" + mode + "'");
  }
  if (antialias && !half_pixel) throw py::value_error("'antialias' needs coordinates 'half_pixel'");
  how.antialias = antialias;

  cpu::ConstImages from{three_from<cpu::ConstArray3>(src, check_dtype(src, kStored), src.array.data(), {0, 1, 2}), 1,
                        1};
  if (coloured) {
    from.channels = src.array.shape(3);
    from.channel_stride = element_stride(src, 3);
  }
  if (gray && from.channels != 3) src.refuse("must be [n, y, x, 3] where 'gray' is set, got " + src.shape());
  how.gray = gray;
  const bool channels_out = coloured && !gray;
  check_dimensions(out, channels_out ? 4 : 3, channels_out ? "[n, channel, y, x]" : "[n, y, x]");
  const DType type =
      how.mode == ResizeMode::nearest && from.array.type == DType::i32 && !gray
          ? check_dtype(out, {DType::f32, DType::f16, DType::u8, DType::i8, DType::u16, DType::i16, DType::i32})
          : check_dtype(out, kNetworkInput);
  check_output(out);
  void* const data = py::array(out.array).mutable_data();
  cpu::Images to{channels_out ? three_from<cpu::Array3>(out, type, data, {0, 2, 3})
                              : three_from<cpu::Array3>(out, type, data, {0, 1, 2}),
                 1, 1};
  if (channels_out) {
    to.channels = out.array.shape(1);
    to.channel_stride = element_stride(out, 1);
    if (to.channels != from.channels) {
      out.refuse("must have src's " + std::to_string(from.channels) + " channels on axis 1, got " + out.shape());
    }
  }
  check_apart(out, src);
  if (src.array.size() == 0 && out.array.size() != 0) src.refuse("is empty, so there is nothing to resize");
  for (const Index n : from.array.shape) {
    if (n > kLongest / 16 / std::max<Index>(from.channels, 1)) src.refuse("has an axis that is too long");
  }
  for (const Index n : to.array.shape) {
    if (n > kLongest / 16) out.refuse("has an axis that is too long");
  }
  const Rescale map = keywords.map_but_scale();
  how.slope = map.slope;
  how.intercept = map.intercept;
  how.low = map.low;
  how.high = map.high;
  const NumberOrEach scale("scale", keywords.scale, to.channels, &out),
      offset("offset", keywords.offset, to.channels, &out);
  how.scale = {scale.data(), scale.stride()};
  how.offset = {offset.data(), offset.stride()};
  how.quantization = keywords.quantization(type);
  if (type == DType::i32 && !cpu::changes_nothing(how, to.channels)) {
    out.refuse("may be int32 only where no value is changed");
  }
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::resize(from, to, how, threads);
}

void take(py::object src_, py::object out_, std::array<py::object, 3> index_, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 3, "[z, y, x]");
  const Index item = src.array.itemsize();
  const char kind = src.array.dtype().kind();
  if (std::string("biufc").find(kind) == std::string::npos || (item != 1 && item != 2 && item != 4 && item != 8)) {
    src.refuse("must hold numbers of 1, 2, 4 or 8 bytes, got " + src.dtype());
  }
  if (!out.array.dtype().equal(src.array.dtype())) out.refuse("must be src's " + src.dtype() + ", got " + out.dtype());
  // The indices are copied before they are checked: another thread may write the caller's arrays meanwhile.
  Index shape[3], src_stride[3], out_stride[3];
  std::optional<Argument> given[3];
  for (int axis = 0; axis < 3; ++axis) {
    const Argument& a = given[axis].emplace("index", index_[axis]);
    check_dtype(a, {DType::i32});
    check_dimensions(a, 1, "along each axis");
    if (!(a.array.flags() & py::array::c_style)) a.refuse("must be contiguous");
    element_stride(a, 0);
    check_apart(out, a);
    shape[axis] = a.array.shape(0);
    src_stride[axis] = element_stride(src, axis);
  }
  std::int32_t* copy =
      static_cast<std::int32_t*>(cpu::scratch(static_cast<std::size_t>(shape[0] + shape[1] + shape[2]) * sizeof *copy));
  const std::int32_t* index[3];
  for (int axis = 0; axis < 3; ++axis) {
    std::memcpy(copy, given[axis]->array.data(), static_cast<std::size_t>(shape[axis]) * sizeof *copy);
    for (Index i = 0; i < shape[axis]; ++i) {
      if (copy[i] < 0 || copy[i] >= src.array.shape(axis)) {
        given[axis]->refuse("must be within src " + src.shape() + ", got " + std::to_string(copy[i]) + " for axis " +
                            std::to_string(axis));
      }
    }
    index[axis] = copy;
    copy += shape[axis];
  }
  check_shape(out, {shape[0], shape[1], shape[2]});
  check_output(out);
  for (int axis = 0; axis < 3; ++axis) out_stride[axis] = element_stride(out, axis);
  check_apart(out, src);
  check_threads(threads);
  void* const data = py::array(out.array).mutable_data();
  py::gil_scoped_release release;
  cpu::take(src.array.data(), src_stride, data, shape, out_stride, item, index, threads);
}

void correlate(py::object src_, py::object out_, py::object weights_, int axis, int threads) {
  const Argument src("src", src_), out("out", out_), weights("weights", weights_);
  check_dimensions(src, 3, "[z, y, x]");
  const cpu::ConstArray3 from = input(src, check_dtype(src, kStored));
  check_dtype(out, {DType::f32});
  check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
  const cpu::Array3 to = output(out, DType::f32);
  check_apart(out, src);
  check_dtype(weights, {DType::f32});
  check_dimensions(weights, 1, "[2 * radius + 1]");
  if (weights.array.shape(0) % 2 == 0) weights.refuse("must be of odd length, got " + weights.shape());
  if (!(weights.array.flags() & py::array::c_style)) weights.refuse("must be contiguous");
  element_stride(weights, 0);
  check_apart(out, weights);
  if (axis < 0 || axis > 2) throw py::value_error("'axis' must be 0, 1 or 2, got " + std::to_string(axis));
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::correlate(from, to, static_cast<const float*>(weights.array.data()), weights.array.shape(0) / 2, axis, threads);
}

}  // namespace

void bind_resize(py::module_& m) {
  constexpr double infinity = std::numeric_limits<double>::infinity();

  def_mapped<std::string, std::string, bool, bool>(
      m, "resize", resize,
      documented(R"(Resize a stack of images to out's size, in one pass with the value map.

``out = clip(resized * slope + intercept, low, high) * scale + offset``. Coordinates and weights are computed in double
precision and weights rounded to float32; sums are float32, the same to the last bit on every CPU and with every thread
count. Axes are summed in the order of src's strides, so that an equal src that lies in memory in another order of axes
may differ by about 1e-7 of the values. A sample of weight 0 is not looked at, so its NaN or infinity does not spread. The stack's first axis is resized
like the others where its length changes: so a volume is.

==============  ==================================================================================================
mode            what an output sample is
==============  ==================================================================================================
``nearest``     the sample at floor of the coordinate. half_pixel: torch's and MONAI's "nearest-exact"; asymmetric:
                their "nearest" (float32 arithmetic as theirs) and OpenCV's INTER_NEAREST
``linear``      (bi-, tri-)linear. half_pixel: torch and MONAI with align_corners=False, OpenCV's INTER_LINEAR;
                align_corners: torch and MONAI with align_corners=True; asymmetric: ITK's grid of the same origin
``cubic``       Keys' kernel with a = -0.75: torch's "bicubic", OpenCV's INTER_CUBIC
``area``        torch's and MONAI's "area": the mean of all samples that the output sample's box touches
``coverage``    OpenCV's INTER_AREA where an image shrinks: their mean weighted by the part that lies in the box
==============  ==================================================================================================

Beyond the source its edge is repeated. ``antialias`` widens the kernel where an axis shrinks (torch's antialias=True,
Pillow's BILINEAR and, with a = -0.5, BICUBIC).

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [n, y, x] or [n, y, x, channel], any strides
out : [n', y', x'], or [n', channel, y', x'] where src has channels; any strides. float32 or float16, or quantised:
    uint8, int8, uint16 or int16 (``saturate(round_half_even(value / quant_scale) + zero_point)``); with nearest and no
    value changed also int32 of an int32 source
mode : "nearest", "linear", "cubic", "area" or "coverage"
coordinates : "half_pixel", "align_corners" or "asymmetric"; for nearest, linear and cubic
antialias : for linear and cubic with half_pixel
gray : of [n, y, x, 3], red, green and blue, make luma (ITU-R BT.601); out is [n', y', x']
slope, intercept, low, high : as for rescale
scale, offset : a number, or float32 [channel of out]
quant_scale, zero_point : of an out of integers
)",
                 "Wrong dtype or shape, an option without meaning, out overlaps src, src empty"),
      py::kw_only(), py::arg("mode") = "linear", py::arg("coordinates") = "half_pixel", py::arg("antialias") = false,
      py::arg("gray") = false);

  m.def(
      "take", &take, py::arg("src"), py::arg("out"), py::arg("index"), py::kw_only(), py::arg("threads") = 0,
      documented(
          R"(Samples at chosen indices of each axis: ``out = src[numpy.ix_(*index)]``, for borders and for taking the nearest.

Parameters
----------
src : numbers of 1, 2, 4 or 8 bytes [z, y, x], any strides
out : src's dtype, of the shape that the lengths of index are; any strides
index : three int32 arrays of indices from 0, contiguous
)",
          "Wrong dtype or shape, an index outside src, out overlaps src")
          .c_str());

  m.def("correlate", &correlate, py::arg("src"), py::arg("out"), py::arg("weights"), py::arg("axis"), py::kw_only(),
        py::arg("threads") = 0,
        documented(R"(Correlate along one axis, 0 outside: ``out[i] = sum of weights[k] * src[i + k - radius]``.

The sum is float32, in the order of the weights, the same to the last bit on every CPU and with every thread count. A
weight of 0 takes its sample out of the sum.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [z, y, x], any strides
out : float32 of src's shape, any strides
weights : float32 [2 * radius + 1], contiguous
axis : 0, 1 or 2
)",
                   "Wrong dtype or shape, weights of even length, no such axis, out overlaps src")
            .c_str());
}
