#include "bindings.h"

void bind_pixels(pybind11::module_&) {}
