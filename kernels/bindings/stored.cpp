// The kernels from stored values to stored values, bound: arguments checked with the GIL held, the work done without
// it.
#include "../cpu/elementwise/stored.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <optional>
#include <string>

#include "../cpu/elementwise/colour.h"
#include "bindings.h"
#include "checks.h"
#include "documented.h"
#include "pixels.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

void ybr_to_rgb(py::object src_, py::object out_, int threads) {
  const Argument src("src", src_), out("out", out_);
  const cpu::ConstPixels from = colour_in(src, {DType::u8});
  check_dtype(out, {DType::u8});
  check_shape(out, {from.shape[0], from.shape[1], from.shape[2], 3});
  const cpu::Pixels to = pixels_out(out, DType::u8);
  if (!same_view(src.array, out.array)) check_apart(out, src);
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::ybr_to_rgb(from, to, threads);
}

void look_up(py::object src_, py::object out_, py::object table_, long long first, py::object slope_,
             py::object intercept_, int threads) {
  const Argument src("src", src_), out("out", out_), table("table", table_);
  check_dimensions(src, 3, "[z, y, x]");
  const cpu::ConstArray3 from = input(src, check_dtype(src, kStored));
  const bool colour = table.array.ndim() == 2;
  const DType type = colour ? check_dtype(table, {DType::u8}) : check_dtype(table, {DType::u8, DType::u16, DType::f32});
  if (colour) {
    check_shape(table, {table.array.shape(0), 3});
    check_shape(out, {from.shape[0], from.shape[1], from.shape[2], 3});
  } else {
    check_dimensions(table, 1, "[n] (or [n, 3])");
    check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
  }
  const Index entries = table.array.shape(0);
  if (entries < 1 || entries > 1 << 20) table.refuse("must have 1 to 1048576 entries, got shape " + table.shape());
  if (!(table.array.flags() & py::array::c_style)) table.refuse("must be C-contiguous");
  check_dtype(out, {type});
  check_output(out);
  check_apart(out, src);
  check_apart(out, table);
  const double slope = number("slope", slope_), intercept = number("intercept", intercept_);
  if (first < -(1 << 20) || first > 1 << 20) throw py::value_error("'first' must be within +-1048576");
  check_threads(threads);
  cpu::Array3 to{py::array(out.array).mutable_data(), type, {}, {}};
  for (Index axis = 0; axis < 3; ++axis) {
    to.shape[axis] = out.array.shape(axis);
    to.stride[axis] = element_stride(out, axis);
  }
  const Index between = colour ? element_stride(out, 3) : 0;
  element_stride(table, 0);
  const LookUp how{static_cast<float>(slope), static_cast<float>(intercept), static_cast<std::int32_t>(first),
                   static_cast<std::int32_t>(entries - 1)};
  const void* const entries_data = table.array.data();
  py::gil_scoped_release release;
  cpu::look_up(from, to, entries_data, colour ? 3 : 1, between, how, threads);
}

void extract_bits(py::object src_, py::object out_, int shift, int bits, int threads) {
  const Argument src("src", src_), out("out", out_);
  check_dimensions(src, 3, "[z, y, x]");
  const cpu::ConstArray3 from = input(src, check_dtype(src, kIntegers));
  const DType type = check_dtype(out, kIntegers);
  check_shape(out, {from.shape[0], from.shape[1], from.shape[2]});
  const cpu::Array3 to = output(out, type);
  if (!same_view(src.array, out.array)) check_apart(out, src);
  const int width = static_cast<int>(8 * cpu::item_size(from.type));
  if (shift < 0 || shift >= width) throw py::value_error("'shift' must be 0 to " + std::to_string(width - 1));
  if (bits < 1 || bits > width - shift) {
    throw py::value_error("'bits' must be 1 to " + std::to_string(width - shift) + " with that 'shift'");
  }
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::extract_bits(from, to, shift, bits, threads);
}

void mirror(py::object values_, long long total, py::object padding_value_, int threads) {
  const Argument values("values", values_);
  check_dimensions(values, 3, "[z, y, x]");
  const cpu::Array3 array = output(values, check_dtype(values, kStored));
  const std::optional<double> padding = number_or_none("padding_value", padding_value_);
  check_threads(threads);
  py::gil_scoped_release release;
  cpu::mirror(array, total, padding ? &*padding : nullptr, threads);
}

}  // namespace

void bind_stored(py::module_& m) {
  m.def("ybr_to_rgb", &ybr_to_rgb, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("threads") = 0,
        documented(R"(YBR_FULL to RGB, 8 bits, rounded half to even and saturated.

DICOM PS3.3 C.7.6.3.1.2; the inverse is that of ITU-T T.871 (JFIF).

Parameters
----------
src : uint8 [n, y, x, 3], any strides
out : uint8 of src's shape, any strides; may be src itself
)",
                   "Wrong dtype or shape, out overlaps src otherwise")
            .c_str());

  m.def("look_up", &look_up, py::arg("src"), py::arg("out"), py::arg("table"), py::kw_only(), py::arg("first") = 0,
        py::arg("slope") = 1.0, py::arg("intercept") = 0.0, py::arg("threads") = 0,
        documented(R"(Through a look-up table: ``out = table[clip(round(src * slope + intercept) - first, 0, n - 1)]``.

Modality LUT, VOI LUT and palette (DICOM PS3.3 C.11.1.1.1, C.11.2.1.1, C.7.6.3.1.5): ``first`` is the value that the
first entry stands for. Rounded half to even; a NaN takes the first entry.

Parameters
----------
src : uint8, int8, uint16, int16, int32 or float32 [z, y, x], any strides
out : of the table's dtype and src's shape, any strides; with a table [n, 3], [z, y, x, 3]
table : uint8, uint16 or float32 [n], or uint8 [n, 3]; C-contiguous, 1 to 1048576 entries
first : within +-1048576
slope, intercept : stored value to what the table is indexed by
)",
                   "Wrong dtype or shape, out overlaps another, an empty table")
            .c_str());

  m.def("extract_bits", &extract_bits, py::arg("src"), py::arg("out"), py::kw_only(), py::arg("shift"), py::arg("bits"),
        py::arg("threads") = 0,
        documented(R"(Bits ``shift`` to ``shift + bits - 1`` of integers, sign-extended where out is signed.

What Bits Stored and High Bit leave of a stored value (DICOM PS3.5 8.1.1). Bits that out has no room for are dropped.

Parameters
----------
src : uint8, int8, uint16, int16 or int32 [z, y, x], any strides
out : one of these dtypes, src's shape, any strides; may be src itself
shift, bits : within the width of src's dtype, bits 1 or more
)",
                   "Wrong dtype or shape, out overlaps src otherwise, bits that src has not")
            .c_str());

  m.def("mirror", &mirror, py::arg("values"), py::arg("total"), py::kw_only(), py::arg("padding_value") = py::none(),
        py::arg("threads") = 0,
        documented(R"(Mirror values in place: ``values = total - values``; integers wrap around.

MONOCHROME1 to MONOCHROME2 with ``total`` the sum of the least and the largest stored value (DICOM PS3.3 C.7.6.3.1.2).

Parameters
----------
values : uint8, int8, uint16, int16, int32 or float32 [z, y, x], any strides
total : int
padding_value : a value that stays as it is, or None
)",
                   "Wrong dtype or shape, or values read-only")
            .c_str());
}
