#include "segmentation/pack_bits.h"

#include "check.h"

namespace bedside::cpu::test {

namespace {

void test_pack(Index rows, Index columns, bool plain, int threads) {
  Volume<std::uint8_t> mask(11, rows, columns, plain);
  mask.fill([] { return random_bits() % 3; });
  for (Index y = 0; y < rows; ++y) {
    for (Index x = 0; x < columns; ++x) mask.at(4, y, x) = 0;
  }
  const Index bits = 11 * rows * columns;
  std::vector<std::uint8_t> out((bits + 7) / 8, 0xa5), expected((bits + 7) / 8, 0);
  bool occupied[11];
  pack_bits(mask.source(DType::u8), out.data(), occupied, 2, threads);
  Index bit = 0;
  bool wanted[11] = {};
  mask.each([&](Index z, Index y, Index x) {
    const bool set = mask.at(z, y, x) == 2;
    expected[bit / 8] = static_cast<std::uint8_t>(expected[bit / 8] | set << bit % 8);
    wanted[z] = wanted[z] || set;
    ++bit;
  });
  expect(out == expected, "pack_bits", threads);
  for (int z = 0; z < 11; ++z) expect(occupied[z] == wanted[z], "pack_bits: occupied", threads);
}

const Test registered("pack_bits", [](int threads) {
  for (const bool plain : {false, true}) {
    test_pack(13, 17, plain, threads);
    test_pack(16, 36, plain, threads);
  }
});

}  // namespace

}  // namespace bedside::cpu::test
