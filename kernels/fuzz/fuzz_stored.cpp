// Stored values to stored values: look-up tables, bits and mirroring, any type, strides and parameters.
#include "elementwise/stored.h"

#include "input.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr DType kEntries[] = {DType::u8, DType::u16, DType::f32};
  static constexpr DType kIntegers[] = {DType::u8, DType::i8, DType::u16, DType::i16, DType::i32};
  Input in(data, size);
  const DType type = in.one_of(kTypes), integer = in.one_of(kIntegers), to = in.one_of(kIntegers);
  const std::vector<Index> shape = {in.length(7), in.length(30), in.length(90)};
  const bool colour = in.flag();
  const DType entry = colour ? DType::u8 : in.one_of(kEntries);
  const Index entries = 1 + (in.flag() ? in.bits() : in.byte());
  const std::int32_t first = static_cast<std::int32_t>(in.bits64() % ((1 << 21) + 1)) - (1 << 20);
  const LookUp how{static_cast<float>(in.number(true)), static_cast<float>(in.number(true)), first,
                   static_cast<std::int32_t>(entries - 1)};
  const int width = static_cast<int>(8 * item_size(integer)), shift = in.byte() % width;
  const int bits = 1 + in.byte() % (width - shift);
  const double padding = in.number(false);
  const bool padded = in.flag();
  const std::int64_t total = static_cast<std::int64_t>(in.bits64()) >> in.byte() % 33;

  Noise noise(in);
  Array src(in, type, shape, false), stored(in, integer, shape, false), values(in, type, shape, true);
  src.fill(noise);
  stored.fill(noise);
  values.fill(noise);
  std::vector<std::uint8_t> table(static_cast<std::size_t>(entries * (colour ? 3 : 1) * item_size(entry)));
  for (std::uint8_t& byte : table) byte = static_cast<std::uint8_t>(noise.next());
  std::vector<Index> out_shape = shape;
  if (colour) out_shape.push_back(3);
  Array looked(in, entry, out_shape, true), extracted(in, to, shape, true);
  std::vector<std::uint8_t> found[2], parts[2], mirrored[2];
  on_two_levels(in, [&](int round, int threads) {
    Array3 out{looked.data(), entry, {shape[0], shape[1], shape[2]}, {}};
    for (int axis = 0; axis < 3; ++axis) out.stride[axis] = looked.stride(axis);
    look_up(src.source(), out, table.data(), colour ? 3 : 1, colour ? looked.stride(3) : 1, how, threads);
    found[round] = looked.contents();
    extract_bits(stored.source(), extracted.target(), shift, bits, threads);
    parts[round] = extracted.contents();
    if (round == 0) {
      mirror(values.target(), total, padded ? &padding : nullptr, threads);
      mirrored[0] = values.contents();
    }
  });
  expect(found[0] == found[1] && parts[0] == parts[1], "stored values on another instruction set");
  expect(looked.gaps_untouched() && extracted.gaps_untouched() && values.gaps_untouched(),
         "memory between the elements");
  return 0;
}
