// Minimum and maximum, moments, histogram, percentiles, bounding box and standardising: any shape, strides and values.
#include <algorithm>

#include "input.h"
#include "statistics/statistics.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

namespace {

bool same(double a, double b) {
  return a == b || (a != a && b != b);
}

double value_at(const Array& a, DType type, Index offset) {
  const auto as = [&](auto value) {
    std::memcpy(&value, a.address(offset), sizeof value);
    return static_cast<double>(value);
  };
  switch (type) {
    case DType::u8:
      return as(std::uint8_t{});
    case DType::i8:
      return as(std::int8_t{});
    case DType::u16:
      return as(std::uint16_t{});
    case DType::i16:
      return as(std::int16_t{});
    case DType::i32:
      return as(std::int32_t{});
    default:
      return as(float{});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const DType type = in.one_of(kTypes);
  const std::vector<Index> shape = {in.range(1, 2), in.length(9), in.length(40), in.length(90)};
  Noise noise(in);
  Array src(in, type, shape, false);
  src.fill(noise);
  ConstArray4 all{src.data(), type, {}, {}};
  for (int axis = 0; axis < 4; ++axis) {
    all.shape[axis] = shape[axis];
    all.stride[axis] = src.stride(axis);
  }
  const bool nonzero = in.flag();
  std::vector<double> percents(in.byte() % 5);
  for (double& p : percents) p = std::min(100.0, std::fabs(in.finite(1e280)));
  static constexpr Foreground::Kind kKinds[] = {Foreground::Kind::nonzero, Foreground::Kind::above,
                                                Foreground::Kind::equal};
  const Foreground foreground{in.one_of(kKinds), in.number(false)};
  const Standardise by{static_cast<float>(in.number(true)), static_cast<float>(in.number(true))};

  const std::vector<Index> last = {shape[1], shape[2], shape[3]};
  Input again = in;
  Array out(in, DType::f32, last, true), second(again, DType::f32, last, true);
  Array* const outs[2] = {&out, &second};
  MinMax range[2]{};
  Moments found[2];
  std::vector<double> quantiles[2];
  std::vector<std::int64_t> counts[2];
  Index box[2][3][2] = {};
  bool any[2];
  on_two_levels(in, [&](int round, int threads) {
    if (src.count() > 0) range[round] = minmax(all, threads);
    found[round] = moments(all, nonzero, threads);
    quantiles[round].assign(percents.size(), -1.0);
    percentiles(all, percents.data(), static_cast<Index>(percents.size()), nonzero, quantiles[round].data(), threads);
    if (item_size(type) < 4) {
      counts[round].assign(item_size(type) == 1 ? 256 : 65536, -1);
      histogram(all, counts[round].data(), threads);
    }
    any[round] = bounding_box(src.source(), foreground, box[round], threads);
    standardise(src.source(), outs[round]->target(), by, nonzero, threads);
  });
  expect(same(range[0].low, range[1].low) && same(range[0].high, range[1].high) && range[0].nan == range[1].nan &&
             range[0].infinite == range[1].infinite,
         "minmax elsewhere");
  expect(found[0].count == found[1].count && same(found[0].mean, found[1].mean) &&
             same(found[0].squares, found[1].squares),
         "moments elsewhere");
  for (std::size_t k = 0; k < percents.size(); ++k)
    expect(same(quantiles[0][k], quantiles[1][k]), "percentiles elsewhere");
  expect(counts[0] == counts[1], "histogram elsewhere");
  expect(any[0] == any[1] && (!any[0] || std::memcmp(box[0], box[1], sizeof box[0]) == 0), "bounding_box elsewhere");
  expect(out.contents() == second.contents() && out.gaps_untouched(), "standardise");

  double low = std::numeric_limits<double>::infinity(), high = -low;
  Index nan = 0, infinite = 0, counted = 0;
  std::vector<double> values;
  src.each([&](Index offset) {
    const double v = value_at(src, type, offset);
    nan += v != v;
    infinite += std::isinf(v);
    low = std::min(low, v != v ? low : v);
    high = std::max(high, v != v ? high : v);
    counted += !nonzero || v != 0;
    if (!nonzero || v != 0) values.push_back(v);
  });
  if (src.count() > 0) {
    expect(range[0].nan == nan && range[0].infinite == infinite, "minmax: what is no number");
    if (nan < src.count()) expect(range[0].low == low && range[0].high == high, "minmax");
  }
  expect(found[0].count == counted, "moments: count");
  if (nan == 0 && infinite == 0 && counted > 0) {
    std::sort(values.begin(), values.end());
    for (std::size_t k = 0; k < percents.size(); ++k) {
      expect(quantiles[0][k] >= values.front() && quantiles[0][k] <= values.back(), "percentiles: range");
    }
    expect(found[0].mean >= values.front() - 1e-6 * std::fabs(values.front()) &&
               found[0].mean <= values.back() + 1e-6 * std::fabs(values.back()),
           "moments: mean");
  }
  return 0;
}
