// The window kernels, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>

#include "../cpu/window/window.h"
#include "bindings.h"
#include "checks.h"
#include "documented.h"
#include "value_map.h"

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

  Bells(const py::object& object, const py::object& floor) : arrays(one_per_axis<float>("bells", object)) {
    weights.floor = static_cast<float>(number("floor", floor));
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

void gather(py::object src_, py::object out_, py::object start_, const std::string& padding, py::object fill_,
            py::object slope, py::object intercept, py::object low, py::object high, py::object scale,
            py::object offset, int threads) {
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
  const MapKeywords keywords{slope, intercept, low, high, scale, offset, py::float_(1.0), py::int_(0)};
  const Rescale map = keywords.map();
  const float fill = static_cast<float>(number_or_nan("fill", fill_));
  check_threads(threads);
  const bool copies = from.type == DType::f32 && changes_nothing(map);
  const Index src_stride = element_stride(src, 0), out_stride = element_stride(out, 0);
  py::gil_scoped_release release;
  cpu::gather(from, src_stride, to, out_stride, channels, start.data(), mode, fill, copies ? nullptr : &map, threads);
}

float accumulate(py::object patch_, py::object bells_, py::object total_, py::object start_, py::object floor,
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

void window_norm(py::object out_, py::object bells_, py::object starts_, py::object floor, Index first, int threads) {
  const Argument out("out", out_);
  check_dimensions(out, 3, "[z, y, x]");
  check_dtype(out, {DType::f32});
  const Bells bells(bells_, floor);
  const std::array<py::array, 3> starts = one_per_axis<std::int64_t>("starts", starts_);
  const cpu::Array3 to = output(out, DType::f32);
  check_bells_apart(out, bells);
  constexpr std::int64_t far = std::int64_t{1} << 60;
  if (first < -far || first > far) throw py::value_error("'first' is out of range");
  cpu::WindowGrid grid;
  for (int axis = 0; axis < 3; ++axis) {
    check_apart(out, Argument("starts", starts[axis]));
    grid.starts[axis] = static_cast<const std::int64_t*>(starts[axis].data());
    grid.count[axis] = starts[axis].size();
    for (Index i = 0; i < grid.count[axis]; ++i) {
      const std::int64_t start = grid.starts[axis][i];
      if (start < -far || start > far) throw py::value_error("'starts' is out of range");
      if (i > 0 && start <= grid.starts[axis][i - 1]) throw py::value_error("'starts' must rise along each axis");
      // Along z the output may be a part of the volume.
      if (axis > 0 && (start >= to.shape[axis] || start + bells.weights.shape[axis] <= 0)) {
        refuse("starts",
               "has a window at " + std::to_string(start) + " that does not touch 'out', of shape " + out.shape());
      }
    }
  }
  // Those that touch the output: a thousand others would cost time for every row.
  const std::int64_t* const end = grid.starts[0] + grid.count[0];
  grid.starts[0] = std::upper_bound(grid.starts[0], end, first - bells.weights.shape[0]);
  grid.count[0] = std::lower_bound(grid.starts[0], end, first + to.shape[0]) - grid.starts[0];
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

}  // namespace

void bind_window(py::module_& m) {
  constexpr double infinity = std::numeric_limits<double>::infinity();

  m.def("gather", &gather, py::arg("src"), py::arg("out"), py::arg("start"), py::kw_only(),
        py::arg("padding") = "constant", py::arg("fill") = 0.0, py::arg("slope") = 1.0, py::arg("intercept") = 0.0,
        py::arg("low") = -infinity, py::arg("high") = infinity, py::arg("scale") = 1.0, py::arg("offset") = 0.0,
        py::arg("threads") = 0,
        documented(
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
)",
            "Wrong dtype or shape, arrays that overlap, low above high")
            .c_str());

  m.def("accumulate", &accumulate, py::arg("patch"), py::arg("bells"), py::arg("total"), py::arg("start"),
        py::kw_only(), py::arg("floor") = 0.0, py::arg("planes") = py::none(), py::arg("fresh") = py::none(),
        py::arg("threads") = 0,
        documented(R"(Add a weighted patch of a sliding window: ``total += patch * weight`` at ``start``.

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
)",
                   "Wrong dtype or shape, arrays that overlap, fewer planes than the patch", R"(float
    The largest absolute value in the part of the patch that was added; NaN if there is one.
)")
            .c_str());

  m.def("window_norm", &window_norm, py::arg("out"), py::arg("bells"), py::arg("starts"), py::kw_only(),
        py::arg("floor") = 0.0, py::arg("first") = 0, py::arg("threads") = 0,
        documented(R"(Sum of the weights of all windows over each voxel: what :func:`accumulate`'s sums are divided by.

Added up in the order of the windows, the last axis fastest: to the last bit what adding ``weight`` with every patch
gives.

Parameters
----------
out : float32 [z, y, x], planes from ``first`` on, any strides
bells, floor : the weights, as of :func:`accumulate`
starts : three int64 arrays, contiguous: where windows start along each axis, rising; every combination is a window.
    Along y and x each touches out
first : the volume's plane that ``out[0]`` is
)",
                   "Wrong dtype or shape, arrays that overlap")
            .c_str());

  m.def("divide", &divide, py::arg("total"), py::arg("norm"), py::arg("out"), py::kw_only(), py::arg("threads") = 0,
        documented(R"(Blended scores of a sliding window: ``out[c] = total[c] / norm``.

Parameters
----------
total : float32 [c, z, y, x], any strides
norm : float32 [z, y, x], any strides
out : float32 of total's shape, any strides
)",
                   "Wrong dtype or shape, out overlaps an input")
            .c_str());
}
