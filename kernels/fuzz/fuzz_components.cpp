// Connected components, their measurements and what is made of them: any label map, strides, groups and connectivity.
#include <algorithm>
#include <array>

#include "components/measure.h"
#include "components/morphology.h"
#include "components/outline.h"
#include "input.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

namespace {

// Numbers in raster order, by flooding.
std::vector<std::int32_t> flood(const std::vector<std::uint8_t>& label, const std::vector<Index>& shape, int most_axes,
                                bool in_slices) {
  const Index depth = shape[0], height = shape[1], width = shape[2];
  std::vector<std::int32_t> number(label.size(), 0);
  std::vector<Index> waiting;
  std::int32_t count = 0;
  for (std::size_t start = 0; start < label.size(); ++start) {
    if (label[start] == 0 || number[start] != 0) continue;
    number[start] = ++count;
    waiting.push_back(static_cast<Index>(start));
    while (!waiting.empty()) {
      const Index at = waiting.back(), z = at / (height * width), y = at / width % height, x = at % width;
      waiting.pop_back();
      for (int step = 0; step < 27; ++step) {
        const Index dz = step / 9 - 1, dy = step / 3 % 3 - 1, dx = step % 3 - 1;
        if (magnitude(dz) + magnitude(dy) + magnitude(dx) > most_axes || (in_slices && dz != 0)) continue;
        if (z + dz < 0 || z + dz >= depth || y + dy < 0 || y + dy >= height || x + dx < 0 || x + dx >= width) continue;
        const std::size_t other = static_cast<std::size_t>(at + (dz * height + dy) * width + dx);
        if (label[other] != label[start] || number[other] != 0) continue;
        number[other] = count;
        waiting.push_back(static_cast<Index>(other));
      }
    }
  }
  return number;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  struct Kind {
    Connectivity connectivity;
    int axes;
    bool in_slices;
  };
  static constexpr Kind kKinds[] = {{Connectivity::faces, 1, false},
                                    {Connectivity::edges, 2, false},
                                    {Connectivity::corners, 3, false},
                                    {Connectivity::edges2, 1, true},
                                    {Connectivity::corners2, 2, true}};
  Input in(data, size);
  const Kind kind = in.one_of(kKinds);
  const std::vector<Index> shape = {in.length(7), in.length(24), in.length(80)};
  Noise noise(in);
  Array map(in, DType::u8, shape, true);
  map.fill(noise);
  std::uint8_t group[256];
  const std::uint8_t labels = 1 + in.byte() % 4, density = 1 + in.byte() % 8;
  for (int label = 0; label < 256; ++label) {
    group[label] = static_cast<std::uint8_t>(label % density == 0 ? 1 + label / density % labels : 0);
  }
  std::vector<std::uint8_t> grouped;
  map.each([&](Index offset) { grouped.push_back(group[*map.address(offset)]); });
  const std::vector<std::int32_t> expected = flood(grouped, shape, kind.axes, kind.in_slices);
  const std::int32_t count = expected.empty() ? 0 : *std::max_element(expected.begin(), expected.end());

  static constexpr DType kNumbers[] = {DType::u8, DType::u16, DType::i32};
  DType number_type = in.one_of(kNumbers);
  if (number_type == DType::u8 && count > 255) number_type = DType::i32;
  const DType stored_type = in.one_of(kTypes);
  Array stored(in, stored_type, shape, false);
  stored.fill(noise);
  const float slope_of_all = static_cast<float>(in.number(true));
  std::vector<float> slope(static_cast<std::size_t>(shape[0]) + 1, slope_of_all), intercept(slope.size(), -5.0f);
  if (in.flag()) slope[0] = 2.0f;
  const double padding = in.byte() % 128;  // a value of every type, as the binding sees to
  const bool padded = in.flag();
  const std::uint8_t most = in.byte() % 4;
  Array numbers(in, number_type, shape, true);

  std::vector<std::uint8_t> painted[2], kept[2], filled[2], picture[2];
  std::vector<double> measured[2];
  const std::vector<std::uint8_t> original = map.contents();
  const auto restore = [&] {
    std::size_t i = 0;
    map.each([&](Index offset) { *map.address(offset) = original[i++]; });
  };
  on_two_levels(in, [&](int round, int threads) {
    Runs runs;
    find_runs(map.source(), 1, 0, group, threads, runs);
    number_components(runs, kind.connectivity, threads);
    expect(runs.components == static_cast<std::uint32_t>(count), "the number of components");
    paint(runs, nullptr, true, numbers.target(), threads);
    painted[round] = numbers.contents();

    Pieces pieces;
    sort_pieces(runs, pieces);
    const std::size_t n = static_cast<std::size_t>(count);
    std::vector<std::int64_t> voxels(n), sum(3 * n), area(n), valid(n);
    std::vector<std::int32_t> box(6 * n), slice(n), where(n), ends(4 * n);
    std::vector<double> values(4 * n), length(n), pixel(2 * n, 0.5);
    measure_extent(runs, pieces, {voxels.data(), sum.data(), box.data(), slice.data(), area.data()}, threads);
    measure_values(runs, pieces, stored.source(), slope.data(), intercept.data(), padded ? &padding : nullptr,
                   valid.data(), values.data(), threads);
    measure_diameter(runs, pieces, pixel.data(), nullptr, length.data(), where.data(), ends.data(), threads);
    for (std::size_t k = 0; k < n; ++k) {
      expect(voxels[k] == std::count(expected.begin(), expected.end(), static_cast<std::int32_t>(k) + 1), "voxels");
    }
    measured[round] = values;
    measured[round].insert(measured[round].end(), length.begin(), length.end());
    for (const std::int32_t end : ends) measured[round].push_back(end);

    std::vector<std::uint32_t> halves(n);
    for (std::size_t k = 0; k < n; ++k) {
      const std::size_t first =
          std::find(expected.begin(), expected.end(), static_cast<std::int32_t>(k) + 1) - expected.begin();
      halves[k] = k % 2 == 0 ? grouped[first] : 0;  // components of one label become one
    }
    Runs some;
    select_components(runs, halves.data(), halves.empty() ? 0 : *std::max_element(halves.begin(), halves.end()), some);

    MorphologyMemory memory;
    keep_largest(map.target(), group, kind.connectivity, most, threads, memory);
    kept[round] = map.contents();
    restore();
    const std::uint8_t of[] = {0, original.empty() ? std::uint8_t{1} : original[0], 3};
    fill_holes(map.target(), of, 3, kind.connectivity, threads, memory);
    filled[round] = map.contents();
    restore();
  });
  expect(map.gaps_untouched() && numbers.gaps_untouched(), "memory between the elements");
  expect(painted[0] == painted[1] && kept[0] == kept[1] && filled[0] == filled[1], "label maps elsewhere");
  expect(measured[0].size() == measured[1].size(), "measurements elsewhere");
  for (std::size_t k = 0; k < measured[0].size(); ++k) {
    const double a = measured[0][k], b = measured[1][k];
    expect(a == b || (a != a && b != b), "measurements elsewhere");
  }
  std::size_t i = 0;
  numbers.each([&](Index offset) {
    std::int32_t number = 0;
    std::memcpy(&number, numbers.address(offset), static_cast<std::size_t>(item_size(number_type)));
    expect(number == expected[i++], "the numbers of components");
  });
  return 0;
}
