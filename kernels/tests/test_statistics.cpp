#include "statistics/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "bedside/percentiles.h"
#include "check.h"

namespace bedside::cpu::test {

namespace {

template <typename T>
ConstArray4 elements(Volume<T>& v, DType type) {
  const ConstArray3 s = v.source(type);
  return {s.data, type, {1, s.shape[0], s.shape[1], s.shape[2]}, {0, s.stride[0], s.stride[1], s.stride[2]}};
}

bool same_bits(double a, double b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

bool near(double a, double b) {
  return std::fabs(a - b) <= 1e-11 * std::fmax(1.0, std::fabs(b));
}

template <typename T>
void test_type(DType type, bool plain, int threads) {
  Volume<T> src(19, 67, 141, plain);  // more than two pieces, and no whole number of blocks
  src.fill([] {
    const float v = random_bits() % 3 == 0 ? 0.0f : random_float();
    return std::is_unsigned_v<T> ? std::fabs(v) : v;
  });
  std::vector<double> values, nonzero;
  src.each([&](Index z, Index y, Index x) {
    const double v = static_cast<double>(src.at(z, y, x));
    values.push_back(v);
    if (v != 0) nonzero.push_back(v);
  });

  const MinMax found = minmax(elements(src, type), threads);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  expect(found.low == *low && found.high == *high && found.nan == 0 && found.infinite == 0, "minmax", threads);

  for (const bool leave_zeros : {false, true}) {
    std::vector<double>& some = leave_zeros ? nonzero : values;
    std::sort(some.begin(), some.end());
    double sum = 0, squares = 0;
    for (const double v : some) sum += v;
    const double mean = sum / static_cast<double>(some.size());
    for (const double v : some) squares += (v - mean) * (v - mean);
    const Moments m = moments(elements(src, type), leave_zeros, threads);
    expect(m.count == static_cast<Index>(some.size()) && near(m.mean, mean) && near(m.squares / squares, 1), "moments",
           threads);
    // The same bits with another thread count; that other instruction sets give them too is what the caller compares.
    const Moments again = moments(elements(src, type), leave_zeros, 4 - threads);
    expect(same_bits(again.mean, m.mean) && same_bits(again.squares, m.squares), "moments, other threads", threads);

    double percents[40], got[40];
    for (int i = 0; i < 40; ++i) percents[i] = 100.0 * i / 39;
    percentiles(elements(src, type), percents, 40, leave_zeros, got, threads);
    bool exact = true;
    for (int i = 0; i < 40; ++i) {
      const Percentile at = percentile_place(percents[i], static_cast<Index>(some.size()));
      const double a = some[at.below], b = some[at.above];
      exact = exact && got[i] == between(a, b, b - a, at.share);
    }
    expect(exact, "percentiles", threads);
  }

  Volume<float> out(19, 67, 141, !plain);
  standardise(src.source(type), out.view(DType::f32), {3.25f, 7.0f}, true, threads);
  bool same = true;
  src.each([&](Index z, Index y, Index x) {
    const float v = static_cast<float>(src.at(z, y, x));
    same = same && out.at(z, y, x) == (v == 0 ? v : (v - 3.25f) / 7.0f);
  });
  expect(same, "standardise", threads);

  Index box[3][2];
  src.fill([] { return 0; });
  const Foreground above{Foreground::Kind::above, 4.5}, equal{Foreground::Kind::equal, 5.0};
  expect(!bounding_box(src.source(type), above, box, threads), "bounding_box of nothing", threads);
  src.at(3, 5, 77) = T(5);
  src.at(17, 4, 140) = T(5);
  src.at(9, 60, 100) = T(5);
  src.at(0, 0, 0) = T(4);
  for (const Foreground& what : {above, equal}) {
    const bool any = bounding_box(src.source(type), what, box, threads);
    expect(any && box[0][0] == 3 && box[0][1] == 18 && box[1][0] == 4 && box[1][1] == 61 && box[2][0] == 77 &&
               box[2][1] == 141,
           "bounding_box", threads);
  }
  expect(bounding_box(src.source(type), {Foreground::Kind::nonzero, 0}, box, threads) && box[0][0] == 0 &&
             box[1][0] == 0 && box[2][0] == 0 && box[2][1] == 141,
         "bounding_box of what is not 0", threads);
}

template <typename T>
void test_histogram(DType type, Index size, bool plain, int threads) {
  Volume<T> src(19, 67, 141, plain);
  src.fill(random_bits);
  std::vector<std::int64_t> counts(size), expected(size);
  histogram(elements(src, type), counts.data(), threads);
  for (const T v : src.memory) ++expected[static_cast<Index>(v) - static_cast<Index>(std::numeric_limits<T>::min())];
  expect(counts == expected, "histogram", threads);
}

void test_not_finite(int threads) {
  Volume<float> src(7, 101, 103, false);
  src.fill(random_float);
  src.at(3, 50, 7) = std::numeric_limits<float>::infinity();
  src.at(3, 50, 8) = -std::numeric_limits<float>::infinity();
  MinMax found = minmax(elements(src, DType::f32), threads);
  expect(found.nan == 0 && found.infinite == 2 && std::isinf(found.low) && std::isinf(found.high), "minmax of infinity",
         threads);
  double percent = 50, got = 0;
  percentiles(elements(src, DType::f32), &percent, 1, false, &got, threads);
  expect(std::isfinite(got), "percentiles with infinities", threads);
  const std::uint32_t signalling = 0x7f800001u;  // shares the upper half of its bits with infinity
  std::memcpy(&src.at(0, 0, 1), &signalling, 4);
  found = minmax(elements(src, DType::f32), threads);
  expect(found.nan == 1 && found.infinite == 2, "minmax of NaN", threads);
  percentiles(elements(src, DType::f32), &percent, 1, false, &got, threads);
  expect(std::isnan(got), "percentiles of NaN", threads);
}

// Every instruction set, as each is the active one in turn, against the first.
void test_same_bits(int threads) {
  Volume<float> src(19, 67, 141, true);
  std::uint32_t state = 5;
  src.fill([&] {
    state = state * 1664525u + 1013904223u;
    return state % 5 == 0 ? 0.0f : static_cast<float>(state >> 8) / 300.0f;
  });
  static Moments first[2];
  static bool known = false;
  for (const bool nonzero : {false, true}) {
    const Moments m = moments(elements(src, DType::f32), nonzero, threads);
    if (!known) first[nonzero] = m;
    expect(same_bits(m.mean, first[nonzero].mean) && same_bits(m.squares, first[nonzero].squares),
           "moments, other instruction sets", threads);
  }
  known = true;
}

const Test registered("statistics", [](int threads) {
  for (const bool plain : {false, true}) {
    test_type<std::uint8_t>(DType::u8, plain, threads);
    test_type<std::int8_t>(DType::i8, plain, threads);
    test_type<std::uint16_t>(DType::u16, plain, threads);
    test_type<std::int16_t>(DType::i16, plain, threads);
    test_type<std::int32_t>(DType::i32, plain, threads);
    test_type<float>(DType::f32, plain, threads);
    test_histogram<std::uint8_t>(DType::u8, 256, plain, threads);
    test_histogram<std::int8_t>(DType::i8, 256, plain, threads);
    test_histogram<std::uint16_t>(DType::u16, 65536, plain, threads);
    test_histogram<std::int16_t>(DType::i16, 65536, plain, threads);
  }
  test_not_finite(threads);
  test_same_bits(threads);
});

}  // namespace

}  // namespace bedside::cpu::test
