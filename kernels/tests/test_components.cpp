#include <algorithm>
#include <cmath>
#include <utility>

#include "check.h"
#include "components/loops.h"
#include "components/measure.h"
#include "components/morphology.h"
#include "components/nms.h"
#include "components/outline.h"

namespace bedside::cpu::test {

namespace {

std::uint8_t some_label(int of, int labels) {
  return static_cast<std::uint8_t>(random_bits() % static_cast<unsigned>(of) == 0 ? 1 + random_bits() % labels : 0);
}

void identity(std::uint8_t* group) {
  for (int label = 0; label < 256; ++label) group[label] = static_cast<std::uint8_t>(label);
}

// Numbers by the smallest voxel that can be reached, taken until nothing changes.
std::uint32_t number_slowly(Volume<std::uint8_t>& labels, int most_axes, std::vector<std::uint32_t>& numbers) {
  const Index height = labels.shape[1], width = labels.shape[2];
  numbers.assign(labels.memory.size(), 0);
  const auto at = [&](Index z, Index y, Index x) { return static_cast<std::size_t>((z * height + y) * width + x); };
  labels.each([&](Index z, Index y, Index x) {
    if (labels.at(z, y, x) != 0) numbers[at(z, y, x)] = static_cast<std::uint32_t>(at(z, y, x)) + 1;
  });
  for (bool changed = true; changed;) {
    changed = false;
    labels.each([&](Index z, Index y, Index x) {
      for (int step = 0; step < 27; ++step) {
        const Index dz = step / 9 - 1, dy = step / 3 % 3 - 1, dx = step % 3 - 1;
        const Index oz = z + dz, oy = y + dy, ox = x + dx;
        if (magnitude(dz) + magnitude(dy) + magnitude(dx) > most_axes) continue;
        if (oz < 0 || oy < 0 || ox < 0 || oz >= labels.shape[0] || oy >= height || ox >= width) continue;
        if (labels.at(z, y, x) == 0 || labels.at(oz, oy, ox) != labels.at(z, y, x)) continue;
        if (numbers[at(oz, oy, ox)] >= numbers[at(z, y, x)]) continue;
        numbers[at(z, y, x)] = numbers[at(oz, oy, ox)];
        changed = true;
      }
    });
  }
  std::uint32_t count = 0;
  std::vector<std::uint32_t> renumbered(numbers.size() + 1, 0);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] == i + 1) renumbered[i + 1] = ++count;
  }
  for (std::uint32_t& number : numbers) number = renumbered[number];
  return count;
}

void test_components(Index depth, Index height, Index width, int density, bool plain, int threads) {
  Volume<std::uint8_t> labels(depth, height, width, plain);
  labels.fill([&] { return some_label(density, 2); });
  std::uint8_t group[256];
  identity(group);
  const std::pair<Connectivity, int> kinds[] = {
      {Connectivity::faces, 1}, {Connectivity::edges, 2}, {Connectivity::corners, 3}};
  for (const auto& [connectivity, axes] : kinds) {
    std::vector<std::uint32_t> expected;
    const std::uint32_t count = number_slowly(labels, axes, expected);
    Runs runs;
    find_runs(labels.source(DType::u8), 1, 0, group, threads, runs);
    number_components(runs, connectivity, threads);
    expect(runs.components == count, "number_components: count", threads);
    Volume<std::int32_t> out(depth, height, width, !plain);
    out.fill([] { return 7; });
    paint(runs, nullptr, true, out.view(DType::i32), threads);
    bool same = true;
    std::size_t i = 0;
    out.each(
        [&](Index z, Index y, Index x) { same = same && out.at(z, y, x) == static_cast<std::int32_t>(expected[i++]); });
    expect(same, "number_components", threads);

    Volume<std::int16_t> stored(depth, height, width, plain);
    stored.fill([] { return static_cast<int>(random_bits() % 4000) - 1000; });
    Pieces pieces;
    sort_pieces(runs, pieces);
    std::vector<std::int64_t> voxels(count), sum(3 * count), area(count), valid(count);
    std::vector<std::int32_t> box(6 * count), slice(count), where(count), ends(4 * count);
    std::vector<double> values(4 * count), length(count), pixel(2 * count, 0.7);
    const std::vector<float> slope(static_cast<std::size_t>(depth), 2.0f), intercept(slope.size(), -5.0f);
    measure_extent(runs, pieces, {voxels.data(), sum.data(), box.data(), slice.data(), area.data()}, threads);
    const double padding = 12;
    measure_values(runs, pieces, stored.source(DType::i16), slope.data(), intercept.data(), &padding, valid.data(),
                   values.data(), threads);
    measure_diameter(runs, pieces, pixel.data(), nullptr, length.data(), where.data(), ends.data(), threads);
    for (std::uint32_t k = 0; k < count; ++k) {
      std::int64_t n = 0, used = 0, sum_x = 0;
      double total = 0, low = 1e9, longest = 0;
      i = 0;
      labels.each([&](Index z, Index y, Index x) {
        if (expected[i++] != k + 1) return;
        ++n;
        sum_x += x;
        Index other = z * height * width;
        for (Index v = 0; v < height * width; ++v) {
          if (expected[static_cast<std::size_t>(other++)] != k + 1) continue;
          longest = std::max(longest, std::hypot((v / width - y) * 0.7, (v % width - x) * 0.7));
        }
        const int value = stored.at(z, y, x);
        if (value == 12) return;
        ++used;
        total += value * 2.0 - 5.0;
        low = std::min(low, value * 2.0 - 5.0);
      });
      expect(voxels[k] == n && sum[3 * k + 2] == sum_x, "measure_extent", threads);
      expect(valid[k] == used, "measure_values: count", threads);
      expect(used == 0 ||
                 (std::fabs(values[4 * k] - total / static_cast<double>(used)) < 1e-9 && values[4 * k + 2] == low),
             "measure_values", threads);
      expect(std::fabs(length[k] - longest) < 1e-9, "measure_diameter", threads);
    }
  }
}

const Test components("components", [](int threads) {
  for (const bool plain : {false, true}) {
    test_components(3, 5, 7, 2, plain, threads);
    test_components(1, 6, 70, 3, plain, threads);
    test_components(4, 3, 130, 5, plain, threads);
    test_components(2, 1, 1, 1, plain, threads);
  }
});

// Enough runs for several slabs: the same numbers as with one thread.
const Test seams("components: seams", [](int threads) {
  Volume<std::uint8_t> labels(30, 60, 120, true);
  labels.fill([] { return some_label(3, 2); });
  std::uint8_t group[256];
  identity(group);
  std::vector<std::int32_t> painted[2];
  for (const int used : {1, threads}) {
    Runs runs;
    find_runs(labels.source(DType::u8), 1, 0, group, used, runs);
    number_components(runs, Connectivity::edges, used);
    Volume<std::int32_t> out(30, 60, 120, true);
    paint(runs, nullptr, true, out.view(DType::i32), used);
    painted[used == 1 ? 0 : 1] = out.memory;
  }
  expect(threads == 1 || painted[0] == painted[1], "number_components: slabs", threads);
});

// What is read a second time may have changed: no more is written than there is room for.
const Test room("components: room", [](int threads) {
  std::uint8_t group[256], row[200];
  identity(group);
  for (int x = 0; x < 200; ++x) row[x] = static_cast<std::uint8_t>(x % 2);
  for (const Index n : {20, 200}) {
    Run run[4];
    std::fill(run, run + 4, Run{-1, -1, 7, 7});
    const std::uint32_t written = component_loops().write_runs(row, n, group, run, 3);
    expect(written == 3 && run[2].begin == 5 && run[2].end == 6 && run[3].begin == -1, "write_runs", threads);
  }
});

const Test morphology("keep_largest, fill_holes", [](int threads) {
  for (const bool plain : {false, true}) {
    MorphologyMemory memory;
    std::uint8_t group[256];
    identity(group);
    Volume<std::uint8_t> map(7, 9, 75, plain);
    map.fill([] { return 0; });
    map.each([&](Index z, Index y, Index x) {
      if (z > 0 && z < 6 && y > 1 && y < 8 && x > 60 && x < 74) map.at(z, y, x) = 3;
    });
    map.at(3, 4, 66) = 0;
    map.at(3, 4, 65) = 2;
    map.at(0, 0, 0) = map.at(6, 8, 1) = 3;
    keep_largest(map.view(DType::u8), group, Connectivity::corners, 1, threads, memory);
    expect(map.at(0, 0, 0) == 0 && map.at(6, 8, 1) == 0 && map.at(3, 4, 65) == 2, "keep_largest", threads);
    const std::uint8_t label = 3;
    fill_holes(map.view(DType::u8), &label, 1, Connectivity::corners, threads, memory);
    bool right = true;
    map.each([&](Index z, Index y, Index x) {
      const bool inside = z > 0 && z < 6 && y > 1 && y < 8 && x > 60 && x < 74;
      right = right && map.at(z, y, x) == (inside ? 3 : 0);
    });
    expect(right, "fill_holes", threads);
  }
});

const Test drawing("outline", [](int threads) {
  for (const bool plain : {false, true}) {
    Volume<std::uint8_t> slice(1, 13, 17, plain), picture(39, 34, 3, plain);
    slice.fill([] { return some_label(20, 1); });
    picture.fill([] { return 100; });
    std::uint8_t group[256];
    identity(group);
    std::vector<std::int32_t> rows, columns;
    for (int y = 0; y < 39; ++y) rows.push_back(y / 3);
    for (int x = 0; x < 34; ++x) columns.push_back(x / 2);
    const std::uint8_t color[3] = {1, 2, 3};
    Runs memory;
    outline(slice.source(DType::u8), group, rows.data(), columns.data(), color, 2, picture.view(DType::u8), threads,
            memory);
    bool right = true;
    for (Index y = 0; y < 39; ++y) {
      for (Index x = 0; x < 34; ++x) {
        Index reach = 100;  // steps of eight neighbours beyond the shape and its four
        for (Index v = 0; v < 39 * 34; ++v) {
          if (slice.at(0, v / 34 / 3, v % 34 / 2) == 0) continue;
          const Index dy = magnitude(v / 34 - y), dx = magnitude(v % 34 - x);
          reach = std::min(reach, dy + dx < 2 ? 0 : std::max(dy, dx) - (dy == dx ? 0 : 1));
        }
        const int expected = reach == 0 || reach > 3 ? 100 : reach == 3 ? 0 : 2;
        right = right && picture.at(y, x, 1) == expected;
      }
    }
    expect(right, "outline", threads);
  }
});

template <int axes>
void test_nms(Index n, int threads) {
  std::vector<float> boxes, scores;
  for (Index k = 0; k < n; ++k) {
    float corner[axes];
    for (float& c : corner) boxes.push_back(c = static_cast<float>(random_bits() % 60));
    for (const float c : corner) boxes.push_back(c + 1.0f + static_cast<float>(random_bits() % 25));
    scores.push_back(static_cast<float>(random_bits() % 97));
  }
  std::vector<std::int64_t> kept(static_cast<std::size_t>(n)), expected;
  const Index count = nms(boxes.data(), 2 * axes, 1, scores.data(), 1, n, axes, 0.3f, n, kept.data(), threads);
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  for (Index k = 0; k < n; ++k) order[static_cast<std::size_t>(k)] = k;
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return scores[a] > scores[b]; });
  for (const std::int64_t k : order) {
    bool keep = true;
    for (const std::int64_t other : expected) {
      float shared = 1, a = 1, b = 1;
      for (int axis = 0; axis < axes; ++axis) {
        const float *const p = &boxes[2 * axes * k + axis], *const q = &boxes[2 * axes * other + axis];
        shared *= std::max(0.0f, std::min(p[axes], q[axes]) - std::max(p[0], q[0]));
        a *= p[axes] - p[0];
        b *= q[axes] - q[0];
      }
      keep = keep && !(shared / (a + b - shared + 1.1920929e-7f) > 0.3f);
    }
    if (keep) expected.push_back(k);
  }
  kept.resize(static_cast<std::size_t>(count));
  expect(kept == expected, "nms", threads);
}

const Test suppression("nms", [](int threads) {
  for (const Index n : {0, 1, 63, 64, 65, 700}) {
    test_nms<2>(n, threads);
    test_nms<3>(n, threads);
  }
});

}  // namespace

}  // namespace bedside::cpu::test
