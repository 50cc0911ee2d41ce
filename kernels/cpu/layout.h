// How to walk arrays of any strides in an order that is kind to the cache.
#pragma once

#include <algorithm>
#include <utility>

#include "bedside/host_device.h"
#include "kernels.h"

namespace bedside::cpu {

inline Index item_size(DType type) {
  switch (type) {
    case DType::u8:
    case DType::i8:
      return 1;
    case DType::u16:
    case DType::i16:
      return 2;
    default:
      return 4;
  }
}

inline Index magnitude(Index stride) {
  return stride < 0 ? -stride : stride;
}

// Walks two or more [z, y, x] arrays of one shape row by row: array 0 (the one written) has its smaller stride
// innermost, a slice whose rows follow each other in every array is one long row, and where another array has its
// smaller stride on the middle axis the rows are cut short, so that its cache lines are used up before they are
// evicted. A piece, the unit that threads share out, lies in one slice.
template <int Arrays>
class SliceWalk {
 public:
  Index inner_stride[Arrays];

  template <typename... Strides>
  explicit SliceWalk(const Index shape[3], const Strides&... strides) : slices_(shape[0]) {
    const Index* const stride[Arrays] = {strides...};
    int inner = 2, middle = 1;
    const bool swap = shape[1] > 1 && (shape[2] == 1 || magnitude(stride[0][1]) < magnitude(stride[0][2]));
    if (swap) std::swap(inner, middle);
    inner_ = shape[inner];
    middle_ = shape[middle];
    bool merge = true;
    bool crossed = false;
    for (int a = 0; a < Arrays; ++a) {
      slice_stride_[a] = stride[a][0];
      middle_stride_[a] = stride[a][middle];
      inner_stride[a] = stride[a][inner];
      merge = merge && middle_stride_[a] == inner_ * inner_stride[a];
      crossed = crossed || magnitude(middle_stride_[a]) < magnitude(inner_stride[a]);
    }
    if (merge) {
      inner_ *= middle_;
      middle_ = 1;
      crossed = false;
    }
    empty_ = slices_ == 0 || inner_ == 0 || middle_ == 0;
    if (empty_) return;
    row_ = crossed && middle_ > 1 ? kTile : kRow;
    middle_per_piece_ = std::max<Index>(1, kPiece / inner_);
    blocks_ = middle_ > 1 ? (middle_ + middle_per_piece_ - 1) / middle_per_piece_ : (inner_ + kPiece - 1) / kPiece;
  }

  Index pieces() const { return empty_ ? 0 : slices_ * blocks_; }
  Index slice(Index piece) const { return piece / blocks_; }

  // row(offset of the first element in each array..., n)
  template <typename F>
  void rows(Index piece, F&& row) const {
    const Index z = piece / blocks_, block = piece % blocks_;
    Index m0 = 0, m1 = 1, i0 = 0, i1 = inner_;
    if (middle_ > 1) {
      m0 = block * middle_per_piece_;
      m1 = std::min(m0 + middle_per_piece_, middle_);
    } else {
      i0 = block * kPiece;
      i1 = std::min(i0 + kPiece, inner_);
    }
    for (Index i = i0; i < i1; i += row_) {
      const Index n = std::min(row_, i1 - i);
      for (Index m = m0; m < m1; ++m) call(row, z, m, i, n, std::make_index_sequence<Arrays>());
    }
  }

 private:
  static constexpr Index kPiece = Index{1} << 16;  // voxels
  static constexpr Index kRow = kPiece;
  static constexpr Index kTile = 64;

  template <typename F, std::size_t... A>
  void call(F&& row, Index z, Index m, Index i, Index n, std::index_sequence<A...>) const {
    row((z * slice_stride_[A] + m * middle_stride_[A] + i * inner_stride[A])..., n);
  }

  Index slices_, middle_ = 0, inner_ = 0;
  Index slice_stride_[Arrays], middle_stride_[Arrays];
  Index row_ = kRow, middle_per_piece_ = 1, blocks_ = 1;
  bool empty_ = true;
};

template <typename... Strides>
SliceWalk(const Index*, const Strides&...) -> SliceWalk<sizeof...(Strides)>;

}  // namespace bedside::cpu
