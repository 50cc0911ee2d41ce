#include "cubic/cubic.h"

#include <cmath>
#include <vector>

#include "check.h"

namespace bedside::cpu::test {

namespace {

// A line's coefficients, by as many sweeps of Gauss and Seidel over (c[i - 1] + 4 c[i] + c[i + 1]) / 6 = x[i] as it
// takes; the line has been lengthened far enough for its ends not to matter.
std::vector<double> solved(const std::vector<double>& x) {
  std::vector<double> c = x;
  for (int sweep = 0; sweep < 60; ++sweep) {
    for (std::size_t i = 1; i + 1 < c.size(); ++i) c[i] = (6.0 * x[i] - c[i - 1] - c[i + 1]) / 4.0;
  }
  return c;
}

constexpr Index kMore = 30;  // voxels by which a line is lengthened

Index inside_of(Index i, Index n, Padding padding) {
  if (padding == Padding::border) return i < 0 ? 0 : i >= n ? n - 1 : i;
  if (n == 1) return 0;
  const Index period = 2 * (n - 1), at = (i % period + period) % period;
  return at < n ? at : period - at;
}

double spline(const std::vector<double>& c, double at) {
  double sum = 0.0;
  const Index below = static_cast<Index>(std::floor(at));
  for (Index i = below - 1; i <= below + 2; ++i) {
    const double d = std::fabs(at - static_cast<double>(i));
    const double w = d < 1   ? (4.0 - 6.0 * d * d + 3.0 * d * d * d) / 6.0
                     : d < 2 ? (2 - d) * (2 - d) * (2 - d) / 6.0
                             : 0;
    sum += w * c[static_cast<std::size_t>(i + kMore)];
  }
  return sum;
}

// A volume that is a product of three lines has a spline that is one, too: no naive volume is needed.
void test_cubic(Index nz, Index ny, Index nx, bool plain, bool sheared, Padding padding, int threads) {
  const Index shape[3] = {nz, ny, nx};
  std::vector<double> line[3], solution[3];
  for (int axis = 0; axis < 3; ++axis) {
    for (Index i = 0; i < shape[axis]; ++i) line[axis].push_back(static_cast<double>(random_bits() % 7) - 3.0);
    std::vector<double> longer;
    for (Index i = -kMore; i < shape[axis] + kMore; ++i) {
      longer.push_back(line[axis][static_cast<std::size_t>(inside_of(i, shape[axis], padding))]);
    }
    solution[axis] = solved(longer);
  }
  Volume<std::int16_t> src(nz, ny, nx, plain);
  src.each([&](Index z, Index y, Index x) {
    src.at(z, y, x) =
        static_cast<std::int16_t>(line[0][static_cast<std::size_t>(z)] * line[1][static_cast<std::size_t>(y)] *
                                  line[2][static_cast<std::size_t>(x)]);
  });
  Volume<float> coefficients(nz, ny, nx, !plain);
  spline_coefficients(src.source(DType::i16), coefficients.view(DType::f32), padding, threads);
  const double shear = sheared ? 0.125 : 0.0;
  const double m[12] = {0.375, shear, 0, -1.0, 0, 0.5, 0, -2.0, shear, 0, -0.625, 12.0};
  Volume<float> out(13, 23, 37, plain);
  resample_cubic(coefficients.source(DType::f32), out.view(DType::f32), m, padding, 7.0f, {nullptr, {1.0f, 0}},
                 threads);
  double worst = 0.0;
  out.each([&](Index z, Index y, Index x) {
    double product = 1.0;
    bool inside = true;
    for (int axis = 0; axis < 3; ++axis) {
      const double c = m[axis * 4] * static_cast<double>(z) + m[axis * 4 + 1] * static_cast<double>(y) +
                       m[axis * 4 + 2] * static_cast<double>(x) + m[axis * 4 + 3];
      inside = inside && (padding == Padding::border || (c >= 0 && c <= static_cast<double>(shape[axis] - 1)));
      product *= spline(solution[axis], std::fmin(std::fmax(c, -20.0), static_cast<double>(shape[axis]) + 20.0));
    }
    worst = std::fmax(worst, std::fabs((inside ? product : 7.0) - out.at(z, y, x)));
  });
  expect(worst < 1e-3, "cubic resample", threads);
}

const Test registered("cubic resample", [](int threads) {
  for (const bool plain : {false, true}) {
    for (const bool sheared : {false, true}) {
      for (const Padding padding : {Padding::border, Padding::constant}) {
        test_cubic(9, 70, 31, plain, sheared, padding, threads);
        test_cubic(1, 2, 3, plain, sheared, padding, threads);
        test_cubic(5, 4, 3, plain, sheared, padding, threads);
      }
    }
  }
});

std::uint64_t bits_of(bool plain, bool sheared, Padding padding, int threads) {
  std::uint32_t state = 7;
  Volume<std::int16_t> src(21, 80, 150, plain);
  src.fill([&] { return (state = state * 1664525u + 1013904223u) >> 17; });
  Volume<float> coefficients(21, 80, 150, true);
  spline_coefficients(src.source(DType::i16), coefficients.view(DType::f32), padding, threads);
  const double shear = sheared ? 0.0625 : 0.0;
  const double m[12] = {0.75, shear, 0, -1.0, 0, 0.5, 0.0, 0.25, shear, 0, 1.4375, -2.0};
  Volume<float> out(33, 119, 131, plain);
  const Rescale map{1.5f, -3.0f, 0.0f, 30000.0f, 0.001f, 0.125f};
  resample_cubic(coefficients.source(DType::f32), out.view(DType::f32), m, padding, 3.0f, {&map, {1.0f, 0}}, threads);
  std::uint64_t sum = 0;
  out.each([&](Index z, Index y, Index x) { sum = sum * 1099511628211u + float_bits(out.at(z, y, x)); });
  return sum;
}

const Test same_bits("cubic resample, the same bits", [](int threads) {
  static std::vector<std::uint64_t> first;
  std::vector<std::uint64_t> now;
  for (const bool plain : {false, true}) {
    for (const bool sheared : {false, true}) {
      for (const Padding padding : {Padding::border, Padding::constant}) {
        now.push_back(bits_of(plain, sheared, padding, threads));
      }
    }
  }
  if (first.empty()) first = now;
  expect(first == now, "every instruction set and number of threads gives the same bits", threads);
});

}  // namespace

}  // namespace bedside::cpu::test
