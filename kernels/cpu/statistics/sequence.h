// The elements of an array of any strides as one sequence, for what does not ask where an element lies.
#pragma once

#include <algorithm>
#include <cstring>

#include "array.h"

namespace bedside::cpu {

// Up to four axes, strides in elements and of either sign.
struct ConstArray4 {
  const void* data;
  DType type;
  Index shape[4];
  Index stride[4];
};

// In the order of memory, whatever the order and direction of the axes: transposed and flipped views of one array are
// the same sequence. It is cut into pieces, which threads share out, and these into blocks; where both lie depends on
// the number of elements alone.
class Sequence {
 public:
  static constexpr Index kBlock = 4096, kPiece = 16 * kBlock;  // elements

  explicit Sequence(const ConstArray4& array)
      : data_(static_cast<const char*>(array.data)), item_(item_size(array.type)) {
    Index offset = 0;
    for (int axis = 0; axis < 4; ++axis) {
      size_ *= array.shape[axis];
      if (array.shape[axis] == 1) continue;
      Index stride = array.stride[axis];
      if (stride < 0) {
        offset += (array.shape[axis] - 1) * stride;
        stride = -stride;
      }
      int at = axes_++;
      for (; at > 0 && stride_[at - 1] < stride; --at) {
        stride_[at] = stride_[at - 1];
        extent_[at] = extent_[at - 1];
      }
      stride_[at] = stride;
      extent_[at] = array.shape[axis];
    }
    data_ += size_ > 0 ? offset * item_ : 0;
    int kept = 0;
    for (int axis = 1; axis < axes_; ++axis) {
      if (stride_[kept] == extent_[axis] * stride_[axis]) {
        extent_[kept] *= extent_[axis];
      } else {
        extent_[++kept] = extent_[axis];
      }
      stride_[kept] = stride_[axis];
    }
    axes_ = axes_ == 0 ? 1 : kept + 1;
  }

  Index size() const { return size_; }
  Index pieces() const { return (size_ + kPiece - 1) / kPiece; }

  // block(pointer to n elements that lie beside each other, n), n = kBlock but for the last of the sequence
  template <typename F>
  void blocks(Index piece, F&& block) const {
    alignas(64) char gathered[kBlock * 4];
    const Index begin = piece * kPiece, end = std::min(begin + kPiece, size_), row = extent_[axes_ - 1];
    Index index[4] = {}, rest = begin;
    for (int axis = axes_ - 1; axis >= 0; --axis) {
      index[axis] = rest % extent_[axis];
      rest /= extent_[axis];
    }
    const Index stride = stride_[axes_ - 1];
    Index& along = index[axes_ - 1];
    for (Index at = begin; at < end; at += kBlock) {
      const Index n = std::min(kBlock, end - at);
      if (stride == 1 && row - along >= n) {
        block(static_cast<const void*>(data_ + offset(index) * item_), n);
        along += n;
      } else {
        for (Index filled = 0; filled < n;) {
          if (along == row) step(index);
          const Index run = std::min(n - filled, row - along);
          copy(gathered + filled * item_, data_ + offset(index) * item_, stride, run);
          filled += run;
          along += run;
        }
        block(static_cast<const void*>(gathered), n);
      }
      if (along == row) step(index);
    }
  }

 private:
  Index offset(const Index* index) const {
    Index sum = 0;
    for (int axis = 0; axis < axes_; ++axis) sum += index[axis] * stride_[axis];
    return sum;
  }

  // To the beginning of the next row.
  void step(Index* index) const {
    index[axes_ - 1] = 0;
    for (int axis = axes_ - 2; axis >= 0; --axis) {
      if (++index[axis] < extent_[axis]) return;
      index[axis] = 0;
    }
  }

  void copy(char* to, const char* from, Index stride, Index n) const {
    if (stride == 1) {
      std::memcpy(to, from, static_cast<std::size_t>(n * item_));
    } else if (item_ == 1) {
      for (Index i = 0; i < n; ++i) to[i] = from[i * stride];
    } else if (item_ == 2) {
      for (Index i = 0; i < n; ++i) std::memcpy(to + i * 2, from + i * stride * 2, 2);
    } else {
      for (Index i = 0; i < n; ++i) std::memcpy(to + i * 4, from + i * stride * 4, 4);
    }
  }

  const char* data_;
  Index item_;
  Index size_ = 1;
  int axes_ = 0;
  Index extent_[4] = {1, 1, 1, 1};  // outermost first
  Index stride_[4] = {1, 1, 1, 1};
};

}  // namespace bedside::cpu
