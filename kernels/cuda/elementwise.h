// The launches of the elementwise kernels: stored values to the network's input, a thread an element.
#pragma once

#include "bedside/colour.h"
#include "bedside/rescale.h"
#include "bedside/sigmoid_window.h"
#include "elementwise/colour.h"
#include "elementwise/crop_pad.h"
#include "elementwise/rescale.h"
#include "grid.h"

namespace bedside::cuda {

// A stored value that stands for "no pixel here", as one of T's.
template <typename T>
struct PaddingOf {
  bool given;
  T stored;
  float out;

  explicit PaddingOf(const cpu::PaddingValue* padding) : given(false), stored(), out(0.0f) {
    if (padding == nullptr) return;
    const bool real = static_cast<T>(0.5) != static_cast<T>(0);
    const bool in_range = padding->stored >= -2147483648.0 && padding->stored <= 2147483647.0;
    if (!real && !in_range) return;
    stored = static_cast<T>(real ? padding->stored : static_cast<std::int32_t>(padding->stored));
    given = real || static_cast<double>(stored) == padding->stored;
    out = padding->out;
  }
};

// A row is a row of a slice.
template <typename T>
struct RescaleRows {
  View<const T> src;
  cpu::Array3 out;
  cpu::PerSlice slope, intercept;
  float low, high, scale, offset;
  Quantization quantization;
  PaddingOf<T> padding;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index z = row / src.shape[1], y = row % src.shape[1];
    const Rescale p{slope.data[z * slope.stride], intercept.data[z * intercept.stride], low, high, scale, offset};
    const T stored = src.at(z, y, x);
    const float v = padding.given && stored == padding.stored ? padding.out : rescale_voxel(stored, p);
    store_as(out.type, out.data, z * out.stride[0] + y * out.stride[1] + x * out.stride[2], v, quantization);
  }
};

template <typename Launch>
auto rescale(const cpu::ConstArray3& src, const cpu::Array3& out, cpu::PerSlice slope, cpu::PerSlice intercept,
             float low, float high, float scale, float offset, const cpu::OutputForm& form, Launch&& launch) {
  return with_stored(src.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return launch(Extent{src.shape[0] * src.shape[1], src.shape[2]},
                  RescaleRows<T>{view<T>(src), out, slope, intercept, low, high, scale, offset, form.quantization,
                                 PaddingOf<T>(form.padding)});
  });
}

template <typename T>
struct SigmoidWindowRows {
  View<const T> src;
  cpu::Array3 out;
  SigmoidWindow window;
  Quantization quantization;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index z = row / src.shape[1], y = row % src.shape[1];
    store_as(out.type, out.data, z * out.stride[0] + y * out.stride[1] + x * out.stride[2],
             sigmoid_window_voxel(src.at(z, y, x), window), quantization);
  }
};

template <typename Launch>
auto sigmoid_window(const cpu::ConstArray3& src, const cpu::Array3& out, const SigmoidWindow& window,
                    const Quantization& quantization, Launch&& launch) {
  return with_stored(src.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return launch(Extent{src.shape[0] * src.shape[1], src.shape[2]},
                  SigmoidWindowRows<T>{view<T>(src), out, window, quantization});
  });
}

// A row is a row of the output. The value map always applies: without one the elements are only moved, which is a
// cudaMemcpy3D and a fill.
template <typename T>
struct CropPadRows {
  View<const T> src;
  cpu::Array3 out;
  Index start[3];
  float fill;
  Rescale map;
  Quantization quantization;

  BEDSIDE_HD void operator()(Index row, Index column) const {
    const Index i[3] = {row / out.shape[1], row % out.shape[1], column};
    bool inside = true;
    for (int axis = 0; axis < 3; ++axis) {
      const Index from = i[axis] + start[axis];
      inside = inside && from >= 0 && from < src.shape[axis];
    }
    const float v = inside ? rescale_voxel(src.at(i[0] + start[0], i[1] + start[1], i[2] + start[2]), map) : fill;
    store_as(out.type, out.data, i[0] * out.stride[0] + i[1] * out.stride[1] + i[2] * out.stride[2], v, quantization);
  }
};

template <typename Launch>
auto crop_pad(const cpu::ConstArray3& src, const cpu::Array3& out, const Index start[3], double fill,
              const Rescale& map, const Quantization& quantization, Launch&& launch) {
  return with_stored(src.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return launch(
        Extent{out.shape[0] * out.shape[1], out.shape[2]},
        CropPadRows<T>{view<T>(src), out, {start[0], start[1], start[2]}, static_cast<float>(fill), map, quantization});
  });
}

// A row is a row of an image; a thread writes its pixel into the plane of every channel.
template <typename T>
struct ToPlanes {
  const T* src;
  Index rows, src_stride[4];
  cpu::Pixels out;
  bool repeats;  // one channel into all
  cpu::PerSlice slope, intercept;
  float low, high, scale, offset;
  Quantization quantization;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index n = row / rows, y = row % rows;
    const T* const pixel = src + n * src_stride[0] + y * src_stride[1] + x * src_stride[2];
    for (Index c = 0; c < out.shape[1]; ++c) {
      const Rescale p{slope.data[c * slope.stride], intercept.data[c * intercept.stride], low, high, scale, offset};
      const Index at = n * out.stride[0] + c * out.stride[1] + y * out.stride[2] + x * out.stride[3];
      store_as(out.type, out.data, at, rescale_voxel(pixel[repeats ? 0 : c * src_stride[3]], p), quantization);
    }
  }
};

template <typename Launch>
auto to_planes(const cpu::ConstPixels& src, const cpu::Pixels& out, cpu::PerSlice slope, cpu::PerSlice intercept,
               float low, float high, float scale, float offset, const Quantization& quantization, Launch&& launch) {
  return with_stored(src.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return launch(Extent{src.shape[0] * src.shape[1], src.shape[2]},
                  ToPlanes<T>{static_cast<const T*>(src.data),
                              src.shape[1],
                              {src.stride[0], src.stride[1], src.stride[2], src.stride[3]},
                              out,
                              src.shape[3] == 1,
                              slope,
                              intercept,
                              low,
                              high,
                              scale,
                              offset,
                              quantization});
  });
}

template <typename T>
struct ToGray {
  const T* src;
  Index rows, src_stride[4];
  cpu::Array3 out;
  bool first_is_luma;
  Rescale map;
  Quantization quantization;

  BEDSIDE_HD void operator()(Index row, Index x) const {
    const Index n = row / rows, y = row % rows;
    const T* const pixel = src + n * src_stride[0] + y * src_stride[1] + x * src_stride[2];
    const float first = static_cast<float>(pixel[0]);
    const float v = first_is_luma ? first
                                  : luma(first, static_cast<float>(pixel[src_stride[3]]),
                                         static_cast<float>(pixel[2 * src_stride[3]]));
    store_as(out.type, out.data, n * out.stride[0] + y * out.stride[1] + x * out.stride[2], rescale_voxel(v, map),
             quantization);
  }
};

template <typename Launch>
auto to_gray(const cpu::ConstPixels& src, const cpu::Array3& out, cpu::Photometric photometric, const Rescale& map,
             const Quantization& quantization, Launch&& launch) {
  return with_stored(src.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return launch(Extent{src.shape[0] * src.shape[1], src.shape[2]},
                  ToGray<T>{static_cast<const T*>(src.data),
                            src.shape[1],
                            {src.stride[0], src.stride[1], src.stride[2], src.stride[3]},
                            out,
                            photometric == cpu::Photometric::ybr_full,
                            map,
                            quantization});
  });
}

}  // namespace bedside::cuda
