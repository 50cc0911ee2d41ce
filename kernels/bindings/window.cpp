// The window kernels, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cmath>
#include <string>

#include "../cpu/window/window.h"
#include "bindings.h"
#include "checks.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

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

}  // namespace

void bind_window(py::module_& m) {
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
}
