// What the kernels on label maps ask of their arguments.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "../cpu/components/morphology.h"
#include "checks.h"

namespace bedside::bindings {

// The last three axes; an array of two has one slice.
template <typename Array3>
Array3 volume(const Argument& a, cpu::DType type, decltype(Array3::data) data) {
  if (a.array.ndim() > 2) return last_three<Array3>(a, type, data);
  return {data, type, {1, a.array.shape(0), a.array.shape(1)}, {0, element_stride(a, 0), element_stride(a, 1)}};
}

inline cpu::Array3 writable(const Argument& a, cpu::DType type) {
  check_output(a);
  return volume<cpu::Array3>(a, type, py::array(a.array).mutable_data());
}

// `flat`: the map has two axes.
inline cpu::Connectivity connectivity_of(const py::object& value, bool flat) {
  if (value.is_none()) return cpu::Connectivity::none;
  const Index neighbours = whole_number("connectivity", value);
  const bool within = neighbours == 4 || neighbours == 8;
  if (!within && (flat || (neighbours != 6 && neighbours != 18 && neighbours != 26))) {
    throw py::value_error(std::string("'connectivity' must be ") +
                          (flat ? "4 or 8" : "6, 18 or 26 (in slices 4 or 8)") + ", got " + std::to_string(neighbours));
  }
  return static_cast<cpu::Connectivity>(neighbours);
}

// What each label counts as, a table of 256.
struct Groups {
  std::uint8_t of[256];

  explicit Groups(const py::object& table) {
    for (int label = 0; label < 256; ++label) of[label] = static_cast<std::uint8_t>(label);
    if (table.is_none()) return;
    const Argument groups("groups", table);
    check_dtype(groups, {cpu::DType::u8});
    check_shape(groups, {256});
    const std::uint8_t* const first = static_cast<const std::uint8_t*>(groups.array.data());
    const Index stride = element_stride(groups, 0);
    for (int label = 0; label < 256; ++label) of[label] = first[label * stride];
  }
};

inline void check_map(const Argument& a, bool channels) {
  check_dtype(a, {cpu::DType::u8});
  const Index axes = a.array.ndim() - (channels ? 1 : 0);
  if (axes != 2 && axes != 3) {
    a.refuse(std::string("must have axes ") + (channels ? "[c, (z,) y, x]" : "[(z,) y, x]") + ", got shape " +
             a.shape());
  }
}

inline void find(const Argument& src, bool channels, const Groups& groups, cpu::Connectivity connectivity, int threads,
                 cpu::Runs& runs) {
  const py::array& array = src.array;
  const bool flat = array.ndim() - (channels ? 1 : 0) == 2;
  cpu::ConstArray3 map;
  if (flat && channels) {
    map = {array.data(),
           cpu::DType::u8,
           {1, array.shape(1), array.shape(2)},
           {0, element_stride(src, 1), element_stride(src, 2)}};
  } else {
    map = volume<cpu::ConstArray3>(src, cpu::DType::u8, array.data());
  }
  const Index count = channels ? array.shape(0) : 1, step = channels ? element_stride(src, 0) : 0;
  py::gil_scoped_release release;
  cpu::find_runs(map, count, step, groups.of, threads, runs);
  cpu::number_components(runs, connectivity, threads);
}

// What equal calls of one thread share.
inline cpu::MorphologyMemory& memory() {
  static thread_local cpu::MorphologyMemory held;
  return held;
}

}  // namespace bedside::bindings
