#include "bedside/percentiles.h"

#include <cstring>
#include <limits>

#include "bedside/ordered_bits.h"
#include "scratch.h"
#include "statistics/loops.h"
#include "statistics/statistics.h"
#include "thread_pool.h"

namespace bedside::cpu {

namespace {

using Count = std::int64_t;

constexpr Index kHalf = Index{1} << 16;
// A thread's counts have 32 bits: after so many pieces they are taken away.
constexpr Index kPiecesPerRound = (Index{1} << 31) / Sequence::kPiece;

// add(block, n, table of the thread) for every block; then take(table) for each thread's table, which is zeroed before.
template <typename Add, typename Take>
void count_blocks(const Sequence& sequence, int threads, std::uint32_t* tables, Index table_size, Add&& add,
                  Take&& take) {
  const Index pieces = sequence.pieces();
  for (Index round = 0; round < pieces; round += kPiecesPerRound) {
    const Index here = std::min(kPiecesPerRound, pieces - round);
    std::memset(tables, 0, static_cast<std::size_t>(threads * table_size) * sizeof *tables);
    parallel_for(here, 1, threads, [&](int slot, Index begin, Index end) {
      std::uint32_t* const table = tables + slot * table_size;
      for (Index piece = begin; piece < end; ++piece) {
        sequence.blocks(round + piece, [&](const void* block, Index n) { add(block, n, table); });
      }
    });
    for (int slot = 0; slot < threads; ++slot) take(tables + slot * table_size);
  }
}

int useful_threads(const Sequence& sequence, int threads) {
  return static_cast<int>(std::max<Index>(1, std::min<Index>(resolve_threads(threads), sequence.pieces())));
}

// counts[order(bits)] += what a thread counted under `bits`, in all its tables of that size.
template <typename Order>
void gather_counts(const std::uint32_t* tables, Index size, Count* counts, Order&& order) {
  for (Index bits = 0; bits < size; ++bits) {
    Count sum = 0;
    for (Index k = 0; k < StatisticsLoops::kTables; ++k) sum += tables[k * size + bits];
    counts[order(bits)] += sum;
  }
}

void make_cumulative(Count* counts, Index size) {
  for (Index i = 1; i < size; ++i) counts[i] += counts[i - 1];
}

// Of cumulative counts: where the value of a rank lies.
Index place_of_rank(const Count* ends, Index size, Count rank) {
  return std::upper_bound(ends, ends + size, rank) - ends;
}

// Where there is nothing to take a percentile of, each is NaN.
bool no_values(Count total, Index wanted, double* out) {
  if (total > 0) return false;
  std::fill(out, out + wanted, std::numeric_limits<double>::quiet_NaN());
  return true;
}

Index values_of(DType type) {
  return item_size(type) == 1 ? 256 : kHalf;
}

Index least_of(DType type) {
  return type == DType::i8 || type == DType::i16 ? -values_of(type) / 2 : 0;
}

// `counts` is the histogram; it becomes cumulative.
void of_counts(Count* counts, DType type, const double* percents, Index wanted, bool nonzero, double* out) {
  const Index size = values_of(type), least = least_of(type);
  if (nonzero) counts[-least] = 0;
  make_cumulative(counts, size);
  const Count total = counts[size - 1];
  if (no_values(total, wanted, out)) return;
  for (Index i = 0; i < wanted; ++i) {
    const Percentile at = percentile_place(percents[i], total);
    const double low = static_cast<double>(least + place_of_rank(counts, size, at.below));
    const double high = static_cast<double>(least + place_of_rank(counts, size, at.above));
    out[i] = between(low, high, high - low, at.share);
  }
}

// A rank whose value is being found, upper half first.
struct Wanted {
  Count rank;
  Index upper;
  double value;
};

double value_at(std::uint32_t place, Order order) {
  const std::uint32_t bits = bits_at_place(place, order);
  if (order == Order::integers) return static_cast<double>(static_cast<std::int32_t>(bits));
  float v;
  std::memcpy(&v, &bits, 4);
  return static_cast<double>(v);
}

// Counts of 8- or 16-bit values, in their order; `tables` is for kTables tables a thread.
void count_all(const Sequence& sequence, DType type, Count* counts, std::uint32_t* tables, int threads) {
  const Index size = values_of(type), flip = -least_of(type);
  std::fill(counts, counts + size, 0);
  const auto loop = size == 256 ? statistics_loops().count_8 : statistics_loops().count_16;
  count_blocks(sequence, threads, tables, size * StatisticsLoops::kTables, loop, [&](const std::uint32_t* table) {
    gather_counts(table, size, counts, [&](Index bits) { return bits ^ flip; });
  });
}

std::size_t table_bytes(Index tables, Index size, int threads) {
  return static_cast<std::size_t>(threads * tables * size) * sizeof(std::uint32_t);
}

}  // namespace

void histogram(const ConstArray4& src, std::int64_t* counts, int threads) {
  const Sequence sequence(src);
  threads = useful_threads(sequence, threads);
  void* const tables = scratch(table_bytes(StatisticsLoops::kTables, values_of(src.type), threads));
  count_all(sequence, src.type, counts, static_cast<std::uint32_t*>(tables), threads);
}

void percentiles(const ConstArray4& src, const double* percents, Index wanted, bool nonzero, double* out, int threads) {
  constexpr std::size_t kCounts = kHalf * sizeof(Count);
  constexpr Index kUpperTable = StatisticsLoops::kTables * kHalf + 2;
  constexpr int kMostUpper = StatisticsLoops::kMostUpper;
  const StatisticsLoops& loop = statistics_loops();
  const Sequence sequence(src);
  threads = useful_threads(sequence, threads);
  if (item_size(src.type) < 4) {
    char* const memory = static_cast<char*>(scratch(kCounts + table_bytes(StatisticsLoops::kTables, kHalf, threads)));
    Count* const counts = reinterpret_cast<Count*>(memory);
    count_all(sequence, src.type, counts, reinterpret_cast<std::uint32_t*>(memory + kCounts), threads);
    return of_counts(counts, src.type, percents, wanted, nonzero, out);
  }
  const Order order = src.type == DType::f32 ? Order::floats : Order::integers;
  const std::size_t in_tables = table_bytes(kMostUpper, kHalf, threads);
  char* const memory = static_cast<char*>(
      scratch((1 + kMostUpper) * kCounts + in_tables + static_cast<std::size_t>(2 * wanted) * sizeof(Wanted)));
  Count* const upper = reinterpret_cast<Count*>(memory);
  Count* const lower = upper + kHalf;  // kMostUpper times
  std::uint32_t* const tables = reinterpret_cast<std::uint32_t*>(lower + kMostUpper * kHalf);
  Wanted* const ranks = reinterpret_cast<Wanted*>(memory + (1 + kMostUpper) * kCounts + in_tables);

  // First pass: the upper halves, and the zeros where they do not count.
  const std::uint32_t zero_bits[2] = {0, 0x80000000u};
  const int kinds_of_zero = !nonzero ? 0 : order == Order::floats ? 2 : 1;
  Count zeros[2] = {0, 0};
  const auto upper_place = [&](Index bits) {
    return place_of_bits(static_cast<std::uint32_t>(bits) << 16, order) >> 16;
  };
  std::memset(upper, 0, kCounts);
  count_blocks(
      sequence, threads, tables, kUpperTable,
      [&](const void* block, Index n, std::uint32_t* table) {
        loop.count_upper(block, n, table);
        for (int k = 0; k < kinds_of_zero; ++k) {
          table[kUpperTable - 2 + k] += static_cast<std::uint32_t>(loop.count_equal(block, n, zero_bits[k]));
        }
      },
      [&](const std::uint32_t* table) {
        gather_counts(table, kHalf, upper, upper_place);
        for (int k = 0; k < kinds_of_zero; ++k) zeros[k] += table[kUpperTable - 2 + k];
      });
  if (order == Order::floats) {
    // The infinities' upper halves may hold NaNs, those beyond hold nothing else.
    Count beyond = 0, perhaps = 0;
    for (Index bits = 0x7f80; bits < 0x8000; ++bits) {
      (bits == 0x7f80 ? perhaps : beyond) += upper[upper_place(bits)] + upper[upper_place(bits | 0x8000)];
    }
    if (beyond > 0 || (perhaps > 0 && minmax(src, threads).nan > 0)) {
      no_values(0, wanted, out);
      return;
    }
  }
  for (int k = 0; k < kinds_of_zero; ++k) upper[upper_place(zero_bits[k] >> 16)] -= zeros[k];
  make_cumulative(upper, kHalf);
  const Count total = upper[kHalf - 1];
  if (no_values(total, wanted, out)) return;
  for (Index i = 0; i < wanted; ++i) {
    const Percentile at = percentile_place(percents[i], total);
    const Count rank[2] = {at.below, at.above};
    for (int k = 0; k < 2; ++k) {
      const Index place = place_of_rank(upper, kHalf, rank[k]);
      ranks[2 * i + k] = {rank[k] - (place > 0 ? upper[place - 1] : 0), place, 0.0};
    }
  }

  // Second pass, and more where many are asked for: the lower halves of what has a wanted upper half.
  for (Index last = -1;;) {
    std::uint32_t bits[kMostUpper];
    Index place[kMostUpper];
    int some = 0;
    while (some < kMostUpper) {
      Index next = kHalf;
      for (Index i = 0; i < 2 * wanted; ++i) {
        if (ranks[i].upper > last) next = std::min(next, ranks[i].upper);
      }
      if (next == kHalf) break;
      last = next;
      place[some] = next;
      bits[some++] = bits_at_place(static_cast<std::uint32_t>(next) << 16, order) >> 16;
    }
    if (some == 0) break;
    std::memset(lower, 0, static_cast<std::size_t>(some) * kCounts);
    const auto lower_place = [&](int k, Index low) {
      return place_of_bits(bits[k] << 16 | static_cast<std::uint32_t>(low), order) & 0xffffu;
    };
    count_blocks(
        sequence, threads, tables, some * kHalf,
        [&](const void* block, Index n, std::uint32_t* table) { loop.count_lower(block, n, bits, some, table); },
        [&](const std::uint32_t* table) {
          for (int k = 0; k < some; ++k) {
            for (Index low = 0; low < kHalf; ++low) lower[k * kHalf + lower_place(k, low)] += table[k * kHalf + low];
          }
        });
    for (int k = 0; k < some; ++k) {
      Count* const counts = lower + k * kHalf;
      for (int zero = 0; zero < kinds_of_zero; ++zero) {
        if (bits[k] == zero_bits[zero] >> 16) counts[lower_place(k, 0)] -= zeros[zero];
      }
      make_cumulative(counts, kHalf);
      for (Index i = 0; i < 2 * wanted; ++i) {
        if (ranks[i].upper != place[k]) continue;
        const Index low = place_of_rank(counts, kHalf, ranks[i].rank);
        ranks[i].value = value_at(static_cast<std::uint32_t>(place[k] << 16 | low), order);
      }
    }
  }
  for (Index i = 0; i < wanted; ++i) {
    const double low = ranks[2 * i].value, high = ranks[2 * i + 1].value;
    const double step =
        order == Order::floats ? static_cast<double>(static_cast<float>(high) - static_cast<float>(low)) : high - low;
    out[i] = between(low, high, step, percentile_place(percents[i], total).share);
  }
}

}  // namespace bedside::cpu
