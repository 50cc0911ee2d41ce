// The inner loops of the elementwise kernels.
#pragma once

#include "array.h"
#include "bedside/colour.h"
#include "bedside/look_up.h"
#include "bedside/rescale.h"
#include "bedside/sigmoid_window.h"
#include "bedside/store.h"
#include "isa.h"
#include "turn.h"

namespace bedside::cpu {

// A stored value that stands for "no pixel here", and what it becomes.
struct PaddingValue {
  double stored;
  float out;
};

struct ElementwiseLoops {
  void (*rescale[kDTypes])(const void* src, Index src_stride, float* out, Index out_stride, Index n, const Rescale&);
  // The same, but a stored value that is the padding becomes its output.
  void (*rescale_padded[kDTypes])(const void* src, Index src_stride, float* out, Index n, const Rescale&,
                                  const PaddingValue&);
  void (*sigmoid_window[kDTypes])(const void* src, Index src_stride, float* out, Index n, const SigmoidWindow&);
  // For every type a network's input may have, and i32, which is only cut. Other groups of kernels use it too, on a
  // block of floats that is still in the first-level cache. to must not be from.
  void (*store[kDTypes])(const float* from, void* to, Index to_stride, Index n, const Quantization&);
  Turn turn[5];                                                   // [bytes of an element], transpose.h
  void (*stream)(void* to, const void* from, std::size_t bytes);  // stream.h

  // Pixels [r, g, b] beside each other to three planes, and back.
  void (*split)(const std::uint8_t* from, std::uint8_t* red, std::uint8_t* green, std::uint8_t* blue, Index n);
  void (*join)(const std::uint8_t* red, const std::uint8_t* green, const std::uint8_t* blue, std::uint8_t* to, Index n);
  void (*luma[kDTypes])(const void* red, const void* green, const void* blue, Index stride, float* out, Index n);
  void (*ybr_to_rgb)(std::uint8_t* y_red, std::uint8_t* cb_green, std::uint8_t* cr_blue, Index n);  // in place

  // [type of src][bytes of an entry]: entries of 1, 2, 3 or 4 bytes.
  void (*look_up[kDTypes][5])(const void* src, Index src_stride, const void* table, void* out, Index out_stride,
                              Index n, const LookUp&);
  // [type of src][type of out], integers; out may be src.
  void (*extract_bits[kDTypes][kDTypes])(const void* src, Index src_stride, void* out, Index out_stride, Index n,
                                         int shift, int bits);
  // values = total - values, but for those that are `padding` where there is one; integers wrap around.
  void (*mirror[kDTypes])(void* values, Index stride, Index n, std::int64_t total, const double* padding);
};
BEDSIDE_LOOPS(ElementwiseLoops, elementwise_loops)

}  // namespace bedside::cpu
