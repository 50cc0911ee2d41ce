// Pixels of several samples to planes, to gray and from YBR: any shape, strides, type and value map.
#include "elementwise/colour.h"

#include "input.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

namespace {

template <typename View>
View pixels(const Array& a, DType type) {
  View view{a.data(), type, {}, {}};
  for (int axis = 0; axis < 4; ++axis) {
    view.shape[axis] = a.shape(axis);
    view.stride[axis] = a.stride(axis);
  }
  return view;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const DType type = in.flag() ? DType::u8 : in.one_of(kTypes), out_type = in.one_of(kNetworkInput);
  const Index samples = in.flag() ? 3 : in.range(1, 4), channels = samples == 1 ? in.range(1, 4) : samples;
  const std::vector<Index> shape = {in.length(4), in.length(30), in.length(90), samples};
  const Rescale map = in.map();
  const Quantization quantization = in.quantization(out_type);
  float slope[4], intercept[4];
  for (int c = 0; c < 4; ++c) {
    slope[c] = c == 0 ? 1.0f : static_cast<float>(in.number(true));
    intercept[c] = c == 0 ? 0.0f : static_cast<float>(in.number(true));
  }
  const PerSlice slopes{slope, in.flag() ? 1 : 0}, intercepts{intercept, in.flag() ? 1 : 0};
  const Photometric photometric = in.flag() ? Photometric::rgb : Photometric::ybr_full;
  Noise noise(in);
  Array src(in, type, shape, false);
  src.fill(noise);
  const std::vector<Index> planes = {shape[0], channels, shape[1], shape[2]}, image = {shape[0], shape[1], shape[2]};
  Input again = in;
  Array split(in, out_type, planes, true), split2(again, out_type, planes, true);
  Array* const splits[2] = {&split, &split2};
  Array gray(in, out_type, image, true), rgb(in, DType::u8, shape, true);
  std::vector<std::uint8_t> grays[2], colours[2];
  on_two_levels(in, [&](int round, int threads) {
    const ConstPixels from = pixels<ConstPixels>(src, type);
    to_planes(from, pixels<Pixels>(*splits[round], out_type), slopes, intercepts, map.low, map.high, map.scale,
              map.offset, quantization, threads);
    if (samples != 3) return;
    to_gray(from, gray.target(), photometric, map, quantization, threads);
    grays[round] = gray.contents();
    if (type != DType::u8) return;
    ybr_to_rgb(from, pixels<Pixels>(rgb, DType::u8), threads);
    colours[round] = rgb.contents();
  });
  expect(split.contents() == split2.contents(), "to_planes on another instruction set");
  expect(grays[0] == grays[1] && colours[0] == colours[1], "colour on another instruction set");
  expect(split.gaps_untouched() && gray.gaps_untouched() && rgb.gaps_untouched(), "memory between the elements");
  return 0;
}
