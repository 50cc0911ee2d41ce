// The kernels on arrays in memory. Callers check shapes, strides and overlap (bindings/checks.h); these trust them.
#pragma once

#include "bedside/host_device.h"
#include "bedside/resample.h"

namespace bedside::cpu {

enum class DType { u8, i8, u16, i16, i32, f32 };
inline constexpr int kDTypes = 6;

// Three axes, strides in elements and of either sign.
struct Array3 {
  void* data;
  DType type;
  Index shape[3];
  Index stride[3];
};

struct ConstArray3 {
  const void* data;
  DType type;
  Index shape[3];
  Index stride[3];
};

// One float a slice, or (stride 0) one for all.
struct PerSlice {
  const float* data;
  Index stride;
};

enum class Interpolation { linear, nearest };

// out = clip(src * slope[z] + intercept[z], low, high) * scale + offset; out is f32.
void rescale(const ConstArray3& src, const Array3& out, PerSlice slope, PerSlice intercept, float low, float high,
             float scale, float offset, int threads);

// out[i] = src at matrix * (i, 1); matrix is 3 x 4, row by row. out is f32, or (nearest) of src's type, where fill must
// be a value of that type.
void resample(const ConstArray3& src, const Array3& out, const double matrix[12], Interpolation mode, Padding padding,
              double fill, int threads);

// total[c, at] += patch[c] * weight and norm[at] += weight where the patch, put at start, lies inside. All f32; total
// and patch have one more axis in front, of `channels` and these strides (elements).
void accumulate(const ConstArray3& patch, Index patch_channel_stride, const ConstArray3& weight, const Array3& total,
                Index total_channel_stride, const Array3& norm, Index channels, const Index start[3], int threads);

// out[v] = the channel where total[c, v] is largest; out is u8.
void argmax_blend(const ConstArray3& total, Index channel_stride, Index channels, const Array3& out, int threads);

// out[v] = 1 + the first channel where total[c, v] / norm[v] >= level, 0 where there is none; out is u8.
void threshold_blend(const ConstArray3& total, Index channel_stride, Index channels, const ConstArray3& norm,
                     const Array3& out, float level, int threads);

// Bit i of the packed data is mask voxel i == label; frames follow each other without a gap. out holds
// ceil(frames * rows * columns / 8) bytes, occupied one flag a frame.
void pack_bits(const ConstArray3& mask, std::uint8_t* out, bool* occupied, std::uint8_t label, int threads);

// The instruction set whose loops run: "x86-64-v4", "x86-64-v3", "x86-64" or "aarch64". Chosen at the first call: the
// best this CPU has, or the one the environment variable BEDSIDE_KERNEL_ISA names (std::invalid_argument if the CPU
// lacks it).
const char* active_isa();

}  // namespace bedside::cpu
