// The window kernels, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>

#include "../cpu/window/window.h"
#include "bindings.h"
#include "checks.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

std::array<Index, 3> voxel(const char* name, const py::object& object) {
  std::array<Index, 3> start;
  constexpr Index far = Index{1} << 60;
  bool fits = py::isinstance<py::sequence>(object) && py::len(object) == 3;
  for (int axis = 0; fits && axis < 3; ++axis) {
    start[axis] = PyNumber_AsSsize_t(object[py::int_(axis)].ptr(), nullptr);  // clips what is out of range
    fits = !PyErr_Occurred() && start[axis] >= -far && start[axis] <= far;
    PyErr_Clear();
  }
  if (!fits) throw py::value_error(std::string("'") + name + "' must be three whole numbers (z, y, x)");
  return start;
}

// Three one-dimensional arrays, one an axis, without gaps.
template <typename T>
std::array<py::array, 3> one_per_axis(const char* name, const py::object& object) {
  std::array<py::array, 3> arrays;
  bool fits = py::isinstance<py::sequence>(object) && py::len(object) == 3;
  for (int axis = 0; fits && axis < 3; ++axis) {
    const py::object one = object[py::int_(axis)];
    fits = is_array(one);
    if (!fits) break;
    const Argument a(name, one);
    fits = py::isinstance<py::array_t<T, py::array::c_style>>(a.array) && a.array.ndim() == 1;
    if (fits) element_stride(a, 0);
    arrays[axis] = a.array;
  }
  if (!fits) {
    throw py::value_error(std::string("'") + name + "' must be three contiguous arrays of one dimension (z, y, x) of " +
                          std::string(py::str(py::dtype::of<T>())));
  }
  return arrays;
}

struct Bells {
  std::array<py::array, 3> arrays;
  cpu::WindowWeights weights;

  Bells(const py::object& object, double floor) : arrays(one_per_axis<float>("bells", object)) {
    check_not_nan("floor", floor);
    weights.floor = static_cast<float>(floor);
    for (int axis = 0; axis < 3; ++axis) {
      weights.bell[axis] = static_cast<const float*>(arrays[axis].data());
      weights.shape[axis] = arrays[axis].size();
    }
  }
};

void check_bells_apart(const Argument& out, const Bells& bells) {
  for (const py::array& bell : bells.arrays) check_apart(out, Argument("bells", bell));
}

Outside outside_mode(const std::string& padding) {
  if (padding == "constant") return Outside::constant;
  if (padding == "reflect") return Outside::reflect;
  if (padding == "replicate") return Outside::replicate;
  if (padding == "circular") return Outside::circular;
  throw py::value_error("'padding' must be 'constant', 'reflect', 'replicate' or 'circular', got '" + padding + "'");
}

void gather(py::object src_, py::object out_, py::object start_, const std::string& padding, double fill, double slope,
            double intercept, double low, double high, double scale, double offset, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 4, "[c, z, y, x]");
  check_dimensions(out, 4, "[c, z, y, x]");
  const cpu::ConstArray3 from = input(src, check_dtype(src, kStored));
  check_dtype(out, {DType::f32});
  const Index channels = src.array.shape(0);
  if (out.array.shape(0) != channels) {
    out.refuse("must have the " + std::to_string(channels) + " channels of 'src', got shape " + out.shape());
  }
  const cpu::Array3 to = output(out, DType::f32);
  check_apart(out, src);
  const Outside mode = outside_mode(padding);
  if (mode != Outside::constant && src.array.size() == 0 && out.array.size() != 0) {
    src.refuse("is empty, so that there is nothing to pad with");
  }
  const std::array<Index, 3> start = voxel("start", start_);
  const Rescale map = check_map(slope, intercept, low, high, scale, offset);
  check_threads(threads);
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const bool copies = from.type == DType::f32 && map.slope == 1.0f && map.intercept == 0.0f && map.low == -infinity &&
                      map.high == infinity && map.scale == 1.0f && map.offset == 0.0f;
  const Index src_stride = element_stride(src, 0), out_stride = element_stride(out, 0);
  py::gil_scoped_release release;
  cpu::gather(from, src_stride, to, out_stride, channels, start.data(), mode, static_cast<float>(fill),
              copies ? nullptr : &map, threads);
}

float accumulate(py::object patch_, py::object bells_, py::object total_, py::object start_, double floor,
                 std::optional<Index> planes_, py::object fresh_, int threads) {
  const Argument patch("patch", patch_), total("total", total_);
  check_dimensions(patch, 4, "[c, z, y, x]");
  check_dimensions(total, 4, "[c, z, y, x]");
  for (const Argument& a : {patch, total}) check_dtype(a, {DType::f32});
  const Bells bells(bells_, floor);
  const Index channels = patch.array.shape(0);
  for (int axis = 0; axis < 3; ++axis) {
    if (bells.weights.shape[axis] != patch.array.shape(axis + 1)) {
      throw py::value_error("'bells' must be as long as the axes of 'patch', " + patch.shape());
    }
  }
  if (total.array.shape(0) != channels) {
    total.refuse("must have the " + std::to_string(channels) + " channels of 'patch', got shape " + total.shape());
  }
  const cpu::ConstArray3 p = input(patch, DType::f32);
  const cpu::Array3 t = output(total, DType::f32);
  check_apart(total, patch);
  check_bells_apart(total, bells);
  const Index planes = planes_.value_or(t.shape[0]);
  if (planes < 0) throw py::value_error("'planes' must not be negative, got " + std::to_string(planes));
  if (planes > t.shape[0] && p.shape[0] > t.shape[0]) {
    total.refuse("must have the " + std::to_string(p.shape[0]) + " planes of 'patch' or all " + std::to_string(planes) +
                 " of the image, got shape " + total.shape());
  }
  const std::array<Index, 3> start = voxel("start", start_);
  const std::array<Index, 3> fresh =
      fresh_.is_none() ? std::array<Index, 3>{p.shape[0], p.shape[1], p.shape[2]} : voxel("fresh", fresh_);
  check_threads(threads);
  const Index patch_stride = element_stride(patch, 0), total_stride = element_stride(total, 0);
  std::int32_t bits;
  {
    py::gil_scoped_release release;
    bits = cpu::accumulate(p, patch_stride, bells.weights, t, total_stride, channels, planes, start.data(),
                           fresh.data(), threads);
  }
  float largest;
  std::memcpy(&largest, &bits, sizeof largest);
  return largest;
}

void window_norm(py::object out_, py::object bells_, py::object starts_, double floor, Index first, int threads) {
  const Argument out("out", out_);
  check_dimensions(out, 3, "[z, y, x]");
  check_dtype(out, {DType::f32});
  const Bells bells(bells_, floor);
  const std::array<py::array, 3> starts = one_per_axis<std::int64_t>("starts", starts_);
  const cpu::Array3 to = output(out, DType::f32);
  check_bells_apart(out, bells);
  constexpr std::int64_t far = std::int64_t{1} << 60;
  cpu::WindowGrid grid;
  for (int axis = 0; axis < 3; ++axis) {
    check_apart(out, Argument("starts", starts[axis]));
    grid.starts[axis] = static_cast<const std::int64_t*>(starts[axis].data());
    grid.count[axis] = starts[axis].size();
    for (Index i = 0; i < grid.count[axis]; ++i) {
      if (grid.starts[axis][i] < -far || grid.starts[axis][i] > far) throw py::value_error("'starts' is out of range");
    }
  }
  if (first < -far || first > far) throw py::value_error("'first' is out of range");
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::window_norm(bells.weights, grid, first, to, threads);
}

void divide(py::object total_, py::object norm_, py::object out_, int threads) {
  const Argument total("total", total_), norm("norm", norm_), out("out", out_);
  check_dimensions(total, 4, "[c, z, y, x]");
  for (const Argument& a : {total, norm, out}) check_dtype(a, {DType::f32});
  check_shape(norm, {total.array.shape(1), total.array.shape(2), total.array.shape(3)});
  check_shape(out, {total.array.shape(0), total.array.shape(1), total.array.shape(2), total.array.shape(3)});
  const cpu::ConstArray3 t = input(total, DType::f32), n = input(norm, DType::f32);
  const cpu::Array3 o = output(out, DType::f32);
  check_apart(out, total);
  check_apart(out, norm);
  check_threads(threads);
  const Index total_stride = element_stride(total, 0), out_stride = element_stride(out, 0);
  py::gil_scoped_release release;
  cpu::divide(t, total_stride, n, o, out_stride, total.array.shape(0), threads);
}

// Labels of channels: what argmax and threshold ask of their arrays.
void check_labels(const Argument& src, const Argument& out, Index most_channels) {
  check_dimensions(src, 4, "[c, z, y, x]");
  check_dtype(out, {DType::u8});
  const Index channels = src.array.shape(0);
  if (channels < 1 || channels > most_channels) {
    src.refuse("must have 1 to " + std::to_string(most_channels) + " channels, got shape " + src.shape());
  }
  check_shape(out, {src.array.shape(1), src.array.shape(2), src.array.shape(3)});
  check_apart(out, src);
}

void argmax(py::object src_, py::object out_, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dtype(src, {DType::f32});
  check_labels(src, out, 256);
  const cpu::ConstArray3 s = input(src, DType::f32);
  const cpu::Array3 o = output(out, DType::u8);
  check_threads(threads);
  const Index channels = src.array.shape(0), stride = element_stride(src, 0);
  py::gil_scoped_release release;
  cpu::argmax(s, stride, channels, o, threads);
}

void threshold(py::object src_, py::object out_, double level, py::object norm_, int first_label, int threads) {
  const Argument src("src", src_), out("out", out_);
  const DType type = check_dtype(src, {DType::f32, DType::u8});
  if (first_label < 0 || first_label > 255) {
    throw py::value_error("'first_label' must be in 0 to 255, got " + std::to_string(first_label));
  }
  check_labels(src, out, 256 - first_label);
  const cpu::ConstArray3 s = input(src, type);
  const cpu::Array3 o = output(out, DType::u8);
  check_not_nan("level", level);
  check_threads(threads);
  const Index channels = src.array.shape(0), stride = element_stride(src, 0);
  if (type == DType::u8) {
    if (!norm_.is_none()) throw py::value_error("'norm' goes with a float32 'src' only");
    if (!(level >= 0 && level <= 255 && level == std::floor(level))) {
      throw py::value_error("'level' must be a whole number in 0 to 255 for a uint8 'src'");
    }
    py::gil_scoped_release release;
    cpu::threshold_u8(s, stride, channels, static_cast<std::uint8_t>(level), first_label, o, threads);
    return;
  }
  std::optional<cpu::ConstArray3> norm;
  if (!norm_.is_none()) {
    const Argument n("norm", norm_);
    check_dtype(n, {DType::f32});
    check_shape(n, {s.shape[0], s.shape[1], s.shape[2]});
    check_apart(out, n);
    norm = input(n, DType::f32);
  }
  py::gil_scoped_release release;
  cpu::threshold(s, stride, channels, norm ? &*norm : nullptr, static_cast<float>(level), first_label, o, threads);
}

template <typename Kernel>
void activation(const py::object& src_, const py::object& out_, int threads, Kernel kernel) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 4, "[c, z, y, x]");
  for (const Argument& a : {src, out}) check_dtype(a, {DType::f32});
  check_shape(out, {src.array.shape(0), src.array.shape(1), src.array.shape(2), src.array.shape(3)});
  const cpu::ConstArray3 s = input(src, DType::f32);
  const cpu::Array3 o = output(out, DType::f32);
  if (!same_view(src.array, out.array)) check_apart(out, src);
  check_threads(threads);
  const Index src_stride = element_stride(src, 0), out_stride = element_stride(out, 0);
  if (src.array.size() == 0) return;
  py::gil_scoped_release release;
  kernel(s, src_stride, o, out_stride, src.array.shape(0), threads);
}

void softmax(py::object src, py::object out, int threads) {
  activation(src, out, threads, cpu::softmax);
}

void sigmoid(py::object src, py::object out, int threads) {
  activation(src, out, threads, cpu::sigmoid);
}

}  // namespace

void bind_window(py::module_& m) {
  constexpr double infinity = std::numeric_limits<double>::infinity();

  m.def("gather", &gather, py::arg("src"), py::arg("out"), py::arg("start"), py::kw_only(),
        py::arg("padding") = "constant", py::arg("fill") = 0.0, py::arg("slope") = 1.0, py::arg("intercept") = 0.0,
        py::arg("low") = -infinity, py::arg("high") = infinity, py::arg("scale") = 1.0, py::arg("offset") = 0.0,
        py::arg("threads") = 0,
        R"(Cut a patch out of a volume: ``out[c, i] = map(src[c, start + i])``, padded where it reaches outside.

``map(v) = clip(v * slope + intercept, low, high) * scale + offset`` in float32, as :func:`rescale`; without one,
float32 is copied bit by bit.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [c, z, y, x], any strides
out : float32 [c, d, h, w], any strides
start : (z, y, x) of the patch's first voxel in the volume; may be negative
padding : what lies outside, by the names of torch.nn.functional.pad and MONAI: "constant" (``fill``), "reflect",
    "replicate" or "circular"; further out than torch allows, numpy.pad's continuation of it
fill : the value outside, as it is written
slope, intercept, low, high, scale, offset : the value map
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, arrays that overlap, low above high; the argument is named.
)");

  m.def("accumulate", &accumulate, py::arg("patch"), py::arg("bells"), py::arg("total"), py::arg("start"),
        py::kw_only(), py::arg("floor") = 0.0, py::arg("planes") = py::none(), py::arg("fresh") = py::none(),
        py::arg("threads") = 0,
        R"(Add a weighted patch of a sliding window: ``total += patch * weight`` at ``start``.

The weight of a voxel is ``max((bells[0][z] * bells[1][y]) * bells[2][x], floor)``, in float32. What lies outside the
volume is left out. The order of the calls is the order of the sums.

Parameters
----------
patch : float32 [c, z, y, x], any strides
bells : three float32 arrays, contiguous, as long as the patch's axes
total : float32 [c, Z, Y, X]; plane z of the volume is kept at z modulo Z
start : (z, y, x) of the patch's first voxel in the volume; may be negative
floor : the smallest weight
planes : planes of the volume; Z unless given
fresh : (z, y, x) of the patch from which on, on all three axes, nothing has been added yet: these voxels are set, and
    ``total`` need not be zeroed before
threads : at most so many; 0 is the process's thread budget

Returns
-------
float
    The largest absolute value in the part of the patch that was added; NaN if there is one.

Raises
------
ValueError
    Wrong dtype or shape, arrays that overlap, fewer planes than the patch; the argument is named.
)");

  m.def("window_norm", &window_norm, py::arg("out"), py::arg("bells"), py::arg("starts"), py::kw_only(),
        py::arg("floor") = 0.0, py::arg("first") = 0, py::arg("threads") = 0,
        R"(Sum of the weights of all windows over each voxel: what :func:`accumulate`'s sums are divided by.

Added up in the order of the windows, the last axis fastest: to the last bit what adding ``weight`` with every patch
gives.

Parameters
----------
out : float32 [z, y, x], planes from ``first`` on, any strides
bells, floor : the weights, as of :func:`accumulate`
starts : three int64 arrays, contiguous: where windows start along each axis; every combination is a window
first : the volume's plane that ``out[0]`` is
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, arrays that overlap; the argument is named.
)");

  m.def("divide", &divide, py::arg("total"), py::arg("norm"), py::arg("out"), py::kw_only(), py::arg("threads") = 0,
        R"(Blended scores of a sliding window: ``out[c] = total[c] / norm``.

Parameters
----------
total : float32 [c, z, y, x], any strides
norm : float32 [z, y, x], any strides
out : float32 of total's shape, any strides
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps an input; the argument is named.
)");

  m.def("argmax", &argmax, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("threads") = 0,
        R"(Label map of scores: the channel with the largest, as numpy.argmax picks it.

The first of equals, or the first NaN. A sliding window's sums need not be divided by their norm before: it is positive.

Parameters
----------
src : float32 [c, z, y, x], 1 to 256 channels, any strides
out : uint8 [z, y, x], any strides
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps src; the argument is named.
)");

  m.def("threshold", &threshold, py::arg("src"), py::arg("out"), py::arg("level"), py::kw_only(),
        py::arg("norm") = py::none(), py::arg("first_label") = 1, py::arg("threads") = 0,
        R"(Label map of scores: ``first_label`` + the first channel with ``src >= level``, or 0.

One channel gives a 0/1 mask. At the level counts as above it (MONAI AsDiscrete). With ``norm``, the sums of a sliding
window are divided by it first; where it is 0, and for NaN, the answer is 0.

Parameters
----------
src : float32 or uint8 [c, z, y, x], any strides; at most 256 - first_label channels
out : uint8 [z, y, x], any strides
level : for uint8 a whole number
norm : float32 [z, y, x], any strides, or None; for float32 scores
first_label : label of channel 0
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps an input; the argument is named.
)");

  m.def("softmax", &softmax, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("threads") = 0,
        R"(Softmax over the channels: ``out = exp(src - max) / sum(exp(src - max))``.

The exponential is within 1 unit in the last place, the same to the last bit on every CPU. A voxel with a NaN or a
positive infinity is NaN in every channel.

Parameters
----------
src : float32 [c, z, y, x], any strides
out : float32 of src's shape, any strides; may be src itself
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps src otherwise; the argument is named.
)");

  m.def("sigmoid", &sigmoid, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("threads") = 0,
        R"(Logistic function: ``out = 1 / (1 + exp(-src))``.

Within 2.5 units in the last place, also where the result is subnormal; the same to the last bit on every CPU. A NaN stays
NaN.

Parameters
----------
src : float32 [c, z, y, x], any strides
out : float32 of src's shape, any strides; may be src itself
threads : at most so many; 0 is the process's thread budget

Raises
------
ValueError
    Wrong dtype or shape, out overlaps src otherwise; the argument is named.
)");
}
