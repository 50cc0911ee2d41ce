// The outline of a finding: any slice, picture, positions, strides and width.
#include <algorithm>

#include "components/outline.h"
#include "input.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const Index height = in.length(40), width = in.length(60);
  const Index rows = in.length(40), columns = in.length(80);
  if ((height == 0 && rows > 0) || (width == 0 && columns > 0)) return 0;  // the binding refuses the positions
  Noise noise(in);
  Array slice(in, DType::u8, {1, height, width}, false);
  slice.fill(noise);
  std::uint8_t group[256];
  const std::uint8_t density = 1 + in.byte() % 64;
  for (int label = 0; label < 256; ++label) group[label] = label % density == 0 ? 1 : 0;
  const auto positions = [&](Index n, Index below) {
    std::vector<std::int32_t> at(static_cast<std::size_t>(n));
    for (std::int32_t& i : at) i = static_cast<std::int32_t>(noise.next() % below);
    std::sort(at.begin(), at.end());
    return at;
  };
  const std::vector<std::int32_t> row = positions(rows, std::max<Index>(height, 1));
  const std::vector<std::int32_t> column = positions(columns, std::max<Index>(width, 1));
  const std::uint8_t color[3] = {255, 1, in.byte()};
  const int line = in.flag() ? in.byte() % 8 : static_cast<int>(in.bits64() % ((1 << 20) + 1));
  Input again = in;
  Array picture(in, DType::u8, {rows, columns, 3}, true), second(again, DType::u8, {rows, columns, 3}, true);
  Array* const pictures[2] = {&picture, &second};
  on_two_levels(in, [&](int round, int threads) {
    Runs memory;
    outline(slice.source(), group, row.data(), column.data(), color, line, pictures[round]->target(), threads, memory);
  });
  expect(picture.contents() == second.contents(), "an outline elsewhere");
  expect(picture.gaps_untouched(), "outline: memory between the elements");
  return 0;
}
