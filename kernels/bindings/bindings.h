// One bind function a group of kernels; module.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

void bind_elementwise(pybind11::module_& m);
void bind_stored(pybind11::module_& m);
void bind_resample(pybind11::module_& m);
void bind_resize(pybind11::module_& m);
void bind_window(pybind11::module_& m);
void bind_scores(pybind11::module_& m);
void bind_segmentation(pybind11::module_& m);
void bind_statistics(pybind11::module_& m);
void bind_components(pybind11::module_& m);
void bind_morphology(pybind11::module_& m);
void bind_detections(pybind11::module_& m);
void bind_dicom(pybind11::module_& m);
