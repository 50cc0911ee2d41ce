// Nearest neighbour along the axes. A row of the output is made of one row of the source: of bytes picked by shuffles
// where they lie close together, as they do when labels go back to a finer grid, and element by element otherwise.
#include <algorithm>
#include <cstring>

#include "elementwise/loops.h"
#include "resample/geometry.h"
#include "resample/loops.h"
#include "scratch.h"
#include "stream.h"
#include "thread_pool.h"

namespace bedside::cpu {

namespace {

constexpr Index kTileBytes = Index{32} << 10;   // of output a thread makes before it is written
constexpr Index kTurnBytes = Index{512} << 10;  // the same where blocks are turned on the way out
constexpr Index kVector = 16;

class Nearest {
 public:
  Nearest(const Geometry& geometry, Padding padding, double fill, int threads)
      : g_(geometry),
        upwards_(g_.out),
        padding_(padding),
        loop_(resample_loops()),
        type_(static_cast<int>(g_.src.type)),
        size_(item_size(g_.src.type)),
        out_size_(item_size(g_.out.type)),
        converts_(g_.out.type != g_.src.type) {
    set_fill(fill);
    split();
    Carver carver{nullptr};
    carve(carver, threads);
    carver = Carver{static_cast<char*>(scratch(carver.used))};
    carve(carver, threads);
    find_sources();
  }

  void run(int threads) const {
    parallel_for(pieces_, 1, threads, [&](int slot, Index begin, Index end) {
      for (Index piece = begin; piece < end; ++piece) make_piece(piece, buffers_ + slot * buffer_size_);
      if (stream_) stream_fence();
    });
  }

 private:
  // The element outside, of the source's type where the output has it too.
  void set_fill(double fill) {
    const auto set = [&](auto value) { std::memcpy(fill_, &value, sizeof value); };
    switch (g_.out.type) {
      case DType::u8:
        return set(static_cast<std::uint8_t>(fill));
      case DType::i8:
        return set(static_cast<std::int8_t>(fill));
      case DType::u16:
        return set(static_cast<std::uint16_t>(fill));
      case DType::i16:
        return set(static_cast<std::int16_t>(fill));
      case DType::i32:
        return set(static_cast<std::int32_t>(fill));
      default:
        return set(static_cast<float>(fill));
    }
  }

  // Pieces are `rows_` rows of `planes_` planes, gathered in a tile.
  void split() {
    const Index *const shape = g_.out.shape, *const stride = g_.out.stride;
    along_ = closest_axis(shape, stride);
    const Index fit = std::max<Index>(1, kTileBytes / (shape[2] * out_size_));
    const Index turned = std::max<Index>(64, kTurnBytes / (shape[2] * out_size_));
    rows_ = along_ == 0 ? 1 : std::min(along_ == 1 ? turned : fit, shape[1]);
    planes_ = along_ == 0 ? std::min(turned, shape[0]) : 1;
    blocks_ = (shape[1] + rows_ - 1) / rows_;
    pieces_ = blocks_ * ((shape[0] + planes_ - 1) / planes_);
    const bool contiguous = along_ == 2 && stride[2] == 1 && stride[1] == shape[2];
    stream_ = contiguous && pays_to_stream(shape[0] * shape[1] * shape[2] * out_size_);
  }

  void carve(Carver& carver, int threads) {
    const Index columns = g_.out.shape[2];
    vectors_ = round_up(columns * size_, kVector) / kVector;
    index_ = carver.take<std::int32_t>(columns);
    picks_ = carver.take<Pick>(vectors_);
    for (int axis = 0; axis < 2; ++axis) at_[axis] = carver.take<Index>(g_.out.shape[axis]);
    tile_size_ = round_up(rows_ * planes_ * columns * out_size_ + kVector, 64);
    buffer_size_ = tile_size_ + round_up(vectors_ * kVector, 64);
    buffers_ = carver.take<char>(buffer_size_ * threads);
  }

  // -1 is outside.
  Index source_of(int axis, Index i) const {
    const Index at = nearest_sample(coordinate(g_, axis, upwards_.unflipped(axis, i)), g_.src.shape[axis], padding_);
    return at < g_.src.shape[axis] ? at : -1;
  }

  void find_sources() {
    for (int axis = 0; axis < 2; ++axis) {
      for (Index i = 0; i < g_.out.shape[axis]; ++i) at_[axis][i] = source_of(axis, i);
    }
    const Index columns = g_.out.shape[2];
    straight_ = g_.src.stride[2] == 1;
    for (Index x = 0; x < columns; ++x) {
      index_[x] = static_cast<std::int32_t>(source_of(2, x));
      straight_ = straight_ && index_[x] >= 0 && index_[x] == index_[0] + x;
    }
    picked_ = !straight_ && plan_picks();
  }

  // Whether every 16 bytes of a row come from 32 bytes of a source row, and from where.
  bool plan_picks() {
    const Index row = g_.src.shape[2] * size_, columns = g_.out.shape[2], each = kVector / size_;
    if (g_.src.stride[2] != 1 || row < 2 * kVector) return false;
    for (Index v = 0; v < vectors_; ++v) {
      Pick& pick = picks_[v];
      std::int32_t low = -1;
      for (Index x = v * each; x < std::min((v + 1) * each, columns); ++x) {
        if (index_[x] >= 0 && (low < 0 || index_[x] < low)) low = index_[x];
      }
      pick.begin = std::min(std::max<std::int32_t>(low, 0) * size_, row - 2 * kVector);
      for (Index i = 0; i < kVector; ++i) {
        const Index x = std::min(v * each + i / size_, columns - 1), part = i % size_;
        const Index from = index_[x] < 0 ? -1 : index_[x] * size_ + part - pick.begin;
        if (from >= 2 * kVector) return false;
        pick.low[i] = static_cast<std::uint8_t>(from >= 0 && from < kVector ? from : 255);
        pick.high[i] = static_cast<std::uint8_t>(from >= kVector ? from - kVector : 255);
        pick.fill[i] = static_cast<std::uint8_t>(from < 0 && !converts_ ? fill_[part] : 0);
      }
    }
    return true;
  }

  void make_piece(Index piece, char* tile) const {
    char* const row = tile + tile_size_;
    const Index y0 = piece % blocks_ * rows_, z0 = piece / blocks_ * planes_;
    const Index rows = std::min(rows_, g_.out.shape[1] - y0), planes = std::min(planes_, g_.out.shape[0] - z0);
    const Index bytes = g_.out.shape[2] * out_size_;
    const char* before = nullptr;
    Index before_z = 0, before_y = 0;
    char* to = tile;
    for (Index z = z0; z < z0 + planes; ++z) {
      for (Index y = y0; y < y0 + rows; ++y, to += bytes) {
        const Index from_z = at_[0][z], from_y = at_[1][y];
        if (before != nullptr && from_z == before_z && from_y == before_y) {
          std::memcpy(to, before, static_cast<std::size_t>(bytes));
        } else {
          make_row(from_z, from_y, row, to);
          before_z = from_z;
          before_y = from_y;
        }
        before = to;
      }
    }
    write(tile, z0, planes, y0, rows);
  }

  // One row of the output; `row` is room for one of the source's type.
  void make_row(Index z, Index y, char* row, char* to) const {
    const Index columns = g_.out.shape[2];
    if (z < 0 || y < 0) return fill_row(to, columns);
    const char* const from =
        static_cast<const char*>(g_.src.data) + (z * g_.src.stride[0] + y * g_.src.stride[1]) * size_;
    char* const kept = converts_ ? row : to;
    if (straight_) {
      const char* const begin = from + index_[0] * size_;
      if (!converts_) {
        std::memcpy(to, begin, static_cast<std::size_t>(columns * size_));
      } else {
        loop_.blend_source_rows[type_](begin, begin, 1, 0.0f, 0.0f, reinterpret_cast<float*>(to), columns);
      }
      return;
    }
    if (picked_) {
      loop_.pick_row(from, picks_, kept, vectors_);
    } else {
      loop_.index_row[type_](from, g_.src.stride[2], index_, fill_, kept, columns);
    }
    if (!converts_) return;
    float* const out = reinterpret_cast<float*>(to);
    loop_.blend_source_rows[type_](row, row, 1, 0.0f, 0.0f, out, columns);
    if (padding_ == Padding::border) return;
    for (Index x = 0; x < columns; ++x) {
      if (index_[x] < 0) std::memcpy(out + x, fill_, sizeof(float));
    }
  }

  void fill_row(char* to, Index columns) const {
    for (Index x = 0; x < columns; ++x) std::memcpy(to + x * out_size_, fill_, static_cast<std::size_t>(out_size_));
  }

  void write(const char* tile, Index z0, Index planes, Index y0, Index rows) const {
    const Index columns = g_.out.shape[2];
    const Index* const stride = g_.out.stride;
    const auto place = [&](Index z, Index y) {
      return static_cast<char*>(g_.out.data) + (z * stride[0] + y * stride[1]) * out_size_;
    };
    const std::size_t bytes = static_cast<std::size_t>(columns * out_size_);
    if (stream_) {
      loop_.stream(place(z0, y0), tile, bytes * static_cast<std::size_t>(rows));
    } else if (along_ == 2 && stride[2] == 1) {
      for (Index i = 0; i < rows; ++i) std::memcpy(place(z0, y0 + i), tile + i * columns * out_size_, bytes);
    } else if (along_ != 2 && stride[along_] == 1) {
      turn(tile, along_ == 0 ? planes : rows, place(z0, y0));
    } else {
      for (Index i = 0; i < planes * rows; ++i) {
        scatter(tile + i * columns * out_size_, place(z0 + i / rows, y0 + i % rows), columns);
      }
    }
  }

  // A tile of `count` rows that follow each other where the output's memory is contiguous.
  void turn(const char* tile, Index count, char* to) const {
    const Index columns = g_.out.shape[2];
    loop_.turn[out_size_](tile, columns, to, g_.out.stride[2], count, columns);
  }

  void scatter(const char* from, char* to, Index columns) const {
    const auto copy = [&](auto zero) {
      using T = decltype(zero);
      for (Index x = 0; x < columns; ++x) {
        std::memcpy(to + x * g_.out.stride[2] * Index{sizeof(T)}, from + x * Index{sizeof(T)}, sizeof(T));
      }
    };
    if (out_size_ == 1) {
      copy(std::uint8_t{});
    } else if (out_size_ == 2) {
      copy(std::uint16_t{});
    } else {
      copy(std::uint32_t{});
    }
  }

  Geometry g_;
  Upwards upwards_;
  Padding padding_;
  const ResampleLoops& loop_;
  int type_;
  Index size_, out_size_;
  bool converts_;  // to float32
  alignas(8) char fill_[8] = {};

  int along_;
  Index rows_, planes_, blocks_, pieces_;
  bool stream_;

  std::int32_t* index_;  // of a row's columns; below 0 is outside
  bool straight_;        // the columns follow each other in the source
  bool picked_;
  Pick* picks_;
  Index vectors_;  // of 16 bytes, in a row of the source's type
  Index* at_[2];   // along z and y

  char* buffers_;  // of each thread: a tile of the output, and a row of the source's type
  Index tile_size_, buffer_size_;
};

}  // namespace

void aligned_nearest(const Geometry& g, Padding padding, double fill, int threads) {
  Nearest(g, padding, fill, threads).run(threads);
}

}  // namespace bedside::cpu
