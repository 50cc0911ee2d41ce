// What is made of scores voxel by voxel, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include "../cpu/window/window.h"
#include "bindings.h"
#include "checks.h"
#include "documented.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

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

void threshold(py::object src_, py::object out_, py::object level_, py::object norm_, int first_label, int threads) {
  const Argument src("src", src_), out("out", out_);
  const DType type = check_dtype(src, {DType::f32, DType::u8});
  if (first_label < 0 || first_label > 255) {
    throw py::value_error("'first_label' must be in 0 to 255, got " + std::to_string(first_label));
  }
  check_labels(src, out, 256 - first_label);
  const cpu::ConstArray3 s = input(src, type);
  const cpu::Array3 o = output(out, DType::u8);
  const double level = number("level", level_);
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

void bind_scores(py::module_& m) {
  m.def("argmax", &argmax, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("threads") = 0,
        documented(R"(Label map of scores: the channel with the largest, as numpy.argmax picks it.

The first of equals, or the first NaN. A sliding window's sums need not be divided by their norm before: it is positive.

Parameters
----------
src : float32 [c, z, y, x], 1 to 256 channels, any strides
out : uint8 [z, y, x], any strides
)",
                   "Wrong dtype or shape, out overlaps src")
            .c_str());

  m.def("threshold", &threshold, py::arg("src"), py::arg("out"), py::arg("level"), py::kw_only(),
        py::arg("norm") = py::none(), py::arg("first_label") = 1, py::arg("threads") = 0,
        documented(R"(Label map of scores: ``first_label`` + the first channel with ``src >= level``, or 0.

One channel gives a 0/1 mask. At the level counts as above it (MONAI AsDiscrete). With ``norm``, the sums of a sliding
window are divided by it first; where it is 0, and for NaN, the answer is 0.

Parameters
----------
src : float32 or uint8 [c, z, y, x], any strides; at most 256 - first_label channels
out : uint8 [z, y, x], any strides
level : for uint8 a whole number
norm : float32 [z, y, x], any strides, or None; for float32 scores
first_label : label of channel 0
)",
                   "Wrong dtype or shape, out overlaps an input")
            .c_str());

  m.def("softmax", &softmax, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("threads") = 0,
        documented(R"(Softmax over the channels: ``out = exp(src - max) / sum(exp(src - max))``.

The exponential is within 1 unit in the last place, the same to the last bit on every CPU. A voxel with a NaN or a
positive infinity is NaN in every channel.

Parameters
----------
src : float32 [c, z, y, x], any strides
out : float32 of src's shape, any strides; may be src itself
)",
                   "Wrong dtype or shape, out overlaps src otherwise")
            .c_str());

  m.def("sigmoid", &sigmoid, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("threads") = 0,
        documented(R"(Logistic function: ``out = 1 / (1 + exp(-src))``.

Within 2.5 units in the last place, also where the result is subnormal; the same to the last bit on every CPU. A NaN stays
NaN.

Parameters
----------
src : float32 [c, z, y, x], any strides
out : float32 of src's shape, any strides; may be src itself
)",
                   "Wrong dtype or shape, out overlaps src otherwise")
            .c_str());
}
