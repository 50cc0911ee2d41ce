#include "resize/resize.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "elementwise/loops.h"
#include "layout.h"
#include "resize/loops.h"
#include "resize/windows.h"
#include "scratch.h"
#include "stream.h"
#include "thread_pool.h"

namespace bedside::cpu {

namespace {

constexpr Index kPiece = Index{1} << 15;  // samples of the output that a thread takes at a time

// What the threads share; the axes are in the order of the source's strides, the closest last.
struct Plan {
  const ResizeLoops& loop = resize_loops();
  const ElementwiseLoops& elementwise = elementwise_loops();
  Resize how;
  ConstImages src;
  Images out;
  Windows z, y, x;

  // A line holds the samples of one source row of all channels, sample (x, c) at x * pixel + c * channel. Where the
  // source has them so already, or mirrored, it is one run of `run` samples, otherwise `runs` of them.
  bool packed = false, mirrored = false;
  Index runs = 1, run = 0, run_stride = 1, pixel = 1, channel = 1;
  Index line_pixel = 1, line_channel = 1;  // once it is gray
  std::int32_t* index = nullptr;           // of each output column: where its window begins in a line
  float* columns_count = nullptr;          // area: how many samples its window has
  Index step = 1;                          // from one sample of a window to the next
  bool same_columns = false;

  bool lerp = false;           // two samples are blended so that equal ones stay what they are
  bool columns_first = false;  // y grows: rows are resized along x once and kept
  bool through_cache = true;

  Index columns() const { return x.axis.to; }
  // Samples before and after a line that padded windows read, and ignore; whole cache lines.
  Index margin() const { return round_up(round_up(x.most, kTapsAtOnce) * pixel + 1, 16); }
  Index line_size() const { return x.axis.from * src.channels + 2 * margin(); }
};

// One thread's part.
class Worker {
 public:
  Worker(const Plan& plan, Carver& carver) : p_(plan) {
    line_ = carver.take<float>(p_.line_size());
    for (float*& spare : spare_) {
      spare = carver.take<float>(p_.lerp && p_.z.most > 1 && !p_.columns_first ? p_.line_size() : 0);
    }
    gray_ = carver.take<float>(p_.how.gray ? p_.x.axis.from + 2 * p_.margin() : 0);
    row_ = carver.take<float>(p_.columns() * p_.out.channels);
    ring_ = carver.take<float>(p_.columns_first ? p_.y.most * p_.columns() * p_.out.channels : 0);
    kept_ = carver.take<Index>(p_.columns_first ? p_.y.most : 0);
    stored_ = carver.take<float>(p_.columns());
  }

  void rows(Index z, Index begin, Index end) {
    for (Index k = 0; p_.columns_first && k < p_.y.most; ++k) kept_[k] = -1;
    for (Index y = begin; y < end; ++y) {
      const Window at_z = p_.z[z], at_y = p_.y[y];
      if (p_.columns_first) {
        combine_kept(at_z, at_y);
      } else {
        sample(line_of(at_z, at_y), row_);
      }
      const float samples = static_cast<float>(at_z.count * at_y.count);
      for (Index c = 0; c < p_.out.channels; ++c) write(row_ + c * p_.columns(), samples, z, y, c);
    }
  }

 private:
  const char* source(Index z, Index y, Index run) const {
    const Index row = z * p_.z.src_stride + y * p_.y.src_stride + run * p_.src.channel_stride;
    return static_cast<const char*>(p_.src.array.data) + row * item_size(p_.src.array.type);
  }

  // Source rows combined along z and y.
  const float* line_of(const Window& z, const Window& y) {
    float* const line = line_ + p_.margin();
    const int type = static_cast<int>(p_.src.array.type);
    for (Index r = 0; r < p_.runs; ++r) {
      float* const to = line + r * p_.run;
      if (p_.lerp) {
        const auto blend = [&](Index y, float* out) {
          const float w = z.count > 1 ? z[1] : 0.0f;
          const char* const a = source(z.first, y, r);
          p_.loop.lerp_rows[type](a, w == 0.0f ? a : source(z.first + 1, y, r), w, p_.run_stride, out, p_.run);
        };
        const float w = y.count > 1 ? y[1] : 0.0f;
        if (w == 0.0f) {
          blend(y.first, to);
        } else if (z.count == 1) {
          p_.loop.lerp_rows[type](source(z.first, y.first, r), source(z.first, y.first + 1, r), w, p_.run_stride, to,
                                  p_.run);
        } else {
          blend(y.first, spare_[0]);
          blend(y.first + 1, spare_[1]);
          p_.loop.lerp_rows[static_cast<int>(DType::f32)](spare_[0], spare_[1], w, 1, to, p_.run);
        }
        continue;
      }
      const void* row[kRowsAtOnce];
      float weight[kRowsAtOnce];
      int waiting = 0;
      bool first = true;
      const auto flush = [&] {
        p_.loop.add_rows[type](row, weight, waiting, first, p_.run_stride, to, p_.run);
        waiting = 0;
        first = false;
      };
      for (Index j = 0; j < z.count; ++j) {
        for (Index k = 0; k < y.count; ++k) {
          if (z[j] == 0.0f || y[k] == 0.0f) continue;
          row[waiting] = source(z.first + j, y.first + k, r);
          weight[waiting++] = z[j] * y[k];
          if (waiting == kRowsAtOnce) flush();
        }
      }
      if (waiting > 0) flush();
    }
    return line;
  }

  // A line along x: one row a channel of the output.
  void sample(const float* line, float* rows) {
    if (p_.how.gray) {
      float* const gray = gray_ + p_.margin();
      p_.loop.gray(line, p_.pixel, p_.channel, gray, p_.x.axis.from);
      line = gray;
    }
    const Index n = p_.columns();
    const bool blend = p_.lerp && p_.x.most > 1;
    if (p_.line_pixel == 3 && p_.out.channels == 3) {
      if (blend) {
        p_.loop.lerp_sample_colour(line, p_.index, p_.step, p_.x.weight + n, rows, n);
      } else {
        p_.loop.sample_colour(line, p_.index, p_.step, p_.x.weight, p_.x.most, rows, n);
      }
      return;
    }
    for (Index c = 0; c < p_.out.channels; ++c) {
      const float* const from = line + c * p_.line_channel;
      if (p_.same_columns) {
        std::copy(from, from + n, rows + c * n);
      } else if (blend) {
        p_.loop.lerp_sample(from, p_.index, p_.step, p_.x.weight + n, rows + c * n, n);
      } else {
        p_.loop.sample(from, p_.index, p_.step, p_.x.weight, p_.x.most, rows + c * n, n);
      }
    }
  }

  const float* kept(const Window& z, Index y) {
    const Index n = p_.columns() * p_.out.channels, slot = y % p_.y.most;
    float* const row = ring_ + slot * n;
    if (kept_[slot] != y) {
      const float one = 1.0f;
      sample(line_of(z, Window{y, 1, &one, 0}), row);
      kept_[slot] = y;
    }
    return row;
  }

  void combine_kept(const Window& z, const Window& y) {
    constexpr int type = static_cast<int>(DType::f32);
    const Index n = p_.columns() * p_.out.channels;
    if (p_.lerp) {
      const float w = y.count > 1 ? y[1] : 0.0f;
      const float* const a = kept(z, y.first);
      p_.loop.lerp_rows[type](a, w == 0.0f ? a : kept(z, y.first + 1), w, 1, row_, n);
      return;
    }
    bool first = true;
    for (Index k = 0; k < y.count; ++k) {
      if (y[k] == 0.0f) continue;
      const void* const row = kept(z, y.first + k);
      const float weight = y[k];
      p_.loop.add_rows[type](&row, &weight, 1, first, 1, row_, n);
      first = false;
    }
  }

  void write(float* row, float samples, Index z, Index y, Index c) {
    const Index n = p_.columns(), stride = p_.x.out_stride;
    if (p_.columns_count != nullptr) p_.loop.divide(row, p_.columns_count, samples, n);
    const DType type = p_.out.array.type;
    const Index at = z * p_.z.out_stride + y * p_.y.out_stride + c * p_.out.channel_stride;
    char* const out = static_cast<char*>(p_.out.array.data) + at * item_size(type);
    const Resize& h = p_.how;
    const Rescale chain{
        h.slope, h.intercept, h.low, h.high, h.scale.data[c * h.scale.stride], h.offset.data[c * h.offset.stride]};
    const auto rescale = p_.elementwise.rescale[static_cast<int>(DType::f32)];
    if (type == DType::f32 && p_.through_cache) {
      rescale(row, 1, reinterpret_cast<float*>(out), stride, n, chain);
      return;
    }
    rescale(row, 1, row, 1, n, chain);
    const auto store = p_.elementwise.store[static_cast<int>(type)];
    if (p_.through_cache) {
      store(row, out, stride, n, h.quantization);
    } else if (type == DType::f32) {
      stream(out, row, static_cast<std::size_t>(n) * sizeof(float));
    } else {
      store(row, stored_, 1, n, h.quantization);
      stream(out, stored_, static_cast<std::size_t>(n * item_size(type)));
    }
  }

  const Plan& p_;
  float *line_, *spare_[2], *gray_, *row_, *ring_, *stored_;
  Index* kept_;
};

// Samples moved, not changed: in their own type.
void resize_nearest_as_is(const Plan& p, int threads) {
  const Windows* const axis[3] = {&p.z, &p.y, &p.x};
  Index shape[3], src_stride[3], out_stride[3];
  const std::int32_t* index[3];
  for (int a = 0; a < 3; ++a) {
    shape[a] = axis[a]->axis.to;
    src_stride[a] = axis[a]->src_stride;
    out_stride[a] = axis[a]->out_stride;
    index[a] = axis[a]->first;
  }
  const Index item = item_size(p.src.array.type);
  for (Index c = 0; c < p.src.channels; ++c) {
    take(static_cast<const char*>(p.src.array.data) + c * p.src.channel_stride * item, src_stride,
         static_cast<char*>(p.out.array.data) + c * p.out.channel_stride * item, shape, out_stride, item, index,
         threads);
  }
}

// How lines lie in memory, and where in them the windows begin.
void lay_out_lines(Plan& p) {
  const Index channels = p.src.channels, width = p.x.axis.from, stride = p.x.src_stride;
  p.packed = (channels == 1 || p.src.channel_stride == 1) && (width == 1 || magnitude(stride) == channels);
  if (p.packed) {
    p.mirrored = width > 1 && stride < 0;
    p.run = width * channels;
    p.pixel = channels;
    if (p.mirrored) {
      const Index last = (width - 1) * stride * item_size(p.src.array.type);
      p.src.array.data = static_cast<const char*>(p.src.array.data) + last;
    }
  } else {
    p.runs = channels;
    p.run = width;
    p.run_stride = stride;
    p.channel = width;
  }
  p.line_pixel = p.how.gray ? 1 : p.pixel;
  p.line_channel = p.channel;
  p.step = p.mirrored ? -p.line_pixel : p.line_pixel;
}

void index_lines(Plan& p) {
  p.same_columns = p.line_pixel == 1 && !p.mirrored && p.x.most == 1 && p.x.axis.from == p.x.axis.to;
  for (Index i = 0; i < p.columns(); ++i) {
    const Index first = p.mirrored ? p.x.axis.from - 1 - p.x.first[i] : p.x.first[i];
    p.same_columns = p.same_columns && first == i;
    p.index[i] = static_cast<std::int32_t>(first * p.line_pixel);
    if (p.columns_count != nullptr) p.columns_count[i] = static_cast<float>(p.x.count[i]);
  }
}

}  // namespace

bool changes_nothing(const Resize& how, Index channels) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  bool plain = how.slope == 1.0f && how.intercept == 0.0f && how.low == -infinity && how.high == infinity &&
               how.quantization.scale == 1.0f && how.quantization.zero_point == 0;
  for (Index c = 0; c < channels; ++c) {
    plain = plain && how.scale.data[c * how.scale.stride] == 1.0f && how.offset.data[c * how.offset.stride] == 0.0f;
  }
  return plain;
}

void resize(const ConstImages& src, const Images& out, const Resize& how, int threads) {
  for (int axis = 0; axis < 3; ++axis) {
    if (out.array.shape[axis] == 0) return;
  }
  if (out.channels == 0) return;
  int order[3];
  closest_last(src.array, order);
  Plan p;
  p.how = how;
  p.src = src;
  p.out = out;
  Windows* const axes[3] = {&p.z, &p.y, &p.x};
  for (int k = 0; k < 3; ++k) {
    const int a = order[k];
    const Index from = src.array.shape[a], to = out.array.shape[a];
    *axes[k] = Windows{{from, to, how.mode, how.coordinates, how.antialias},
                       src.array.stride[a],
                       out.array.stride[a],
                       resize_most({from, to, how.mode, how.coordinates, how.antialias}),
                       nullptr,
                       nullptr,
                       nullptr};
  }
  p.lerp = how.mode == ResizeMode::linear && !how.antialias;
  p.columns_first = p.y.axis.to > p.y.axis.from;
  const Index row_bytes = p.columns() * item_size(out.array.type);
  p.through_cache =
      p.x.out_stride != 1 || row_bytes < 512 || !pays_to_stream(row_bytes * p.z.axis.to * p.y.axis.to * out.channels);
  threads = resolve_threads(threads);
  lay_out_lines(p);

  // The tables come first, since the lengths of the windows decide how much a thread needs.
  const auto carve = [&](Carver& carver) {
    for (Windows* axis : axes) axis->carve(carver);
    p.index = carver.take<std::int32_t>(p.columns());
    p.columns_count = carver.take<float>(p.columns());
    for (int slot = 0; slot < threads; ++slot) Worker(p, carver);
  };
  Carver sizes{nullptr};
  carve(sizes);
  const std::uintptr_t memory = reinterpret_cast<std::uintptr_t>(scratch(sizes.used + 64));
  Carver carver{reinterpret_cast<char*>((memory + 63) / 64 * 64)};
  for (Windows* axis : axes) axis->carve(carver);
  p.index = carver.take<std::int32_t>(p.columns());
  float* const counts = carver.take<float>(p.columns());
  p.columns_count = how.mode == ResizeMode::area ? counts : nullptr;
  for (Windows* axis : axes) axis->fill();
  index_lines(p);
  if (how.mode == ResizeMode::nearest && out.array.type == src.array.type && !how.gray &&
      changes_nothing(how, out.channels)) {
    p.src = src;  // lines that are mirrored begin elsewhere
    resize_nearest_as_is(p, threads);
    return;
  }

  const Index rows = p.y.axis.to, images = p.z.axis.to;
  const Index share = std::max<Index>(1, images * rows / (4 * threads));
  const Index block = std::clamp<Index>(kPiece / (p.columns() * out.channels), 1, std::min(rows, share));
  const Index blocks = (rows + block - 1) / block;
  const std::size_t tables = carver.used;
  Carver one{nullptr};
  Worker(p, one);
  parallel_for(images * blocks, 1, threads, [&](int slot, Index begin, Index end) {
    Carver mine{carver.base, tables + static_cast<std::size_t>(slot) * one.used};
    Worker worker(p, mine);
    for (Index item = begin; item < end; ++item) {
      const Index y = item % blocks * block;
      worker.rows(item / blocks, y, std::min(y + block, rows));
    }
    if (!p.through_cache) stream_fence();
  });
}

}  // namespace bedside::cpu
