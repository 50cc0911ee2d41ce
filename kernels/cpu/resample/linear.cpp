// Trilinear along the axes. Rows of the source are blended along y and sampled along x into planes that hold some rows
// of the output, and two such planes are blended along z into the output: where slices are thick, as they are in
// medical images, most of the work is that last blend. What lies between source and output stays in the cache.
#include <algorithm>

#include "elementwise/loops.h"
#include "resample/geometry.h"
#include "resample/loops.h"
#include "scratch.h"
#include "stream.h"
#include "thread_pool.h"

namespace bedside::cpu {

namespace {

constexpr Index kPlane = Index{6} << 10;   // floats of a plane that a thread holds (it holds two)
constexpr Index kTile = Index{256} << 10;  // floats of a block that is turned on the way out
constexpr Index kNothing = -2;             // no plane

class Linear {
 public:
  Linear(const Geometry& geometry, Padding padding, float fill, const Finish& finish, int threads)
      : g_(geometry),
        upwards_(g_.out),
        fill_(fill),
        finish_(finish),
        loop_(resample_loops()),
        blend_source_rows_(loop_.blend_source_rows[static_cast<int>(g_.src.type)]),
        store_(elementwise_loops().store[static_cast<int>(g_.out.type)]) {
    split(threads);
    for (const Index i : {Index{0}, g_.out.shape[2] - 1}) {  // the coordinate is monotonous
      const AxisSample s = linear_sample(coordinate(g_, 2, i), g_.src.shape[2], padding);
      low_ = i == 0 ? s.index : std::min(low_, s.index);
      high_ = i == 0 ? s.index + 1 : std::max(high_, s.index + 1);
    }
    Carver carver{nullptr};
    carve(carver, threads);
    carver = Carver{static_cast<char*>(scratch(carver.used))};
    carve(carver, threads);
    sample_axes(padding);
  }

  void run(int threads) const {
    parallel_for(pieces_, 1, threads, [&](int slot, Index begin, Index end) {
      for (Index piece = begin; piece < end; ++piece) make_piece(piece, buffers_ + slot * buffer_size_);
      if (stream_) stream_fence();
    });
  }

 private:
  // Pieces are `rows_` rows of `planes_` planes.
  void split(int threads) {
    const Index *const shape = g_.out.shape, *const stride = g_.out.stride;
    // The output is written along the axis that is closest in its memory. Where that is not x, a block is made and
    // turned: rows of one plane where it is y, one row of many planes where it is z. The longer the pieces of memory
    // that are written, the better: pages are few then.
    along_ = closest_axis(shape, stride);
    rows_ = std::clamp<Index>(kPlane / shape[2], along_ == 1 ? 128 : 1, along_ == 1 ? 128 : 64);
    rows_ = along_ == 0 ? 1 : std::min(rows_, shape[1]);
    planes_ = along_ == 0 ? std::clamp<Index>(kTile / shape[2], 16, 512) : shape[0];
    blocks_ = (shape[1] + rows_ - 1) / rows_;
    // Enough pieces for the threads; but a plane on the border of two pieces is made twice.
    const Index wanted = (Index{4} * threads + blocks_ - 1) / blocks_;
    planes_ = std::min(planes_, std::max((shape[0] + wanted - 1) / wanted, Index{16}));
    pieces_ = blocks_ * ((shape[0] + planes_ - 1) / planes_);
    direct_ = g_.out.type == DType::f32 && stride[along_] == 1;
    stream_ = direct_ && along_ == 2 && pays_to_stream(shape[0] * shape[1] * shape[2] * Index{sizeof(float)});
  }

  void carve(Carver& carver, int threads) {
    const Index columns = g_.out.shape[2];
    index_ = carver.take<std::int32_t>(round_up(columns, kSampleBlock));
    weight_ = carver.take<float>(round_up(columns, kSampleBlock));
    for (int axis = 0; axis < 2; ++axis) samples_[axis] = carver.take<AxisSample>(g_.out.shape[axis]);
    line_size_ = round_up(high_ - low_ + 1 + 2 * kSampleBlock, 16);
    plane_size_ = round_up(rows_ * columns + kSampleBlock, 16);
    const Index tile_size = along_ == 2 ? columns : rows_ * columns * (along_ == 0 ? planes_ : 1);
    buffer_size_ = line_size_ + 2 * plane_size_ + round_up(tile_size, 16);
    buffers_ = carver.take<float>(buffer_size_ * threads);
  }

  void sample_axes(Padding padding) {
    const auto sample = [&](int axis, Index i) {
      return linear_sample(coordinate(g_, axis, upwards_.unflipped(axis, i)), g_.src.shape[axis], padding);
    };
    for (int axis = 0; axis < 2; ++axis) {
      for (Index i = 0; i < g_.out.shape[axis]; ++i) samples_[axis][i] = sample(axis, i);
    }
    const Index columns = g_.out.shape[2];
    straight_ = low_ >= 0;
    for (Index i = 0; i < round_up(columns, kSampleBlock); ++i) {
      const AxisSample s = sample(2, std::min(i, columns - 1));
      index_[i] = static_cast<std::int32_t>(s.index - low_);
      weight_[i] = s.weight;
      if (i < columns) straight_ = straight_ && s.weight == 0.0f && index_[i] == i && s.index < g_.src.shape[2];
    }
  }

  void make_piece(Index piece, float* buffer) const {
    float* const line = buffer;
    if (low_ < 0) line[0] = fill_;
    if (high_ >= g_.src.shape[2]) line[g_.src.shape[2] - low_] = line[high_ - low_] = fill_;
    float* const plane[2] = {buffer + line_size_, buffer + line_size_ + plane_size_};
    float* const tile = plane[1] + plane_size_;
    // Pieces that follow each other share source rows, not planes.
    const Index y0 = piece % blocks_ * rows_, z0 = piece / blocks_ * planes_;
    const Index rows = std::min(rows_, g_.out.shape[1] - y0), planes = std::min(planes_, g_.out.shape[0] - z0);
    const Index columns = g_.out.shape[2], voxels = rows * columns;
    Index held[2] = {kNothing, kNothing};
    const auto plane_of = [&](Index z, Index keep) -> const float* {
      for (int k = 0; k < 2; ++k) {
        if (held[k] == z) return plane[k];
      }
      const int k = held[0] == keep ? 1 : 0;
      held[k] = z;
      make_plane(z, y0, rows, line, plane[k]);
      return plane[k];
    };
    for (Index z = z0; z < z0 + planes; ++z) {
      const AxisSample at = samples_[0][z];
      const float* const a = plane_of(at.index, at.index + 1);
      const float* const b = at.weight == 0.0f ? a : plane_of(at.index + 1, at.index);
      if (along_ == 2) {
        write_rows(a, b, at.weight, z, y0, rows, tile);
        continue;
      }
      if (along_ == 1) {
        loop_.finish(a, b, at.weight, finish_.rescale, tile, voxels, false);
        write_turned(tile, rows, z, y0);
        continue;
      }
      loop_.finish(a, b, at.weight, finish_.rescale, tile + (z - z0) * columns, columns, false);
    }
    if (along_ == 0) write_turned(tile, planes, z0, y0);
  }

  // Rows y0 to y0 + rows of the output, at plane z of the source.
  void make_plane(Index z, Index y0, Index rows, float* line, float* plane) const {
    const Index *const shape = g_.src.shape, *const stride = g_.src.stride;
    const Index columns = g_.out.shape[2];
    const Index first = std::clamp<Index>(low_, 0, shape[2] - 1);
    const Index count = std::clamp<Index>(high_, 0, shape[2] - 1) - first + 1;
    const auto source = [&](Index y) -> const void* {
      if (z < 0 || z >= shape[0] || y < 0 || y >= shape[1]) return nullptr;
      return static_cast<const char*>(g_.src.data) +
             (z * stride[0] + y * stride[1] + first * stride[2]) * item_size(g_.src.type);
    };
    for (Index i = 0; i < rows; ++i, plane += columns) {
      const AxisSample at = samples_[1][y0 + i];
      const void *const a = source(at.index), *const b = source(at.index + 1);
      if (a == nullptr && (b == nullptr || at.weight == 0.0f)) {
        std::fill(plane, plane + columns, fill_);
      } else if (straight_) {
        blend_source_rows_(a, b, stride[2], at.weight, fill_, plane, columns);
      } else {
        blend_source_rows_(a, b, stride[2], at.weight, fill_, line + (first - low_), count);
        loop_.sample_row(line, index_, weight_, plane, columns);
      }
    }
  }

  void* place(Index z, Index y) const {
    return static_cast<char*>(g_.out.data) + (z * g_.out.stride[0] + y * g_.out.stride[1]) * item_size(g_.out.type);
  }

  // Rows of the output that lie along x. `row` is room for one.
  void write_rows(const float* a, const float* b, float weight, Index z, Index y0, Index rows, float* row) const {
    Index columns = g_.out.shape[2];
    if (direct_ && g_.out.stride[1] == columns) {  // one long row
      columns *= rows;
      rows = 1;
    }
    for (Index i = 0; i < rows; ++i, a += columns, b += columns) {
      void* const to = place(z, y0 + i);
      loop_.finish(a, b, weight, finish_.rescale, direct_ ? static_cast<float*>(to) : row, columns, stream_);
      if (!direct_) store_(row, to, g_.out.stride[2], columns, finish_.quantization);
    }
  }

  // `count` rows of a tile, which follow each other along the axis that is closest in the output's memory.
  void write_turned(const float* tile, Index count, Index z, Index y) const {
    const Index columns = g_.out.shape[2];
    if (direct_) {
      loop_.turn[sizeof(float)](tile, columns, place(z, y), g_.out.stride[2], count, columns);
      return;
    }
    for (Index i = 0; i < count; ++i) {
      void* const to = place(along_ == 0 ? z + i : z, along_ == 1 ? y + i : y);
      store_(tile + i * columns, to, g_.out.stride[2], columns, finish_.quantization);
    }
  }

  Geometry g_;
  Upwards upwards_;
  float fill_;
  Finish finish_;
  const ResampleLoops& loop_;
  BlendSourceRows blend_source_rows_;
  void (*store_)(const float* from, void* to, Index to_stride, Index n, const Quantization& quantization);

  int along_;
  Index rows_, planes_, blocks_, pieces_;
  bool direct_;  // rows or tiles go into the output as they are
  bool stream_;

  // The x samples of all rows, counted from `low_`. Voxels low_ to high_ are looked at; -1 and shape[2], outside, have
  // a place at either end of a line. straight_: column i is voxel low_ + i.
  Index low_, high_;
  bool straight_;
  std::int32_t* index_;
  float* weight_;
  AxisSample* samples_[2];  // along z and y

  float* buffers_;  // of each thread: a line of the source, two planes, a tile or a row
  Index line_size_, plane_size_, buffer_size_;
};

}  // namespace

void aligned_linear(const Geometry& g, Padding padding, float fill, const Finish& finish, int threads) {
  Linear(g, padding, fill, finish, threads).run(threads);
}

}  // namespace bedside::cpu
