// crop_pad: any start, shapes, strides and fill, copied or through the value map.
#include "elementwise/crop_pad.h"

#include "input.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const DType type = in.one_of(kTypes);
  const bool copies = in.flag();
  const DType out_type = copies ? type : in.one_of(kNetworkInput);
  const std::vector<Index> from = {in.length(7), in.length(30), in.length(90)};
  const std::vector<Index> to = {in.length(7), in.length(30), in.length(90)};
  constexpr Index far = Index{1} << 40;
  Index start[3];
  for (Index& at : start) at = in.flag() ? in.range(-90, 90) : static_cast<Index>(in.bits64() % (2 * far + 1)) - far;
  const double fill = copies && type != DType::f32 ? in.byte() % 128 : in.number(true);
  Rescale map = in.map();
  const Quantization quantization = copies ? Quantization{1.0f, 0} : in.quantization(out_type);
  Noise noise(in);
  Array src(in, type, from, false);
  src.fill(noise);
  Input again = in;
  Array out(in, out_type, to, true), second(again, out_type, to, true);
  Array* const outs[2] = {&out, &second};
  on_two_levels(in, [&](int round, int threads) {
    crop_pad(src.source(), outs[round]->target(), start, fill, copies ? nullptr : &map, quantization, threads);
  });
  expect(out.contents() == second.contents(), "crop_pad on another instruction set");
  expect(out.gaps_untouched(), "crop_pad: memory between the elements");
  if (!copies || type == DType::f32) return 0;
  for (Index z = 0; z < to[0]; ++z) {
    for (Index y = 0; y < to[1]; ++y) {
      for (Index x = 0; x < to[2]; ++x) {
        const Index at[3] = {z + start[0], y + start[1], x + start[2]};
        bool inside = true;
        for (int axis = 0; axis < 3; ++axis) inside = inside && at[axis] >= 0 && at[axis] < from[axis];
        std::int32_t wanted = static_cast<std::int32_t>(fill), got = 0;
        const std::size_t item = static_cast<std::size_t>(item_size(type));
        if (inside) std::memcpy(&wanted, src.address(src.offset(at[0], at[1], at[2])), item);
        std::memcpy(&got, out.address(out.offset(z, y, x)), item);
        expect(std::memcmp(&wanted, &got, item) == 0, "crop_pad");
      }
    }
  }
  return 0;
}
