#include "resample/resample.h"

#include <cmath>
#include <vector>

#include "check.h"

namespace bedside::cpu::test {

namespace {

template <typename T>
double voxel(Volume<T>& src, Index z, Index y, Index x, Padding padding, double fill) {
  Index at[3] = {z, y, x};
  for (int axis = 0; axis < 3; ++axis) {
    if (at[axis] >= 0 && at[axis] < src.shape[axis]) continue;
    if (padding == Padding::constant) return fill;
    at[axis] = at[axis] < 0 ? 0 : src.shape[axis] - 1;
  }
  return static_cast<double>(src.at(at[0], at[1], at[2]));
}

template <typename T>
void test_resample(DType type, bool plain, bool sheared, Padding padding, int threads) {
  Volume<T> src(9, 20, 31, plain);
  src.fill([] { return random_bits() % 200; });
  const double shear = sheared ? 0.125 : 0.0;
  const double m[12] = {0.75, shear, 0, -1.0, 0, 0, -0.625, 21.0, shear, 1.5, 0, -2.0};
  const double fill = 7.0;
  Volume<float> out(13, 23, 37, !plain);
  Volume<T> labels(13, 23, 37, plain);
  resample(src.source(type), out.view(DType::f32), m, Interpolation::linear, padding, fill, {nullptr, {1.0f, 0}},
           threads);
  resample(src.source(type), labels.view(type), m, Interpolation::nearest, padding, fill, {nullptr, {1.0f, 0}},
           threads);
  double worst = 0.0;
  bool same = true;
  out.each([&](Index z, Index y, Index x) {
    double base[3], w[3], sum = 0.0;
    Index nearest[3];
    for (int axis = 0; axis < 3; ++axis) {
      const double c = m[axis * 4] * z + m[axis * 4 + 1] * y + m[axis * 4 + 2] * x + m[axis * 4 + 3];
      base[axis] = std::floor(c);
      w[axis] = c - base[axis];
      nearest[axis] = static_cast<Index>(std::nearbyint(c));
    }
    for (int corner = 0; corner < 8; ++corner) {
      double weight = 1.0;
      Index at[3];
      for (int axis = 0; axis < 3; ++axis) {
        const int up = corner >> axis & 1;
        weight *= up ? w[axis] : 1.0 - w[axis];
        at[axis] = static_cast<Index>(base[axis]) + up;
      }
      sum += weight * voxel(src, at[0], at[1], at[2], padding, fill);
    }
    worst = std::fmax(worst, std::fabs(sum - out.at(z, y, x)));
    same = same && labels.at(z, y, x) == voxel(src, nearest[0], nearest[1], nearest[2], padding, fill);
  });
  expect(worst < 1e-3, "linear resample", threads);
  expect(same, "nearest resample", threads);
}

std::uint32_t next_value(std::uint32_t& state) {
  state = state * 1664525u + 1013904223u;
  return state >> 17;
}

// A large enough volume that every way through the loops is walked; its result's bits, added up.
template <typename T>
std::uint64_t bits_of(DType type, bool plain, bool sheared, Interpolation mode, int threads) {
  std::uint32_t state = 7;
  Volume<T> src(21, 60, 150, plain);
  src.fill([&] { return next_value(state); });
  const double shear = sheared ? 0.0625 : 0.0;
  const double m[12] = {0.75, shear, 0, -1.0, 0, 0.5, 0.0, 0.25, shear, 0, 1.4375, -2.0};
  Volume<float> out(33, 119, 131, plain);
  const Rescale map{1.5f, -3.0f, 0.0f, 30000.0f, 0.001f, 0.125f};
  resample(src.source(type), out.view(DType::f32), m, mode, Padding::constant, 3.0,
           {mode == Interpolation::linear ? &map : nullptr, {1.0f, 0}}, threads);
  std::uint64_t sum = 0;
  out.each([&](Index z, Index y, Index x) { sum = sum * 1099511628211u + float_bits(out.at(z, y, x)); });
  return sum;
}

const Test same_bits("resample, the same bits", [](int threads) {
  static std::vector<std::uint64_t> first;
  std::vector<std::uint64_t> now;
  for (const bool plain : {false, true}) {
    for (const bool sheared : {false, true}) {
      for (const Interpolation mode : {Interpolation::linear, Interpolation::nearest}) {
        now.push_back(bits_of<std::uint8_t>(DType::u8, plain, sheared, mode, threads));
        now.push_back(bits_of<std::int16_t>(DType::i16, plain, sheared, mode, threads));
        now.push_back(bits_of<std::uint16_t>(DType::u16, plain, sheared, mode, threads));
        now.push_back(bits_of<float>(DType::f32, plain, sheared, mode, threads));
      }
    }
  }
  if (first.empty()) first = now;
  expect(first == now, "every instruction set and number of threads gives the same bits", threads);
});

const Test registered("resample", [](int threads) {
  for (const bool plain : {false, true}) {
    for (const bool sheared : {false, true}) {
      for (const Padding padding : {Padding::border, Padding::constant}) {
        test_resample<std::uint8_t>(DType::u8, plain, sheared, padding, threads);
        test_resample<std::uint16_t>(DType::u16, plain, sheared, padding, threads);
        test_resample<std::int16_t>(DType::i16, plain, sheared, padding, threads);
        test_resample<float>(DType::f32, plain, sheared, padding, threads);
      }
    }
  }
});

}  // namespace

}  // namespace bedside::cpu::test
