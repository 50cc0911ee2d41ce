// The elementwise kernels, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cmath>
#include <string>

#include "../cpu/elementwise/rescale.h"
#include "bindings.h"
#include "checks.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

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

}  // namespace

void bind_elementwise(py::module_& m) {
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
}
