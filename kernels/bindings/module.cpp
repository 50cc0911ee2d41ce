#include <pybind11/pybind11.h>

#include "bindings.h"

PYBIND11_MODULE(_cpu, m) {
  m.doc() = "Pre- and post-processing kernels for the CPU.";
  bind_pixels(m);
  bind_dicom(m);
}
