// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "window/loops.h"

#include "bedside/accumulate.h"
#include "bedside/argmax.h"
#include "bedside/exp.h"
#include "bedside/threshold.h"
#include "transpose.h"

namespace bedside::cpu {

namespace {

std::int32_t accumulate(const PatchRows& job) {
  const Index n = job.n, patch_x = job.patch_stride[1], total_x = job.total_stride[1];
  const bool contiguous = patch_x == 1 && total_x == 1;
  const float* __restrict bell_x = job.bell_x;
  const float floor = job.floor;
  std::int32_t peak = 0;
  for (Index y = 0; y < job.rows; ++y) {
    const float* __restrict patch = job.patch + y * job.patch_stride[0];
    float* __restrict total = job.total + y * job.total_stride[0];
    const float zy = job.bell_z * job.bell_y[y];
    const Index added = y < job.fresh_y ? n : job.fresh_x;  // the rest is set
    if (contiguous) {
      for (Index i = 0; i < added; ++i) {
        const std::int32_t bits = magnitude_bits(patch[i]);
        peak = bits > peak ? bits : peak;
        total[i] = accumulate_voxel(total[i], patch[i], window_weight(zy, bell_x[i], floor));
      }
      for (Index i = added; i < n; ++i) {
        const std::int32_t bits = magnitude_bits(patch[i]);
        peak = bits > peak ? bits : peak;
        total[i] = accumulate_voxel(0.0f, patch[i], window_weight(zy, bell_x[i], floor));
      }
    } else {
      for (Index i = 0; i < n; ++i) {
        const float value = patch[i * patch_x];
        const std::int32_t bits = magnitude_bits(value);
        peak = bits > peak ? bits : peak;
        float& at = total[i * total_x];
        at = accumulate_voxel(i < added ? at : 0.0f, value, window_weight(zy, bell_x[i], floor));
      }
    }
  }
  return peak;
}

void add_weights(float zy, const float* __restrict bell_x, float floor, float* __restrict total, Index total_stride,
                 Index n) {
  if (total_stride == 1) {
    for (Index i = 0; i < n; ++i) total[i] += window_weight(zy, bell_x[i], floor);
  } else {
    for (Index i = 0; i < n; ++i) total[i * total_stride] += window_weight(zy, bell_x[i], floor);
  }
}

void divide(const float* __restrict total, Index total_stride, const float* __restrict norm, Index norm_stride,
            float* __restrict out, Index out_stride, Index n) {
  if (total_stride == 1 && norm_stride == 1 && out_stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = total[i] / norm[i];
  } else {
    for (Index i = 0; i < n; ++i) out[i * out_stride] = total[i * total_stride] / norm[i * norm_stride];
  }
}

void copy(const float* __restrict src, Index src_stride, float* __restrict out, Index out_stride, Index n) {
  if (src_stride == 1 && out_stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = src[i];
  } else {
    for (Index i = 0; i < n; ++i) out[i * out_stride] = src[i * src_stride];
  }
}

void fill(float value, float* out, Index out_stride, Index n) {
  if (out_stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = value;
  } else {
    for (Index i = 0; i < n; ++i) out[i * out_stride] = value;
  }
}

// Voxels of a row that the channel loops keep in the first-level cache.
constexpr Index kBlock = 1024;

void write_labels(const std::int32_t* winner, std::uint8_t* label, Index stride, Index count) {
  if (stride == 1) {
    for (Index i = 0; i < count; ++i) label[i] = static_cast<std::uint8_t>(winner[i]);
  } else {
    for (Index i = 0; i < count; ++i) label[i * stride] = static_cast<std::uint8_t>(winner[i]);
  }
}

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
    write_labels(winner, out + begin * out_stride, out_stride, count);
  }
}

void threshold(const float* total, Index stride, Index channel_stride, Index channels, const float* norm,
               Index norm_stride, float level, Index first_label, std::uint8_t* out, Index out_stride, Index n) {
  std::int32_t winner[kBlock];
  for (Index begin = 0; begin < n; begin += kBlock) {
    const Index count = n - begin < kBlock ? n - begin : kBlock;
    const float* divisor = norm == nullptr ? nullptr : norm + begin * norm_stride;
    for (Index i = 0; i < count; ++i) winner[i] = 0;
    for (Index c = channels; c-- > 0;) {  // the last written is the first channel
      const float* value = total + begin * stride + c * channel_stride;
      const std::int32_t label = static_cast<std::int32_t>(c + first_label);
      if (divisor == nullptr && stride == 1) {
        for (Index i = 0; i < count; ++i) winner[i] = threshold_voxel(value[i], level) ? label : winner[i];
      } else if (divisor == nullptr) {
        for (Index i = 0; i < count; ++i) winner[i] = threshold_voxel(value[i * stride], level) ? label : winner[i];
      } else if (stride == 1 && norm_stride == 1) {
        for (Index i = 0; i < count; ++i) winner[i] = threshold_voxel(value[i], divisor[i], level) ? label : winner[i];
      } else {
        for (Index i = 0; i < count; ++i) {
          winner[i] = threshold_voxel(value[i * stride], divisor[i * norm_stride], level) ? label : winner[i];
        }
      }
    }
    write_labels(winner, out + begin * out_stride, out_stride, count);
  }
}

void threshold_u8(const std::uint8_t* src, Index stride, Index channel_stride, Index channels, std::uint8_t level,
                  Index first_label, std::uint8_t* out, Index out_stride, Index n) {
  std::uint8_t winner[kBlock];
  for (Index begin = 0; begin < n; begin += kBlock) {
    const Index count = n - begin < kBlock ? n - begin : kBlock;
    for (Index i = 0; i < count; ++i) winner[i] = 0;
    for (Index c = channels; c-- > 0;) {
      const std::uint8_t* value = src + begin * stride + c * channel_stride;
      const std::uint8_t label = static_cast<std::uint8_t>(c + first_label);
      if (stride == 1) {
        for (Index i = 0; i < count; ++i) winner[i] = threshold_voxel(value[i], level) ? label : winner[i];
      } else {
        for (Index i = 0; i < count; ++i) winner[i] = threshold_voxel(value[i * stride], level) ? label : winner[i];
      }
    }
    std::uint8_t* label = out + begin * out_stride;
    if (out_stride == 1) {
      for (Index i = 0; i < count; ++i) label[i] = winner[i];
    } else {
      for (Index i = 0; i < count; ++i) label[i * out_stride] = winner[i];
    }
  }
}

// Unit: all strides along the row are 1.
template <bool Unit>
void softmax_rows(const float* src, Index stride_, Index channel_stride, Index channels, float* out, Index out_stride_,
                  Index out_channel_stride, Index n) {
  const Index stride = Unit ? 1 : stride_, out_stride = Unit ? 1 : out_stride_;
  constexpr Index block = 256;  // so that the block of a few channels stays in the first-level cache
  float most[block], sum[block], e[block];
  for (Index begin = 0; begin < n; begin += block) {
    const Index count = n - begin < block ? n - begin : block;
    const float* from = src + begin * stride;
    float* to = out + begin * out_stride;
    for (Index i = 0; i < count; ++i) {
      most[i] = from[i * stride];
      sum[i] = 0.0f;
    }
    for (Index c = 1; c < channels; ++c) {
      const float* value = from + c * channel_stride;
      for (Index i = 0; i < count; ++i) most[i] = value[i * stride] > most[i] ? value[i * stride] : most[i];
    }
    for (Index c = 0; c < channels; ++c) {
      const float* value = from + c * channel_stride;
      float* power = to + c * out_channel_stride;
      // By way of a buffer, so that src may be out and the compiler need not know.
      for (Index i = 0; i < count; ++i) {
        e[i] = exp_voxel(value[i * stride] - most[i]);
        sum[i] += e[i];
      }
      for (Index i = 0; i < count; ++i) power[i * out_stride] = e[i];
    }
    for (Index c = 0; c < channels; ++c) {
      float* power = to + c * out_channel_stride;
      for (Index i = 0; i < count; ++i) power[i * out_stride] = power[i * out_stride] / sum[i];
    }
  }
}

void softmax(const float* src, Index stride, Index channel_stride, Index channels, float* out, Index out_stride,
             Index out_channel_stride, Index n) {
  if (stride == 1 && out_stride == 1) {
    softmax_rows<true>(src, stride, channel_stride, channels, out, out_stride, out_channel_stride, n);
  } else {
    softmax_rows<false>(src, stride, channel_stride, channels, out, out_stride, out_channel_stride, n);
  }
}

void sigmoid(const float* src, Index stride, float* out, Index out_stride, Index n) {
  float made[kBlock];
  for (Index begin = 0; begin < n; begin += kBlock) {
    const Index count = n - begin < kBlock ? n - begin : kBlock;
    const float* value = src + begin * stride;
    float* to = out + begin * out_stride;
    if (stride == 1 && out_stride == 1) {
      for (Index i = 0; i < count; ++i) made[i] = sigmoid_voxel(value[i]);
      for (Index i = 0; i < count; ++i) to[i] = made[i];
    } else {
      for (Index i = 0; i < count; ++i) made[i] = sigmoid_voxel(value[i * stride]);
      for (Index i = 0; i < count; ++i) to[i * out_stride] = made[i];
    }
  }
}

}  // namespace

constexpr WindowLoops BEDSIDE_LEVEL(window_loops) = {accumulate, add_weights, divide,       copy,    fill,   transpose,
                                                     argmax,     threshold,   threshold_u8, softmax, sigmoid};

}  // namespace bedside::cpu
