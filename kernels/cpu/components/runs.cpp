#include "components/runs.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>

#include "components/loops.h"
#include "layout.h"
#include "scratch.h"
#include "stream.h"
#include "thread_pool.h"

namespace bedside::cpu {

namespace {

constexpr Index kRowsAtOnce = 64;

// Rows of a label map, one after the other in memory: as they are, or gathered.
class Rows {
 public:
  Rows(const ConstArray3& src, Index channels, Index channel)
      : src_(src), channels_(channels), channel_(channel), direct_(channels == 1 && src.stride[2] == 1) {}

  bool direct() const { return direct_; }
  const std::uint8_t* at(Index z, Index y) const {
    return static_cast<const std::uint8_t*>(src_.data) + z * src_.stride[0] + y * src_.stride[1];
  }

  // Rows y0 ... y1 - 1 of a slice.
  void gather(const ComponentLoops& loop, Index z, Index y0, Index y1, std::uint8_t* to) const {
    const Index n = src_.shape[2], step = src_.stride[2];
    for (Index c = 0; c < channels_; ++c) {
      const std::uint8_t* const first = at(z, y0) + c * channel_;
      if (step == 1) {
        for (Index y = 0; y < y1 - y0; ++y) {
          const std::uint8_t* const row = first + y * src_.stride[1];
          if (c == 0) {
            std::memcpy(to + y * n, row, static_cast<std::size_t>(n));
          } else {
            loop.merge_rows(to + y * n, row, n);
          }
        }
        continue;
      }
      constexpr Index tile = 64;  // a transposed view: use its cache lines up
      for (Index x0 = 0; x0 < n; x0 += tile) {
        const Index x1 = std::min(x0 + tile, n);
        for (Index y = 0; y < y1 - y0; ++y) {
          const std::uint8_t* const row = first + y * src_.stride[1];
          std::uint8_t* const line = to + y * n;
          for (Index x = x0; x < x1; ++x) {
            line[x] = static_cast<std::uint8_t>(row[x * step] | (c == 0 ? 0 : line[x]));
          }
        }
      }
    }
  }

 private:
  const ConstArray3& src_;
  Index channels_, channel_;
  bool direct_;
};

// Calls visit(row, its voxels) for all rows of the map for which wanted(row).
template <typename Wanted, typename Visit>
void each_row(const Rows& source, const Index shape[3], int threads, Wanted&& wanted, Visit&& visit) {
  const ComponentLoops& loop = component_loops();
  const Index height = shape[1], width = shape[2];
  const Index blocks = (height + kRowsAtOnce - 1) / kRowsAtOnce;
  const Index grain = std::max<Index>(1, (Index{1} << 18) / (std::min(height, kRowsAtOnce) * width));
  std::uint8_t* const gathered =
      source.direct() ? nullptr
                      : static_cast<std::uint8_t*>(scratch(static_cast<std::size_t>(threads * kRowsAtOnce * width)));
  parallel_for(shape[0] * blocks, grain, threads, [&](int slot, Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      const Index z = item / blocks, y0 = item % blocks * kRowsAtOnce, y1 = std::min(y0 + kRowsAtOnce, height);
      std::uint8_t* const mine = gathered + slot * kRowsAtOnce * width;
      bool ready = source.direct();
      for (Index y = y0; y < y1; ++y) {
        const Index row = z * height + y;
        if (!wanted(row)) continue;
        if (!ready) source.gather(loop, z, y0, y1, mine);
        ready = true;
        visit(row, source.direct() ? source.at(z, y) : mine + (y - y0) * width);
      }
    }
  });
}

void take_out_empty(Runs& runs) {
  std::uint32_t count = 0, i = 0;
  for (Index row = 0; row < runs.rows(); ++row) {
    const std::uint32_t end = runs.first[static_cast<std::size_t>(row) + 1];
    runs.first[static_cast<std::size_t>(row)] = count;
    for (; i < end; ++i) {
      if (runs.run[i].begin < runs.run[i].end) runs.run[count++] = runs.run[i];
    }
  }
  runs.first[static_cast<std::size_t>(runs.rows())] = count;
}

}  // namespace

void find_runs(const ConstArray3& src, Index channels, Index channel, const std::uint8_t* group, int threads,
               Runs& runs) {
  std::copy(src.shape, src.shape + 3, runs.shape);
  runs.components = 0;
  const Index rows = runs.rows(), width = src.shape[2];
  if (rows > 0xffffffffll || width > 0x7fffffffll) throw std::length_error("an axis of the label map is too long");
  if (rows == 0) return;
  std::uint32_t* const first = runs.first.need(static_cast<std::size_t>(rows) + 1);
  std::fill(first, first + rows + 1, 0);
  if (width == 0 || channels == 0) return;
  const ComponentLoops& loop = component_loops();
  threads = resolve_threads(threads);
  const Rows source(src, channels, channel);
  // Counted first, so that the runs lie in raster order in memory of the right size; rows that have none are not looked
  // at again.
  each_row(
      source, runs.shape, threads, [](Index) { return true; },
      [&](Index row, const std::uint8_t* voxels) { first[row + 1] = loop.count_runs(voxels, width, group); });
  std::uint64_t total = 0;
  for (Index row = 1; row <= rows; ++row) {
    total += first[row];
    first[row] = static_cast<std::uint32_t>(total);
  }
  if (total > 0xfffffffeu) throw std::length_error("the label map has more than 2^32 - 2 runs");
  Run* const run = runs.run.need(total);
  // The caller's array may have been written to since: a row keeps the room it was given, and what it leaves of that is
  // marked, to be taken out.
  std::atomic<bool> whole{true};
  each_row(
      source, runs.shape, threads, [&](Index row) { return first[row + 1] > first[row]; },
      [&](Index row, const std::uint8_t* voxels) {
        const std::uint32_t room = first[row + 1] - first[row];
        const std::uint32_t written = loop.write_runs(voxels, width, group, run + first[row], room);
        if (written == room) return;
        std::fill(run + first[row] + written, run + first[row + 1], Run{0, 0, 0, 0});
        whole.store(false, std::memory_order_relaxed);
      });
  if (!whole.load(std::memory_order_relaxed)) take_out_empty(runs);
}

namespace {

// Joins rows to those before them.
class Joiner {
 public:
  Joiner(Runs& runs, Index height, Connectivity connectivity)
      : first_(runs.first.data()), run_(runs.run.data()), height_(height) {
    const bool corners = connectivity == Connectivity::corners || connectivity == Connectivity::corners2;
    beside_ = corners || connectivity == Connectivity::edges ? 1 : 0;
    across_ = corners ? 1 : 0;
    diagonal_ = corners || connectivity == Connectivity::edges;
  }

  void within_slice(Index z) const {
    if (first_[z * height_] == first_[(z + 1) * height_]) return;
    for (Index y = 1; y < height_; ++y) join(z * height_ + y, z * height_ + y - 1, beside_);
  }
  void to_slice_before(Index z) const {
    if (first_[z * height_] == first_[(z + 1) * height_]) return;
    for (Index y = 0; y < height_; ++y) {
      const Index row = z * height_ + y, before = row - height_;
      if (first_[row] == first_[row + 1]) continue;
      if (diagonal_ && y > 0) join(row, before - 1, across_);
      join(row, before, beside_);
      if (diagonal_ && y + 1 < height_) join(row, before + 1, across_);
    }
  }

 private:
  void join(Index row, Index other, std::int32_t reach) const {
    join_rows(run_, first_[row], first_[row + 1], first_[other], first_[other + 1], reach);
  }

  const std::uint32_t* first_;
  Run* run_;
  Index height_;
  std::int32_t beside_, across_;  // how far runs reach along x, in rows that share a face and in others
  bool diagonal_;
};

void number_labels(Runs& runs) {
  bool present[256] = {};
  std::uint32_t number[256];
  Run* const run = runs.run.data();
  const std::uint32_t count = runs.count();
  for (std::uint32_t i = 0; i < count; ++i) present[run[i].label] = true;
  std::uint8_t* const label = runs.label.need(255);
  runs.components = 0;
  for (int value = 1; value < 256; ++value) {
    if (!present[value]) continue;
    label[runs.components] = static_cast<std::uint8_t>(value);
    number[value] = ++runs.components;
  }
  for (std::uint32_t i = 0; i < count; ++i) run[i].number = number[run[i].label];
}

}  // namespace

void number_components(Runs& runs, Connectivity connectivity, int threads) {
  runs.components = 0;
  const std::uint32_t count = runs.count();
  if (count == 0) return;
  if (connectivity == Connectivity::none) {
    number_labels(runs);
    return;
  }
  const std::uint32_t* const first = runs.first.data();
  Run* const run = runs.run.data();
  // Slabs of whole slices with about as many runs each are joined at the same time, then the seams between them. The
  // rows of a single slice are joined as if they were slices of one row.
  const bool single = runs.shape[0] == 1;
  const Index slices = single ? runs.shape[1] : runs.shape[0], height = single ? 1 : runs.shape[1];
  const bool between = single || !(connectivity == Connectivity::edges2 || connectivity == Connectivity::corners2);
  constexpr std::uint32_t kWorthThreads = 1u << 14;
  threads = static_cast<int>(std::min<Index>(resolve_threads(threads), 1 + count / kWorthThreads));
  threads = static_cast<int>(std::min<Index>(threads, slices));
  Index slab[kMaxThreads + 1];
  slab[0] = 0;
  for (int k = 1; k <= threads; ++k) {
    const std::uint64_t until =
        std::uint64_t{count} * static_cast<std::uint64_t>(k) / static_cast<std::uint64_t>(threads);
    Index z = slab[k - 1];
    while (z < slices && (k == threads || first[z * height] < until)) ++z;
    slab[k] = z;
  }
  const Joiner joiner(runs, height, connectivity);
  parallel_for(threads, 1, threads, [&](int, Index begin, Index end) {
    for (Index k = begin; k < end; ++k) {
      for (std::uint32_t i = first[slab[k] * height]; i < first[slab[k + 1] * height]; ++i) run[i].number = i;
      for (Index z = slab[k]; z < slab[k + 1]; ++z) {
        joiner.within_slice(z);
        if (between && z > slab[k]) joiner.to_slice_before(z);
      }
    }
  });
  for (int k = 1; k < threads; ++k) {
    if (between && slab[k] > 0 && slab[k] < slices && slab[k] > slab[k - 1]) joiner.to_slice_before(slab[k]);
  }
  // A run's parent comes before it, so it has its number already.
  std::uint32_t components = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t parent = run[i].number;
    run[i].number = parent == i ? ++components : run[parent].number;
  }
  runs.components = components;
  std::uint8_t* const label = runs.label.need(components);
  std::uint32_t seen = 0;
  for (std::uint32_t i = 0; seen < components; ++i) {
    if (run[i].number > seen) label[seen++] = static_cast<std::uint8_t>(run[i].label);
  }
}

void select_components(const Runs& from, const std::uint32_t* numbers, std::uint32_t components, Runs& to) {
  std::copy(from.shape, from.shape + 3, to.shape);
  to.components = components;
  std::uint8_t* const label = to.label.need(components);
  std::fill(label, label + components, 0);
  for (std::uint32_t k = from.components; k-- > 0;) {
    if (numbers[k] != 0) label[numbers[k] - 1] = from.label[k];
  }
  const Index rows = from.rows();
  if (rows == 0) return;
  std::uint32_t* const first = to.first.need(static_cast<std::size_t>(rows) + 1);
  Run* const run = to.run.need(from.count());
  std::uint32_t count = 0;
  for (Index row = 0; row < rows; ++row) {
    first[row] = count;
    for (std::uint32_t i = from.first[row]; i < from.first[row + 1]; ++i) {
      const std::uint32_t number = numbers[from.run[i].number - 1];
      if (number == 0) continue;
      run[count] = from.run[i];
      run[count++].number = number;
    }
  }
  first[rows] = count;
}

namespace {

template <typename T>
void paint_as(const Runs& runs, const std::uint32_t* values, bool clear, const Array3& out, int threads) {
  const Index height = runs.shape[1], width = runs.shape[2], rows = runs.rows();
  const Index step = width == 1 ? 1 : out.stride[2];
  T* const to = static_cast<T*>(out.data);
  const std::uint32_t* const first = runs.first.data();
  const auto value_of = [&](const Run& run) {
    return static_cast<T>(values != nullptr ? values[run.number - 1] : run.number);
  };
  if (clear && step != 1) {  // zeros first, in the order of memory
    const Index row_stride[3] = {out.stride[0], out.stride[1], out.stride[2]};
    const RowWalk walk(out.shape, false, row_stride);
    parallel_for(walk.pieces(), 1, threads, [&](int, Index begin, Index end) {
      for (Index piece = begin; piece < end; ++piece) {
        walk.rows(piece, [&](Index, Index offset, Index n) {
          for (Index k = 0; k < n; ++k) to[offset + k * walk.inner_stride[0]] = 0;
        });
      }
    });
    clear = false;
  }
  constexpr Index kBlock = static_cast<Index>(kStreamBlock / sizeof(T));
  alignas(64) static const T zeros[kBlock] = {};
  const Index bytes = rows * width * static_cast<Index>(sizeof(T));
  const bool streamed = clear && pays_to_stream(bytes);
  const Index grain = std::max<Index>(1, (Index{1} << 18) / (width * static_cast<Index>(sizeof(T))));
  const bool rows_follow = out.stride[1] == width;
  parallel_for(rows, grain, threads, [&](int, Index begin, Index end) {
    alignas(64) T line[kBlock];
    const auto place = [&](Index row) { return to + row / height * out.stride[0] + row % height * out.stride[1]; };
    const auto zero = [&](T* at, Index n) {
      if (!streamed) {
        std::memset(at, 0, static_cast<std::size_t>(n) * sizeof(T));
        return;
      }
      for (Index x = 0; x < n; x += kBlock) {
        stream(at + x, zeros, static_cast<std::size_t>(std::min(kBlock, n - x)) * sizeof(T));
      }
    };
    for (Index row = begin; row < end; ++row) {
      const std::uint32_t mine = first[row], next = first[row + 1];
      if (mine == next) {
        if (!clear) continue;
        Index together = 1;
        while (rows_follow && row + together < end && (row + together) % height != 0 &&
               first[row + together + 1] == mine) {
          ++together;
        }
        zero(place(row), together * width);
        row += together - 1;
        continue;
      }
      T* const at = place(row);
      const bool composed = streamed && width <= kBlock;
      if (composed) {
        std::memset(line, 0, static_cast<std::size_t>(width) * sizeof(T));
      } else if (clear) {
        std::memset(at, 0, static_cast<std::size_t>(width) * sizeof(T));
      }
      T* const drawn = composed ? line : at;
      for (std::uint32_t i = mine; i < next; ++i) {
        const T value = value_of(runs.run[i]);
        if (step == 1) {
          std::fill(drawn + runs.run[i].begin, drawn + runs.run[i].end, value);
        } else {
          for (Index x = runs.run[i].begin; x < runs.run[i].end; ++x) at[x * step] = value;
        }
      }
      if (composed) stream(at, line, static_cast<std::size_t>(width) * sizeof(T));
    }
    if (streamed) stream_fence();
  });
}

}  // namespace

void paint(const Runs& runs, const std::uint32_t* values, bool clear, const Array3& out, int threads) {
  if (runs.rows() == 0 || runs.shape[2] == 0) return;
  threads = resolve_threads(threads);
  switch (out.type) {
    case DType::u8:
      return paint_as<std::uint8_t>(runs, values, clear, out, threads);
    case DType::u16:
      return paint_as<std::uint16_t>(runs, values, clear, out, threads);
    default:
      return paint_as<std::int32_t>(runs, values, clear, out, threads);
  }
}

}  // namespace bedside::cpu
