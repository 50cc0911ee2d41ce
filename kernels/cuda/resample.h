// The launch of the 3D resample: a thread a voxel of the output.
#pragma once

#include "bedside/resample.h"
#include "bedside/rescale.h"
#include "grid.h"
#include "resample/geometry.h"
#include "resample/resample.h"

namespace bedside::cuda {

// Where output voxels lie in the source; the axes of both are in the order of cpu::order_axes(). A row is a row of the
// output.
struct SourceOf {
  double matrix[3][4];
  bool aligned;

  // As the CPU sums it up: the innermost axis last, or on an axis of its own no other.
  BEDSIDE_HD void coordinate(Index z, Index y, Index x, double c[3]) const {
    const Index i[3] = {z, y, x};
    for (int axis = 0; axis < 3; ++axis) {
      const double* const m = matrix[axis];
      if (aligned) {
        c[axis] = m[3] + m[axis] * static_cast<double>(i[axis]);
      } else {
        const double origin = m[0] * static_cast<double>(z) + m[1] * static_cast<double>(y) + m[3];
        c[axis] = origin + m[2] * static_cast<double>(x);
      }
    }
  }
};

template <typename T>
struct LinearVoxels {
  View<const T> src;
  cpu::Array3 out;
  SourceOf source;
  Padding padding;
  float fill;
  bool maps;
  Rescale map;
  Quantization quantization;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index z = row / out.shape[1], y = row % out.shape[1];
    double c[3];
    source.coordinate(z, y, x, c);
    float v = trilinear(src.data, src.shape, src.stride, c, padding, fill);
    if (maps) v = rescale_voxel(v, map);
    store_as(out.type, out.data, z * out.stride[0] + y * out.stride[1] + x * out.stride[2], v, quantization);
  }
};

template <typename T, typename Out>
struct NearestVoxels {
  View<const T> src;
  View<Out> out;
  SourceOf source;
  Padding padding;
  Out fill;

  BEDSIDE_HD void operator()(Index row, Index column) const {
    double c[3];
    source.coordinate(row / out.shape[1], row % out.shape[1], column, c);
    const Index z = nearest_sample(c[0], src.shape[0], padding);
    const Index y = nearest_sample(c[1], src.shape[1], padding);
    const Index x = nearest_sample(c[2], src.shape[2], padding);
    const bool inside = z >= 0 && z < src.shape[0] && y >= 0 && y < src.shape[1] && x >= 0 && x < src.shape[2];
    out.at(row / out.shape[1], row % out.shape[1], column) = inside ? static_cast<Out>(src.at(z, y, x)) : fill;
  }
};

template <typename Launch>
auto resample(const cpu::ConstArray3& src, const cpu::Array3& out, const double matrix[12], cpu::Interpolation mode,
              Padding padding, double fill, const cpu::Finish& finish, Launch&& launch) {
  cpu::Geometry g{src, out, {}};
  SourceOf source{{}, false};
  for (int k = 0; k < 12; ++k) g.matrix[k / 4][k % 4] = matrix[k];
  source.aligned = cpu::order_axes(g);
  if (!source.aligned) cpu::order_output(g);
  for (int k = 0; k < 12; ++k) source.matrix[k / 4][k % 4] = g.matrix[k / 4][k % 4];
  const Extent extent{g.out.shape[0] * g.out.shape[1], g.out.shape[2]};
  return with_stored(g.src.type, [&](auto type) {
    using T = typename decltype(type)::type;
    if (mode == cpu::Interpolation::linear) {
      return launch(
          extent,
          LinearVoxels<T>{view<T>(g.src), g.out, source, padding, static_cast<float>(fill), finish.rescale != nullptr,
                          finish.rescale != nullptr ? *finish.rescale : Rescale{}, finish.quantization});
    }
    if (g.out.type == g.src.type) {
      return launch(extent, NearestVoxels<T, T>{view<T>(g.src), view<T>(g.out), source, padding, static_cast<T>(fill)});
    }
    return launch(
        extent, NearestVoxels<T, float>{view<T>(g.src), view<float>(g.out), source, padding, static_cast<float>(fill)});
  });
}

}  // namespace bedside::cuda
