// Rotations and shears: row by row of the output, each voxel's cell found on its own.
#include <cmath>
#include <utility>

#include "elementwise/loops.h"
#include "resample/each_row.h"
#include "resample/geometry.h"
#include "resample/loops.h"
#include "scratch.h"
#include "stream.h"

namespace bedside::cpu {

// Rows of the output lie along the axis that is closest in its memory. Of the two others the one that moves less far in
// the source's memory comes faster, so that rows that follow each other find their cache lines.
void order_output(Geometry& g) {
  const int along = closest_axis(g.out.shape, g.out.stride);
  int slow = along == 0 ? 1 : 0, fast = along == 2 ? 1 : 2;
  const auto travel = [&](int column) {
    double far = 0.0;
    for (int axis = 0; axis < 3; ++axis) {
      far += std::abs(g.matrix[axis][column]) * static_cast<double>(magnitude(g.src.stride[axis]));
    }
    return far;
  };
  if (travel(fast) > travel(slow)) std::swap(fast, slow);
  const int order[3] = {slow, fast, along};
  permute_out(g, order);
}

void affine_linear(const Geometry& geometry, Padding padding, float fill, const Finish& finish, int threads) {
  Geometry g = geometry;
  order_output(g);
  const ResampleLoops& loop = resample_loops();
  const auto make = loop.affine_linear[static_cast<int>(g.src.type)];
  const auto store = elementwise_loops().store[static_cast<int>(g.out.type)];
  const Index columns = g.out.shape[2], stride = g.out.stride[2], room = round_up(columns, 16);
  const bool direct = g.out.type == DType::f32 && stride == 1;
  const bool past = direct && pays_to_stream(g.out.shape[0] * g.out.shape[1] * columns * Index{sizeof(float)});
  float* const buffers = static_cast<float*>(scratch(static_cast<std::size_t>(2 * room * threads) * sizeof(float)));
  each_row(g, padding, fill, threads, [&](const AffineRow& row, void* out, int slot) {
    float* values = buffers + 2 * slot * room;
    make(row, values, columns);
    if (direct) {
      loop.finish(values, values, 0.0f, finish.rescale, static_cast<float*>(out), columns, past);
      return;
    }
    if (finish.rescale != nullptr) {
      loop.finish(values, values, 0.0f, finish.rescale, values + room, columns, false);
      values += room;
    }
    store(values, out, stride, columns, finish.quantization);
  });
}

void affine_nearest(const Geometry& geometry, Padding padding, double fill, int threads) {
  Geometry g = geometry;
  order_output(g);
  const auto make = resample_loops().affine_nearest[static_cast<int>(g.src.type)][g.out.type == g.src.type ? 0 : 1];
  each_row(g, padding, fill, threads,
           [&](const AffineRow& row, void* out, int) { make(row, out, g.out.stride[2], g.out.shape[2]); });
}

}  // namespace bedside::cpu
