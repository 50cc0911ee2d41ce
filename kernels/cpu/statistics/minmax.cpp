#include <cstring>
#include <limits>

#include "bedside/ordered_bits.h"
#include "statistics/loops.h"
#include "statistics/statistics.h"
#include "thread_pool.h"

namespace bedside::cpu {

static_assert(Sequence::kBlock == StatisticsLoops::kMost);

MinMax minmax(const ConstArray4& src, int threads) {
  const auto loop = statistics_loops().extremes[static_cast<int>(src.type)];
  const Sequence sequence(src);
  constexpr Extremes none{INT32_MAX, INT32_MIN, 0, 0};
  threads = resolve_threads(threads);
  Extremes found[kMaxThreads];
  for (int slot = 0; slot < threads; ++slot) found[slot] = none;
  parallel_for(sequence.pieces(), 1, threads, [&](int slot, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      Extremes here = none;
      sequence.blocks(piece, [&](const void* block, Index n) { loop(block, n, here); });
      found[slot].low = std::min(found[slot].low, here.low);
      found[slot].high = std::max(found[slot].high, here.high);
      found[slot].nan += here.nan;
      found[slot].infinite += here.infinite;
    }
  });
  Extremes all = none;
  for (int slot = 0; slot < threads; ++slot) {
    all.low = std::min(all.low, found[slot].low);
    all.high = std::max(all.high, found[slot].high);
    all.nan += found[slot].nan;
    all.infinite += found[slot].infinite;
  }
  MinMax result{static_cast<double>(all.low), static_cast<double>(all.high), all.nan, all.infinite};
  if (src.type == DType::f32) {
    const auto value = [](std::int32_t order) {
      const std::int32_t bits = signed_order(order);
      float v;
      std::memcpy(&v, &bits, 4);
      return static_cast<double>(v);
    };
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    result.low = all.nan == sequence.size() ? nan : value(all.low);
    result.high = all.nan == sequence.size() ? nan : value(all.high);
  }
  return result;
}

}  // namespace bedside::cpu
