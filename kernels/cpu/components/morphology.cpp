#include "components/morphology.h"

#include <algorithm>
#include <limits>

namespace bedside::cpu {

namespace {

ConstArray3 read_only(const Array3& a) {
  return {a.data, a.type, {a.shape[0], a.shape[1], a.shape[2]}, {a.stride[0], a.stride[1], a.stride[2]}};
}

}  // namespace

void keep_largest(const Array3& map, const std::uint8_t* group, Connectivity connectivity, Index most, int threads,
                  MorphologyMemory& memory) {
  Runs& found = memory.found;
  find_runs(read_only(map), 1, 0, group, threads, found);
  number_components(found, connectivity, threads);
  const std::uint32_t components = found.components;
  std::int64_t* const voxels = memory.voxels.need(components);
  std::uint32_t* const order = memory.order.need(components);
  std::uint32_t* const numbers = memory.numbers.need(components);
  std::fill(voxels, voxels + components, 0);
  for (std::uint32_t i = 0; i < found.count(); ++i) {
    voxels[found.run[i].number - 1] += found.run[i].end - found.run[i].begin;
  }
  for (std::uint32_t k = 0; k < components; ++k) order[k] = k;
  const std::uint8_t* const label = found.label.data();
  std::sort(order, order + components, [&](std::uint32_t a, std::uint32_t b) {
    if (label[a] != label[b]) return label[a] < label[b];
    return voxels[a] != voxels[b] ? voxels[a] > voxels[b] : a > b;
  });
  Index rank = 0;
  bool any = false;
  for (std::uint32_t k = 0; k < components; ++k) {
    rank = k > 0 && label[order[k]] == label[order[k - 1]] ? rank + 1 : 0;
    numbers[order[k]] = rank >= most;
    any = any || rank >= most;
  }
  if (!any) return;
  select_components(found, numbers, 1, memory.chosen);
  const std::uint32_t nothing = 0;
  paint(memory.chosen, &nothing, false, map, threads);
}

void fill_holes(const Array3& map, const std::uint8_t* labels, int count, Connectivity connectivity, int threads,
                MorphologyMemory& memory) {
  const bool in_slices = connectivity == Connectivity::edges2 || connectivity == Connectivity::corners2;
  Runs& found = memory.found;
  std::uint8_t group[256] = {};
  for (int k = 0; k < count; ++k) group[labels[k]] = labels[k];
  group[0] = 0;
  find_runs(read_only(map), 1, 0, group, threads, found);
  // What a label encloses lies in its box. Filling makes no box larger.
  struct Box {
    Index low[3], high[3];
  };
  Box boxes[256];
  constexpr Index kMost = std::numeric_limits<Index>::max();
  std::fill(boxes, boxes + 256, Box{{kMost, kMost, kMost}, {0, 0, 0}});
  for (Index row = 0; row < found.rows(); ++row) {
    for (std::uint32_t i = found.first[row]; i < found.first[row + 1]; ++i) {
      const Run& run = found.run[i];
      const Index begin[3] = {row / map.shape[1], row % map.shape[1], run.begin};
      const Index end[3] = {begin[0] + 1, begin[1] + 1, run.end};
      Box& box = boxes[run.label];
      for (int axis = 0; axis < 3; ++axis) {
        box.low[axis] = std::min(box.low[axis], begin[axis]);
        box.high[axis] = std::max(box.high[axis], end[axis]);
      }
    }
  }
  for (int k = 0; k < count; ++k) {
    const std::uint8_t label = labels[k];
    const Box& box = boxes[label];
    if (label == 0 || box.high[0] == 0) continue;
    Array3 inside = map;
    Index offset = 0;
    for (int axis = 0; axis < 3; ++axis) {
      inside.shape[axis] = box.high[axis] - box.low[axis];
      offset += box.low[axis] * map.stride[axis];
    }
    inside.data = static_cast<std::uint8_t*>(map.data) + offset;
    std::fill(group, group + 256, 1);
    group[label] = 0;
    find_runs(read_only(inside), 1, 0, group, threads, found);
    number_components(found, connectivity, threads);
    std::uint32_t* const numbers = memory.numbers.need(found.components);
    std::fill(numbers, numbers + found.components, 1);
    const Index depth = inside.shape[0], height = inside.shape[1], width = inside.shape[2];
    for (Index row = 0; row < found.rows(); ++row) {
      const Index z = row / height, y = row % height;
      const bool border = y == 0 || y == height - 1 || (!in_slices && (z == 0 || z == depth - 1));
      for (std::uint32_t i = found.first[row]; i < found.first[row + 1]; ++i) {
        if (border || found.run[i].begin == 0 || found.run[i].end == width) numbers[found.run[i].number - 1] = 0;
      }
    }
    if (std::find(numbers, numbers + found.components, 1u) == numbers + found.components) continue;
    select_components(found, numbers, 1, memory.chosen);
    const std::uint32_t value = label;
    paint(memory.chosen, &value, false, inside, threads);
  }
}

}  // namespace bedside::cpu
