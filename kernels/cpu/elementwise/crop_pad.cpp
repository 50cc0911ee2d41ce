#include "elementwise/crop_pad.h"

#include <cstring>

#include "elementwise/walk.h"

namespace bedside::cpu {

namespace {

// The part [begin, end) of an axis of out that lies inside src.
struct Inside {
  Index begin, end;
};

Inside inside(Index shape, Index out_shape, Index start) {
  const Index begin = std::clamp<Index>(-start, 0, out_shape);
  return {begin, std::clamp<Index>(shape - start, begin, out_shape)};
}

union Element {
  char bytes[4];
  std::int32_t i32;
  float f32;
};

// `value` as an element of a type.
Element element(double value, DType type) {
  Element e{};
  const auto put = [&](auto typed) { std::memcpy(e.bytes, &typed, sizeof typed); };
  switch (type) {
    case DType::u8:
      put(static_cast<std::uint8_t>(value));
      break;
    case DType::i8:
      put(static_cast<std::int8_t>(value));
      break;
    case DType::u16:
      put(static_cast<std::uint16_t>(value));
      break;
    case DType::i16:
      put(static_cast<std::int16_t>(value));
      break;
    case DType::i32:
      put(static_cast<std::int32_t>(value));
      break;
    case DType::f32:
      put(static_cast<float>(value));
      break;
    case DType::f16:
      put(to_half(static_cast<float>(value)).bits);
      break;
  }
  return e;
}

template <typename F>
void by_size(Index size, F&& call) {
  if (size == 1) {
    call(std::uint8_t{});
  } else if (size == 2) {
    call(std::uint16_t{});
  } else {
    call(std::uint32_t{});
  }
}

void fill_row(const Element& fill, Index size, char* to, Index stride, Index n) {
  by_size(size, [&](auto unit) {
    std::memcpy(&unit, fill.bytes, sizeof unit);
    auto* const at = reinterpret_cast<decltype(unit)*>(to);
    for (Index i = 0; i < n; ++i) at[i * stride] = unit;
  });
}

void copy_row(const char* from, Index from_stride, char* to, Index to_stride, Index size, Index n) {
  if (from_stride == 1 && to_stride == 1) {
    std::memcpy(to, from, n * size);
    return;
  }
  by_size(size, [&](auto unit) {
    const auto* const source = reinterpret_cast<const decltype(unit)*>(from);
    auto* const target = reinterpret_cast<decltype(unit)*>(to);
    for (Index i = 0; i < n; ++i) target[i * to_stride] = source[i * from_stride];
  });
}

// Collects a run of bytes in the first-level cache and writes it past the cache in whole cache lines.
class Run {
 public:
  Run(const ElementwiseLoops& loop, char* to) : loop_(loop), to_(to), room_(kStreamBlock - misaligned(to)) {}

  // Where up to most bytes may be put, a multiple of the element; commit() says how many were.
  char* place(Index& most, Index size) {
    if (room_ - used_ < static_cast<std::size_t>(size)) flush();
    most = std::min<Index>(most, static_cast<Index>(room_ - used_) / size);
    return buffer_ + used_;
  }
  void commit(Index bytes) { used_ += static_cast<std::size_t>(bytes); }
  void flush() {
    loop_.stream(to_, buffer_, used_);
    to_ += used_;
    room_ = kStreamBlock - misaligned(to_);
    used_ = 0;
  }

 private:
  static std::size_t misaligned(const char* at) { return reinterpret_cast<std::uintptr_t>(at) & 63; }

  const ElementwiseLoops& loop_;
  char* to_;
  std::size_t room_, used_ = 0;
  alignas(64) char buffer_[kStreamBlock];
};

}  // namespace

void crop_pad(const ConstArray3& src, const Array3& out, const Index start[3], double fill_value, const Rescale* map,
              const Quantization& quantization, int threads) {
  if (out.shape[0] == 0 || out.shape[1] == 0 || out.shape[2] == 0) return;
  const ElementwiseLoops& loop = elementwise_loops();
  const Index size = item_size(src.type), out_size = item_size(out.type);
  threads = resolve_threads(threads);
  Element fill = element(0, DType::i32);
  if (map == nullptr) {
    fill = element(fill_value, out.type);
  } else {
    const float real = static_cast<float>(fill_value);
    loop.store[static_cast<int>(out.type)](&real, fill.bytes, 1, 1, quantization);
  }
  Inside in[3];
  for (int axis = 0; axis < 3; ++axis) in[axis] = inside(src.shape[axis], out.shape[axis], start[axis]);
  const Index width = out.shape[2], height = out.shape[1], first = in[2].begin, last = in[2].end;
  const bool empty = first == last || in[1].begin == in[1].end || in[0].begin == in[0].end;
  const char* const from = static_cast<const char*>(src.data);
  char* const to = static_cast<char*>(out.data);
  const auto source_row = [&](Index z, Index y) {
    return from +
           ((z + start[0]) * src.stride[0] + (y + start[1]) * src.stride[1] + (first + start[2]) * src.stride[2]) *
               size;
  };
  const auto has_source = [&](Index z, Index y) {
    return !empty && z >= in[0].begin && z < in[0].end && y >= in[1].begin && y < in[1].end;
  };
  const Index rows = out.shape[0] * height;
  const bool source_follows = src.stride[2] == 1 || src.shape[2] == 1;
  const bool one_run = out.stride[2] == 1 && out.stride[1] == width && out.stride[0] == width * height;
  const auto row = map == nullptr ? nullptr : loop.rescale[static_cast<int>(src.type)];
  const Index grain = std::max<Index>(1, (Index{1} << 17) / width);

  if (one_run && source_follows && pays_to_stream(rows * width * out_size)) {
    parallel_for(rows, grain, threads, [&](int, Index begin, Index end) {
      Run run(loop, to + begin * width * out_size);
      alignas(64) float block[kBlockFloats];
      const auto put_fill = [&](Index n) {
        while (n > 0) {
          Index count = n;
          char* const at = run.place(count, out_size);
          fill_row(fill, out_size, at, 1, count);
          run.commit(count * out_size);
          n -= count;
        }
      };
      for (Index r = begin; r < end; ++r) {
        const Index z = r / height, y = r % height;
        if (!has_source(z, y)) {
          put_fill(width);
          continue;
        }
        put_fill(first);
        const char* source = source_row(z, y);
        for (Index n = last - first; n > 0;) {
          Index count = std::min(n, kBlockFloats);
          char* const at = run.place(count, out_size);
          if (map == nullptr) {
            std::memcpy(at, source, count * size);
          } else {
            row(source, 1, block, 1, count, *map);
            loop.store[static_cast<int>(out.type)](block, at, 1, count, quantization);
          }
          run.commit(count * out_size);
          source += count * size;
          n -= count;
        }
        put_fill(width - last);
      }
      run.flush();
      stream_fence();
    });
    return;
  }

  // What lies outside is filled row by row; what lies inside goes the way of its own strides.
  if (empty || first > 0 || last < width || in[0].begin > 0 || in[0].end < out.shape[0] || in[1].begin > 0 ||
      in[1].end < height) {
    parallel_for(rows, grain, threads, [&](int, Index begin, Index end) {
      for (Index r = begin; r < end; ++r) {
        const Index z = r / height, y = r % height;
        char* const at = to + (z * out.stride[0] + y * out.stride[1]) * out_size;
        const bool source = has_source(z, y);
        fill_row(fill, out_size, at, out.stride[2], source ? first : width);
        if (source) fill_row(fill, out_size, at + last * out.stride[2] * out_size, out.stride[2], width - last);
      }
    });
  }
  if (empty) return;
  const Index shape[3] = {in[0].end - in[0].begin, in[1].end - in[1].begin, last - first};
  const ConstArray3 inner{source_row(in[0].begin, in[1].begin),
                          src.type,
                          {shape[0], shape[1], shape[2]},
                          {src.stride[0], src.stride[1], src.stride[2]}};
  const Array3 target{
      to + (in[0].begin * out.stride[0] + in[1].begin * out.stride[1] + first * out.stride[2]) * out_size,
      out.type,
      {shape[0], shape[1], shape[2]},
      {out.stride[0], out.stride[1], out.stride[2]}};
  if (map != nullptr) {
    rescale(inner, target, {&map->slope, 0}, {&map->intercept, 0}, map->low, map->high, map->scale, map->offset,
            threads, {quantization, nullptr});
    return;
  }
  const RowWalk walk(shape, false, target.stride, inner.stride);
  parallel_for(walk.pieces(), 1, threads, [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      walk.rows(piece, [&](Index, Index at_out, Index at_src, Index n) {
        copy_row(static_cast<const char*>(inner.data) + at_src * size, walk.inner_stride[1],
                 static_cast<char*>(target.data) + at_out * out_size, walk.inner_stride[0], size, n);
      });
    }
  });
}

}  // namespace bedside::cpu
