#include "elementwise/colour.h"

#include <cstring>

#include "elementwise/walk.h"

namespace bedside::cpu {

namespace {

// One channel of pixels [n, y, x, c].
ConstArray3 channel_of(const ConstPixels& src, Index c) {
  return {static_cast<const char*>(src.data) + c * src.stride[3] * item_size(src.type),
          src.type,
          {src.shape[0], src.shape[1], src.shape[2]},
          {src.stride[0], src.stride[1], src.stride[2]}};
}

// Whether pixels are three bytes beside each other, when walked with this step.
bool interleaved(const ConstPixels& src, Index step) {
  return src.type == DType::u8 && src.shape[3] == 3 && src.stride[3] == 1 && step == 3;
}

// The bytes of the three channels of a block, each beside each other.
struct Split {
  static constexpr Index kPixels = kBlockFloats;
  alignas(64) std::uint8_t channel[3][kPixels];
};

}  // namespace

void to_planes(const ConstPixels& src, const Pixels& out, PerSlice slope, PerSlice intercept, float low, float high,
               float scale, float offset, const Quantization& quantization, int threads) {
  const Index channels = out.shape[1];
  const bool repeat = src.shape[3] == 1;
  const Index size = item_size(src.type), out_size = item_size(out.type);
  const Index plane_stride[3] = {out.stride[0], out.stride[2], out.stride[3]};
  const Index shape[3] = {src.shape[0], src.shape[1], src.shape[2]};
  const auto map_of = [&](Index c) {
    return Rescale{slope.data[c * slope.stride], intercept.data[c * intercept.stride], low, high, scale, offset};
  };
  const RowWalk walk(shape, false, plane_stride, src.stride);
  if (walk.crossed()) {  // transposed: a channel at a time, turned in the cache
    for (Index c = 0; c < channels; ++c) {
      const Array3 plane{static_cast<char*>(out.data) + c * out.stride[1] * out_size,
                         out.type,
                         {shape[0], shape[1], shape[2]},
                         {plane_stride[0], plane_stride[1], plane_stride[2]}};
      const Rescale map = map_of(c);
      rescale(channel_of(src, repeat ? 0 : c), plane, {&map.slope, 0}, {&map.intercept, 0}, low, high, scale, offset,
              threads, {quantization, nullptr});
    }
    return;
  }
  const ElementwiseLoops& loop = elementwise_loops();
  const auto row = loop.rescale[static_cast<int>(src.type)];
  const Index step = walk.inner_stride[1], out_step = walk.inner_stride[0];
  const bool splits = interleaved(src, step);
  const Sink sink(loop, out.type, quantization, out_step == 1 ? walk.row() : 0,
                  shape[0] * shape[1] * shape[2] * channels);
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    alignas(64) float block[kBlockFloats];
    Split split;
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece, [&](Index, Index at_out, Index at_src, Index n) {
        char* const first = static_cast<char*>(out.data) + at_out * out_size;
        for (Index i = 0, next = first_block(first, out_size); i < n; i += next, next = kBlockFloats) {
          const Index count = std::min(next, n - i);
          const char* const from = static_cast<const char*>(src.data) + (at_src + i * step) * size;
          char* const to = first + i * out_step * out_size;
          if (sink.streams() && step > 0 && step <= 4) prefetch_block(from, count * step * size);
          if (splits) {
            loop.split(reinterpret_cast<const std::uint8_t*>(from), split.channel[0], split.channel[1],
                       split.channel[2], count);
          }
          for (Index c = 0; c < channels; ++c) {
            if (splits) {
              row(split.channel[c], 1, block, 1, count, map_of(c));
            } else {
              row(from + (repeat ? 0 : c) * src.stride[3] * size, step, block, 1, count, map_of(c));
            }
            sink.put(block, to + c * out.stride[1] * out_size, out_step, count);
          }
        }
      });
    }
    stream_fence();
  });
}

void to_gray(const ConstPixels& src, const Array3& out, Photometric photometric, const Rescale& map,
             const Quantization& quantization, int threads) {
  const ElementwiseLoops& loop = elementwise_loops();
  const ConstArray3 first = channel_of(src, 0);
  if (photometric == Photometric::ybr_full) {
    rescale(first, out, {&map.slope, 0}, {&map.intercept, 0}, map.low, map.high, map.scale, map.offset, threads,
            {quantization, nullptr});
    return;
  }
  const Index between = src.stride[3] * item_size(src.type);  // bytes from a sample to the next of its pixel
  const auto luma = loop.luma[static_cast<int>(src.type)];
  const auto rescale_f32 = loop.rescale[static_cast<int>(DType::f32)];
  map_values(
      first, out, false, quantization, threads,
      [&](const char* from, Index step, float* to, Index n, Index) {
        if (interleaved(src, step)) {
          Split split;
          loop.split(reinterpret_cast<const std::uint8_t*>(from), split.channel[0], split.channel[1], split.channel[2],
                     n);
          luma(split.channel[0], split.channel[1], split.channel[2], 1, to, n);
        } else {
          luma(from, from + between, from + 2 * between, step, to, n);
        }
        rescale_f32(to, 1, to, 1, n, map);
      },
      [](const char*, Index, float*, Index, Index, Index) {}, {false, false});
}

void ybr_to_rgb(const ConstPixels& src, const Pixels& out, int threads) {
  const ElementwiseLoops& loop = elementwise_loops();
  const RowWalk walk(src.shape, false, out.stride, src.stride);
  const std::uint8_t* const from = static_cast<const std::uint8_t*>(src.data);
  std::uint8_t* const to = static_cast<std::uint8_t*>(out.data);
  const Index step = walk.inner_stride[1], out_step = walk.inner_stride[0];
  const bool splits = interleaved(src, step), joins = out.stride[3] == 1 && out_step == 3;
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    Split split;
    std::uint8_t* const channel[3] = {split.channel[0], split.channel[1], split.channel[2]};
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece, [&](Index, Index at_out, Index at_src, Index n) {
        for (Index i = 0; i < n; i += Split::kPixels) {
          const Index count = std::min(Split::kPixels, n - i);
          const std::uint8_t* const source = from + at_src + i * step;
          std::uint8_t* const target = to + at_out + i * out_step;
          if (splits) {
            loop.split(source, channel[0], channel[1], channel[2], count);
          } else {
            for (Index c = 0; c < 3; ++c) {
              for (Index k = 0; k < count; ++k) channel[c][k] = source[c * src.stride[3] + k * step];
            }
          }
          loop.ybr_to_rgb(channel[0], channel[1], channel[2], count);
          if (joins) {
            loop.join(channel[0], channel[1], channel[2], target, count);
          } else {
            for (Index c = 0; c < 3; ++c) {
              for (Index k = 0; k < count; ++k) target[c * out.stride[3] + k * out_step] = channel[c][k];
            }
          }
        }
      });
    }
  });
}

}  // namespace bedside::cpu
