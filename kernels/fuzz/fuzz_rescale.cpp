// rescale: any type, shape and strides, parameters per slice or one for all, in place where that is allowed.
#include "bedside/rescale.h"

#include "elementwise/rescale.h"
#include "input.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

namespace {

template <typename T>
float expected(const Array& src, Index offset, const Rescale& p) {
  T stored;
  std::memcpy(&stored, src.address(offset), sizeof stored);
  return rescale_voxel(stored, p);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const DType type = in.one_of(kTypes);
  const std::vector<Index> shape = {in.length(9), in.length(70), in.length(140)};
  Noise noise(in);
  Array src(in, type, shape, false);
  src.fill(noise);
  const bool slope_varies = in.flag(), intercept_varies = in.flag();
  std::vector<float> slope(10), intercept(10);
  for (float& v : slope) v = static_cast<float>(in.number(true));
  for (float& v : intercept) v = static_cast<float>(in.number(true));
  float low = static_cast<float>(in.number(false)), high = static_cast<float>(in.number(false));
  if (low > high) std::swap(low, high);
  const float scale = static_cast<float>(in.number(true)), offset = static_cast<float>(in.number(true));

  Input again = in;
  Array out(in, DType::f32, shape, true), second(again, DType::f32, shape, true);
  Array* const outs[2] = {&out, &second};
  on_two_levels(in, [&](int round, int threads) {
    rescale(src.source(), outs[round]->target(), {slope.data(), slope_varies ? 1 : 0},
            {intercept.data(), intercept_varies ? 1 : 0}, low, high, scale, offset, threads);
  });
  expect(out.contents() == second.contents(), "rescale on another instruction set");
  expect(out.gaps_untouched(), "rescale: memory between the elements");
  for (Index z = 0; z < shape[0]; ++z) {
    const Rescale p{slope[slope_varies ? z : 0], intercept[intercept_varies ? z : 0], low, high, scale, offset};
    for (Index y = 0; y < shape[1]; ++y) {
      for (Index x = 0; x < shape[2]; ++x) {
        const Index at = src.offset(z, y, x);
        float wanted = 0;
        switch (type) {
          case DType::u8:
            wanted = expected<std::uint8_t>(src, at, p);
            break;
          case DType::i8:
            wanted = expected<std::int8_t>(src, at, p);
            break;
          case DType::u16:
            wanted = expected<std::uint16_t>(src, at, p);
            break;
          case DType::i16:
            wanted = expected<std::int16_t>(src, at, p);
            break;
          case DType::i32:
            wanted = expected<std::int32_t>(src, at, p);
            break;
          default:
            wanted = expected<float>(src, at, p);
        }
        const float got = out.at<float>(z, y, x);
        expect(got == wanted || (got != got && wanted != wanted), "rescale");
      }
    }
  }
  return 0;
}
