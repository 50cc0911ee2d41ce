// The kernels that change label maps or draw them, bound: arguments checked with the GIL held, the work done without
// it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "../cpu/components/morphology.h"
#include "../cpu/components/outline.h"
#include "bindings.h"
#include "checks.h"
#include "documented.h"
#include "label_map.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::Connectivity;
using cpu::DType;

void keep_largest(py::object labels_, py::object connectivity, py::object groups_, Index most, int threads) {
  const Argument labels("labels", labels_);
  check_map(labels, false);
  const Connectivity how = connectivity_of(connectivity, labels.array.ndim() == 2);
  if (connectivity.is_none()) throw py::value_error("'connectivity' must not be None");
  const Groups groups(groups_);
  if (most < 0) throw py::value_error("'count' must be 0 or more, got " + std::to_string(most));
  check_threads(threads);
  const cpu::Array3 map = writable(labels, DType::u8);
  py::gil_scoped_release release;
  cpu::keep_largest(map, groups.of, how, most, threads, memory());
}

void fill_holes(py::object labels_, py::object of_, py::object connectivity, int threads) {
  const Argument labels("labels", labels_), of("of", of_);
  check_map(labels, false);
  const bool flat = labels.array.ndim() == 2;
  const Connectivity how = connectivity_of(connectivity, flat);
  if (connectivity.is_none()) throw py::value_error("'connectivity' must not be None");
  check_dtype(of, {DType::u8});
  check_dimensions(of, 1, "[n]");
  std::vector<std::uint8_t> wanted;
  for (Index k = 0; k < of.array.shape(0); ++k) {
    wanted.push_back(static_cast<const std::uint8_t*>(of.array.data())[k * element_stride(of, 0)]);
  }
  check_threads(threads);
  const cpu::Array3 map = writable(labels, DType::u8);
  py::gil_scoped_release release;
  cpu::fill_holes(map, wanted.data(), static_cast<int>(wanted.size()), how, threads, memory());
}

// int32 positions in a slice that never fall.
std::vector<std::int32_t> positions(const char* name, const py::object& object, Index count, Index below) {
  const Argument a(name, object);
  check_dtype(a, {DType::i32});
  check_shape(a, {count});
  std::vector<std::int32_t> values;
  for (Index k = 0; k < count; ++k) {
    values.push_back(static_cast<const std::int32_t*>(a.array.data())[k * element_stride(a, 0)]);
    if (values.back() < 0 || values.back() >= below ||
        (k > 0 && values[static_cast<std::size_t>(k - 1)] > values.back())) {
      a.refuse("must never fall and stay within 0 to " + std::to_string(below - 1));
    }
  }
  return values;
}

void draw_outline(py::object slice_, py::object picture_, py::object groups_, py::object rows_, py::object columns_,
                  std::tuple<int, int, int> color_, int width, int threads) {
  const Argument slice("slice", slice_), picture("picture", picture_);
  check_dimensions(slice, 2, "[y, x]");
  check_dtype(slice, {DType::u8});
  check_dimensions(picture, 3, "[y, x, 3]");
  check_dtype(picture, {DType::u8});
  if (picture.array.shape(2) != 3) picture.refuse("must have shape [y, x, 3], got " + picture.shape());
  const Groups groups(groups_);
  const std::vector<std::int32_t> rows = positions("rows", rows_, picture.array.shape(0), slice.array.shape(0));
  const std::vector<std::int32_t> columns =
      positions("columns", columns_, picture.array.shape(1), slice.array.shape(1));
  const auto [red, green, blue] = color_;
  std::uint8_t color[3];
  int channel = 0;
  for (const int value : {red, green, blue}) {
    if (value < 0 || value > 255) throw py::value_error("'color' must be 0 to 255, got " + std::to_string(value));
    color[channel++] = static_cast<std::uint8_t>(value);
  }
  if (width < 0 || width > 1 << 20) throw py::value_error("'width' must be 0 or more, got " + std::to_string(width));
  check_threads(threads);
  const cpu::Array3 to = output(picture, DType::u8);
  check_apart(picture, slice);
  const cpu::ConstArray3 from = volume<cpu::ConstArray3>(slice, DType::u8, slice.array.data());
  py::gil_scoped_release release;
  cpu::outline(from, groups.of, rows.data(), columns.data(), color, width, to, threads, memory().found);
}

}  // namespace

void bind_morphology(py::module_& m) {
  m.def("keep_largest", &keep_largest, py::arg("labels"), py::kw_only(), py::arg("connectivity"),
        py::arg("groups") = py::none(), py::arg("count") = 1, py::arg("threads") = 0,
        documented(R"(Set to 0, in place, what is not in the largest components of its group.

Of components of one size the later in raster order counts as larger.

Parameters
----------
labels : uint8 [y, x] or [z, y, x], any strides
connectivity : 4 or 8 neighbours in a slice, 6, 18 or 26 in a volume
groups : uint8 [256]
    What each label counts as, 0 for what is not to be touched; each label on its own where it is not given.
count : how many components of a group are kept
)",
                   "Wrong dtype, shape or connectivity, or labels read-only")
            .c_str());

  m.def(
      "fill_holes", &fill_holes, py::arg("labels"), py::arg("of"), py::kw_only(), py::arg("connectivity"),
      py::arg("threads") = 0,
      documented(
          R"(Give what labels enclose, one label after the other, that label, in place (scipy.ndimage.binary_fill_holes).

Parameters
----------
labels : uint8 [y, x] or [z, y, x], any strides
of : uint8 [n], the labels whose holes are filled; 0 has none
connectivity : 4 or 8 neighbours in a slice, 6, 18 or 26 in a volume, by which a hole would reach the border
    In a volume 4 and 8 fill each slice on its own, the first and the last too.
)",
          "Wrong dtype, shape or connectivity, or labels read-only")
          .c_str());

  m.def("draw_outline", &draw_outline, py::arg("slice"), py::arg("picture"), py::kw_only(), py::arg("groups"),
        py::arg("rows"), py::arg("columns"), py::arg("color"), py::arg("width"), py::arg("threads") = 0,
        documented(R"(Draw a line around what is labelled in a slice, outside of it, onto an RGB picture of that slice.

A gap of one pixel (of four neighbours) around the labelled pixels stays as it is, then come a line and a dark rim of one
pixel (of eight).

Parameters
----------
slice : uint8 [y, x], any strides
picture : uint8 [height, width, 3], any strides; changed in place
groups : uint8 [256]
    Labels whose entry is not 0 are outlined, as one shape; None: all but 0.
rows : int32 [height]
columns : int32 [width]
    Row and column of ``slice`` under each pixel, which never fall.
color : three of 0 to 255
width : of the line, in pixels
)",
                   "Wrong dtype or shape, picture read-only or overlapping slice")
            .c_str());
}
