// The kernels that work on connected components, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "../cpu/components/measure.h"
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

// u8, u16, or i32, which also stands for uint32: no component has a number above 2^31 - 1 there.
DType check_numbers(const Argument& out, std::uint64_t most) {
  const bool wide =
      out.array.dtype().kind() == 'u' && out.array.itemsize() == 4 && out.array.dtype().byteorder() == '=';
  const DType type = wide ? DType::i32 : check_dtype(out, {DType::u8, DType::u16, DType::i32});
  const std::uint64_t room = wide                 ? 0xffffffffu
                             : type == DType::i32 ? 0x7fffffffu
                             : type == DType::u16 ? 0xffffu
                                                  : 0xffu;
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

class Components : public MadeByInit {
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

  std::unique_ptr<Components> select(py::object numbers_, int threads) const {
    const std::vector<std::uint32_t> numbers = table("numbers", numbers_, runs_.components);
    check_threads(threads);
    const std::uint32_t most = numbers.empty() ? 0 : *std::max_element(numbers.begin(), numbers.end());
    if (most > runs_.components) {
      throw py::value_error("'numbers' must be at most the number of components, " + std::to_string(runs_.components) +
                            ", got " + std::to_string(most));
    }
    std::unique_ptr<Components> chosen(::new Components);
    chosen->flat_ = flat_;
    {
      py::gil_scoped_release release;
      cpu::select_components(runs_, numbers.data(), most, chosen->runs_);
    }
    chosen->measure(threads);
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

  py::tuple statistics(py::object stored_, py::object slope_, py::object intercept_, py::object padding_value_,
                       int threads) const {
    const Argument stored("stored", stored_);
    const DType type = check_dtype(stored, kStored);
    check_same(stored);
    const cpu::ConstArray3 from = volume<cpu::ConstArray3>(stored, type, stored.array.data());
    const std::vector<float> slope = of_each_slice("slope", slope_), intercept = of_each_slice("intercept", intercept_);
    const std::optional<double> padding = number_or_none("padding_value", padding_value_);
    const bool padded = padding && can_hold(type, *padding);  // else no voxel is it
    check_threads(threads);
    const Index n = runs_.components;
    py::array_t<std::int64_t> count = kept<std::int64_t>({n});
    py::array_t<double> values = kept<double>({n, 4});
    {
      std::int64_t* const counts = count.mutable_data();
      double* const numbers = values.mutable_data();
      py::gil_scoped_release release;
      cpu::measure_values(runs_, pieces_, from, slope.data(), intercept.data(), padded ? &*padding : nullptr, counts,
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

  // A float32 a slice.
  std::vector<float> of_each_slice(const char* name, const py::object& object) const {
    const NumberOrEach given(name, object, runs_.shape[0]);
    std::vector<float> values(static_cast<std::size_t>(runs_.shape[0]));
    for (std::size_t z = 0; z < values.size(); ++z) values[z] = given.data()[static_cast<Index>(z) * given.stride()];
    return values;
  }

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

}  // namespace

void bind_components(py::module_& m) {
  py::class_<Components>(m, "Components",
                         documented(R"(Connected components of a label map, with their measurements.

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
)",
                                    "Wrong dtype, shape or connectivity")
                             .c_str())
      .def(py::init([](py::object src, py::object connectivity, py::object groups, bool channels, int threads) {
             return std::unique_ptr<Components>(::new Components(src, connectivity, groups, channels, threads));
           }),
           py::arg("src"), py::kw_only(), py::arg("connectivity"), py::arg("groups") = py::none(),
           py::arg("channels") = false, py::arg("threads") = 0)
      .def_property_readonly("shape", &Components::shape, "Of the label map.")
      .def("__len__", &Components::count)
      .def_readonly("label", &Components::label, "uint8 [n]: what ``groups`` made of the label.")
      .def_readonly("voxels", &Components::voxels, "int64 [n].")
      .def_readonly("sums", &Components::sums, "int64 [n, 3]: sum of z, y and x over the voxels; / voxels: centroid.")
      .def_readonly("box", &Components::box, "int32 [n, 3, 2]: of z, y and x the first and one past the last.")
      .def_readonly("key_slice", &Components::key_slice, "int32 [n]: the first z of those with the most voxels.")
      .def_readonly("key_area", &Components::key_area, "int64 [n]: voxels in that slice.")
      .def("select", &Components::select, py::arg("numbers"), py::kw_only(), py::arg("threads") = 0,
           documented(R"(Some of the components, put together: component k becomes one of component ``numbers[k]``.

Parameters
----------
numbers : uint32 [n], from 1 and at most n; 0 leaves the component out
)",
                      "Wrong dtype or shape, or a number above n")
               .c_str())
      .def("paint", &Components::paint, py::arg("out"), py::arg("values") = py::none(), py::kw_only(),
           py::arg("clear") = true, py::arg("threads") = 0,
           documented(R"(Write the components into an array.

Parameters
----------
out : uint8, uint16, int32 or uint32 of the map's shape, any strides
values : uint32 [n], what to write for each; their numbers from 1 where it is not given
clear : whether all other voxels become 0; else they stay as they are
)",
                      "Wrong dtype or shape, out read-only or too small a type")
               .c_str())
      .def("statistics", &Components::statistics, py::arg("stored"), py::kw_only(), py::arg("slope") = 1.0,
           py::arg("intercept") = 0.0, py::arg("padding_value") = py::none(), py::arg("threads") = 0,
           documented(R"(Statistics of ``stored * slope + intercept`` over each component, in float64.

Stored integers of at most 16 bits are summed exactly as long as slope and intercept stay the same; else sums are combined
by Chan, Golub and LeVeque 1979, in the order of the slices.

Parameters
----------
stored : uint8, int8, uint16, int16, int32 or float32 of the map's shape, any strides
slope, intercept : float or float32 [z]
padding_value : a stored value that is left out, or None
)",
                      "Wrong dtype or shape", R"(count : int64 [n]
    Voxels that were not left out.
values : float64 [n, 4]
    Mean, population standard deviation, minimum, maximum; NaN where the count is 0.
)")
               .c_str())
      .def("longest_diameters", &Components::longest_diameters, py::arg("pixel"), py::kw_only(),
           py::arg("slices") = py::none(), py::arg("threads") = 0,
           documented(R"(The largest distance between the centres of two voxels of a component in one slice.

Of equal ones that in the slice whose box has the longer diagonal, or that comes first.

Parameters
----------
pixel : float64 [n, 2], above 0
    Pixel size along y and x; the lengths have its unit.
slices : int32 [n], the one slice to look at for each component; all where it is not given
)",
                      "Wrong dtype or shape, or a pixel size that is not above 0 and finite", R"(length : float64 [n]
    -1 where the component has no voxel there.
slice : int32 [n]
ends : int32 [n, 2, 2]
    (y, x) of both.
)")
               .c_str());

  m.def(
      "connected_components", &connected_components, py::arg("src"), py::arg("out"), py::kw_only(),
      py::arg("connectivity"), py::arg("groups") = py::none(), py::arg("threads") = 0,
      documented(
          R"(Number the connected components of a label map in raster order of their first voxel (scipy.ndimage.label).

Parameters
----------
src : uint8 [y, x] or [z, y, x], any strides
    Labels; 0 is background. Neighbours of different labels lie in different components.
out : uint8, uint16, int32 or uint32 of src's shape, any strides; 0 is background
connectivity : 4 or 8 neighbours in a slice, 6, 18 or 26 in a volume
groups : uint8 [256]
    What each label counts as, 0 for background; the labels as they are where it is not given.
)",
          "Wrong dtype, shape or connectivity, out overlaps src or is too small a type", R"(int
    How many there are.
)")
          .c_str());
}
