#include "bedside/store.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "check.h"
#include "elementwise/loops.h"
#include "stream.h"

namespace bedside::cpu::test {

namespace {

// Every exponent and sign, the ends and the middle of what a half cuts off, and random mantissas.
std::vector<float> floats() {
  std::vector<float> values;
  for (std::uint32_t top = 0; top < 512; ++top) {
    for (const std::uint32_t mantissa :
         {0u, 1u, 0xfffu, 0x1000u, 0x1001u, 0x1fffu, 0x2000u, 0x3000u, 0x3001u, 0x7fefffu, 0x7ff000u, 0x7fffffu}) {
      values.push_back(bits_float(top << 23 | mantissa));
    }
    for (int k = 0; k < 50; ++k) values.push_back(bits_float(top << 23 | (random_bits() & 0x7fffff)));
  }
  for (int k = -1200; k <= 1200; ++k) values.push_back(static_cast<float>(k) * 0.25f);
  return values;
}

std::uint16_t naive_half(float v) {
  const std::uint16_t sign = std::signbit(v) ? 0x8000 : 0;
  if (std::isnan(v)) return static_cast<std::uint16_t>(sign | 0x7e00 | (float_bits(v) >> 13 & 0x3ff));
  const double magnitude = std::fabs(static_cast<double>(v));
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  exponent = std::max(exponent, -13);  // the smallest normal is 2^-14
  const double rounded =
      std::isinf(v) ? magnitude : std::ldexp(std::nearbyint(std::ldexp(magnitude, 11 - exponent)), exponent - 11);
  if (rounded >= 65536.0) return sign | 0x7c00;
  if (rounded < std::ldexp(1.0, -14))
    return static_cast<std::uint16_t>(sign | static_cast<int>(std::ldexp(rounded, 24)));
  std::frexp(rounded, &exponent);
  const int mantissa = static_cast<int>(std::ldexp(rounded, 11 - exponent)) - 1024;
  return static_cast<std::uint16_t>(sign | (exponent + 14) << 10 | mantissa);
}

void test_half() {
  const std::vector<float> from = floats();
  const Index n = static_cast<Index>(from.size());
  for (const Index stride : {1, 2}) {
    std::vector<Half> to(n * stride);
    elementwise_loops().store[static_cast<int>(DType::f16)](from.data(), to.data(), stride, n, {1, 0});
    bool same = true;
    for (Index i = 0; i < n; ++i) same = same && to[i * stride].bits == naive_half(from[i]);
    expect(same, "float to half", 1);
  }
}

template <typename Out>
void test_quantised(DType type) {
  constexpr double low = std::numeric_limits<Out>::min(), high = std::numeric_limits<Out>::max();
  const std::vector<float> from = floats();
  const Index n = static_cast<Index>(from.size());
  for (const Quantization q :
       {Quantization{1.0f, 0}, Quantization{0.5f, 7}, Quantization{0.013f, static_cast<std::int32_t>(high)}}) {
    std::vector<Out> to(n);
    elementwise_loops().store[static_cast<int>(type)](from.data(), to.data(), 1, n, q);
    bool same = true;
    for (Index i = 0; i < n; ++i) {
      const double real = std::nearbyint(from[i] / q.scale) + q.zero_point;
      const double expected = std::isnan(real) ? q.zero_point : std::min(std::max(real, low), high);
      same = same && to[i] == static_cast<Out>(expected);
    }
    expect(same, "quantise", 1);
  }
}

template <typename Out>
void test_cut(DType type) {
  constexpr double low = std::numeric_limits<Out>::min(), high = std::numeric_limits<Out>::max();
  const std::vector<float> from = floats();
  const Index n = static_cast<Index>(from.size());
  for (const Index stride : {1, 3}) {
    std::vector<Out> to(n * stride);
    elementwise_loops().store[static_cast<int>(type)](from.data(), to.data(), stride, n, {1.0f, 0, true});
    bool same = true;
    for (Index i = 0; i < n; ++i) {
      const double expected = std::isnan(from[i]) ? 0.0 : std::min(std::max<double>(from[i], low), high);
      same = same && to[i * stride] == static_cast<Out>(std::trunc(expected));
    }
    expect(same, "cut", 1);
  }
}

void test_stream() {
  std::vector<char> from(1000), to(1100);
  for (char& c : from) c = static_cast<char>(random_bits());
  for (const std::size_t start : {0, 1, 63, 64, 70}) {
    for (const std::size_t bytes : {0, 1, 63, 64, 65, 200, 1000}) {
      std::fill(to.begin(), to.end(), 0x55);
      stream(to.data() + start, from.data(), bytes);
      stream_fence();
      bool same = std::equal(from.begin(), from.begin() + bytes, to.begin() + start);
      for (std::size_t i = 0; i < to.size(); ++i) same = same && (i - start < bytes || to[i] == 0x55);
      expect(same, "stream", 1);
    }
  }
}

const Test registered("store", [](int threads) {
  if (threads != 1) return;
  test_half();
  test_quantised<std::uint8_t>(DType::u8);
  test_quantised<std::int8_t>(DType::i8);
  test_quantised<std::uint16_t>(DType::u16);
  test_quantised<std::int16_t>(DType::i16);
  test_cut<std::uint8_t>(DType::u8);
  test_cut<std::int8_t>(DType::i8);
  test_cut<std::uint16_t>(DType::u16);
  test_cut<std::int16_t>(DType::i16);
  test_cut<std::int32_t>(DType::i32);
  test_stream();
});

}  // namespace

}  // namespace bedside::cpu::test
