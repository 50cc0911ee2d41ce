// Pixels of several samples, on arrays. Callers check shapes, strides and overlap (bindings/checks.h); these trust
// them.
#pragma once

#include "elementwise/rescale.h"

namespace bedside::cpu {

// src [n, y, x, c] -> out [n, c, y, x] by the value map of the channel; a src of one channel goes into all of out's.
// slope and intercept are one a channel (of out).
void to_planes(const ConstPixels& src, const Pixels& out, PerSlice slope, PerSlice intercept, float low, float high,
               float scale, float offset, const Quantization& quantization, int threads);

enum class Photometric { rgb, ybr_full };

// src [n, y, x, 3] -> out [n, y, x]: luma, not rounded, by the value map.
void to_gray(const ConstPixels& src, const Array3& out, Photometric photometric, const Rescale& map,
             const Quantization& quantization, int threads);

// YBR_FULL of 8 bits [n, y, x, 3] to RGB; out may be src.
void ybr_to_rgb(const ConstPixels& src, const Pixels& out, int threads);

}  // namespace bedside::cpu
