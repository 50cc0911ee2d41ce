// The spline along the axes: rows of coefficients are weighed along y and sampled along x into planes that hold some
// rows of the output, and four such planes are weighed along z into the output. What lies between stays in the cache.
// Rotations and shears: row by row of the output, each voxel's 64 coefficients found on their own.
#include "cubic/cubic.h"

#include <algorithm>

#include "cubic/loops.h"
#include "elementwise/loops.h"
#include "resample/each_row.h"
#include "resample/geometry.h"
#include "scratch.h"
#include "stream.h"
#include "thread_pool.h"

namespace bedside::cpu {

namespace {

constexpr Index kPlane = Index{4} << 10;  // floats of a plane that a thread holds (it holds four)

// Values of the spline on their way into a row of the output.
class RowWriter {
 public:
  // Rows of `out` lie along axis 2.
  RowWriter(const Array3& out, const Finish& finish)
      : finish_(finish),
        loop_(resample_loops()),
        store_(elementwise_loops().store[static_cast<int>(out.type)]),
        columns_(out.shape[2]),
        stride_(out.stride[2]),
        direct_(out.type == DType::f32 && stride_ == 1),
        stream_(direct_ && pays_to_stream(out.shape[0] * out.shape[1] * columns_ * Index{sizeof(float)})) {}

  // `values` are changed.
  void write(float* values, void* to) const {
    if (direct_) {
      loop_.finish(values, values, 0.0f, finish_.rescale, static_cast<float*>(to), columns_, stream_);
      return;
    }
    if (finish_.rescale != nullptr) {
      for (Index i = 0; i < columns_; ++i) values[i] = rescale_voxel(values[i], *finish_.rescale);
    }
    store_(values, to, stride_, columns_, finish_.quantization);
  }

 private:
  Finish finish_;
  const ResampleLoops& loop_;
  void (*store_)(const float* from, void* to, Index to_stride, Index n, const Quantization& quantization);
  Index columns_, stride_;
  bool direct_, stream_;
};

class Aligned {
 public:
  Aligned(const Geometry& geometry, Padding padding, float fill, const Finish& finish, int threads)
      : g_(geometry), upwards_(g_.out), padding_(padding), fill_(fill), writer_(g_.out, finish), loop_(cubic_loops()) {
    split(threads);
    const Index columns = g_.out.shape[2];
    const Index ends[2] = {sample(2, 0).index, sample(2, columns - 1).index};  // the coordinate is monotonous
    low_ = std::min(ends[0], ends[1]);
    count_ = std::min(std::max(ends[0], ends[1]) + 4, g_.src.shape[2]) - low_;
    Carver carver{nullptr};
    carve(carver, threads);
    carver = Carver{static_cast<char*>(scratch(carver.used))};
    carve(carver, threads);
    sample_axes();
  }

  void run(int threads) const {
    parallel_for(pieces_, 1, threads, [&](int slot, Index begin, Index end) {
      for (Index piece = begin; piece < end; ++piece) make_piece(piece, buffers_ + slot * buffer_size_);
      stream_fence();
    });
  }

 private:
  struct Sample : CubicSample {
    bool inside;
  };

  // Outside: that of the nearest coordinate inside, so that indices rise or fall along a row.
  Sample sample(int axis, Index i) const {
    const double c = coordinate(g_, axis, upwards_.unflipped(axis, i));
    const Index n = g_.src.shape[axis];
    const bool inside = cubic_inside(c, n, padding_);
    const double at = inside ? c : clamp_coordinate(c, 0.0, static_cast<double>(n - 1));
    return {cubic_sample(at, n, padding_), inside};
  }

  // Pieces are `rows_` rows of `planes_` planes.
  void split(int threads) {
    const Index* const shape = g_.out.shape;
    rows_ = std::min(std::clamp<Index>(kPlane / shape[2], 1, 64), shape[1]);
    blocks_ = (shape[1] + rows_ - 1) / rows_;
    // Enough pieces for the threads; but planes on the border of two pieces are made twice.
    const Index wanted = (Index{4} * threads + blocks_ - 1) / blocks_;
    planes_ = std::min(shape[0], std::max((shape[0] + wanted - 1) / wanted, Index{16}));
    pieces_ = blocks_ * ((shape[0] + planes_ - 1) / planes_);
  }

  void carve(Carver& carver, int threads) {
    const Index columns = g_.out.shape[2];
    room_ = round_up(columns, kSampleBlock);
    index_ = carver.take<std::int32_t>(room_);
    weight_ = carver.take<float>(4 * room_);
    for (int axis = 0; axis < 2; ++axis) samples_[axis] = carver.take<Sample>(g_.out.shape[axis]);
    line_size_ = round_up(count_ + 2 * kSampleBlock, 16);
    plane_size_ = round_up(rows_ * columns + kSampleBlock, 16);
    buffer_size_ = line_size_ + 4 * plane_size_ + room_;
    buffers_ = carver.take<float>(buffer_size_ * threads);
  }

  void sample_axes() {
    for (int axis = 0; axis < 2; ++axis) {
      for (Index i = 0; i < g_.out.shape[axis]; ++i) samples_[axis][i] = sample(axis, i);
    }
    const Index columns = g_.out.shape[2];
    begin_ = columns, end_ = 0;
    for (Index i = 0; i < room_; ++i) {
      const Sample s = sample(2, std::min(i, columns - 1));
      index_[i] = static_cast<std::int32_t>(s.index - low_);
      for (int k = 0; k < 4; ++k) weight_[k * room_ + i] = s.weight[k];
      if (i < columns && s.inside) begin_ = std::min(begin_, i), end_ = i + 1;
    }
  }

  void make_piece(Index piece, float* buffer) const {
    float* const line = buffer;
    std::fill(line + count_, line + line_size_, 0.0f);  // taps that do not exist have weight 0
    float* const planes = buffer + line_size_;
    float* const values = planes + 4 * plane_size_;
    // Pieces that follow each other share source rows, not planes.
    const Index y0 = piece % blocks_ * rows_, z0 = piece / blocks_ * planes_;
    const Index rows = std::min(rows_, g_.out.shape[1] - y0), end = std::min(z0 + planes_, g_.out.shape[0]);
    const Index columns = g_.out.shape[2];
    Index held[4] = {-1, -1, -1, -1};  // plane z of the source is kept in place z % 4
    for (Index z = z0; z < end; ++z) {
      const Sample& at = samples_[0][z];
      const float* four[4];
      for (Index k = 0; k < 4 && at.inside; ++k) {
        const Index from = std::min(at.index + k, g_.src.shape[0] - 1), place = from % 4;
        float* const plane = planes + place * plane_size_;
        if (held[place] != from) make_plane(from, y0, rows, line, plane);
        held[place] = from;
        four[k] = plane;
      }
      for (Index i = 0; i < rows; ++i) {
        if (at.inside && samples_[1][y0 + i].inside) {
          const float* const from[4] = {four[0] + i * columns, four[1] + i * columns, four[2] + i * columns,
                                        four[3] + i * columns};
          loop_.weigh_rows(from, 1, at.weight, values, columns);
          std::fill(values, values + std::min(begin_, columns), fill_);
          std::fill(values + end_, values + columns, fill_);
        } else {
          std::fill(values, values + columns, fill_);
        }
        writer_.write(values, static_cast<char*>(g_.out.data) +
                                  (z * g_.out.stride[0] + (y0 + i) * g_.out.stride[1]) * item_size(g_.out.type));
      }
    }
  }

  // Rows y0 to y0 + rows of the output, at plane z of the source.
  void make_plane(Index z, Index y0, Index rows, float* line, float* plane) const {
    const Index *const shape = g_.src.shape, *const stride = g_.src.stride;
    const float* const from = static_cast<const float*>(g_.src.data) + z * stride[0] + low_ * stride[2];
    for (Index i = 0; i < rows; ++i, plane += g_.out.shape[2]) {
      const Sample& at = samples_[1][y0 + i];
      const float* four[4];
      for (Index k = 0; k < 4; ++k) four[k] = from + std::min(at.index + k, shape[1] - 1) * stride[1];
      loop_.weigh_rows(four, stride[2], at.weight, line, count_);
      loop_.sample_row(line, index_, weight_, room_, plane, g_.out.shape[2]);
    }
  }

  Geometry g_;
  Upwards upwards_;
  Padding padding_;
  float fill_;
  RowWriter writer_;
  const CubicLoops& loop_;

  Index rows_, planes_, blocks_, pieces_;

  // The x samples of all rows, counted from coefficient low_, of which count_ are looked at. Columns begin_ to end_ are
  // inside.
  Index low_, count_, begin_, end_, room_;
  std::int32_t* index_;
  float* weight_;
  Sample* samples_[2];  // along z and y

  float* buffers_;  // of each thread: a line of the source, four planes, a row
  Index line_size_, plane_size_, buffer_size_;
};

void affine_cubic(const Geometry& geometry, Padding padding, float fill, const Finish& finish, int threads) {
  Geometry g = geometry;
  order_output(g);
  const RowWriter writer(g.out, finish);
  const auto make = cubic_loops().affine;
  const Index columns = g.out.shape[2], room = round_up(columns, 16);
  float* const buffers = static_cast<float*>(scratch(static_cast<std::size_t>(room * threads) * sizeof(float)));
  each_row(g, padding, fill, threads, [&](const AffineRow& row, void* out, int slot) {
    float* const values = buffers + slot * room;
    make(row, values, columns);
    writer.write(values, out);
  });
}

}  // namespace

void resample_cubic(const ConstArray3& coefficients, const Array3& out, const double matrix[12], Padding padding,
                    float fill, const Finish& finish, int threads) {
  for (int axis = 0; axis < 3; ++axis) {
    if (out.shape[axis] == 0) return;
  }
  Geometry g{coefficients, out, {}};
  std::copy(matrix, matrix + 12, &g.matrix[0][0]);
  threads = resolve_threads(threads);
  if (!order_axes(g)) {
    affine_cubic(g, padding, fill, finish, threads);
    return;
  }
  // Rows lie along the axis that is closest in the output's memory.
  const int along = closest_axis(g.out.shape, g.out.stride);
  const int order[3] = {along == 0 ? 1 : 0, along == 2 ? 1 : 2, along};
  permute_src(g, order);
  permute_out(g, order);
  Aligned(g, padding, fill, finish, threads).run(threads);
}

}  // namespace bedside::cpu
