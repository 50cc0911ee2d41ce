// The resample kernels, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cmath>
#include <string>

#include "../cpu/cubic/cubic.h"
#include "../cpu/resample/resample.h"
#include "bindings.h"
#include "checks.h"
#include "documented.h"
#include "value_map.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

constexpr double kFarthest = 1e280;

void check_padding(const std::string& padding) {
  if (padding != "border" && padding != "constant") {
    throw py::value_error("'padding' must be 'border' or 'constant', got '" + padding + "'");
  }
}

Padding padding_of(const std::string& padding) {
  return padding == "border" ? Padding::border : Padding::constant;
}

void check_lengths(const Argument& src) {
  for (int axis = 0; axis < 3; ++axis) {
    if (src.array.shape(axis) > std::numeric_limits<std::int32_t>::max() - 4)
      src.refuse("has an axis that is too long");
  }
}

void spline_coefficients(py::object src_, py::object out_, const std::string& padding, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 3, "[z, y, x]");
  check_dimensions(out, 3, "[z, y, x]");
  check_padding(padding);
  const cpu::ConstArray3 from = input(src, check_dtype(src, kStored));
  const cpu::Array3 to = output(out, check_dtype(out, {DType::f32}));
  check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
  check_apart(out, src);
  check_lengths(src);
  bool beside = out.array.size() <= 1;
  for (int axis = 0; axis < 3; ++axis) beside = beside || (to.shape[axis] > 1 && std::abs(to.stride[axis]) == 1);
  if (!beside) out.refuse("has no axis whose elements lie side by side");
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::spline_coefficients(from, to, padding_of(padding), threads);
}

void resample(py::object src_, py::object out_, py::object matrix_, const std::string& mode, const std::string& padding,
              py::object fill_, const MapKeywords& keywords, int threads) {
  const Argument src("src", src_), out("out", out_), matrix("matrix", matrix_);
  check_dimensions(src, 3, "[z, y, x]");
  check_dimensions(out, 3, "[z, y, x]");
  if (mode != "linear" && mode != "cubic" && mode != "nearest") {
    throw py::value_error("'mode' must be 'linear', 'cubic' or 'nearest', got '" + mode + "'");
  }
  const bool nearest = mode == "nearest", cubic = mode == "cubic";
  check_padding(padding);
  const DType type = cubic ? check_dtype(src, {DType::f32}) : check_dtype(src, kStored);
  const DType out_type = nearest ? check_dtype(out, {DType::f32, type}) : check_dtype(out, kNetworkInput);
  const cpu::ConstArray3 from = input(src, type);
  const cpu::Array3 to = output(out, out_type);
  check_apart(out, src);
  if (matrix.array.ndim() != 2 || matrix.array.shape(0) != 3 || matrix.array.shape(1) != 4 ||
      matrix.array.dtype().kind() != 'f' || matrix.array.itemsize() != 8) {
    matrix.refuse("must be float64 of shape (3, 4), got " + matrix.dtype() + " " + matrix.shape());
  }
  const auto m = py::array_t<double, py::array::c_style | py::array::forcecast>::ensure(matrix.array);
  if (!m) throw py::error_already_set();
  std::array<double, 12> coefficients;
  for (int i = 0; i < 12; ++i) {
    coefficients[i] = m.data()[i];
    // Within this, coordinates of any array stay finite: a sum of infinities would be NaN, which has no place.
    if (!(std::abs(coefficients[i]) <= kFarthest)) matrix.refuse("must be finite and not above 1e280");
  }
  if (src.array.size() == 0 && out.array.size() != 0) src.refuse("is empty, so there is nothing to sample from");
  check_lengths(src);
  const double fill = number_or_nan("fill", fill_);
  if (nearest && !can_hold(out_type, fill)) {
    throw py::value_error("'fill' must be a value of out's type (" + out.dtype() + "), got " + std::to_string(fill));
  }
  const Rescale rescale = keywords.map();
  const bool keeps = changes_nothing(rescale);
  if (!keeps && nearest) {
    throw py::value_error("'slope', 'intercept', 'low', 'high', 'scale' and 'offset' are not for 'mode' 'nearest'");
  }
  Quantization quantization{1.0f, 0};
  if (!nearest) {
    quantization = keywords.quantization(out_type);
  } else if (number("quant_scale", keywords.quant_scale) != 1 || whole_number("zero_point", keywords.zero_point) != 0) {
    throw py::value_error("'quant_scale' and 'zero_point' are not for 'mode' 'nearest'");
  }
  check_threads(threads);
  py::gil_scoped_release release;
  const cpu::Finish finish{keeps ? nullptr : &rescale, quantization};
  if (cubic) {
    cpu::resample_cubic(from, to, coefficients.data(), padding_of(padding), static_cast<float>(fill), finish, threads);
  } else {
    cpu::resample(from, to, coefficients.data(), nearest ? cpu::Interpolation::nearest : cpu::Interpolation::linear,
                  padding_of(padding), fill, finish, threads);
  }
}

}  // namespace

void bind_resample(py::module_& m) {
  constexpr double infinity = std::numeric_limits<double>::infinity();

  def_mapped<py::object, std::string, std::string, py::object>(
      m, "resample", resample,
      documented(
          R"(Resample a volume: ``out[i] = src at matrix @ (*i, 1)``.

Coordinates are voxel-centre indices in array order, in double precision; values and weights are float32, the same to the
last bit on every CPU and with every thread count. They are blended in the order of src's strides, so that equal volumes
that lie in memory in another order of axes may differ by about 1e-7 of the values. A matrix of scalings, flips and
permutations takes a faster path. ``linear`` blends the eight voxels around a coordinate; one of
weight 0 is not looked at, so its NaN or infinity does not spread. ``nearest`` takes the nearest voxel, a tie to the
even index (as torch.nn.functional.grid_sample). ``cubic`` is the cubic B-spline whose coefficients src holds:
:func:`spline_coefficients`, which says what becomes of coordinates outside the source.

Otherwise ``border`` clamps coordinates to the source. ``constant`` gives every voxel outside the source the value ``fill``; near
the edge it blends with the voxels inside (as grid_sample's "zeros" and scipy's "grid-constant").

An interpolated value ``v`` goes on as :func:`rescale` does it: ``clip(v * slope + intercept, low, high) * scale + offset``
in the same pass; what is outside is ``fill`` before that. float16 is rounded to nearest, and integers are quantised as
ONNX QuantizeLinear: ``saturate(round_half_even(v / quant_scale) + zero_point)``.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [z, y, x], any strides; with cubic the float32 coefficients
out : float32, float16, uint8, int8, uint16 or int16 [z', y', x'], or (nearest) float32 or src's dtype; any strides
matrix : float64 (3, 4)
mode : "linear", "cubic" or "nearest"
padding : "border" or "constant"; with cubic the one that the coefficients were made with
fill : a value; with nearest, one of out's dtype
slope, intercept, low, high, scale, offset : what follows the interpolation (not with nearest)
quant_scale, zero_point : for an out of integers (not with nearest)
)",
          "Wrong dtype or shape, matrix not finite or beyond 1e280, out overlaps src, src empty, low above high"),
      py::arg("matrix"), py::kw_only(), py::arg("mode") = "linear", py::arg("padding") = "border",
      py::arg("fill") = 0.0);

  m.def(
      "spline_coefficients", &spline_coefficients, py::arg("src"), py::arg("out"), py::kw_only(),
      py::arg("padding") = "border", py::arg("threads") = 0,
      documented(
          R"(The coefficients of the cubic B-spline through the voxels of a volume, for ``resample(..., mode="cubic")``.

Together they are scipy.ndimage.map_coordinates of order 3 with its prefilter (MONAI's interpolation mode 3 on the CPU),
in float32: within 1e-5 of the largest magnitude among the voxels and the fill. A NaN or an infinity spoils every line
through it.

``border`` is scipy's "nearest": the outermost voxels go on for ever. The spline still swings there, so that up to some
voxels outside the source its value is not quite that of the outermost voxel. ``constant`` is scipy's "constant": the
volume is mirrored at its outermost voxels, and a coordinate outside 0..n-1 gives the fill, without a transition.

The call for resampling changes nothing in the coefficients: one buffer serves many calls. It is fastest where both
arrays lie in memory in the same order of axes.

M. Unser, A. Aldroubi, M. Eden: B-spline signal processing, IEEE Trans. Signal Processing 41(2), 1993.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [z, y, x], any strides
out : float32 of src's shape, with an axis whose elements lie side by side (as any array of numpy.empty)
padding : "border" or "constant"
)",
          "Wrong dtype or shape, out strided along every axis, out overlaps src")
          .c_str());
}
