// pack_bits: any frame size and strides.
#include "input.h"
#include "segmentation/pack_bits.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const std::vector<Index> shape = {in.length(19), in.length(40), in.length(150)};
  Noise noise(in);
  Array mask(in, DType::u8, shape, false);
  mask.fill(noise);
  std::uint8_t label = in.byte();
  if (in.flag()) {  // few labels, and frames without any
    const std::uint8_t most = 1 + in.byte() % 5, empty = in.byte();
    for (Index z = 0; z < shape[0]; ++z) {
      for (Index y = 0; y < shape[1]; ++y) {
        for (Index x = 0; x < shape[2]; ++x) {
          std::uint8_t& voxel = *mask.address(mask.offset(z, y, x));
          voxel = (empty >> z % 8 & 1) != 0 ? 0 : voxel % most;
        }
      }
    }
    label %= most;
  }
  const Index frame = shape[1] * shape[2], bytes = (shape[0] * frame + 7) / 8;
  std::vector<std::uint8_t> packed[2], wanted(static_cast<std::size_t>(bytes), 0);
  std::vector<std::uint8_t> occupied[2], wanted_occupied(static_cast<std::size_t>(shape[0]), 0);
  on_two_levels(in, [&](int round, int threads) {
    packed[round].assign(wanted.size(), 0xa5);
    occupied[round].assign(wanted_occupied.size(), 0xa5);
    static_assert(sizeof(bool) == 1);
    pack_bits(mask.source(), packed[round].data(), reinterpret_cast<bool*>(occupied[round].data()), label, threads);
  });
  Index bit = 0;
  mask.each([&](Index offset) {
    if (*mask.address(offset) == label) {
      wanted[bit / 8] = static_cast<std::uint8_t>(wanted[bit / 8] | 1 << bit % 8);
      wanted_occupied[bit / frame] = 1;
    }
    ++bit;
  });
  for (int round = 0; round < 2; ++round) {
    expect(packed[round] == wanted, "pack_bits");
    expect(occupied[round] == wanted_occupied, "pack_bits: occupied");
  }
  return 0;
}
