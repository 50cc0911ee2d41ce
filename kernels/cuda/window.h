// The launches of the sliding window and of what is made of its scores: a thread an element, or a voxel with all its
// channels.
#pragma once

#include "bedside/accumulate.h"
#include "bedside/argmax.h"
#include "bedside/exp.h"
#include "bedside/gather.h"
#include "bedside/rescale.h"
#include "bedside/threshold.h"
#include "grid.h"
#include "window/window.h"

namespace bedside::cuda {

// The largest of the values that all threads see.
BEDSIDE_HD void raise(std::int32_t* most, std::int32_t value) {
#if defined(__CUDA_ARCH__)
  if (value > *most) atomicMax(most, value);
#else
  *most = value > *most ? value : *most;
#endif
}

// A row is a row of the window, plane after plane and channel after channel.
template <typename T>
struct GatherRows {
  View<const T> src;
  View<float> out;
  Index channel_stride, out_channel_stride;
  Index start[3];
  Outside mode;
  float fill;
  bool maps;
  Rescale map;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index y = row % out.shape[1], z = row / out.shape[1] % out.shape[0], c = row / out.shape[1] / out.shape[0];
    const Index from_z = voxel_for(start[0] + z, src.shape[0], mode);
    const Index from_y = voxel_for(start[1] + y, src.shape[1], mode);
    const Index from_x = voxel_for(start[2] + x, src.shape[2], mode);
    float v = fill;
    if (from_z != kNowhere && from_y != kNowhere && from_x != kNowhere) {
      const T stored = (&src.at(from_z, from_y, from_x))[c * channel_stride];
      v = maps ? rescale_voxel(stored, map) : static_cast<float>(stored);
    }
    (&out.at(z, y, x))[c * out_channel_stride] = v;
  }
};

template <typename Launch>
auto gather(const cpu::ConstArray3& src, Index src_channel_stride, const cpu::Array3& out, Index out_channel_stride,
            Index channels, const Index start[3], Outside mode, float fill, const Rescale* map, Launch&& launch) {
  return with_stored(src.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return launch(Extent{channels * out.shape[0] * out.shape[1], out.shape[2]},
                  GatherRows<T>{view<T>(src),
                                view<float>(out),
                                src_channel_stride,
                                out_channel_stride,
                                {start[0], start[1], start[2]},
                                mode,
                                fill,
                                map != nullptr,
                                map != nullptr ? *map : Rescale{}});
  });
}

// A row is a row of the part of the patch that lies inside, plane after plane and channel after channel.
struct AccumulateRows {
  View<const float> patch;
  Index channel_stride;
  cpu::WindowWeights weights;
  View<float> total;
  Index total_channel_stride;
  Index start[3], fresh[3], low[3], count[3];
  std::int32_t* peak;

  BEDSIDE_HD void operator()(Index row, Index column) const {
    const Index y = low[1] + row % count[1], z = low[0] + row / count[1] % count[0], c = row / count[1] / count[0];
    const Index x = low[2] + column;
    const float value = (&patch.at(z, y, x))[c * channel_stride];
    float& at = (&total.at((start[0] + z) % total.shape[0], start[1] + y, start[2] + x))[c * total_channel_stride];
    const bool set = z >= fresh[0] && y >= fresh[1] && x >= fresh[2];
    const float weight = window_weight(weights.bell[0][z] * weights.bell[1][y], weights.bell[2][x], weights.floor);
    at = accumulate_voxel(set ? 0.0f : at, value, weight);
    raise(peak, magnitude_bits(value));
  }
};

template <typename Launch>
auto accumulate(const cpu::ConstArray3& patch, Index patch_channel_stride, const cpu::WindowWeights& weights,
                const cpu::Array3& total, Index total_channel_stride, Index channels, Index planes,
                const Index start[3], const Index fresh[3], std::int32_t* peak, Launch&& launch) {
  AccumulateRows body{view<float>(patch),
                      patch_channel_stride,
                      weights,
                      view<float>(total),
                      total_channel_stride,
                      {},
                      {},
                      {},
                      {},
                      peak};
  const Index image[3] = {planes, total.shape[1], total.shape[2]};
  for (int axis = 0; axis < 3; ++axis) {
    body.start[axis] = start[axis];
    body.fresh[axis] = fresh[axis];
    body.low[axis] = start[axis] < 0 ? -start[axis] : 0;
    const Index end = weights.shape[axis] < image[axis] - start[axis] ? weights.shape[axis] : image[axis] - start[axis];
    body.count[axis] = end > body.low[axis] ? end - body.low[axis] : 0;
  }
  return launch(Extent{channels * body.count[0] * body.count[1], body.count[2]}, body);
}

struct NormRows {
  cpu::WindowWeights weights;
  cpu::WindowGrid grid;
  Index first;
  View<float> out;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index z = row / out.shape[1], y = row % out.shape[1];
    float sum = 0.0f;
    for (Index i = 0; i < grid.count[0]; ++i) {
      const Index in_z = first + z - grid.starts[0][i];
      if (in_z < 0 || in_z >= weights.shape[0]) continue;
      for (Index j = 0; j < grid.count[1]; ++j) {
        const Index in_y = y - grid.starts[1][j];
        if (in_y < 0 || in_y >= weights.shape[1]) continue;
        const float zy = weights.bell[0][in_z] * weights.bell[1][in_y];
        for (Index k = 0; k < grid.count[2]; ++k) {
          const Index in_x = x - grid.starts[2][k];
          if (in_x < 0 || in_x >= weights.shape[2]) continue;
          sum += window_weight(zy, weights.bell[2][in_x], weights.floor);
        }
      }
    }
    out.at(z, y, x) = sum;
  }
};

template <typename Launch>
auto window_norm(const cpu::WindowWeights& weights, const cpu::WindowGrid& grid, Index first, const cpu::Array3& out,
                 Launch&& launch) {
  return launch(Extent{out.shape[0] * out.shape[1], out.shape[2]}, NormRows{weights, grid, first, view<float>(out)});
}

// A row is a row of the volume; a thread walks the channels of its voxel. Without `norm`, values are taken as they are.
template <typename T>
struct Channels {
  View<const T> src;
  Index stride, count;

  BEDSIDE_HD T at(Index c, Index z, Index y, Index x) const { return (&src.at(z, y, x))[c * stride]; }
};

struct DivideRows {
  Channels<float> total;
  View<const float> norm;
  View<float> out;
  Index out_channel_stride;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index z = row / out.shape[1], y = row % out.shape[1];
    const float divisor = norm.at(z, y, x);
    for (Index c = 0; c < total.count; ++c) {
      (&out.at(z, y, x))[c * out_channel_stride] = total.at(c, z, y, x) / divisor;
    }
  }
};

template <typename Launch>
auto divide(const cpu::ConstArray3& total, Index total_channel_stride, const cpu::ConstArray3& norm,
            const cpu::Array3& out, Index out_channel_stride, Index channels, Launch&& launch) {
  return launch(Extent{out.shape[0] * out.shape[1], out.shape[2]},
                DivideRows{{view<float>(total), total_channel_stride, channels},
                           view<float>(norm),
                           view<float>(out),
                           out_channel_stride});
}

struct ArgmaxRows {
  Channels<float> src;
  View<std::uint8_t> out;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index z = row / out.shape[1], y = row % out.shape[1];
    float best = src.at(0, z, y, x);
    Index winner = 0;
    for (Index c = 1; c < src.count; ++c) {
      const float value = src.at(c, z, y, x);
      if (!argmax_takes_over(value, best)) continue;
      best = value;
      winner = c;
    }
    out.at(z, y, x) = static_cast<std::uint8_t>(winner);
  }
};

template <typename Launch>
auto argmax(const cpu::ConstArray3& src, Index channel_stride, Index channels, const cpu::Array3& out,
            Launch&& launch) {
  return launch(Extent{out.shape[0] * out.shape[1], out.shape[2]},
                ArgmaxRows{{view<float>(src), channel_stride, channels}, view<std::uint8_t>(out)});
}

template <typename T>
struct ThresholdRows {
  Channels<T> src;
  bool divides;
  View<const float> norm;
  T level;
  Index first_label;
  View<std::uint8_t> out;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index z = row / out.shape[1], y = row % out.shape[1];
    const float divisor = divides ? norm.at(z, y, x) : 1.0f;
    std::uint8_t label = 0;
    for (Index c = src.count; c-- > 0;) {
      const T value = src.at(c, z, y, x);
      const bool set = divides ? threshold_voxel(static_cast<float>(value), divisor, static_cast<float>(level))
                               : threshold_voxel(value, level);
      label = set ? static_cast<std::uint8_t>(c + first_label) : label;
    }
    out.at(z, y, x) = label;
  }
};

template <typename Launch>
auto threshold(const cpu::ConstArray3& src, Index channel_stride, Index channels, const cpu::ConstArray3* norm,
               float level, Index first_label, const cpu::Array3& out, Launch&& launch) {
  return launch(Extent{out.shape[0] * out.shape[1], out.shape[2]},
                ThresholdRows<float>{{view<float>(src), channel_stride, channels},
                                     norm != nullptr,
                                     view<float>(norm != nullptr ? *norm : src),
                                     level,
                                     first_label,
                                     view<std::uint8_t>(out)});
}

template <typename Launch>
auto threshold_u8(const cpu::ConstArray3& src, Index channel_stride, Index channels, std::uint8_t level,
                  Index first_label, const cpu::Array3& out, Launch&& launch) {
  return launch(Extent{out.shape[0] * out.shape[1], out.shape[2]},
                ThresholdRows<std::uint8_t>{{view<std::uint8_t>(src), channel_stride, channels},
                                            false,
                                            View<const float>{},
                                            level,
                                            first_label,
                                            view<std::uint8_t>(out)});
}

struct SoftmaxRows {
  Channels<float> src;
  View<float> out;
  Index out_channel_stride;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index z = row / out.shape[1], y = row % out.shape[1];
    float* const to = &out.at(z, y, x);
    float most = src.at(0, z, y, x), sum = 0.0f;
    for (Index c = 1; c < src.count; ++c) {
      const float value = src.at(c, z, y, x);
      most = value > most ? value : most;
    }
    for (Index c = 0; c < src.count; ++c) {
      const float power = exp_voxel(src.at(c, z, y, x) - most);
      sum += power;
      to[c * out_channel_stride] = power;
    }
    for (Index c = 0; c < src.count; ++c) to[c * out_channel_stride] = to[c * out_channel_stride] / sum;
  }
};

template <typename Launch>
auto softmax(const cpu::ConstArray3& src, Index channel_stride, const cpu::Array3& out, Index out_channel_stride,
             Index channels, Launch&& launch) {
  return launch(Extent{channels > 0 ? out.shape[0] * out.shape[1] : 0, out.shape[2]},
                SoftmaxRows{{view<float>(src), channel_stride, channels}, view<float>(out), out_channel_stride});
}

struct SigmoidRows {
  Channels<float> src;
  View<float> out;
  Index out_channel_stride;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index z = row / out.shape[1], y = row % out.shape[1];
    for (Index c = 0; c < src.count; ++c) {
      (&out.at(z, y, x))[c * out_channel_stride] = sigmoid_voxel(src.at(c, z, y, x));
    }
  }
};

template <typename Launch>
auto sigmoid(const cpu::ConstArray3& src, Index channel_stride, const cpu::Array3& out, Index out_channel_stride,
             Index channels, Launch&& launch) {
  return launch(Extent{out.shape[0] * out.shape[1], out.shape[2]},
                SigmoidRows{{view<float>(src), channel_stride, channels}, view<float>(out), out_channel_stride});
}

}  // namespace bedside::cuda
