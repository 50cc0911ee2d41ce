// The launches of resize: the windows of every axis into tables, then every voxel of the output by a thread of its own,
// in the order of the CPU's sums.
#pragma once

#include "bedside/resample.h"
#include "bedside/rescale.h"
#include "bedside/resize.h"
#include "grid.h"
#include "layout.h"
#include "resize/resize.h"

namespace bedside::cuda {

// The windows of one axis: weight k of output sample i at weight[k * to + i].
struct ResizeTable {
  ResizeAxis axis;
  std::int32_t* first;
  std::int32_t* count;
  float* weight;
};

// A row is an axis, a column one of its output samples.
struct FillResizeTables {
  ResizeTable table[3];

  BEDSIDE_HD void operator()(Index row, Index i) const {
    const ResizeTable& t = table[row];
    if (i >= t.axis.to) return;
    const ResizeWindow w = resize_window(t.axis, i);
    t.first[i] = static_cast<std::int32_t>(w.first);
    t.count[i] = static_cast<std::int32_t>(w.count);
    for (Index k = 0; k < w.count; ++k) t.weight[k * t.axis.to + i] = resize_weight(t.axis, w, i, k);
  }
};

struct TableWindow {
  Index first, count;
  const float* weight_;
  Index step;

  BEDSIDE_HD float weight(Index k) const { return weight_[k * step]; }
};

BEDSIDE_HD TableWindow window_of(const ResizeTable& t, Index i) {
  return {t.first[i], t.count[i], t.weight + i, t.axis.to};
}

// One more sample of a window, the k-th: blended with the one before it, or added.
BEDSIDE_HD float take_in(float so_far, float value, float weight, Index k, bool blends) {
  if (blends) return k == 0 ? value : lerp(so_far, value, weight);
  const float term = weight * value;
  return weight == 0.0f ? so_far : so_far + term;
}

// The axes are in the order of the source's strides, the closest last. A row is a row of the output, plane after plane
// and channel after channel.
template <typename T>
struct ResizeRows {
  View<const T> src;
  cpu::Array3 out;
  Index channel_stride, out_channel_stride;
  ResizeTable z, y, x;
  bool blends;         // two samples, so that equal ones stay what they are
  bool columns_first;  // x before y
  cpu::Resize how;

  // The source along z and the samples [begin, end) of y's window.
  BEDSIDE_HD float down(const TableWindow& at_z, const TableWindow& at_y, Index begin, Index end, Index column,
                        Index c) const {
    const T* const from = src.data + column * src.stride[2] + c * channel_stride;
    const bool one_row = columns_first;
    float sum = 0.0f;
    const Index outer = blends ? end - begin : at_z.count, inner = blends ? at_z.count : end - begin;
    for (Index m = 0; m < outer; ++m) {
      const Index row = begin + m;
      if (blends && m > 0 && at_y.weight(row) == 0.0f) continue;
      float blended = 0.0f;
      for (Index n = 0; n < inner; ++n) {
        const Index j = blends ? n : m, k = blends ? row : begin + n;
        const float wz = at_z.weight(j), wy = one_row ? 1.0f : at_y.weight(k);
        if (blends ? n > 0 && wz == 0.0f : wz == 0.0f || wy == 0.0f) continue;
        const float v = static_cast<float>(from[(at_z.first + j) * src.stride[0] + (at_y.first + k) * src.stride[1]]);
        if (blends) {
          blended = take_in(blended, v, wz, n, true);
        } else {
          sum = take_in(sum, v, wz * wy, 0, false);
        }
      }
      if (blends) sum = take_in(sum, blended, m > 0 ? at_y.weight(row) : 1.0f, m, true);
    }
    return sum;
  }

  BEDSIDE_HD void operator()(Index row, Index column) const {
    const Index rows = out.shape[1], images = out.shape[0];
    const Index i = row % rows, image = row / rows % images, c = row / rows / images;
    const TableWindow at_z = window_of(z, image), at_y = window_of(y, i), at_x = window_of(x, column);
    float v = 0.0f;
    for (Index outer = 0; outer < (columns_first ? at_y.count : 1); ++outer) {
      const float wy = at_y.weight(outer);
      if (columns_first && wy == 0.0f && !(blends && outer == 0)) continue;
      float across = 0.0f;
      for (Index k = 0; k < at_x.count; ++k) {
        const float wx = at_x.weight(k);
        if (wx == 0.0f && !(blends && k == 0)) continue;
        float sample[3] = {};
        for (Index g = 0; g < (how.gray ? 3 : 1); ++g) {
          sample[g] = down(at_z, at_y, columns_first ? outer : 0, columns_first ? outer + 1 : at_y.count,
                           at_x.first + k, how.gray ? g : c);
        }
        across = take_in(across, how.gray ? gray_of(sample[0], sample[1], sample[2]) : sample[0], wx, k, blends);
      }
      v = columns_first ? take_in(v, across, wy, outer, blends) : across;
    }
    if (how.mode == ResizeMode::area) v /= static_cast<float>(at_x.count) * static_cast<float>(at_z.count * at_y.count);
    const Rescale chain{how.slope,
                        how.intercept,
                        how.low,
                        how.high,
                        how.scale.data[c * how.scale.stride],
                        how.offset.data[c * how.offset.stride]};
    const Index at = c * out_channel_stride + image * out.stride[0] + i * out.stride[1] + column * out.stride[2];
    store_as(out.type, out.data, at, rescale_voxel(v, chain), how.quantization);
  }
};

// Bytes of device memory that a launch's tables take.
inline std::size_t resize_workspace(const cpu::ConstImages& src, const cpu::Images& out, const cpu::Resize& how) {
  std::size_t floats = 0;
  for (int k = 0; k < 3; ++k) {
    const ResizeAxis axis{src.array.shape[k], out.array.shape[k], how.mode, how.coordinates, how.antialias};
    floats += static_cast<std::size_t>((2 + resize_most(axis)) * axis.to);
  }
  return floats * sizeof(float);
}

template <typename Launch>
auto resize(const cpu::ConstImages& src_, const cpu::Images& out_, const cpu::Resize& how, void* workspace,
            Launch&& launch) {
  cpu::ConstArray3 src = src_.array;
  cpu::Array3 out = out_.array;
  int order[3];
  cpu::closest_last(src, order);
  FillResizeTables fill;
  Index longest = 0;
  char* at = static_cast<char*>(workspace);
  const auto take = [&](Index count) {
    char* const block = at;
    at += static_cast<std::size_t>(count) * sizeof(float);
    return block;
  };
  for (int k = 0; k < 3; ++k) {
    src.shape[k] = src_.array.shape[order[k]];
    src.stride[k] = src_.array.stride[order[k]];
    out.shape[k] = out_.array.shape[order[k]];
    out.stride[k] = out_.array.stride[order[k]];
    const ResizeAxis axis{src.shape[k], out.shape[k], how.mode, how.coordinates, how.antialias};
    fill.table[k] = {axis, reinterpret_cast<std::int32_t*>(take(axis.to)),
                     reinterpret_cast<std::int32_t*>(take(axis.to)),
                     reinterpret_cast<float*>(take(resize_most(axis) * axis.to))};
    longest = axis.to > longest ? axis.to : longest;
  }
  const auto filled = launch(Extent{3, longest}, fill);
  if (filled != decltype(filled){}) return filled;
  return with_stored(src.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return launch(Extent{out_.channels * out.shape[0] * out.shape[1], out.shape[2]},
                  ResizeRows<T>{view<T>(src), out, src_.channel_stride, out_.channel_stride, fill.table[0],
                                fill.table[1], fill.table[2], how.mode == ResizeMode::linear && !how.antialias,
                                out.shape[1] > src.shape[1], how});
  });
}

}  // namespace bedside::cuda
