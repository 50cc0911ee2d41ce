#include "bedside/moments.h"

#include "scratch.h"
#include "statistics/loops.h"
#include "statistics/statistics.h"
#include "thread_pool.h"

namespace bedside::cpu {

namespace {

__extension__ typedef unsigned __int128 Wide;

struct WideSums {
  std::int64_t count = 0, sum = 0;
  Wide squares = 0;
};

Moments of_integers(const Sequence& sequence, DType type, bool nonzero, int threads) {
  const auto loop = statistics_loops().sums[static_cast<int>(type)];
  WideSums found[kMaxThreads];
  parallel_for(sequence.pieces(), 1, threads, [&](int slot, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      Sums here{0, 0, 0};
      sequence.blocks(piece, [&](const void* block, Index n) { loop(block, n, nonzero, here); });
      found[slot].count += here.count;
      found[slot].sum += here.sum;
      found[slot].squares += here.squares;
    }
  });
  WideSums all;
  for (int slot = 0; slot < threads; ++slot) {
    all.count += found[slot].count;
    all.sum += found[slot].sum;
    all.squares += found[slot].squares;
  }
  if (all.count == 0) return {0, 0.0, 0.0};
  const double n = static_cast<double>(all.count);
  const Wide magnitude = static_cast<Wide>(all.sum < 0 ? -all.sum : all.sum);
  // n^2 times the variance, without a rounding.
  const Wide spread = static_cast<Wide>(all.count) * all.squares - magnitude * magnitude;
  return {all.count, static_cast<double>(all.sum) / n, static_cast<double>(spread) / n};
}

}  // namespace

Moments moments(const ConstArray4& src, bool nonzero, int threads) {
  const Sequence sequence(src);
  threads = resolve_threads(threads);
  if (item_size(src.type) < 4) return of_integers(sequence, src.type, nonzero, threads);
  const auto loop = statistics_loops().moments[src.type == DType::f32];
  const Index pieces = sequence.pieces();
  if (pieces == 0) return {0, 0.0, 0.0};
  Moments* const found = static_cast<Moments*>(scratch(static_cast<std::size_t>(pieces) * sizeof(Moments)));
  parallel_for(pieces, 1, threads, [&](int, Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      Moments here{0, 0.0, 0.0};
      sequence.blocks(piece, [&](const void* block, Index n) { here = merge(here, loop(block, n, nonzero)); });
      found[piece] = here;
    }
  });
  for (Index step = 1; step < pieces; step *= 2) {
    for (Index i = 0; i + step < pieces; i += 2 * step) found[i] = merge(found[i], found[i + step]);
  }
  return found[0];
}

}  // namespace bedside::cpu
