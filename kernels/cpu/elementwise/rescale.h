// Stored values to network input, on arrays. Callers check shapes, strides and overlap (bindings/checks.h); these trust
// them.
#pragma once

#include "array.h"
#include "bedside/store.h"
#include "elementwise/loops.h"

namespace bedside::cpu {

// One float a slice, or (stride 0) one for all.
struct PerSlice {
  const float* data;
  Index stride;
};

// What an output that is not plain float32 needs beside its type.
struct OutputForm {
  Quantization quantization{1.0f, 0};
  const PaddingValue* padding = nullptr;
};

// out = clip(src * slope[z] + intercept[z], low, high) * scale + offset, stored as out's type asks for (store.h).
void rescale(const ConstArray3& src, const Array3& out, PerSlice slope, PerSlice intercept, float low, float high,
             float scale, float offset, int threads, const OutputForm& finish = {});

// out = 1 / (1 + exp(-4 * (src * slope + intercept - center) / width)) * scale + offset
void sigmoid_window(const ConstArray3& src, const Array3& out, const SigmoidWindow& window, int threads,
                    const OutputForm& finish = {});

}  // namespace bedside::cpu
