#include "elementwise/rescale.h"

#include <cmath>

#include "check.h"

namespace bedside::cpu::test {

namespace {

template <typename T>
void test_rescale(DType type, bool plain, int threads) {
  Volume<T> src(5, 67, 41, plain);
  Volume<float> out(5, 67, 41, !plain);
  src.fill(random_bits);
  const std::vector<float> slope = {1.0f, 0.5f, -2.0f, 1.5f, 3.0f};
  const float intercept = -7.25f;
  rescale(src.source(type), out.view(DType::f32), {slope.data(), 1}, {&intercept, 0}, -500.0f, 900.0f, 0.01f, 0.5f,
          threads);
  bool same = true;
  src.each([&](Index z, Index y, Index x) {
    float v = static_cast<float>(src.at(z, y, x)) * slope[z] + intercept;
    v = std::fmin(std::fmax(v, -500.0f), 900.0f);
    same = same && out.at(z, y, x) == v * 0.01f + 0.5f;
  });
  expect(same, "rescale", threads);
}

const Test registered("rescale", [](int threads) {
  for (const bool plain : {false, true}) {
    test_rescale<std::uint8_t>(DType::u8, plain, threads);
    test_rescale<std::int8_t>(DType::i8, plain, threads);
    test_rescale<std::uint16_t>(DType::u16, plain, threads);
    test_rescale<std::int16_t>(DType::i16, plain, threads);
    test_rescale<std::int32_t>(DType::i32, plain, threads);
  }
});

}  // namespace

}  // namespace bedside::cpu::test
