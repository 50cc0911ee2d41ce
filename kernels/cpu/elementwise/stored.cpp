#include "elementwise/stored.h"

#include "elementwise/loops.h"
#include "layout.h"
#include "scratch.h"
#include "thread_pool.h"

namespace bedside::cpu {

void look_up(const ConstArray3& src, const Array3& out, const void* table, Index channels, Index between,
             const LookUp& how, int threads) {
  const auto& loops = elementwise_loops().look_up[static_cast<int>(src.type)];
  const Index size = item_size(src.type), out_size = item_size(out.type);
  const RowWalk walk(src.shape, false, out.stride, src.stride);
  const char* const from = static_cast<const char*>(src.data);
  char* const to = static_cast<char*>(out.data);
  const bool whole = channels == 1 || (between == 1 && walk.inner_stride[0] % 3 == 0);
  const Index entries = how.last + 1;
  const void* columns = table;
  if (!whole) {
    std::uint8_t* const memory = static_cast<std::uint8_t*>(scratch(static_cast<std::size_t>(channels * entries)));
    for (Index i = 0; i < entries * channels; ++i) {
      memory[i % channels * entries + i / channels] = static_cast<const std::uint8_t*>(table)[i];
    }
    columns = memory;
  }
  const Index step = walk.inner_stride[1], out_step = walk.inner_stride[0];
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece, [&](Index, Index at_out, Index at_src, Index n) {
        const char* const source = from + at_src * size;
        if (channels == 1) {
          loops[out_size](source, step, table, to + at_out * out_size, out_step, n, how);
        } else if (whole) {
          loops[3](source, step, table, to + at_out, out_step / 3, n, how);
        } else {
          for (Index c = 0; c < channels; ++c) {
            loops[1](source, step, static_cast<const std::uint8_t*>(columns) + c * entries, to + at_out + c * between,
                     out_step, n, how);
          }
        }
      });
    }
  });
}

void extract_bits(const ConstArray3& src, const Array3& out, int shift, int bits, int threads) {
  const auto loop = elementwise_loops().extract_bits[static_cast<int>(src.type)][static_cast<int>(out.type)];
  const Index size = item_size(src.type), out_size = item_size(out.type);
  const RowWalk walk(src.shape, false, out.stride, src.stride);
  const char* const from = static_cast<const char*>(src.data);
  char* const to = static_cast<char*>(out.data);
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece, [&](Index, Index at_out, Index at_src, Index n) {
        loop(from + at_src * size, walk.inner_stride[1], to + at_out * out_size, walk.inner_stride[0], n, shift, bits);
      });
    }
  });
}

void mirror(const Array3& values, std::int64_t total, const double* padding, int threads) {
  const auto loop = elementwise_loops().mirror[static_cast<int>(values.type)];
  const Index size = item_size(values.type);
  const RowWalk walk(values.shape, false, values.stride);
  char* const data = static_cast<char*>(values.data);
  parallel_for(walk.pieces(), 1, resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece,
                [&](Index, Index at, Index n) { loop(data + at * size, walk.inner_stride[0], n, total, padding); });
    }
  });
}

}  // namespace bedside::cpu
