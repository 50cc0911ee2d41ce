// The voxel kernels, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cmath>
#include <memory>
#include <string>

#include "../cpu/kernels.h"
#include "bindings.h"
#include "checks.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

constexpr std::initializer_list<DType> kStored = {DType::u8, DType::i8, DType::u16, DType::i16, DType::i32, DType::f32};

// A number for all slices, or float32[z]. `value` outlives the result.
cpu::PerSlice per_slice(const char* name, const py::object& object, Index slices, float& value) {
  if (!py::isinstance<py::array>(object)) {
    value = static_cast<float>(py::cast<double>(object));
    return {&value, 0};
  }
  const Argument a(name, object);
  check_dtype(a, {DType::f32});
  check_shape(a, {slices});
  return {static_cast<const float*>(a.array.data()), element_stride(a, 0)};
}

void rescale(py::object src_, py::object out_, py::object slope_, py::object intercept_, double low, double high,
             double scale, double offset, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 3, "[z, y, x]");
  const cpu::ConstArray3 from = input(src, check_dtype(src, kStored));
  check_dtype(out, {DType::f32});
  check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
  const cpu::Array3 to = output(out, DType::f32);
  if (!same_view(src.array, out.array)) check_apart(out, src);
  float one_slope, one_intercept;
  const cpu::PerSlice slope = per_slice("slope", slope_, from.shape[0], one_slope);
  const cpu::PerSlice intercept = per_slice("intercept", intercept_, from.shape[0], one_intercept);
  for (const auto& [name, object] : {std::pair{"slope", slope_}, std::pair{"intercept", intercept_}}) {
    if (py::isinstance<py::array>(object)) check_apart(out, Argument(name, object));
  }
  check_not_nan("low", low);
  check_not_nan("high", high);
  if (low > high) throw py::value_error("'low' must not be above 'high'");
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::rescale(from, to, slope, intercept, static_cast<float>(low), static_cast<float>(high), static_cast<float>(scale),
               static_cast<float>(offset), threads);
}

constexpr double kFarthest = 1e280;

// Whether a C++ value of the type can hold the number exactly.
bool holds(DType type, double value) {
  switch (type) {
    case DType::u8:
      return value == std::trunc(value) && value >= 0 && value <= 255;
    case DType::i8:
      return value == std::trunc(value) && value >= -128 && value <= 127;
    case DType::u16:
      return value == std::trunc(value) && value >= 0 && value <= 65535;
    case DType::i16:
      return value == std::trunc(value) && value >= -32768 && value <= 32767;
    case DType::i32:
      return value == std::trunc(value) && value >= -2147483648.0 && value <= 2147483647.0;
    case DType::f32:
      return true;
  }
  return false;
}

void resample(py::object src_, py::object out_, py::object matrix_, const std::string& mode, const std::string& padding,
              double fill, int threads) {
  const Argument src("src", src_), out("out", out_), matrix("matrix", matrix_);
  check_dimensions(src, 3, "[z, y, x]");
  check_dimensions(out, 3, "[z, y, x]");
  if (mode != "linear" && mode != "nearest") {
    throw py::value_error("'mode' must be 'linear' or 'nearest', got '" + mode + "'");
  }
  if (padding != "border" && padding != "constant") {
    throw py::value_error("'padding' must be 'border' or 'constant', got '" + padding + "'");
  }
  const DType type = check_dtype(src, kStored);
  const DType out_type = mode == "linear" ? check_dtype(out, {DType::f32}) : check_dtype(out, {DType::f32, type});
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
  for (int axis = 0; axis < 3; ++axis) {
    if (from.shape[axis] > std::numeric_limits<std::int32_t>::max() - 4) src.refuse("has an axis that is too long");
  }
  if (!holds(out_type, fill)) {
    throw py::value_error("'fill' must be a value of out's type (" + out.dtype() + "), got " + std::to_string(fill));
  }
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::resample(from, to, coefficients.data(),
                mode == "linear" ? cpu::Interpolation::linear : cpu::Interpolation::nearest,
                padding == "border" ? Padding::border : Padding::constant, fill, threads);
}

std::array<Index, 3> start_voxel(const py::object& object) {
  std::array<Index, 3> start;
  constexpr Index far = Index{1} << 60;
  bool fits = py::isinstance<py::sequence>(object) && py::len(object) == 3;
  for (int axis = 0; fits && axis < 3; ++axis) {
    start[axis] = PyNumber_AsSsize_t(object[py::int_(axis)].ptr(), nullptr);  // clips what is out of range
    fits = !PyErr_Occurred() && start[axis] >= -far && start[axis] <= far;
    PyErr_Clear();
  }
  if (!fits) throw py::value_error("'start' must be three whole numbers (z, y, x)");
  return start;
}

void accumulate(py::object patch_, py::object weight_, py::object total_, py::object norm_, py::object start_,
                int threads) {
  const Argument patch("patch", patch_), weight("weight", weight_), total("total", total_), norm("norm", norm_);
  check_dimensions(patch, 4, "[c, z, y, x]");
  check_dimensions(total, 4, "[c, z, y, x]");
  for (const Argument& a : {patch, weight, total, norm}) check_dtype(a, {DType::f32});
  const Index channels = patch.array.shape(0);
  check_shape(weight, {patch.array.shape(1), patch.array.shape(2), patch.array.shape(3)});
  if (total.array.shape(0) != channels) {
    total.refuse("must have the " + std::to_string(channels) + " channels of 'patch', got shape " + total.shape());
  }
  check_shape(norm, {total.array.shape(1), total.array.shape(2), total.array.shape(3)});
  const cpu::ConstArray3 p = input(patch, DType::f32), w = input(weight, DType::f32);
  const cpu::Array3 t = output(total, DType::f32), n = output(norm, DType::f32);
  check_apart(total, patch);
  check_apart(total, weight);
  check_apart(total, norm);
  check_apart(norm, patch);
  check_apart(norm, weight);
  const std::array<Index, 3> start = start_voxel(start_);
  check_threads(threads);
  const Index patch_stride = element_stride(patch, 0), total_stride = element_stride(total, 0);
  py::gil_scoped_release release;
  cpu::accumulate(p, patch_stride, w, t, total_stride, n, channels, start.data(), threads);
}

// What both blends ask of their arrays.
void check_blend(const Argument& total, const Argument& norm, const Argument& out, Index most_channels) {
  check_dimensions(total, 4, "[c, z, y, x]");
  check_dtype(total, {DType::f32});
  check_dtype(norm, {DType::f32});
  check_dtype(out, {DType::u8});
  const Index channels = total.array.shape(0);
  if (channels < 1 || channels > most_channels) {
    total.refuse("must have 1 to " + std::to_string(most_channels) + " channels, got shape " + total.shape());
  }
  for (const Argument& a : {norm, out}) {
    check_shape(a, {total.array.shape(1), total.array.shape(2), total.array.shape(3)});
  }
  check_apart(out, total);
  check_apart(out, norm);
}

void argmax_blend(py::object total_, py::object norm_, py::object out_, int threads) {
  const Argument total("total", total_), norm("norm", norm_), out("out", out_);
  check_blend(total, norm, out, 256);
  const cpu::ConstArray3 t = input(total, DType::f32);
  const cpu::Array3 o = output(out, DType::u8);
  check_threads(threads);
  const Index channels = total.array.shape(0), stride = element_stride(total, 0);
  py::gil_scoped_release release;
  cpu::argmax_blend(t, stride, channels, o, threads);
}

void threshold_blend(py::object total_, py::object norm_, py::object out_, double level, int threads) {
  const Argument total("total", total_), norm("norm", norm_), out("out", out_);
  check_blend(total, norm, out, 255);
  const cpu::ConstArray3 t = input(total, DType::f32), n = input(norm, DType::f32);
  const cpu::Array3 o = output(out, DType::u8);
  check_not_nan("level", level);
  check_threads(threads);
  const Index channels = total.array.shape(0), stride = element_stride(total, 0);
  py::gil_scoped_release release;
  cpu::threshold_blend(t, stride, channels, n, o, static_cast<float>(level), threads);
}

py::array_t<bool> pack_bits(py::object mask_, py::object out_, int label, int threads) {
  const Argument mask("mask", mask_), out("out", out_);
  check_dimensions(mask, 3, "[n, y, x]");
  check_dtype(mask, {DType::u8});
  check_dtype(out, {DType::u8});
  const cpu::ConstArray3 from = input(mask, DType::u8);
  const Index frames = from.shape[0], voxels = from.shape[1] * from.shape[2];
  if (voxels % 8 == 0 && out.array.ndim() == 2) {
    check_shape(out, {frames, voxels / 8});
  } else {
    check_shape(out, {(frames * voxels + 7) / 8});
  }
  if (!(out.array.flags() & py::array::c_style)) out.refuse("must be C-contiguous");
  check_output(out);
  check_apart(out, mask);
  if (label < 0 || label > 255) throw py::value_error("'label' must be 0 to 255, got " + std::to_string(label));
  check_threads(threads);
  py::array_t<bool> occupied(frames);
  bool* const flags = occupied.mutable_data();
  std::uint8_t* const packed = static_cast<std::uint8_t*>(py::array(out.array).mutable_data());
  py::gil_scoped_release release;
  cpu::pack_bits(from, packed, flags, static_cast<std::uint8_t>(label), threads);
  return occupied;
}

}  // namespace

void bind_pixels(py::module_& m) {
  cpu::active_isa();  // a wrong BEDSIDE_KERNEL_ISA is an error at import, not in the middle of a study
  constexpr double infinity = std::numeric_limits<double>::infinity();

  m.def("rescale", &rescale, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("slope"), py::arg("intercept"),
        py::arg("low") = -infinity, py::arg("high") = infinity, py::arg("scale") = 1.0, py::arg("offset") = 0.0,
        py::arg("threads") = 0,
        R"(Stored values to network input: ``out = clip(src * slope + intercept, low, high) * scale + offset``.

The arithmetic is float32, in that order, the same to the last bit on every CPU and with every thread count.
A NaN stays NaN. Modality rescale: DICOM PS3.3 C.11.1.1.2.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [z, y, x], any strides
out : float32 of src's shape, any strides; may be src itself if that is float32
slope, intercept : float or float32 [z]
low, high : clip, in modality units
scale, offset : what follows the clip
threads : at most so many; 0 is every core of the process's affinity mask

Raises
------
ValueError
    Wrong dtype or shape, out overlaps src otherwise, low above high; the argument is named.
)");

  m.def("resample", &resample, py::arg("src"), py::arg("out"), py::arg("matrix"), py::kw_only(),
        py::arg("mode") = "linear", py::arg("padding") = "border", py::arg("fill") = 0.0, py::arg("threads") = 0,
        R"(Resample a volume: ``out[i] = src at matrix @ (*i, 1)``.

Coordinates are voxel-centre indices in array order, in double precision; values and weights are float32. A matrix of
scalings, flips and permutations takes a faster path. ``linear`` blends the eight voxels around a coordinate; one of
weight 0 is not looked at, so its NaN or infinity does not spread. ``nearest`` takes the nearest voxel, a tie to the
even index (as torch.nn.functional.grid_sample).

``border`` clamps coordinates to the source. ``constant`` gives every voxel outside the source the value ``fill``; near
the edge it blends with the voxels inside (as grid_sample's "zeros" and scipy's "grid-constant").

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [z, y, x], any strides
out : float32 [z', y', x'], or (nearest) float32 or src's dtype; any strides
matrix : float64 (3, 4)
mode : "linear" or "nearest"
padding : "border" or "constant"
fill : a value of out's dtype
threads : at most so many; 0 is every core of the process's affinity mask

Raises
------
ValueError
    Wrong dtype or shape, matrix not finite or beyond 1e280, out overlaps src, src empty; the argument is named.
)");

  m.def("accumulate", &accumulate, py::arg("patch"), py::arg("weight"), py::arg("total"), py::arg("norm"),
        py::arg("start"), py::kw_only(), py::arg("threads") = 0,
        R"(Add a weighted patch of a sliding window: ``total += patch * weight`` and ``norm += weight`` at ``start``.

What lies outside the volume is left out. The order of the calls is the order of the sums.

Parameters
----------
patch : float32 [c, z, y, x], any strides
weight : float32 [z, y, x] of the patch, any strides
total : float32 [c, Z, Y, X]
norm : float32 [Z, Y, X]
start : (z, y, x) of the patch's first voxel in the volume; may be negative
threads : at most so many; 0 is every core of the process's affinity mask

Raises
------
ValueError
    Wrong dtype or shape, arrays that overlap; the argument is named.
)");

  m.def("argmax_blend", &argmax_blend, py::arg("total"), py::arg("norm"), py::arg("out"), py::kw_only(),
        py::arg("threads") = 0,
        R"(Label map of a blended sliding window: the channel with the largest sum, as numpy.argmax picks it.

The norm is positive, so the sums are compared without dividing by it and ``norm`` is only checked, not read. Where no
patch reached, all sums are 0 and so is the label.

Parameters
----------
total : float32 [c, z, y, x], 1 to 256 channels
norm : float32 [z, y, x]
out : uint8 [z, y, x]
threads : at most so many; 0 is every core of the process's affinity mask

Raises
------
ValueError
    Wrong dtype or shape, out overlaps an input; the argument is named.
)");

  m.def("threshold_blend", &threshold_blend, py::arg("total"), py::arg("norm"), py::arg("out"), py::arg("level"),
        py::kw_only(), py::arg("threads") = 0,
        R"(Label map of a blended sliding window: 1 + the first channel with ``total / norm >= level``, or 0.

One channel gives a 0/1 mask. At the level counts as above it (MONAI AsDiscrete). ``level`` is in the units of the
channels: for logits, pass the logit. Where no patch reached (norm 0), and for NaN, the answer is 0.

Parameters
----------
total : float32 [c, z, y, x], 1 to 255 channels
norm : float32 [z, y, x]
out : uint8 [z, y, x]
level : float
threads : at most so many; 0 is every core of the process's affinity mask

Raises
------
ValueError
    Wrong dtype or shape, out overlaps an input; the argument is named.
)");

  m.def("pack_bits", &pack_bits, py::arg("mask"), py::arg("out"), py::arg("label"), py::kw_only(),
        py::arg("threads") = 0,
        R"(Pixel data of a binary segmentation: ``mask == label``, eight voxels a byte, the first in the lowest bit.

Frames follow each other without a gap, so a frame after one whose voxel count is no multiple of 8 begins in the middle
of a byte; the bits after the last voxel are 0 (DICOM PS3.5 8.1.1). The caller pads the value to even length.

Parameters
----------
mask : uint8 [n, y, x], any strides
out : uint8 [n, y * x / 8] where y * x is a multiple of 8, or uint8 [ceil(n * y * x / 8)] always; C-contiguous
label : 0 to 255
threads : at most so many; 0 is every core of the process's affinity mask

Returns
-------
bool [n]
    Which frames have any voxel of the label.

Raises
------
ValueError
    Wrong dtype or shape, out not contiguous or overlapping mask; the argument is named.
)");

  m.def("active_isa", &cpu::active_isa,
        R"(The instruction set whose kernels run: "x86-64-v4", "x86-64-v3", "x86-64" or "aarch64".

The best this CPU has, or the one the environment variable BEDSIDE_KERNEL_ISA names (ImportError if the CPU lacks it).
The numbers are the same with each.
)");
}
