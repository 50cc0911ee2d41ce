// Which samples of a source axis each output sample is made of, and their weights.
#pragma once

#include <algorithm>
#include <cstdint>

#include "bedside/resize.h"
#include "resize/loops.h"
#include "scratch.h"

namespace bedside::cpu {

// A window along one axis: the samples first..first+count-1, weight k at weight[k * step].
struct Window {
  Index first, count;
  const float* weight;
  Index step;
  float operator[](Index k) const { return weight[k * step]; }
};

// The windows of all output samples of an axis; those with fewer samples than the most have weights 0.
struct Windows {
  ResizeAxis axis;
  Index src_stride, out_stride;
  Index most;
  std::int32_t* first;
  std::int32_t* count;
  float* weight;  // [most][to]

  void carve(Carver& carver) {
    most = resize_most(axis);
    first = carver.take<std::int32_t>(axis.to);
    count = carver.take<std::int32_t>(axis.to);
    weight = carver.take<float>(round_up(most, kTapsAtOnce) * axis.to);
  }
  void fill() {
    most = 1;
    for (Index i = 0; i < axis.to; ++i) {
      const ResizeWindow w = resize_window(axis, i);
      first[i] = static_cast<std::int32_t>(w.first);
      count[i] = static_cast<std::int32_t>(w.count);
      most = std::max(most, w.count);
    }
    for (Index i = 0; i < axis.to; ++i) {
      const ResizeWindow w = resize_window(axis, i);
      for (Index k = 0; k < round_up(most, kTapsAtOnce); ++k) {
        weight[k * axis.to + i] = k < w.count ? resize_weight(axis, w, i, k) : 0.0f;
      }
    }
  }
  Window operator[](Index i) const { return {first[i], count[i], weight + i, axis.to}; }
};

}  // namespace bedside::cpu
