// How to walk arrays of any strides in an order that is kind to the cache.
#pragma once

#include <algorithm>
#include <utility>

#include "array.h"
#include "bedside/host_device.h"

namespace bedside::cpu {

// The axes in the order that `before(axis, other)` says, those that are equal in their own.
template <typename Before>
void sort_axes(int order[3], Before&& before) {
  order[0] = 0, order[1] = 1, order[2] = 2;
  for (int k = 1; k < 3; ++k) {
    for (int at = k; at > 0 && before(order[at], order[at - 1]); --at) std::swap(order[at], order[at - 1]);
  }
}

// The axes of an array in the order of their strides, the closest last.
inline void closest_last(const Index stride[3], int order[3]) {
  sort_axes(order, [&](int i, int j) { return magnitude(stride[i]) > magnitude(stride[j]); });
}

// The same, but those of one element first.
inline void closest_last(const ConstArray3& a, int order[3]) {
  sort_axes(order, [&](int i, int j) {
    const bool one_i = a.shape[i] == 1, one_j = a.shape[j] == 1;
    if (one_i || one_j) return one_i && !one_j;
    return magnitude(a.stride[i]) > magnitude(a.stride[j]);
  });
}

// Walks [z, y, x] arrays of one shape row by row. Rows lie along the smallest stride of array 0, the one that is
// written. Where another array has its smallest stride along a different axis (a transposed view) that axis comes next
// and rows are cut short, so that cache lines are used up before they are evicted. Otherwise the axes come in the order
// of array 0's strides, and rows that follow each other in every array are one long row. A piece is what threads share
// out.
template <int Arrays>
class RowWalk {
 public:
  Index inner_stride[Arrays];

  // rows_in_slice: a row must not leave its slice (axis 0), because the caller treats each slice differently.
  template <typename... Strides>
  RowWalk(const Index shape[3], bool rows_in_slice, const Strides&... strides) {
    if (shape[0] == 0 || shape[1] == 0 || shape[2] == 0) return;
    const Index* const stride[Arrays] = {strides...};
    const auto smallest = [&](const Index* of, int except) {
      int best = -1;
      for (int axis = 2; axis >= 0; --axis) {
        if (axis == except || (axis == 0 && rows_in_slice && except < 0)) continue;
        const bool longer = best >= 0 && shape[best] == 1 && shape[axis] > 1;
        const bool closer = best >= 0 && shape[axis] > 1 && magnitude(of[axis]) < magnitude(of[best]);
        if (best < 0 || longer || closer) best = axis;
      }
      return best;
    };
    axis_[2] = smallest(stride[0], -1);
    axis_[1] = smallest(stride[0], axis_[2]);
    for (int a = 1; a < Arrays; ++a) {
      const int beside = smallest(stride[a], axis_[2]);
      if (shape[beside] > 1 && magnitude(stride[a][beside]) < magnitude(stride[a][axis_[2]])) {
        axis_[1] = beside;
        crossed_ = true;
      }
    }
    axis_[0] = 3 - axis_[1] - axis_[2];
    bool merge = !crossed_ && !(rows_in_slice && axis_[1] == 0);
    for (int k = 0; k < 3; ++k) extent_[k] = shape[axis_[k]];
    for (int a = 0; a < Arrays; ++a) {
      for (int k = 0; k < 3; ++k) stride_[a][k] = stride[a][axis_[k]];
      inner_stride[a] = stride_[a][2];
      merge = merge && (extent_[1] == 1 || stride_[a][1] == extent_[2] * stride_[a][2]);
    }
    if (merge) {
      extent_[2] *= extent_[1];
      extent_[1] = 1;
    }
    middle_per_piece_ = std::max<Index>(1, kPiece / extent_[2]);
    if (crossed_) {
      row_ = kTile;
      if (middle_per_piece_ > kTileRows) middle_per_piece_ -= middle_per_piece_ % kTileRows;
    }
    blocks_ =
        extent_[1] > 1 ? (extent_[1] + middle_per_piece_ - 1) / middle_per_piece_ : (extent_[2] + kPiece - 1) / kPiece;
  }

  // Whether another array has its smallest stride along the middle axis.
  bool crossed() const { return crossed_; }
  Index row() const { return extent_[2]; }  // the length of a whole row, of which rows() may give parts
  Index middle_stride(int array) const { return stride_[array][1]; }
  bool middle_is_slices() const { return axis_[1] == 0; }

  Index pieces() const { return blocks_ * extent_[0]; }

  // row(slice if rows_in_slice, offset of the row's first element in each array..., n)
  template <typename F>
  void rows(Index piece, F&& row) const {
    tiles(piece, extent_[1], row_, row_, [&](Index outer, Index m0, Index middle, Index i, Index n) {
      for (Index m = m0; m < m0 + middle; ++m) {
        call(row, axis_[0] == 0 ? outer : m, outer, m, i, n, std::make_index_sequence<Arrays>());
      }
    });
  }

  // tile(slice if rows_in_slice and the middle axis is another, offset of the tile's first element in each array...,
  // number of rows, their length): the rows lie beside each other along the middle axis, at most kTileRows of them.
  template <typename F>
  void tiles(Index piece, F&& tile) const {
    tiles(piece, row_, row_, tile);
  }
  // The same of rows cut to `length` elements, but for the first, of `first`.
  template <typename F>
  void tiles(Index piece, Index first, Index length, F&& tile) const {
    tiles(piece, kTileRows, first, length, [&](Index outer, Index m0, Index middle, Index i, Index n) {
      const auto with_size = [&](Index slice, auto... offset_and_n) { tile(slice, offset_and_n..., middle); };
      call(with_size, outer, outer, m0, i, n, std::make_index_sequence<Arrays>());
    });
  }

  // Where a piece begins in an array.
  Index start(Index piece, int array) const {
    const Index outer = piece / blocks_, block = piece % blocks_;
    return outer * stride_[array][0] +
           block * (extent_[1] > 1 ? middle_per_piece_ * stride_[array][1] : kPiece * stride_[array][2]);
  }

  static constexpr Index kTileRows = 64;
  static constexpr Index kTile =
      16;  // row length: few enough for one set of the cache, where a stride is a power of two

 private:
  static constexpr Index kPiece = Index{1} << 16;  // voxels

  template <typename F>
  void tiles(Index piece, Index most_rows, Index first, Index length, F&& tile) const {
    const Index outer = piece / blocks_, block = piece % blocks_;
    Index m0 = 0, m1 = 1, i0 = 0, i1 = extent_[2];
    if (extent_[1] > 1) {
      m0 = block * middle_per_piece_;
      m1 = std::min(m0 + middle_per_piece_, extent_[1]);
    } else {
      i0 = block * kPiece;
      i1 = std::min(i0 + kPiece, i1);
    }
    for (Index i = i0, next = first; i < i1; i += next, next = length) {
      for (Index m = m0; m < m1; m += most_rows) {
        tile(outer, m, std::min(most_rows, m1 - m), i, std::min(next, i1 - i));
      }
    }
  }

  template <typename F, std::size_t... A>
  void call(F&& visit, Index slice, Index outer, Index m, Index i, Index n, std::index_sequence<A...>) const {
    visit(slice, (outer * stride_[A][0] + m * stride_[A][1] + i * stride_[A][2])..., n);
  }

  bool crossed_ = false;
  int axis_[3] = {0, 1, 2};  // outer, middle, inner
  Index extent_[3] = {0, 0, 0};
  Index stride_[Arrays][3];
  Index row_ = kPiece, middle_per_piece_ = 1, blocks_ = 0;
};

template <typename... Strides>
RowWalk(const Index*, bool, const Strides&...) -> RowWalk<sizeof...(Strides)>;

}  // namespace bedside::cpu
