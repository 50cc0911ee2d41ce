// The kernels that work on detected boxes, bound: arguments checked with the GIL held, the work done without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "../cpu/components/nms.h"
#include "bindings.h"
#include "checks.h"
#include "documented.h"

namespace {

namespace py = pybind11;
using namespace bedside;
using namespace bedside::bindings;
using cpu::DType;

Index nms(py::object boxes_, py::object scores_, py::object out_, py::object threshold_, py::object most_,
          int threads) {
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
  const double threshold = number("threshold", threshold_);
  check_threads(threads);
  const Index most = most_.is_none() ? n : whole_number("most", most_);
  if (most < 0) throw py::value_error("'most' must be 0 or more, got " + std::to_string(most));
  if (n == 0 || most == 0) return 0;
  // Copied first: what is checked here is what the kernel sees, whoever writes to the arrays meanwhile.
  static thread_local std::vector<float> box, score;
  box.resize(static_cast<std::size_t>(n * columns));
  score.resize(static_cast<std::size_t>(n));
  const Index row = element_stride(boxes, 0), step = element_stride(boxes, 1), next = element_stride(scores, 0);
  const int axes = static_cast<int>(columns / 2);
  for (Index k = 0; k < n; ++k) {
    score[static_cast<std::size_t>(k)] = static_cast<const float*>(scores.array.data())[k * next];
    for (Index column = 0; column < columns; ++column) {
      box[static_cast<std::size_t>(k * columns + column)] =
          static_cast<const float*>(boxes.array.data())[k * row + column * step];
    }
    if (std::isnan(score[static_cast<std::size_t>(k)])) scores.refuse("must not be NaN");
    for (Index axis = 0; axis < axes; ++axis) {
      const std::size_t at = static_cast<std::size_t>(k * columns + axis);
      const float low = box[at], high = box[at + static_cast<std::size_t>(axes)];
      if (!std::isfinite(low) || !std::isfinite(high) || high < low) {
        boxes.refuse("must be finite, no lower corner above the upper one");
      }
    }
  }
  std::int64_t* const kept_boxes = static_cast<std::int64_t*>(py::array(out.array).mutable_data());
  py::gil_scoped_release release;
  return cpu::nms(box.data(), columns, 1, score.data(), 1, n, axes, static_cast<float>(threshold), most, kept_boxes,
                  threads);
}

}  // namespace

void bind_detections(py::module_& m) {
  m.def(
      "nms", &nms, py::arg("boxes"), py::arg("scores"), py::arg("out"), py::kw_only(), py::arg("threshold"),
      py::arg("most") = py::none(), py::arg("threads") = 0,
      documented(
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
)",
          "Wrong dtype or shape, scores with NaN, boxes that are none", R"(int
    How many are kept.
)")
          .c_str());
}
