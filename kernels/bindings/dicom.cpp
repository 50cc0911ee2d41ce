#include "bindings.h"

void bind_dicom(pybind11::module_&) {}
