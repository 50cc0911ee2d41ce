// resize: any sizes, strides, modes, value map and output type.
#include "input.h"
#include "resize/resize.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr ResizeMode kModes[] = {ResizeMode::nearest, ResizeMode::linear, ResizeMode::cubic, ResizeMode::area,
                                          ResizeMode::coverage};
  static constexpr Coordinates kCoordinates[] = {Coordinates::half_pixel, Coordinates::align_corners,
                                                 Coordinates::asymmetric};
  Input in(data, size);
  Resize how{};
  how.mode = in.one_of(kModes);
  const bool interpolates = how.mode == ResizeMode::linear || how.mode == ResizeMode::cubic;
  const bool has_coordinates = interpolates || how.mode == ResizeMode::nearest;
  how.coordinates = has_coordinates ? in.one_of(kCoordinates) : Coordinates::half_pixel;
  how.antialias = in.flag() && interpolates && how.coordinates == Coordinates::half_pixel;
  const DType type = in.one_of(kTypes), out_type = in.one_of(kNetworkInput);
  const bool coloured = in.flag();
  const Index channels = coloured ? in.range(0, 4) : 1;
  how.gray = coloured && channels == 3 && in.flag();
  const Index out_channels = how.gray ? 1 : channels;
  const bool flat = in.flag();
  const Index from[3] = {in.length(5), in.length(40), in.length(90)};
  const Index to[3] = {flat ? from[0] : in.length(5), in.length(40), in.length(90)};
  const auto count = [](const Index* n) { return n[0] * n[1] * n[2]; };
  if (count(from) * channels == 0 && count(to) * out_channels != 0) return 0;  // the binding refuses it

  const Rescale map = in.map();
  how.slope = map.slope, how.intercept = map.intercept, how.low = map.low, how.high = map.high;
  float scale[4], offset[4];
  for (int c = 0; c < 4; ++c) {
    scale[c] = c < 2 ? 1.0f : static_cast<float>(in.number(true));
    offset[c] = c < 2 ? 0.0f : static_cast<float>(in.number(true));
  }
  how.scale = {scale, in.flag() ? 1 : 0};
  how.offset = {offset, in.flag() ? 1 : 0};
  how.quantization = in.quantization(out_type);

  Noise noise(in);
  std::vector<Index> shape(from, from + 3), out_shape(to, to + 3);
  if (coloured) shape.push_back(channels);
  if (coloured && !how.gray) out_shape.insert(out_shape.begin() + 1, channels);
  Array src(in, type, shape, false);
  src.fill(noise);
  Input again = in;
  Array out(in, out_type, out_shape, true), second(again, out_type, out_shape, true);
  ConstImages images{{src.data(), type, {}, {}}, channels, coloured ? src.stride(3) : 1};
  for (int axis = 0; axis < 3; ++axis) {
    images.array.shape[axis] = from[axis];
    images.array.stride[axis] = src.stride(axis);
  }
  Array* const outs[2] = {&out, &second};
  on_two_levels(in, [&](int round, int threads) {
    const Array& a = *outs[round];
    const bool planes = out_shape.size() == 4;
    Images target{{a.data(), out_type, {}, {}}, out_channels, planes ? a.stride(1) : 1};
    for (int axis = 0; axis < 3; ++axis) {
      target.array.shape[axis] = to[axis];
      target.array.stride[axis] = a.stride(planes && axis > 0 ? axis + 1 : axis);
    }
    resize(images, target, how, threads);
  });
  expect(out.contents() == second.contents(), "resize on another instruction set");
  expect(out.gaps_untouched(), "resize: memory between the elements");
  return 0;
}
