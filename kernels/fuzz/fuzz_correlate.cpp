// take and correlate: any shapes, strides, indices, weights and axis.
#include "input.h"
#include "resize/resize.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const DType type = in.one_of(kTypes);
  const std::vector<Index> shape = {in.length(9), in.length(40), in.length(90)};
  const std::vector<Index> taken = {in.length(9), in.length(40), in.length(90)};
  Noise noise(in);
  Array src(in, type, shape, false);
  src.fill(noise);
  const Index radius = in.length(12);
  std::vector<float> weight(static_cast<std::size_t>(2 * radius + 1));
  for (float& w : weight) w = noise.real();
  const int axis = in.byte() % 3;
  std::vector<std::int32_t> index[3];
  const std::int32_t* indices[3];
  for (int k = 0; k < 3; ++k) {
    for (Index i = 0; i < taken[k] && shape[k] > 0; ++i) {
      index[k].push_back(static_cast<std::int32_t>(noise.next() % shape[k]));
    }
    indices[k] = index[k].data();
  }
  const Index picked_shape[3] = {static_cast<Index>(index[0].size()), static_cast<Index>(index[1].size()),
                                 static_cast<Index>(index[2].size())};
  Input again = in;
  Array sum(in, DType::f32, shape, true), sum2(again, DType::f32, shape, true);
  Array picked(in, type, {picked_shape[0], picked_shape[1], picked_shape[2]}, true);
  Array* const sums[2] = {&sum, &sum2};
  std::vector<std::uint8_t> found[2];
  on_two_levels(in, [&](int round, int threads) {
    correlate(src.source(), sums[round]->target(), weight.data(), radius, axis, threads);
    const ConstArray3 from = src.source();
    const Array3 to = picked.target();
    take(from.data, from.stride, to.data, to.shape, to.stride, item_size(type), indices, threads);
    found[round] = picked.contents();
  });
  expect(sum.contents() == sum2.contents(), "correlate on another instruction set");
  expect(sum.gaps_untouched() && picked.gaps_untouched(), "memory between the elements");
  expect(found[0] == found[1], "take on another instruction set");
  const std::size_t item = static_cast<std::size_t>(item_size(type));
  for (Index z = 0; z < picked_shape[0]; ++z) {
    for (Index y = 0; y < picked_shape[1]; ++y) {
      for (Index x = 0; x < picked_shape[2]; ++x) {
        const Index at = src.offset<Index, Index, Index>(index[0][z], index[1][y], index[2][x]);
        expect(std::memcmp(picked.address(picked.offset(z, y, x)), src.address(at), item) == 0, "take");
      }
    }
  }
  return 0;
}
