// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "window/loops.h"

#include "bedside/accumulate.h"
#include "bedside/argmax_blend.h"
#include "bedside/threshold_blend.h"

namespace bedside::cpu {

namespace {

void accumulate(const float* __restrict patch, Index patch_stride, const float* __restrict weight, Index weight_stride,
                float* __restrict total, Index total_stride, Index n) {
  if (patch_stride == 1 && weight_stride == 1 && total_stride == 1) {
    for (Index i = 0; i < n; ++i) total[i] = accumulate_voxel(total[i], patch[i], weight[i]);
  } else {
    for (Index i = 0; i < n; ++i) {
      float& at = total[i * total_stride];
      at = accumulate_voxel(at, patch[i * patch_stride], weight[i * weight_stride]);
    }
  }
}

void add(const float* __restrict term, Index term_stride, float* __restrict total, Index total_stride, Index n) {
  if (term_stride == 1 && total_stride == 1) {
    for (Index i = 0; i < n; ++i) total[i] += term[i];
  } else {
    for (Index i = 0; i < n; ++i) total[i * total_stride] += term[i * term_stride];
  }
}

// Voxels of a row that the channel loops keep in the first-level cache.
constexpr Index kBlock = 1024;

void argmax(const float* total, Index stride, Index channel_stride, Index channels, std::uint8_t* out, Index out_stride,
            Index n) {
  float best[kBlock];
  std::int32_t winner[kBlock];  // as wide as the values, for the vectoriser
  for (Index begin = 0; begin < n; begin += kBlock) {
    const Index count = n - begin < kBlock ? n - begin : kBlock;
    const float* value = total + begin * stride;
    for (Index i = 0; i < count; ++i) {
      best[i] = value[i * stride];
      winner[i] = 0;
    }
    for (Index c = 1; c < channels; ++c) {
      value += channel_stride;
      const std::int32_t channel = static_cast<std::int32_t>(c);
      if (stride == 1) {
        for (Index i = 0; i < count; ++i) {
          const bool wins = argmax_takes_over(value[i], best[i]);
          winner[i] = wins ? channel : winner[i];
          best[i] = wins ? value[i] : best[i];
        }
      } else {
        for (Index i = 0; i < count; ++i) {
          const bool wins = argmax_takes_over(value[i * stride], best[i]);
          winner[i] = wins ? channel : winner[i];
          best[i] = wins ? value[i * stride] : best[i];
        }
      }
    }
    std::uint8_t* label = out + begin * out_stride;
    if (out_stride == 1) {
      for (Index i = 0; i < count; ++i) label[i] = static_cast<std::uint8_t>(winner[i]);
    } else {
      for (Index i = 0; i < count; ++i) label[i * out_stride] = static_cast<std::uint8_t>(winner[i]);
    }
  }
}

void threshold(const float* total, Index stride, Index channel_stride, Index channels, const float* norm,
               Index norm_stride, float level, std::uint8_t* out, Index out_stride, Index n) {
  std::int32_t winner[kBlock];
  for (Index begin = 0; begin < n; begin += kBlock) {
    const Index count = n - begin < kBlock ? n - begin : kBlock;
    const float* divisor = norm + begin * norm_stride;
    for (Index i = 0; i < count; ++i) winner[i] = 0;
    for (Index c = channels; c-- > 0;) {  // the last written is the first channel
      const float* value = total + begin * stride + c * channel_stride;
      const std::int32_t channel = static_cast<std::int32_t>(c) + 1;
      if (stride == 1 && norm_stride == 1) {
        for (Index i = 0; i < count; ++i) {
          winner[i] = threshold_voxel(value[i], divisor[i], level) ? channel : winner[i];
        }
      } else {
        for (Index i = 0; i < count; ++i) {
          winner[i] = threshold_voxel(value[i * stride], divisor[i * norm_stride], level) ? channel : winner[i];
        }
      }
    }
    std::uint8_t* label = out + begin * out_stride;
    for (Index i = 0; i < count; ++i) label[i * out_stride] = static_cast<std::uint8_t>(winner[i]);
  }
}

}  // namespace

constexpr WindowLoops BEDSIDE_LEVEL(window_loops) = {accumulate, add, argmax, threshold};

}  // namespace bedside::cpu
