// The kernels that work on connected components, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "../cpu/components/measure.h"
#include "../cpu/components/morphology.h"
#include "../cpu/components/nms.h"
#include "../cpu/components/outline.h"
#include "bindings.h"
#include "checks.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::Connectivity;
using cpu::DType;

// The last three axes; an array of two has one slice.
template <typename Array3>
Array3 volume(const Argument& a, DType type, decltype(Array3::data) data) {
  if (a.array.ndim() > 2) return last_three<Array3>(a, type, data);
  return {data, type, {1, a.array.shape(0), a.array.shape(1)}, {0, element_stride(a, 0), element_stride(a, 1)}};
}

cpu::Array3 writable(const Argument& a, DType type) {
  check_output(a);
  return volume<cpu::Array3>(a, type, py::array(a.array).mutable_data());
}

// `flat`: the map has two axes.
Connectivity connectivity_of(const py::object& value, bool flat) {
  if (value.is_none()) return Connectivity::none;
  const int neighbours = py::cast<int>(value);
  const bool within = neighbours == 4 || neighbours == 8;
  if (!within && (flat || (neighbours != 6 && neighbours != 18 && neighbours != 26))) {
    throw py::value_error(std::string("'connectivity' must be ") +
                          (flat ? "4 or 8" : "6, 18 or 26 (in slices 4 or 8)") + ", got " + std::to_string(neighbours));
  }
  return static_cast<Connectivity>(neighbours);
}

// What each label counts as, a table of 256.
struct Groups {
  std::uint8_t of[256];

  explicit Groups(const py::object& table) {
    for (int label = 0; label < 256; ++label) of[label] = static_cast<std::uint8_t>(label);
    if (table.is_none()) return;
    const Argument groups("groups", table);
    check_dtype(groups, {DType::u8});
    check_shape(groups, {256});
    const std::uint8_t* const first = static_cast<const std::uint8_t*>(groups.array.data());
    const Index stride = element_stride(groups, 0);
    for (int label = 0; label < 256; ++label) of[label] = first[label * stride];
  }
};

void check_map(const Argument& a, bool channels) {
  check_dtype(a, {DType::u8});
  const Index axes = a.array.ndim() - (channels ? 1 : 0);
  if (axes != 2 && axes != 3) {
    a.refuse(std::string("must have axes ") + (channels ? "[c, (z,) y, x]" : "[(z,) y, x]") + ", got shape " +
             a.shape());
  }
}

void find(const Argument& src, bool channels, const Groups& groups, Connectivity connectivity, int threads,
          cpu::Runs& runs) {
  const py::array& array = src.array;
  const bool flat = array.ndim() - (channels ? 1 : 0) == 2;
  cpu::ConstArray3 map;
  if (flat && channels) {
    map = {array.data(),
           DType::u8,
           {1, array.shape(1), array.shape(2)},
           {0, element_stride(src, 1), element_stride(src, 2)}};
  } else {
    map = volume<cpu::ConstArray3>(src, DType::u8, array.data());
  }
  const Index count = channels ? array.shape(0) : 1, step = channels ? element_stride(src, 0) : 0;
  py::gil_scoped_release release;
  cpu::find_runs(map, count, step, groups.of, threads, runs);
  cpu::number_components(runs, connectivity, threads);
}

// A float32 a slice, or one for all.
std::vector<float> per_slice(const char* name, const py::object& object, Index slices) {
  if (!py::isinstance<py::array>(object)) {
    return std::vector<float>(static_cast<std::size_t>(slices), static_cast<float>(py::cast<double>(object)));
  }
  const Argument a(name, object);
  check_dtype(a, {DType::f32});
  check_shape(a, {slices});
  std::vector<float> values;
  for (Index z = 0; z < slices; ++z) {
    values.push_back(static_cast<const float*>(a.array.data())[z * element_stride(a, 0)]);
  }
  return values;
}

std::pair<double, double> range_of(DType type) {
  switch (type) {
    case DType::u8:
      return {0, 255};
    case DType::i8:
      return {-128, 127};
    case DType::u16:
      return {0, 65535};
    case DType::i16:
      return {-32768, 32767};
    default:
      return {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
  }
}

// u8, u16, or i32, which also stands for uint32: no component has a number above 2^31 - 1 there.
DType check_numbers(const Argument& out, std::uint64_t most) {
  const bool wide =
      out.array.dtype().kind() == 'u' && out.array.itemsize() == 4 && out.array.dtype().byteorder() == '=';
  const DType type = wide ? DType::i32 : check_dtype(out, {DType::u8, DType::u16, DType::i32});
  const std::uint64_t room = wide ? 0xffffffffu : static_cast<std::uint64_t>(range_of(type).second);
  if (most > room) out.refuse("is " + out.dtype() + ", too small for the number " + std::to_string(most));
  return type;
}

template <typename T>
py::array_t<T> kept(std::initializer_list<Index> shape) {
  return py::array_t<T>(std::vector<Index>(shape));
}

template <typename T>
T freeze(T array) {
  array.attr("setflags")(py::arg("write") = false);
  return array;
}

// uint32, one a component.
std::vector<std::uint32_t> table(const char* name, const py::object& object, Index components) {
  const Argument a(name, object);
  const py::dtype dtype = a.array.dtype();
  if (dtype.kind() != 'u' || dtype.itemsize() != 4 || dtype.byteorder() != '=') {
    a.refuse("must be uint32, got " + a.dtype());
  }
  check_shape(a, {components});
  std::vector<std::uint32_t> values;
  values.reserve(static_cast<std::size_t>(components));
  for (Index k = 0; k < components; ++k) {
    values.push_back(static_cast<const std::uint32_t*>(a.array.data())[k * element_stride(a, 0)]);
  }
  return values;
}

class Components {
 public:
  Components(py::object src_, py::object connectivity, py::object groups_, bool channels, int threads) {
    const Argument src("src", src_);
    check_map(src, channels);
    flat_ = src.array.ndim() - (channels ? 1 : 0) == 2;
    const Connectivity how = connectivity_of(connectivity, flat_);
    const Groups groups(groups_);
    check_threads(threads);
    find(src, channels, groups, how, threads, runs_);
    measure(threads);
  }

  Components select(py::object numbers_, int threads) const {
    const std::vector<std::uint32_t> numbers = table("numbers", numbers_, runs_.components);
    check_threads(threads);
    const std::uint32_t most = numbers.empty() ? 0 : *std::max_element(numbers.begin(), numbers.end());
    if (most > runs_.components) {
      throw py::value_error("'numbers' must be at most the number of components, " + std::to_string(runs_.components) +
                            ", got " + std::to_string(most));
    }
    Components chosen;
    chosen.flat_ = flat_;
    {
      py::gil_scoped_release release;
      cpu::select_components(runs_, numbers.data(), most, chosen.runs_);
    }
    chosen.measure(threads);
    return chosen;
  }

  void paint(py::object out_, py::object values_, bool clear, int threads) const {
    const Argument out("out", out_);
    check_same(out);
    std::vector<std::uint32_t> values;
    std::uint64_t most = runs_.components;
    if (!values_.is_none()) {
      values = table("values", values_, runs_.components);
      most = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
    }
    const DType type = check_numbers(out, most);
    const cpu::Array3 to = writable(out, type);
    check_threads(threads);
    py::gil_scoped_release release;
    cpu::paint(runs_, values_.is_none() ? nullptr : values.data(), clear, to, threads);
  }

  py::tuple statistics(py::object stored_, py::object slope_, py::object intercept_, py::object padding_,
                       int threads) const {
    const Argument stored("stored", stored_);
    const DType type = check_dtype(stored, kStored);
    check_same(stored);
    const cpu::ConstArray3 from = volume<cpu::ConstArray3>(stored, type, stored.array.data());
    const std::vector<float> slope = per_slice("slope", slope_, runs_.shape[0]);
    const std::vector<float> intercept = per_slice("intercept", intercept_, runs_.shape[0]);
    double padding = 0;
    bool padded = false;
    if (!padding_.is_none()) {
      padding = py::cast<double>(padding_);
      const auto [low, high] = range_of(type);  // a value outside is held by no voxel
      padded = type == DType::f32 || (padding >= low && padding <= high && padding == std::floor(padding));
    }
    check_threads(threads);
    const Index n = runs_.components;
    py::array_t<std::int64_t> count = kept<std::int64_t>({n});
    py::array_t<double> values = kept<double>({n, 4});
    {
      std::int64_t* const counts = count.mutable_data();
      double* const numbers = values.mutable_data();
      py::gil_scoped_release release;
      cpu::measure_values(runs_, pieces_, from, slope.data(), intercept.data(), padded ? &padding : nullptr, counts,
                          numbers, threads);
    }
    return py::make_tuple(count, values);
  }

  py::tuple longest_diameters(py::object pixel_, py::object slices_, int threads) const {
    const Index n = runs_.components;
    const Argument pixel("pixel", pixel_);
    const py::dtype dtype = pixel.array.dtype();
    if (dtype.kind() != 'f' || dtype.itemsize() != 8 || dtype.byteorder() != '=') {
      pixel.refuse("must be float64, got " + pixel.dtype());
    }
    check_shape(pixel, {n, 2});
    std::vector<double> sizes;
    for (Index k = 0; k < n; ++k) {
      for (Index axis = 0; axis < 2; ++axis) {
        const Index at = k * element_stride(pixel, 0) + axis * element_stride(pixel, 1);
        sizes.push_back(static_cast<const double*>(pixel.array.data())[at]);
        if (!(sizes.back() > 0) || std::isinf(sizes.back())) pixel.refuse("must be above 0 and finite");
      }
    }
    std::vector<std::int32_t> only;
    if (!slices_.is_none()) {
      const Argument slices("slices", slices_);
      check_dtype(slices, {DType::i32});
      check_shape(slices, {n});
      for (Index k = 0; k < n; ++k) {
        only.push_back(static_cast<const std::int32_t*>(slices.array.data())[k * element_stride(slices, 0)]);
      }
    }
    check_threads(threads);
    py::array_t<double> length = kept<double>({n});
    py::array_t<std::int32_t> slice = kept<std::int32_t>({n}), ends = kept<std::int32_t>({n, 2, 2});
    {
      double* const lengths = length.mutable_data();
      std::int32_t *const where = slice.mutable_data(), *const both = ends.mutable_data();
      py::gil_scoped_release release;
      cpu::measure_diameter(runs_, pieces_, sizes.data(), slices_.is_none() ? nullptr : only.data(), lengths, where,
                            both, threads);
    }
    return py::make_tuple(length, slice, ends);
  }

  py::tuple shape() const {
    if (flat_) return py::make_tuple(runs_.shape[1], runs_.shape[2]);
    return py::make_tuple(runs_.shape[0], runs_.shape[1], runs_.shape[2]);
  }
  std::uint32_t count() const { return runs_.components; }

  py::array_t<std::uint8_t> label;
  py::array_t<std::int64_t> voxels, sums, key_area;
  py::array_t<std::int32_t> box, key_slice;

 private:
  Components() = default;

  void measure(int threads) {
    const Index n = runs_.components;
    label = kept<std::uint8_t>({n});
    std::copy(runs_.label.data(), runs_.label.data() + n, label.mutable_data());
    voxels = kept<std::int64_t>({n});
    sums = kept<std::int64_t>({n, 3});
    key_area = kept<std::int64_t>({n});
    box = kept<std::int32_t>({n, 3, 2});
    key_slice = kept<std::int32_t>({n});
    {
      const cpu::Extent to{voxels.mutable_data(), sums.mutable_data(), box.mutable_data(), key_slice.mutable_data(),
                           key_area.mutable_data()};
      py::gil_scoped_release release;
      cpu::sort_pieces(runs_, pieces_);
      cpu::measure_extent(runs_, pieces_, to, threads);
    }
    freeze(label), freeze(voxels), freeze(sums), freeze(key_area), freeze(box), freeze(key_slice);
  }

  void check_same(const Argument& a) const {
    if (flat_) {
      check_shape(a, {runs_.shape[1], runs_.shape[2]});
    } else {
      check_shape(a, {runs_.shape[0], runs_.shape[1], runs_.shape[2]});
    }
  }

  cpu::Runs runs_;
  cpu::Pieces pieces_;
  bool flat_ = false;
};

// What equal calls of one thread share.
cpu::MorphologyMemory& memory() {
  static thread_local cpu::MorphologyMemory held;
  return held;
}

std::uint32_t connected_components(py::object src_, py::object out_, py::object connectivity, py::object groups_,
                                   int threads) {
  const Argument src("src", src_), out("out", out_);
  check_map(src, false);
  const bool flat = src.array.ndim() == 2;
  if (flat) {
    check_shape(out, {src.array.shape(0), src.array.shape(1)});
  } else {
    check_shape(out, {src.array.shape(0), src.array.shape(1), src.array.shape(2)});
  }
  if (connectivity.is_none()) throw py::value_error("'connectivity' must not be None");
  const Connectivity how = connectivity_of(connectivity, flat);
  const Groups groups(groups_);
  check_numbers(out, 0);
  check_output(out);
  check_apart(out, src);
  check_threads(threads);
  cpu::Runs& runs = memory().found;
  find(src, false, groups, how, threads, runs);
  const cpu::Array3 to = writable(out, check_numbers(out, runs.components));
  py::gil_scoped_release release;
  cpu::paint(runs, nullptr, true, to, threads);
  return runs.components;
}

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
  cpu::fill_holes(map, wanted.data(), static_cast<int>(wanted.size()), how, flat, threads, memory());
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

Index nms(py::object boxes_, py::object scores_, py::object out_, double threshold, py::object most_, int threads) {
  const Argument boxes("boxes", boxes_), scores("scores", scores_), out("out", out_);
  check_dimensions(boxes, 2, "[n, 4 or 6]");
  check_dtype(boxes, {DType::f32});
  const Index n = boxes.array.shape(0), columns = boxes.array.shape(1);
  if (columns != 4 && columns != 6) boxes.refuse("must have shape [n, 4 or 6], got " + boxes.shape());
  check_dtype(scores, {DType::f32});
  check_shape(scores, {n});
  const py::dtype dtype = out.array.dtype();
  if (dtype.kind() != 'i' || dtype.itemsize() != 8 || dtype.byteorder() != '=') {
    out.refuse("must be int64, got " + out.dtype());
  }
  check_shape(out, {n});
  check_output(out);
  if (n > 1 && element_stride(out, 0) != 1) out.refuse("must be contiguous");
  check_apart(out, boxes);
  check_apart(out, scores);
  check_not_nan("threshold", threshold);
  check_threads(threads);
  const Index most = most_.is_none() ? n : py::cast<Index>(most_);
  if (most < 0) throw py::value_error("'most' must be 0 or more, got " + std::to_string(most));
  if (n == 0 || most == 0) return 0;
  const float* const box = static_cast<const float*>(boxes.array.data());
  const float* const score = static_cast<const float*>(scores.array.data());
  const Index row = element_stride(boxes, 0), step = element_stride(boxes, 1), next = element_stride(scores, 0);
  const int axes = static_cast<int>(columns / 2);
  for (Index k = 0; k < n; ++k) {
    if (std::isnan(score[k * next])) scores.refuse("must not be NaN");
    for (Index axis = 0; axis < axes; ++axis) {
      const float low = box[k * row + axis * step], high = box[k * row + (axes + axis) * step];
      if (!std::isfinite(low) || !std::isfinite(high) || high < low) {
        boxes.refuse("must be finite, no lower corner above the upper one");
      }
    }
  }
  std::int64_t* const kept_boxes = static_cast<std::int64_t*>(py::array(out.array).mutable_data());
  py::gil_scoped_release release;
  return cpu::nms(box, row, step, score, next, n, axes, static_cast<float>(threshold), most, kept_boxes, threads);
}

}  // namespace

void bind_components(py::module_& m) {
  py::class_<Components>(m, "Components", R"(Connected components of a label map, with their measurements.

They are kept as runs along x, so all that is done with them costs what they have, not what the volume has. Numbered
from 1 in raster order of their first voxel, as scipy.ndimage.label does; a row of the arrays is a component. Arrays of two axes
count as one slice, z = 0.

Parameters
----------
src : uint8 [y, x] or [z, y, x], any strides
    Labels; 0 is background. Neighbours of different labels lie in different components.
connectivity : 4 or 8 neighbours in a slice, 6, 18 or 26 in a volume; None: all of one label is one component, in the
    order of the labels
groups : uint8 [256]
    What each label counts as, 0 for background; the labels as they are where it is not given.
channels : whether src has an axis more in front; a voxel is then the bitwise or over it
threads : at most so many; 0 is every core of the process's affinity mask

Raises
------
ValueError
    Wrong dtype, shape or connectivity; the argument is named.
)")
      .def(py::init<py::object, py::object, py::object, bool, int>(), py::arg("src"), py::kw_only(),
           py::arg("connectivity"), py::arg("groups") = py::none(), py::arg("channels") = false, py::arg("threads") = 0)
      .def_property_readonly("shape", &Components::shape, "Of the label map.")
      .def("__len__", &Components::count)
      .def_readonly("label", &Components::label, "uint8 [n]: what ``groups`` made of the label.")
      .def_readonly("voxels", &Components::voxels, "int64 [n].")
      .def_readonly("sums", &Components::sums, "int64 [n, 3]: sum of z, y and x over the voxels; / voxels: centroid.")
      .def_readonly("box", &Components::box, "int32 [n, 3, 2]: of z, y and x the first and one past the last.")
      .def_readonly("key_slice", &Components::key_slice, "int32 [n]: the first z of those with the most voxels.")
      .def_readonly("key_area", &Components::key_area, "int64 [n]: voxels in that slice.")
      .def("select", &Components::select, py::arg("numbers"), py::kw_only(), py::arg("threads") = 0,
           R"(Some of the components, put together: component k becomes one of component ``numbers[k]``.

Parameters
----------
numbers : uint32 [n], from 1 and at most n; 0 leaves the component out
threads : at most so many; 0 is every core of the process's affinity mask
)")
      .def("paint", &Components::paint, py::arg("out"), py::arg("values") = py::none(), py::kw_only(),
           py::arg("clear") = true, py::arg("threads") = 0,
           R"(Write the components into an array.

Parameters
----------
out : uint8, uint16, int32 or uint32 of the map's shape, any strides
values : uint32 [n], what to write for each; their numbers from 1 where it is not given
clear : whether all other voxels become 0; else they stay as they are
threads : at most so many; 0 is every core of the process's affinity mask
)")
      .def("statistics", &Components::statistics, py::arg("stored"), py::kw_only(), py::arg("slope") = 1.0,
           py::arg("intercept") = 0.0, py::arg("padding") = py::none(), py::arg("threads") = 0,
           R"(Statistics of ``stored * slope + intercept`` over each component, in float64.

Stored integers of at most 16 bits are summed exactly as long as slope and intercept stay the same; else sums are combined
by Chan, Golub and LeVeque 1979, in the order of the slices.

Parameters
----------
stored : uint8, int8, uint16, int16, int32 or float32 of the map's shape, any strides
slope, intercept : float or float32 [z]
padding : stored value that is left out
threads : at most so many; 0 is every core of the process's affinity mask

Returns
-------
count : int64 [n]
    Voxels that were not left out.
values : float64 [n, 4]
    Mean, population standard deviation, minimum, maximum; NaN where the count is 0.
)")
      .def("longest_diameters", &Components::longest_diameters, py::arg("pixel"), py::kw_only(),
           py::arg("slices") = py::none(), py::arg("threads") = 0,
           R"(The largest distance between the centres of two voxels of a component in one slice.

Of equal ones that in the slice whose box has the longer diagonal, or that comes first.

Parameters
----------
pixel : float64 [n, 2], above 0
    Pixel size along y and x; the lengths have its unit.
slices : int32 [n], the one slice to look at for each component; all where it is not given
threads : at most so many; 0 is every core of the process's affinity mask

Returns
-------
length : float64 [n]
    -1 where the component has no voxel there.
slice : int32 [n]
ends : int32 [n, 2, 2]
    (y, x) of both.
)");

  m.def("connected_components", &connected_components, py::arg("src"), py::arg("out"), py::kw_only(),
        py::arg("connectivity"), py::arg("groups") = py::none(), py::arg("threads") = 0,
        R"(Number the connected components of a label map in raster order of their first voxel (scipy.ndimage.label).

Parameters
----------
src : uint8 [y, x] or [z, y, x], any strides
    Labels; 0 is background. Neighbours of different labels lie in different components.
out : uint8, uint16, int32 or uint32 of src's shape, any strides; 0 is background
connectivity : 4 or 8 neighbours in a slice, 6, 18 or 26 in a volume
groups : uint8 [256]
    What each label counts as, 0 for background; the labels as they are where it is not given.
threads : at most so many; 0 is every core of the process's affinity mask

Returns
-------
int
    How many there are.

Raises
------
ValueError
    Wrong dtype, shape or connectivity, out overlaps src or is too small a type; the argument is named.
)");

  m.def("keep_largest", &keep_largest, py::arg("labels"), py::kw_only(), py::arg("connectivity"),
        py::arg("groups") = py::none(), py::arg("count") = 1, py::arg("threads") = 0,
        R"(Set to 0, in place, what is not in the largest components of its group.

Of components of one size the later in raster order counts as larger.

Parameters
----------
labels : uint8 [y, x] or [z, y, x], any strides
connectivity : 4 or 8 neighbours in a slice, 6, 18 or 26 in a volume
groups : uint8 [256]
    What each label counts as, 0 for what is not to be touched; each label on its own where it is not given.
count : how many components of a group are kept
threads : at most so many; 0 is every core of the process's affinity mask

Raises
------
ValueError
    Wrong dtype, shape or connectivity, or labels read-only; the argument is named.
)");

  m.def("fill_holes", &fill_holes, py::arg("labels"), py::arg("of"), py::kw_only(), py::arg("connectivity"),
        py::arg("threads") = 0,
        R"(Give what labels enclose, one label after the other, that label, in place (scipy.ndimage.binary_fill_holes).

Parameters
----------
labels : uint8 [y, x] or [z, y, x], any strides
of : uint8 [n], the labels whose holes are filled; 0 has none
connectivity : 4 or 8 neighbours in a slice, 6, 18 or 26 in a volume, by which a hole would reach the border
threads : at most so many; 0 is every core of the process's affinity mask

Raises
------
ValueError
    Wrong dtype, shape or connectivity, or labels read-only; the argument is named.
)");

  m.def("draw_outline", &draw_outline, py::arg("slice"), py::arg("picture"), py::kw_only(), py::arg("groups"),
        py::arg("rows"), py::arg("columns"), py::arg("color"), py::arg("width"), py::arg("threads") = 0,
        R"(Draw a line around what is labelled in a slice, outside of it, onto an RGB picture of that slice.

A gap of one pixel (of four neighbours) around the labelled pixels stays as it is, then come a line and a dark rim of one
pixel (of eight).

Parameters
----------
slice : uint8 [y, x], any strides
picture : uint8 [height, width, 3], any strides; changed in place
groups : uint8 [256]
    Labels whose entry is not 0 are outlined, as one shape.
rows : int32 [height]
columns : int32 [width]
    Row and column of ``slice`` under each pixel, which never fall.
color : three of 0 to 255
width : of the line, in pixels
threads : at most so many; 0 is every core of the process's affinity mask

Raises
------
ValueError
    Wrong dtype or shape, picture read-only or overlapping slice; the argument is named.
)");

  m.def("nms", &nms, py::arg("boxes"), py::arg("scores"), py::arg("out"), py::kw_only(), py::arg("threshold"),
        py::arg("most") = py::none(), py::arg("threads") = 0,
        R"(Non-maximum suppression (monai.data.box_utils.non_max_suppression, its intersection over union in float32).

Box after box by falling score, of equal ones the first, is kept unless it overlaps one that was kept by more than the
threshold.

Parameters
----------
boxes : float32 [n, 4 or 6], any strides
    Lower corner, then upper corner, in any order of the axes.
scores : float32 [n]
out : int64 [n], contiguous
    The indices that are kept stand in front, best first.
threshold : intersection over union
most : how many are kept at most
threads : at most so many; 0 is every core of the process's affinity mask

Returns
-------
int
    How many are kept.

Raises
------
ValueError
    Wrong dtype or shape, scores with NaN, boxes that are none; the argument is named.
)");
}
