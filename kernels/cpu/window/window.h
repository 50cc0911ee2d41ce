// A sliding window: cutting, blending, and what is made of the blended scores voxel by voxel. Callers check shapes,
// strides and overlap (bindings/checks.h); these trust them.
#pragma once

#include "array.h"
#include "bedside/gather.h"
#include "bedside/rescale.h"

namespace bedside::cpu {

// out[c, i] = the value map of src[c, start + i], or fill outside of the image; out is f32. src and out have one more
// axis in front, of `channels` and these strides (elements). Without a map src is f32 and copied bit by bit.
void gather(const ConstArray3& src, Index src_channel_stride, const Array3& out, Index out_channel_stride,
            Index channels, const Index start[3], Outside mode, float fill, const Rescale* map, int threads);

// Weights of the voxels of a window: the product of one bell an axis (contiguous), raised to a floor.
struct WindowWeights {
  const float* bell[3];
  Index shape[3];
  float floor;
};

// total[c, z % depth, y, x] += patch[c] * weight, where the patch, put at start, lies inside of an image of `planes`
// planes; depth is total's first axis. Voxels of the patch at or after `fresh` on every axis are set, not added to. All
// f32; total and patch have one more axis in front, of `channels` and these strides (elements). Gives the largest
// magnitude_bits of the part of the patch that lies inside.
std::int32_t accumulate(const ConstArray3& patch, Index patch_channel_stride, const WindowWeights& weights,
                        const Array3& total, Index total_channel_stride, Index channels, Index planes,
                        const Index start[3], const Index fresh[3], int threads);

// Windows that start at every combination of these indices of an image.
struct WindowGrid {
  const std::int64_t* starts[3];
  Index count[3];
};

// out[z, y, x] = the sum of the weights of all windows over voxel (first + z, y, x), in the order of the windows with
// the last axis fastest: to the bit what adding them up window by window gives. out is f32.
void window_norm(const WindowWeights& weights, const WindowGrid& grid, Index first, const Array3& out, int threads);

// out[c, v] = total[c, v] / norm[v]; all f32.
void divide(const ConstArray3& total, Index total_channel_stride, const ConstArray3& norm, const Array3& out,
            Index out_channel_stride, Index channels, int threads);

// out[v] = the channel where src[c, v] is largest; out is u8.
void argmax(const ConstArray3& src, Index channel_stride, Index channels, const Array3& out, int threads);

// out[v] = first_label + the first channel where src[c, v] (f32, divided by norm[v] if there is a norm) >= level, 0
// where there is none; out is u8.
void threshold(const ConstArray3& src, Index channel_stride, Index channels, const ConstArray3* norm, float level,
               Index first_label, const Array3& out, int threads);
// The same for channels of u8.
void threshold_u8(const ConstArray3& src, Index channel_stride, Index channels, std::uint8_t level, Index first_label,
                  const Array3& out, int threads);

// Over the channels; out may be src. Both f32.
void softmax(const ConstArray3& src, Index channel_stride, const Array3& out, Index out_channel_stride, Index channels,
             int threads);
void sigmoid(const ConstArray3& src, Index channel_stride, const Array3& out, Index out_channel_stride, Index channels,
             int threads);

}  // namespace bedside::cpu
