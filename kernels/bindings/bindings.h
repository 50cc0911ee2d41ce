// One bind function a group of kernels; module.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

void bind_pixels(pybind11::module_& m);
void bind_dicom(pybind11::module_& m);
