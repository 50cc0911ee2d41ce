// The statistics, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "../cpu/statistics/statistics.h"
#include "bindings.h"
#include "checks.h"
#include "documented.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

// An array of up to four axes; those that are missing have one element.
cpu::ConstArray4 elements(const Argument& a, DType type) {
  const Index dimensions = a.array.ndim();
  if (dimensions < 1 || dimensions > 4) a.refuse("must have 1 to 4 dimensions, got shape " + a.shape());
  cpu::ConstArray4 view{a.array.data(), type, {1, 1, 1, 1}, {0, 0, 0, 0}};
  for (Index axis = 0; axis < dimensions; ++axis) {
    view.shape[axis] = a.array.shape(axis);
    view.stride[axis] = element_stride(a, axis);
  }
  return view;
}

// Numbers, NaN among them, of anything that can be gone through.
std::vector<double> numbers(const char* name, const py::object& object) {
  std::vector<double> values;
  if (!py::isinstance<py::iterable>(object)) refuse(name, "must be numbers, got " + type_name(object));
  for (const py::handle one : object) values.push_back(number_or_nan(name, py::reinterpret_borrow<py::object>(one)));
  return values;
}

std::tuple<double, double, Index, Index> minmax(py::object src_, int threads) {
  const Argument src("src", src_);
  const cpu::ConstArray4 from = elements(src, check_dtype(src, kStored));
  if (src.array.size() == 0) src.refuse("is empty");
  check_threads(threads);
  py::gil_scoped_release release;
  const cpu::MinMax found = cpu::minmax(from, threads);
  return {found.low, found.high, found.nan, found.infinite};
}

std::tuple<std::int64_t, double, double> moments(py::object src_, bool nonzero, int threads) {
  const Argument src("src", src_);
  const cpu::ConstArray4 from = elements(src, check_dtype(src, kStored));
  check_threads(threads);
  py::gil_scoped_release release;
  const Moments found = cpu::moments(from, nonzero, threads);
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  if (found.count == 0) return {0, nan, nan};
  return {found.count, found.mean, std::sqrt(found.squares / static_cast<double>(found.count))};
}

py::array_t<std::int64_t> histogram(py::object src_, int threads) {
  const Argument src("src", src_);
  const DType type = check_dtype(src, {DType::u8, DType::i8, DType::u16, DType::i16});
  const cpu::ConstArray4 from = elements(src, type);
  check_threads(threads);
  py::array_t<std::int64_t> counts(cpu::item_size(type) == 1 ? 256 : 65536);
  std::int64_t* const to = counts.mutable_data();
  {
    py::gil_scoped_release release;
    cpu::histogram(from, to, threads);
  }
  return counts;
}

py::array_t<double> percentiles(py::object src_, py::object percents_, bool nonzero, int threads) {
  const Argument src("src", src_);
  const cpu::ConstArray4 from = elements(src, check_dtype(src, kStored));
  const std::vector<double> percents = numbers("percents", percents_);
  for (const double percent : percents) {
    if (!(percent >= 0 && percent <= 100)) throw py::value_error("'percents' must be 0 to 100");
  }
  check_threads(threads);
  const Index wanted = static_cast<Index>(percents.size());
  py::array_t<double> found(wanted);
  double* const to = found.mutable_data();
  {
    py::gil_scoped_release release;
    cpu::percentiles(from, percents.data(), wanted, nonzero, to, threads);
  }
  return found;
}

py::object bounding_box(py::object src_, py::object above_, py::object equal_, int threads) {
  using Kind = cpu::Foreground::Kind;
  Argument src("src", src_);
  if (src.array.dtype().kind() == 'b') src.array = src.array.attr("view")("uint8");
  const DType type = check_dtype(src, kStored);
  const Index dimensions = src.array.ndim();
  if (dimensions < 1 || dimensions > 3) src.refuse("must have 1 to 3 dimensions, got shape " + src.shape());
  const std::optional<double> above = number_or_none("above", above_), equal = number_or_none("equal", equal_);
  if (above && equal) throw py::value_error("'above' and 'equal' exclude each other");
  check_threads(threads);
  cpu::ConstArray3 from{src.array.data(), type, {1, 1, 1}, {0, 0, 0}};
  for (Index axis = 0; axis < dimensions; ++axis) {
    from.shape[axis] = src.array.shape(axis);
    from.stride[axis] = element_stride(src, axis);
  }
  Index box[3][2];
  bool any;
  {
    py::gil_scoped_release release;
    any = cpu::bounding_box(from,
                            {above   ? Kind::above
                             : equal ? Kind::equal
                                     : Kind::nonzero,
                             above.value_or(equal.value_or(0.0))},
                            box, threads);
  }
  if (!any) return py::none();
  py::tuple slices(dimensions);
  for (Index axis = 0; axis < dimensions; ++axis) {
    slices[axis] = py::slice(py::int_(box[axis][0]), py::int_(box[axis][1]), py::none());
  }
  return std::move(slices);
}

void standardise(py::object src_, py::object out_, py::object mean_, py::object deviation_, bool nonzero, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 3, "[z, y, x]");
  const cpu::ConstArray3 from = input(src, check_dtype(src, kStored));
  check_dtype(out, {DType::f32});
  check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
  const cpu::Array3 to = output(out, DType::f32);
  if (!same_view(src.array, out.array)) check_apart(out, src);
  const double mean = number("mean", mean_), deviation = number("deviation", deviation_);
  if (!std::isfinite(mean)) throw py::value_error("'mean' must be finite");
  if (static_cast<float>(deviation) == 0.0f || !std::isfinite(deviation)) {
    throw py::value_error("'deviation' must be finite and not 0");
  }
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::standardise(from, to, {static_cast<float>(mean), static_cast<float>(deviation)}, nonzero, threads);
}

}  // namespace

void bind_statistics(py::module_& m) {
  m.def("minmax", &minmax, py::arg("src"), py::kw_only(), py::arg("threads") = 0,
        documented(R"(Least and greatest value, and whether all values are finite, in one pass.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32, 1 to 4 dimensions, any strides
)",
                   "Wrong dtype or shape, src is empty", R"(low, high : float
    Of all values that are numbers, infinities among them; NaN where none is.
nan, infinite : int
    How many values are NaN, and how many are infinite.
)")
            .c_str());
  m.def("moments", &moments, py::arg("src"), py::kw_only(), py::arg("nonzero") = false, py::arg("threads") = 0,
        documented(R"(Count, mean and standard deviation (of the population), in one pass.

Integers of 8 and 16 bits are summed exactly. int32 and float32 are summed in double over blocks of 4096 elements in the
order of memory, and the blocks combined pairwise (Chan, Golub, LeVeque 1979), so that nothing cancels and every CPU
and thread count gives the same bits.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32, 1 to 4 dimensions, any strides
nonzero : leave zeros out
)",
                   "Wrong dtype or shape", R"(count : int
mean, deviation : float
    NaN where the count is 0 or a value is not finite.
)")
            .c_str());
  m.def("histogram", &histogram, py::arg("src"), py::kw_only(), py::arg("threads") = 0,
        documented(R"(How many voxels there are of each value, in one pass.

Parameters
----------
src : uint8, int8, uint16 or int16, 1 to 4 dimensions, any strides
)",
                   "Wrong dtype or shape", R"(int64 [256] or int64 [65536]
    The first is for the least value of the type.
)")
            .c_str());
  m.def(
      "percentiles", &percentiles, py::arg("src"), py::arg("percents"), py::kw_only(), py::arg("nonzero") = false,
      py::arg("threads") = 0,
      documented(
          R"(Percentiles with linear interpolation between order statistics: ``numpy.percentile(src, percents)``, exactly.

Values are counted, not sorted: integers of 8 and 16 bits in one pass, int32 and float32 by the upper half of their bits
and then, in a second pass, by the lower half of those that matter. A float32 difference is taken in float32, as numpy
does; a difference of integers is exact.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32, 1 to 4 dimensions, any strides
percents : floats, 0 to 100
nonzero : leave zeros out
)",
          "Wrong dtype or shape, a percentile beyond 0 to 100", R"(float64 [len(percents)]
    NaN where there is no value, or where any is NaN.
)")
          .c_str());
  m.def("bounding_box", &bounding_box, py::arg("src"), py::kw_only(), py::arg("above") = py::none(),
        py::arg("equal") = py::none(), py::arg("threads") = 0,
        documented(R"(The smallest box around the foreground; what lies within the box found so far is not read.

Parameters
----------
src : bool, uint8, int8, uint16, int16, int32 or float32, 1 to 3 dimensions, any strides
above : foreground is what is greater
equal : foreground is what has this value; without either it is what is not 0 (a NaN is not 0)
)",
                   "Wrong dtype or shape, above or equal is NaN or both are given", R"(tuple of slice, or None
    ``src[box]`` is the box; None where there is no foreground.
)")
            .c_str());
  m.def("standardise", &standardise, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("mean"),
        py::arg("deviation"), py::arg("nonzero") = false, py::arg("threads") = 0,
        documented(
            R"(Subtract the mean, divide by the deviation: ``out = (src - mean) / deviation`` in float32, in that order.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [z, y, x], any strides
out : float32 of src's shape, any strides; may be src itself if that is float32
mean, deviation : rounded to float32
nonzero : leave zeros as they are
)",
            "Wrong dtype or shape, out overlaps src otherwise")
            .c_str());
}
