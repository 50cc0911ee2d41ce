#include "resample/resample.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "layout.h"
#include "resample/loops.h"
#include "scratch.h"
#include "thread_pool.h"

namespace bedside::cpu {

namespace {

// A resample with the axes of the output in the order they are walked, the innermost last.
struct Geometry {
  ConstArray3 src;
  Array3 out;
  double matrix[3][4];
};

void permute_out(Geometry& g, const int order[3]) {
  const Geometry old = g;
  for (int k = 0; k < 3; ++k) {
    g.out.shape[k] = old.out.shape[order[k]];
    g.out.stride[k] = old.out.stride[order[k]];
    for (int row = 0; row < 3; ++row) g.matrix[row][k] = old.matrix[row][order[k]];
  }
}

void permute_src(Geometry& g, const int order[3]) {
  const Geometry old = g;
  for (int k = 0; k < 3; ++k) {
    g.src.shape[k] = old.src.shape[order[k]];
    g.src.stride[k] = old.src.stride[order[k]];
    std::copy(old.matrix[order[k]], old.matrix[order[k]] + 4, g.matrix[k]);
  }
}

// A coefficient that moves the coordinate by less than this over the whole output is the noise of an inverted matrix.
constexpr double kNoise = 1e-9;

// Where every source axis follows one output axis of its own, reorders the source axes so that they match and returns
// true.
bool align(Geometry& g) {
  int follows[3] = {-1, -1, -1};  // output axis -> source axis
  int column_of[3];
  for (int row = 0; row < 3; ++row) {
    column_of[row] = -1;
    for (int column = 0; column < 3; ++column) {
      const double reach = std::abs(g.matrix[row][column]) * static_cast<double>(g.out.shape[column] - 1);
      if (!(reach > kNoise)) continue;
      if (column_of[row] >= 0 || follows[column] >= 0) return false;
      column_of[row] = column;
      follows[column] = row;
    }
  }
  for (int row = 0; row < 3; ++row) {
    if (column_of[row] >= 0) continue;
    // A source axis that stands still takes an output axis that is left, the one of its own number if that is.
    int column = row;
    for (int c = 0; follows[column] >= 0; ++c) column = c;
    follows[column] = row;
  }
  permute_src(g, follows);
  return true;
}

double coordinate(const Geometry& g, int axis, Index i) {
  return g.matrix[axis][3] + g.matrix[axis][axis] * static_cast<double>(i);
}

// A bump allocator over one scratch block, sized in a first pass with a null base.
struct Carver {
  char* base;
  std::size_t used = 0;
  template <typename T>
  T* take(Index count) {
    T* const at = base == nullptr ? nullptr : reinterpret_cast<T*>(base + used);
    used += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return at;
  }
};

constexpr Index kPiece = Index{1} << 15;  // output voxels a thread takes at a time
constexpr Index kTurn = 32;               // edge of the square in which transposed source lines are turned

// Floats, to whole cache lines, so that threads do not share one.
Index round_up(Index floats) {
  return (floats + 15) / 16 * 16;
}

// [outer][block of middle] pieces of an aligned resample.
struct Pieces {
  Index middle_per_piece, blocks;
  explicit Pieces(const Index shape[3])
      : middle_per_piece(std::clamp<Index>(kPiece / shape[2], 1, shape[1])),
        blocks((shape[1] + middle_per_piece - 1) / middle_per_piece) {}
};

void aligned_linear(const Geometry& g, Padding padding, float fill, int threads) {
  const Index *const shape = g.src.shape, *const stride = g.src.stride;
  const Index columns = g.out.shape[2];
  const ResampleLoops& loop = resample_loops();
  const auto blend_source_rows = loop.blend_source_rows[static_cast<int>(g.src.type)];
  const Index size = item_size(g.src.type);
  const char* const src = static_cast<const char*>(g.src.data);

  // The x samples, and which part of a source row they touch.
  Index low = shape[2], high = -1;
  for (Index i : {Index{0}, columns - 1}) {  // the coordinate is monotonous
    const AxisSample s = linear_sample(coordinate(g, 2, i), shape[2], padding);
    low = std::min(low, s.index);
    high = std::max(high, s.index + 1);
  }
  low = std::clamp<Index>(low, 0, shape[2] - 1);
  high = std::clamp<Index>(high, 0, shape[2] - 1);

  // Where the source lies closer along y (a transposed view), lines are made in blocks: read along y, turned in the
  // cache.
  const bool crossed = magnitude(stride[1]) < magnitude(stride[2]);
  const Index lines_at_once = crossed ? kTurn : 1;

  std::int32_t* index;
  float* weight;
  float* buffers;
  const Index line_size = round_up(shape[2] + 3), row_size = round_up(columns);
  const Index buffer_size = lines_at_once * line_size + 2 * row_size;
  Carver carver{nullptr};
  for (int pass = 0; pass < 2; ++pass) {
    if (pass == 1) carver = Carver{static_cast<char*>(scratch(carver.used))};
    index = carver.take<std::int32_t>(columns);
    weight = carver.take<float>(columns);
    buffers = carver.take<float>(buffer_size * threads);
  }
  for (Index x = 0; x < columns; ++x) {
    const AxisSample s = linear_sample(coordinate(g, 2, x), shape[2], padding);
    index[x] = static_cast<std::int32_t>(s.index);
    weight[x] = s.weight;
  }

  const Pieces pieces(g.out.shape);
  parallel_for(g.out.shape[0] * pieces.blocks, 1, threads, [&](int slot, Index begin, Index end) {
    // Source lines blended along z, with one voxel before and two after for what is outside, and the two output rows
    // made of the lines around the current one.
    float* const lines = buffers + slot * buffer_size + 1;
    for (Index k = 0; k < lines_at_once; ++k) {
      float* const line = lines + k * line_size;
      line[-1] = line[shape[2]] = line[shape[2] + 1] = fill;
    }
    float* const cache[2] = {lines - 1 + lines_at_once * line_size, lines - 1 + lines_at_once * line_size + row_size};
    for (Index piece = begin; piece < end; ++piece) {
      const Index z = piece / pieces.blocks, y0 = piece % pieces.blocks * pieces.middle_per_piece;
      const Index y1 = std::min(y0 + pieces.middle_per_piece, g.out.shape[1]);
      const AxisSample at_z = linear_sample(coordinate(g, 0, z), shape[0], padding);
      constexpr Index nothing = -2;
      Index cached[2] = {nothing, nothing}, first_line = nothing;

      const auto blend = [&](Index y, Index x, Index step, float* to, Index n) {
        const auto source = [&](Index at) -> const char* {
          if (at < 0 || at >= shape[0] || y < 0 || y >= shape[1]) return nullptr;
          return src + (at * stride[0] + y * stride[1] + x * stride[2]) * size;
        };
        blend_source_rows(source(at_z.index), source(at_z.index + 1), step, at_z.weight, fill, to, n);
      };
      const auto line_of = [&](Index y) -> const float* {
        if (!crossed || y < 0 || y >= shape[1]) {
          blend(y, low, stride[2], lines + low, high - low + 1);
          first_line = nothing;
          return lines;
        }
        if (y / kTurn * kTurn != first_line) {
          first_line = y / kTurn * kTurn;
          const Index count = std::min(kTurn, shape[1] - first_line);
          for (Index x0 = low; x0 <= high; x0 += kTurn) {
            const Index n = std::min(kTurn, high + 1 - x0);
            float tile[kTurn * kTurn];
            for (Index k = 0; k < n; ++k) blend(first_line, x0 + k, stride[1], tile + k * kTurn, count);
            loop.transpose(tile, kTurn, lines + x0, line_size, n, count);
          }
        }
        return lines + (y - first_line) * line_size;
      };
      const auto row_of = [&](Index y, Index keep) -> const float* {
        for (int k = 0; k < 2; ++k) {
          if (cached[k] == y) return cache[k];
        }
        const int k = cached[0] == keep ? 1 : 0;
        cached[k] = y;
        loop.sample_row(line_of(y), index, weight, cache[k], columns);
        return cache[k];
      };

      for (Index y = y0; y < y1; ++y) {
        const AxisSample at_y = linear_sample(coordinate(g, 1, y), shape[1], padding);
        const Index above = at_y.weight == 0.0f ? at_y.index : at_y.index + 1;
        const float* const a = row_of(at_y.index, above);
        const float* const b = row_of(above, at_y.index);
        loop.blend_rows(a, b, at_y.weight, static_cast<float*>(g.out.data) + z * g.out.stride[0] + y * g.out.stride[1],
                        g.out.stride[2], columns);
      }
    }
  });
}

void aligned_nearest(const Geometry& g, Padding padding, double fill, int threads) {
  const Index *const shape = g.src.shape, *const stride = g.src.stride;
  const Index columns = g.out.shape[2];
  const auto nearest_row = resample_loops().nearest_row[static_cast<int>(g.src.type)][g.out.type == g.src.type ? 0 : 1];
  const Index size = item_size(g.src.type), out_size = item_size(g.out.type);
  const auto inside = [&](Index at, int axis) { return at >= 0 && at < shape[axis] ? at : -1; };

  Carver carver{nullptr};
  carver.take<std::int32_t>(2 * columns);
  carver = Carver{static_cast<char*>(scratch(carver.used))};
  std::int32_t* const index = carver.take<std::int32_t>(2 * columns);
  std::int32_t* const outside = index + columns;
  for (Index x = 0; x < columns; ++x) {
    index[x] = static_cast<std::int32_t>(inside(nearest_sample(coordinate(g, 2, x), shape[2], padding), 2));
    outside[x] = -1;
  }

  const Pieces pieces(g.out.shape);
  parallel_for(g.out.shape[0] * pieces.blocks, 1, threads, [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      const Index z = piece / pieces.blocks, y0 = piece % pieces.blocks * pieces.middle_per_piece;
      const Index y1 = std::min(y0 + pieces.middle_per_piece, g.out.shape[1]);
      const Index at_z = inside(nearest_sample(coordinate(g, 0, z), shape[0], padding), 0);
      for (Index y = y0; y < y1; ++y) {
        const Index at_y = inside(nearest_sample(coordinate(g, 1, y), shape[1], padding), 1);
        const bool row_outside = at_z < 0 || at_y < 0;
        nearest_row(row_outside ? g.src.data
                                : static_cast<const char*>(g.src.data) + (at_z * stride[0] + at_y * stride[1]) * size,
                    stride[2], row_outside ? outside : index, fill,
                    static_cast<char*>(g.out.data) + (z * g.out.stride[0] + y * g.out.stride[1]) * out_size,
                    g.out.stride[2], columns);
      }
    }
  });
}

void affine(const Geometry& g, Interpolation mode, Padding padding, double fill, int threads) {
  const auto linear = resample_loops().affine_linear[static_cast<int>(g.src.type)];
  const auto nearest = resample_loops().affine_nearest[static_cast<int>(g.src.type)][g.out.type == g.src.type ? 0 : 1];
  const Index size = item_size(g.out.type);
  const Index rows = g.out.shape[1];
  const Index grain = std::max<Index>(1, kPiece / g.out.shape[2]);
  parallel_for(g.out.shape[0] * rows, grain, threads, [&](int, Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      const Index z = item / rows, y = item % rows;
      AffineRow row{g.src.data, g.src.shape, g.src.stride, {}, {}, padding, fill};
      for (int axis = 0; axis < 3; ++axis) {
        const double* const m = g.matrix[axis];
        row.origin[axis] = m[0] * static_cast<double>(z) + m[1] * static_cast<double>(y) + m[3];
        row.step[axis] = m[2];
      }
      void* const out = static_cast<char*>(g.out.data) + (z * g.out.stride[0] + y * g.out.stride[1]) * size;
      if (mode == Interpolation::linear) {
        linear(row, static_cast<float*>(out), g.out.stride[2], g.out.shape[2]);
      } else {
        nearest(row, out, g.out.stride[2], g.out.shape[2]);
      }
    }
  });
}

}  // namespace

void resample(const ConstArray3& src, const Array3& out, const double matrix[12], Interpolation mode, Padding padding,
              double fill, int threads) {
  for (int axis = 0; axis < 3; ++axis) {
    if (out.shape[axis] == 0) return;
  }
  Geometry g{src, out, {}};
  std::copy(matrix, matrix + 12, &g.matrix[0][0]);
  threads = resolve_threads(threads);

  // Rows of the output are written along its smallest stride.
  int order[3] = {0, 1, 2};
  std::stable_sort(order, order + 3, [&](int a, int b) { return magnitude(out.stride[a]) > magnitude(out.stride[b]); });
  permute_out(g, order);
  if (!align(g)) return affine(g, mode, padding, fill, threads);
  // Of the two outer axes the one with the smaller source stride is walked faster, so that its cache lines are used up.
  if (magnitude(g.src.stride[0]) < magnitude(g.src.stride[1])) {
    const int swap[3] = {1, 0, 2};
    permute_out(g, swap);
    permute_src(g, swap);
  }
  if (mode == Interpolation::linear) {
    aligned_linear(g, padding, static_cast<float>(fill), threads);
  } else {
    aligned_nearest(g, padding, fill, threads);
  }
}

}  // namespace bedside::cpu
