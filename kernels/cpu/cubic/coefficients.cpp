// The prefilter of the spline: along each axis, many lines at once.
#include <algorithm>

#include "cubic/cubic.h"
#include "cubic/loops.h"
#include "layout.h"
#include "resample/geometry.h"
#include "scratch.h"
#include "thread_pool.h"

namespace bedside::cpu {

void spline_coefficients(const ConstArray3& src, const Array3& out, Padding padding, int threads) {
  for (int axis = 0; axis < 3; ++axis) {
    if (out.shape[axis] == 0) return;
  }
  // The voxels as float, turned where src lies otherwise in memory: exact.
  const double identity[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
  resample(src, out, identity, Interpolation::linear, Padding::border, 0.0, {nullptr, {1.0f, 0}}, threads);

  Array3 at = out;
  const Upwards upwards(at);
  int order[3];
  closest_last({at.data, at.type, {at.shape[0], at.shape[1], at.shape[2]}, {at.stride[0], at.stride[1], at.stride[2]}},
               order);
  Index shape[3], stride[3];
  for (int k = 0; k < 3; ++k) shape[k] = at.shape[order[k]], stride[k] = at.stride[order[k]];
  float* const voxels = static_cast<float*>(at.data);

  threads = resolve_threads(threads);
  const CubicLoops& loop = cubic_loops();
  const Turn turn = resample_loops().turn[sizeof(float)];
  const Index longest = std::max({shape[0], shape[1], shape[2]});
  float* const buffers = static_cast<float*>(
      scratch(static_cast<std::size_t>(threads) * static_cast<std::size_t>(longest * kSplineLines) * sizeof(float)));
  const auto blocks = [](Index n) { return (n + kSplineLines - 1) / kSplineLines; };

  // A plane stays in the cache while it is filtered along its rows, turned block by block, and across them.
  parallel_for(shape[0], 1, threads, [&](int slot, Index begin, Index end) {
    float* const work = buffers + slot * longest * kSplineLines;
    for (Index z = begin; z < end; ++z) {
      float* const plane = voxels + z * stride[0];
      if (shape[2] > 1) {
        const SplineEnds ends = spline_ends(shape[2], padding);
        for (Index block = 0; block < blocks(shape[1]); ++block) {
          float* const rows = plane + block * kSplineLines * stride[1];
          const Index count = std::min(kSplineLines, shape[1] - block * kSplineLines);
          turn(rows, stride[1], work, kSplineLines, count, shape[2]);
          loop.filter(work, kSplineLines, work, work, kSplineLines, shape[2], count, ends);
          turn(work, kSplineLines, rows, stride[1], shape[2], count);
        }
      }
      if (shape[1] > 1) {
        const SplineEnds ends = spline_ends(shape[1], padding);
        for (Index block = 0; block < blocks(shape[2]); ++block) {
          float* const lines = plane + block * kSplineLines;
          const Index count = std::min(kSplineLines, shape[2] - block * kSplineLines);
          loop.filter(lines, stride[1], work, lines, stride[1], shape[1], count, ends);
        }
      }
    }
  });
  if (shape[0] == 1) return;
  const SplineEnds ends = spline_ends(shape[0], padding);
  parallel_for(shape[1] * blocks(shape[2]), 1, threads, [&](int slot, Index begin, Index end) {
    float* const work = buffers + slot * longest * kSplineLines;
    for (Index item = begin; item < end; ++item) {
      const Index y = item / blocks(shape[2]), x = item % blocks(shape[2]) * kSplineLines;
      float* const lines = voxels + y * stride[1] + x;
      loop.filter(lines, stride[0], work, lines, stride[0], shape[0], std::min(kSplineLines, shape[2] - x), ends);
    }
  });
}

}  // namespace bedside::cpu
