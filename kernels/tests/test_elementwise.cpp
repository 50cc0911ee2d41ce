// The elementwise kernels beside rescale: colour, boxes, stored values.
#include <algorithm>
#include <cmath>

#include "bedside/stored_bits.h"
#include "check.h"
#include "elementwise/colour.h"
#include "elementwise/crop_pad.h"
#include "elementwise/stored.h"

namespace bedside::cpu::test {

namespace {

constexpr Index kN = 2, kY = 37, kX = 71;
constexpr Rescale kMap{0.5f, -3.0f, -20.0f, 90.0f, 2.0f, 1.0f};

// Pixels beside each other, or planes one after the other.
ConstPixels pixels(const std::vector<std::uint8_t>& memory, bool planar) {
  if (planar) return {memory.data(), DType::u8, {kN, kY, kX, 3}, {kN * kX, kX, 1, kN * kY * kX}};
  return {memory.data(), DType::u8, {kN, kY, kX, 3}, {kY * kX * 3, kX * 3, 3, 1}};
}

std::uint8_t sample(const ConstPixels& a, Index n, Index y, Index x, Index c) {
  return static_cast<const std::uint8_t*>(
      a.data)[n * a.stride[0] + y * a.stride[1] + x * a.stride[2] + c * a.stride[3]];
}

template <typename F>
bool every_pixel(F&& same) {
  for (Index n = 0; n < kN; ++n) {
    for (Index y = 0; y < kY; ++y) {
      for (Index x = 0; x < kX; ++x) {
        if (!same(n, y, x)) return false;
      }
    }
  }
  return true;
}

void test_colour(bool planar, int threads) {
  std::vector<std::uint8_t> memory(2 * kN * kY * kX * 3), rgb(memory.size());
  for (std::uint8_t& v : memory) v = static_cast<std::uint8_t>(random_bits());
  ConstPixels src = pixels(memory, planar);
  if (planar) src.stride[0] = kY * kX;
  const auto offset = [](const Index* stride, Index a, Index b, Index c, Index d) {
    return a * stride[0] + b * stride[1] + c * stride[2] + d * stride[3];
  };

  Volume<float> gray(kN, kY, kX, !planar);
  to_gray(src, gray.view(DType::f32), Photometric::rgb, kMap, {1, 0}, threads);
  expect(every_pixel([&](Index n, Index y, Index x) {
           const float v =
               0.299f * sample(src, n, y, x, 0) + 0.587f * sample(src, n, y, x, 1) + 0.114f * sample(src, n, y, x, 2);
           return gray.at(n, y, x) == rescale_voxel(v, kMap);
         }),
         "gray", threads);

  std::vector<float> planes(kN * kY * kX * 3);
  const Pixels out{planes.data(), DType::f32, {kN, 3, kY, kX}, {3 * kY * kX, kY * kX, kX, 1}};
  const float slope[3] = {1, 2, 3}, intercept = 7;
  to_planes(src, out, {slope, 1}, {&intercept, 0}, -20, 90, 2, 1, {1, 0}, threads);
  expect(every_pixel([&](Index n, Index y, Index x) {
           for (Index c = 0; c < 3; ++c) {
             const float v = rescale_voxel(sample(src, n, y, x, c), Rescale{slope[c], 7, -20, 90, 2, 1});
             if (planes[offset(out.stride, n, c, y, x)] != v) return false;
           }
           return true;
         }),
         "planes", threads);

  const Pixels converted{rgb.data(), DType::u8, {kN, kY, kX, 3}, {kY * kX * 3, kX * 3, 3, 1}};
  ybr_to_rgb(src, converted, threads);
  expect(every_pixel([&](Index n, Index y, Index x) {
           const float light = sample(src, n, y, x, 0), blue = sample(src, n, y, x, 1) - 128.0f,
                       red = sample(src, n, y, x, 2) - 128.0f;
           const float wanted[3] = {light + 1.402f * red, light - 0.344136f * blue - 0.714136f * red,
                                    light + 1.772f * blue};
           for (Index c = 0; c < 3; ++c) {
             const float v = std::min(std::max(std::nearbyint(wanted[c]), 0.0f), 255.0f);
             if (static_cast<float>(rgb[offset(converted.stride, n, y, x, c)]) != v) return false;
           }
           return true;
         }),
         "YBR to RGB", threads);
}

// [plain]: as the whole volume is one run of memory, long enough to be written past the cache.
void test_crop_pad(bool large, bool plain, bool maps, int threads) {
  const Index z = large ? 60 : 5, y = large ? 300 : 37, x = large ? 250 : 41;
  Volume<float> src(z, y, x, plain), out(z + 3, y - 7, x + 9, plain);
  src.fill(random_float);
  const Index start[3] = {-1, 4, -5};
  crop_pad(src.source(DType::f32), out.view(DType::f32), start, 8.5, maps ? &kMap : nullptr, {1, 0}, threads);
  bool same = true;
  out.each([&](Index a, Index b, Index c) {
    const Index at[3] = {a + start[0], b + start[1], c + start[2]};
    const bool outside = at[0] < 0 || at[0] >= z || at[1] < 0 || at[1] >= y || at[2] < 0 || at[2] >= x;
    const float stored = outside ? 0 : src.at(at[0], at[1], at[2]);
    same = same && out.at(a, b, c) == (outside ? 8.5f : maps ? rescale_voxel(stored, kMap) : stored);
  });
  expect(same, "crop and pad", threads);
}

void test_stored(bool plain, int threads) {
  Volume<std::int16_t> src(5, 37, 41, plain);
  src.fill([] { return random_bits() % 400; });
  const Volume<std::int16_t> before = src;
  auto original = before;

  std::vector<std::uint16_t> table(100);
  for (std::uint16_t& v : table) v = static_cast<std::uint16_t>(random_bits());
  Volume<std::uint16_t> found(5, 37, 41, !plain);
  look_up(src.source(DType::i16), found.view(DType::u16), table.data(), 1, 0, {1, -50, 20, 99}, threads);
  bool same = true;
  src.each([&](Index z, Index y, Index x) {
    same = same && found.at(z, y, x) == table[std::clamp(src.at(z, y, x) - 70, 0, 99)];
  });
  expect(same, "look-up table", threads);

  mirror(src.view(DType::i16), 1000, nullptr, threads);
  extract_bits(src.source(DType::i16), src.view(DType::i16), 2, 5, threads);
  same = true;
  src.each([&](Index z, Index y, Index x) {
    const int five = (1000 - original.at(z, y, x)) >> 2 & 31;
    same = same && src.at(z, y, x) == (five >= 16 ? five - 32 : five);
  });
  expect(same, "mirror and extract bits", threads);
}

const Test registered("elementwise", [](int threads) {
  for (const bool first : {false, true}) {
    test_colour(first, threads);
    test_stored(first, threads);
    for (const bool maps : {false, true}) test_crop_pad(false, first, maps, threads);
  }
  for (const bool maps : {false, true}) test_crop_pad(true, true, maps, threads);
});

}  // namespace

}  // namespace bedside::cpu::test
