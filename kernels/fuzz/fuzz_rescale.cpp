// rescale and sigmoid_window: any types, shape and strides, parameters per slice or one for all, a padding value.
#include "bedside/rescale.h"

#include "elementwise/rescale.h"
#include "input.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const DType type = in.one_of(kTypes), out_type = in.flag() ? DType::f32 : in.one_of(kNetworkInput);
  const std::vector<Index> shape = {in.length(9), in.length(70), in.length(140)};
  Noise noise(in);
  Array src(in, type, shape, false);
  src.fill(noise);
  const bool slope_varies = in.flag(), intercept_varies = in.flag();
  std::vector<float> slope(10), intercept(10);
  for (float& v : slope) v = static_cast<float>(in.number(true));
  for (float& v : intercept) v = static_cast<float>(in.number(true));
  const Rescale map = in.map();
  const PaddingValue padding{in.flag() ? in.byte() : in.number(false), static_cast<float>(in.number(true))};
  const OutputForm form{in.quantization(out_type), in.flag() ? &padding : nullptr};
  SigmoidWindow window{map.slope, map.intercept, map.low, map.high, map.scale, map.offset};

  Input again = in;
  Array out(in, out_type, shape, true), second(again, out_type, shape, true);
  Array* const outs[2] = {&out, &second};
  std::vector<std::uint8_t> windowed[2];
  on_two_levels(in, [&](int round, int threads) {
    sigmoid_window(src.source(), outs[round]->target(), window, threads, {form.quantization, nullptr});
    windowed[round] = outs[round]->contents();
    rescale(src.source(), outs[round]->target(), {slope.data(), slope_varies ? 1 : 0},
            {intercept.data(), intercept_varies ? 1 : 0}, map.low, map.high, map.scale, map.offset, threads, form);
  });
  expect(windowed[0] == windowed[1], "sigmoid_window on another instruction set");
  expect(out.contents() == second.contents(), "rescale on another instruction set");
  expect(out.gaps_untouched(), "rescale: memory between the elements");
  if (type != DType::i16 || out_type != DType::f32 || form.padding != nullptr) return 0;
  for (Index z = 0; z < shape[0]; ++z) {
    const Rescale p{
        slope[slope_varies ? z : 0], intercept[intercept_varies ? z : 0], map.low, map.high, map.scale, map.offset};
    for (Index y = 0; y < shape[1]; ++y) {
      for (Index x = 0; x < shape[2]; ++x) {
        const float wanted = rescale_voxel(src.at<std::int16_t>(z, y, x), p), got = out.at<float>(z, y, x);
        expect(got == wanted || (got != got && wanted != wanted), "rescale");
      }
    }
  }
  return 0;
}
