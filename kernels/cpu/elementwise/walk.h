// How the elementwise kernels go through arrays: blocks of floats that stay in the first-level cache, then out.
#pragma once

#include <algorithm>

#include "elementwise/loops.h"
#include "layout.h"
#include "stream.h"
#include "thread_pool.h"

namespace bedside::cpu {

// Short enough that reading the next block overlaps with writing this one past the cache.
inline constexpr Index kBlockFloats = 512;

// How many elements the first block of a row takes, so that those after it begin with a cache line.
inline Index first_block(const void* to, Index size) {
  const Index past = static_cast<Index>(reinterpret_cast<std::uintptr_t>(to) & 63);
  return kBlockFloats - past / size;
}

// Asks for the cache lines of the block after the next: the hardware's own prefetch stops at the end of a page.
inline void prefetch_block(const char* from, Index bytes) {
  for (Index k = 2 * bytes; k < 3 * bytes; k += 64) __builtin_prefetch(from + k);
}

// Takes blocks of at most kBlockFloats floats to their place in the output.
class Sink {
 public:
  // row: elements that follow each other in every row that is put; all: elements of the whole output.
  Sink(const ElementwiseLoops& loop, DType type, const Quantization& quantization, Index row, Index all)
      : loop_(loop), type_(type), quantization_(quantization) {
    const Index size = item_size(type);
    streams_ = row * size >= kLeastRow && pays_to_stream(all * size);
  }

  bool streams() const { return streams_; }

  void put(const float* block, void* to, Index stride, Index n) const {
    const auto store = loop_.store[static_cast<int>(type_)];
    if (!streams_ || stride != 1) return store(block, to, stride, n, quantization_);
    if (type_ == DType::f32) return loop_.stream(to, block, n * sizeof(float));
    alignas(64) char stored[kBlockFloats * 4];
    store(block, stored, 1, n, quantization_);
    loop_.stream(to, stored, n * item_size(type_));
  }

 private:
  static constexpr Index kLeastRow = 512;  // bytes: at most a quarter of its cache lines are written in part

  const ElementwiseLoops& loop_;
  DType type_;
  Quantization quantization_;
  bool streams_;
};

// What map_values() may do beside calling row(): write float32 at once with straight(), and give row() elements of the
// source that were moved elsewhere.
struct RowAbilities {
  bool straight, movable;
};

// Takes a transposed view through the cache, tile by tile. Elements of 64 rows of the source, 64 of each, are turned as
// they are and then mapped, or, where they do not lie beside each other, mapped and then turned; what leaves the cache
// are pieces of the output's rows that are some cache lines long.
class Turner {
 public:
  static constexpr Index kSide = 64;
  static_assert(kSide <= kBlockFloats && kSide == RowWalk<2>::kTileRows, "");

  Turner(const ElementwiseLoops& loop, const RowWalk<2>& walk, const Sink& sink, const char* from, Index size, char* to,
         Index out_size, bool movable)
      : loop_(loop), walk_(walk), sink_(sink), from_(from), to_(to), size_(size), out_size_(out_size) {
    turns_elements_ = movable && magnitude(walk.middle_stride(1)) == 1;
  }

  template <typename Row>
  void piece(Index piece, Row& row) const {
    // Rows begin with a cache line from their second part on.
    const Index past =
        static_cast<Index>(reinterpret_cast<std::uintptr_t>(to_ + walk_.start(piece, 0) * out_size_) & 63);
    alignas(64) char elements[kSide * kSide * sizeof(float)];
    alignas(64) float values[kSide * kSide];
    walk_.tiles(piece, kSide - past / out_size_, kSide, [&](Index z, Index at_out, Index at_src, Index n, Index rows) {
      const char* const first = from_ + at_src * size_;
      const Index beside = walk_.middle_stride(1), step = walk_.inner_stride[1];
      if (turns_elements_) {
        char* const end = elements + (rows - 1) * n * size_;
        if (beside == 1) {
          loop_.turn[size_](first, step, elements, n, n, rows);
        } else {
          loop_.turn[size_](first - (rows - 1) * size_, step, end, -n, n, rows);
        }
        row(elements, 1, values, n * rows, z);
      } else {
        float* const mapped = reinterpret_cast<float*>(elements);
        for (Index i = 0; i < n; ++i) row(first + i * step * size_, beside, mapped + i * rows, rows, z);
        loop_.turn[sizeof(float)](mapped, rows, values, n, n, rows);
      }
      for (Index m = 0; m < rows; ++m) {
        sink_.put(values + m * n, to_ + (at_out + m * walk_.middle_stride(0)) * out_size_, 1, n);
      }
    });
  }

 private:
  const ElementwiseLoops& loop_;
  const RowWalk<2>& walk_;
  const Sink& sink_;
  const char* from_;
  char* to_;
  Index size_, out_size_;
  bool turns_elements_;
};

// Fills out from src: row(from, stride, to floats, n, slice) computes floats that lie beside each other; where it can
// be `straight` that one computes them at once in their place, in a float32 output: straight(from, stride, to,
// to_stride, n, slice).
template <typename Row, typename Straight>
void map_values(const ConstArray3& src, const Array3& out, bool per_slice, const Quantization& quantization,
                int threads, Row&& row, Straight&& straight, RowAbilities can) {
  const ElementwiseLoops& loop = elementwise_loops();
  const RowWalk walk(src.shape, per_slice, out.stride, src.stride);
  const char* const from = static_cast<const char*>(src.data);
  char* const to = static_cast<char*>(out.data);
  const Index size = item_size(src.type), out_size = item_size(out.type);
  const Sink sink(loop, out.type, quantization, walk.inner_stride[0] == 1 ? walk.row() : 0,
                  src.shape[0] * src.shape[1] * src.shape[2]);
  const bool in_place = src.data == out.data;
  const bool at_once = can.straight && out.type == DType::f32 && (in_place || !sink.streams());
  const bool turn = walk.crossed() && walk.inner_stride[0] == 1 && !(per_slice && walk.middle_is_slices());
  const Turner turner(loop, walk, sink, from, size, to, out_size, can.movable);
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    alignas(64) float block[kBlockFloats];
    for (Index piece = begin; piece < end; ++piece) {
      if (turn) {
        turner.piece(piece, row);
        continue;
      }
      walk.rows(piece, [&](Index z, Index at_out, Index at_src, Index n) {
        const char* const first = from + at_src * size;
        char* const target = to + at_out * out_size;
        const Index step = walk.inner_stride[1], out_step = walk.inner_stride[0];
        if (at_once) return straight(first, step, reinterpret_cast<float*>(target), out_step, n, z);
        for (Index i = 0, next = first_block(target, out_size); i < n; i += next, next = kBlockFloats) {
          const Index count = std::min(next, n - i);
          if (step > 0 && step <= 4 && sink.streams()) prefetch_block(first + i * step * size, count * step * size);
          row(first + i * step * size, step, block, count, z);
          sink.put(block, target + i * out_step * out_size, out_step, count);
        }
      });
    }
    stream_fence();
  });
}

}  // namespace bedside::cpu
