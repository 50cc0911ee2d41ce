#include <cmath>
#include <limits>
#include <utility>

#include "statistics/loops.h"
#include "statistics/statistics.h"
#include "thread_pool.h"

namespace bedside::cpu {

namespace {

// Half-open; empty while begin >= end.
struct Box {
  Index begin[3], end[3];

  bool empty() const { return begin[0] >= end[0]; }
  void add(int axis, Index first, Index last) {
    begin[axis] = std::min(begin[axis], first);
    end[axis] = std::max(end[axis], last + 1);
  }
};

// What counts as foreground, as the loops of an integer type compare it.
template <typename T>
ValueRange<T> range_of(const Foreground& foreground) {
  constexpr double least = std::numeric_limits<T>::min(), most = std::numeric_limits<T>::max();
  constexpr ValueRange<T> nothing{1, 0, false};
  const double value = foreground.value;
  if (foreground.kind == Foreground::Kind::nonzero) return {0, 0, true};
  if (foreground.kind == Foreground::Kind::above) {
    if (value >= most) return nothing;
    return {value < least ? std::numeric_limits<T>::min() : static_cast<T>(std::floor(value) + 1),
            std::numeric_limits<T>::max(), false};
  }
  if (value < least || value > most || std::floor(value) != value) return nothing;
  return {static_cast<T>(value), static_cast<T>(value), false};
}

template <>
ValueRange<float> range_of<float>(const Foreground& foreground) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  if (foreground.kind == Foreground::Kind::nonzero) return {0.0f, 0.0f, true};
  const double value = foreground.value;
  const bool too_large = value > std::numeric_limits<float>::max(),
             too_small = value < -std::numeric_limits<float>::max();
  float nearest = too_large ? infinity : too_small ? -infinity : static_cast<float>(value);
  if (foreground.kind == Foreground::Kind::equal) {
    if (static_cast<double>(nearest) != value) return {1.0f, 0.0f, false};
    return {nearest, nearest, false};
  }
  if (value == std::numeric_limits<double>::infinity()) return {1.0f, 0.0f, false};
  if (value == -std::numeric_limits<double>::infinity()) return {-std::numeric_limits<float>::max(), infinity, false};
  if (static_cast<double>(nearest) <= value) nearest = std::nextafterf(nearest, infinity);
  return {nearest, infinity, false};
}

union AnyRange {
  ValueRange<std::uint8_t> u8;
  ValueRange<std::int8_t> i8;
  ValueRange<std::uint16_t> u16;
  ValueRange<std::int16_t> i16;
  ValueRange<std::int32_t> i32;
  ValueRange<float> f32;
};

AnyRange range_for(DType type, const Foreground& foreground) {
  AnyRange range;
  switch (type) {
    case DType::u8:
      range.u8 = range_of<std::uint8_t>(foreground);
      break;
    case DType::i8:
      range.i8 = range_of<std::int8_t>(foreground);
      break;
    case DType::u16:
      range.u16 = range_of<std::uint16_t>(foreground);
      break;
    case DType::i16:
      range.i16 = range_of<std::int16_t>(foreground);
      break;
    case DType::i32:
      range.i32 = range_of<std::int32_t>(foreground);
      break;
    default:
      range.f32 = range_of<float>(foreground);
  }
  return range;
}

}  // namespace

bool bounding_box(const ConstArray3& src, const Foreground& foreground, Index box[3][2], int threads) {
  const StatisticsLoops& loop = statistics_loops();
  const auto first = loop.first[static_cast<int>(src.type)], last = loop.last[static_cast<int>(src.type)];
  const AnyRange range = range_for(src.type, foreground);
  // Axes in the order of memory: the largest stride outermost, those of one voxel outside all.
  int order[3] = {0, 1, 2};
  const auto outer = [&](int a, int b) {
    const Index reach_a = src.shape[a] == 1 ? PTRDIFF_MAX : magnitude(src.stride[a]);
    return reach_a > (src.shape[b] == 1 ? PTRDIFF_MAX : magnitude(src.stride[b]));
  };
  if (outer(order[1], order[0])) std::swap(order[0], order[1]);
  if (outer(order[2], order[1])) std::swap(order[1], order[2]);
  if (outer(order[1], order[0])) std::swap(order[0], order[1]);
  const Index outers = src.shape[order[0]], middles = src.shape[order[1]], n = src.shape[order[2]];
  const Index stride[3] = {src.stride[order[0]], src.stride[order[1]], src.stride[order[2]]};
  // A flipped row is read from its other end.
  const bool flipped = stride[2] < 0;
  const Index step = magnitude(stride[2]), size = item_size(src.type);
  const char* const origin = static_cast<const char*>(src.data) + (flipped && n > 0 ? (n - 1) * stride[2] * size : 0);

  constexpr Box nothing{{PTRDIFF_MAX, PTRDIFF_MAX, PTRDIFF_MAX}, {PTRDIFF_MIN, PTRDIFF_MIN, PTRDIFF_MIN}};
  threads = resolve_threads(threads);
  Box found[kMaxThreads];
  for (int slot = 0; slot < threads; ++slot) found[slot] = nothing;
  const Index grain = std::max<Index>(1, Sequence::kPiece / std::max<Index>(1, n));
  parallel_for(n > 0 ? outers * middles : 0, grain, threads, [&](int slot, Index begin, Index end) {
    Box here = found[slot];
    for (Index row = begin; row < end; ++row) {
      const Index o = row / middles, m = row % middles;
      const char* const at = origin + (o * stride[0] + m * stride[1]) * size;
      const auto search = [&](auto loop_, Index from, Index to) {
        const Index hit = from < to ? loop_(at + from * step * size, step, to - from, &range) : -1;
        return hit < 0 ? hit : hit + from;
      };
      Index low;
      if (!here.empty() && o >= here.begin[0] && o < here.end[0] && m >= here.begin[1] && m < here.end[1]) {
        low = search(first, 0, here.begin[2]);  // only what lies outside the box can make it larger
      } else {
        low = search(first, 0, n);
        if (low < 0) continue;
        here.add(0, o, o);
        here.add(1, m, m);
      }
      if (low >= 0) here.add(2, low, low);
      const Index high = search(last, here.end[2], n);
      if (high >= 0) here.add(2, high, high);
    }
    found[slot] = here;
  });
  Box all = nothing;
  for (int slot = 0; slot < threads; ++slot) {
    if (found[slot].empty()) continue;
    for (int k = 0; k < 3; ++k) all.add(k, found[slot].begin[k], found[slot].end[k] - 1);
  }
  if (all.empty()) return false;
  for (int k = 0; k < 3; ++k) {
    box[order[k]][0] = all.begin[k];
    box[order[k]][1] = all.end[k];
  }
  if (flipped) {
    const int axis = order[2];
    box[axis][0] = n - all.end[2];
    box[axis][1] = n - all.begin[2];
  }
  return true;
}

}  // namespace bedside::cpu
