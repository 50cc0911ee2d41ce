// A sliding window: blending, and labels of what was blended. Callers check shapes, strides and overlap
// (bindings/checks.h); these trust them.
#pragma once

#include "array.h"

namespace bedside::cpu {

// total[c, at] += patch[c] * weight and norm[at] += weight where the patch, put at start, lies inside. All f32; total
// and patch have one more axis in front, of `channels` and these strides (elements).
void accumulate(const ConstArray3& patch, Index patch_channel_stride, const ConstArray3& weight, const Array3& total,
                Index total_channel_stride, const Array3& norm, Index channels, const Index start[3], int threads);

// out[v] = the channel where total[c, v] is largest; out is u8.
void argmax_blend(const ConstArray3& total, Index channel_stride, Index channels, const Array3& out, int threads);

// out[v] = 1 + the first channel where total[c, v] / norm[v] >= level, 0 where there is none; out is u8.
void threshold_blend(const ConstArray3& total, Index channel_stride, Index channels, const ConstArray3& norm,
                     const Array3& out, float level, int threads);

}  // namespace bedside::cpu
