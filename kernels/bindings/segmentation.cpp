// The segmentation kernels, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cmath>
#include <string>

#include "../cpu/segmentation/pack_bits.h"
#include "bindings.h"
#include "checks.h"
#include "documented.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

py::array_t<bool> pack_bits(py::object mask_, py::object out_, int label, int threads) {
  const Argument mask("mask", mask_), out("out", out_);
  check_dimensions(mask, 3, "[n, y, x]");
  check_dtype(mask, {DType::u8});
  check_dtype(out, {DType::u8});
  const cpu::ConstArray3 from = input(mask, DType::u8);
  const Index frames = from.shape[0], voxels = from.shape[1] * from.shape[2];
  if (voxels % 8 == 0 && out.array.ndim() == 2) {
    check_shape(out, {frames, voxels / 8});
  } else {
    check_shape(out, {(frames * voxels + 7) / 8});
  }
  if (!(out.array.flags() & py::array::c_style)) out.refuse("must be C-contiguous");
  check_output(out);
  check_apart(out, mask);
  if (label < 0 || label > 255) throw py::value_error("'label' must be 0 to 255, got " + std::to_string(label));
  check_threads(threads);
  py::array_t<bool> occupied(frames);
  bool* const flags = occupied.mutable_data();
  std::uint8_t* const packed = static_cast<std::uint8_t*>(py::array(out.array).mutable_data());
  py::gil_scoped_release release;
  cpu::pack_bits(from, packed, flags, static_cast<std::uint8_t>(label), threads);
  return occupied;
}

}  // namespace

void bind_segmentation(py::module_& m) {
  m.def("pack_bits", &pack_bits, py::arg("mask"), py::arg("out"), py::arg("label"), py::kw_only(),
        py::arg("threads") = 0,
        documented(
            R"(Pixel data of a binary segmentation: ``mask == label``, eight voxels a byte, the first in the lowest bit.

Frames follow each other without a gap, so a frame after one whose voxel count is no multiple of 8 begins in the middle
of a byte; the bits after the last voxel are 0 (DICOM PS3.5 8.1.1). The caller pads the value to even length.

Parameters
----------
mask : uint8 [n, y, x], any strides
out : uint8 [n, y * x / 8] where y * x is a multiple of 8, or uint8 [ceil(n * y * x / 8)] always; C-contiguous
label : 0 to 255
)",
            "Wrong dtype or shape, out not contiguous or overlapping mask", R"(bool [n]
    Which frames have any voxel of the label.
)")
            .c_str());
}
