#include "resize/resize.h"

#include <cmath>
#include <limits>
#include <vector>

#include "check.h"

namespace bedside::cpu::test {

namespace {

constexpr float kOne = 1.0f, kZero = 0.0f, kInfinity = std::numeric_limits<float>::infinity();

// The sum of the windows' samples in double precision.
template <typename T>
double resized(Volume<T>& src, const ResizeAxis axis[3], const Index at[3]) {
  ResizeWindow w[3];
  for (int a = 0; a < 3; ++a) w[a] = resize_window(axis[a], at[a]);
  double sum = 0.0, weights = 0.0;
  for (Index z = 0; z < w[0].count; ++z) {
    for (Index y = 0; y < w[1].count; ++y) {
      for (Index x = 0; x < w[2].count; ++x) {
        const double weight = static_cast<double>(resize_weight(axis[0], w[0], at[0], z)) *
                              static_cast<double>(resize_weight(axis[1], w[1], at[1], y)) *
                              static_cast<double>(resize_weight(axis[2], w[2], at[2], x));
        sum += weight * static_cast<double>(src.at(w[0].first + z, w[1].first + y, w[2].first + x));
        weights += weight;
      }
    }
  }
  return axis[0].mode == ResizeMode::area ? sum / weights : sum;
}

template <typename T>
void test_resize(DType type, ResizeMode mode, bool antialias, bool plain, const Index (&size)[3], int threads) {
  Volume<T> src(5, 21, 33, plain);
  src.fill([] { return random_bits() % 200; });
  Volume<float> out(size[0], size[1], size[2], !plain);
  const Resize how{
      mode,  Coordinates::half_pixel, antialias, false, 2.0f, 1.0f, -kInfinity, kInfinity, {&kOne, 0}, {&kZero, 0},
      {1, 0}};
  resize({src.source(type), 1, 1}, {out.view(DType::f32), 1, 1}, how, threads);
  ResizeAxis axis[3];
  for (int a = 0; a < 3; ++a) axis[a] = {src.shape[a], size[a], mode, Coordinates::half_pixel, antialias};
  double worst = 0.0;
  out.each([&](Index z, Index y, Index x) {
    const Index at[3] = {z, y, x};
    worst = std::fmax(worst, std::fabs(2.0 * resized(src, axis, at) + 1.0 - static_cast<double>(out.at(z, y, x))));
  });
  expect(worst < 2e-3, "resize", threads);
}

// Interleaved colour to planes, mirrored, and to gray.
void test_colour(int threads) {
  constexpr Index kImages = 2, kRows = 13, kColumns = 19, kNewRows = 29, kNewColumns = 7;
  std::vector<std::uint8_t> src(kImages * kRows * kColumns * 3);
  for (std::uint8_t& v : src) v = static_cast<std::uint8_t>(random_bits());
  for (const bool mirrored : {false, true}) {
    for (const bool gray : {false, true}) {
      const Index channels = gray ? 1 : 3, plane = kNewRows * kNewColumns;
      const Index stride = mirrored ? -3 : 3;
      const ConstImages from{{src.data() + (mirrored ? (kColumns - 1) * 3 : 0),
                              DType::u8,
                              {kImages, kRows, kColumns},
                              {kRows * kColumns * 3, kColumns * 3, stride}},
                             3,
                             1};
      std::vector<float> out(kImages * channels * plane), scale{1.0f, 2.0f, 3.0f};
      const Images to{{out.data(), DType::f32, {kImages, kNewRows, kNewColumns}, {channels * plane, kNewColumns, 1}},
                      channels,
                      plane};
      const Resize how{ResizeMode::area, Coordinates::half_pixel, false,       gray,  1.0f, 0.0f, -kInfinity,
                       kInfinity,        {scale.data(), 1},       {&kZero, 0}, {1, 0}};
      resize(from, to, how, threads);
      const ResizeAxis y{kRows, kNewRows, ResizeMode::area, Coordinates::half_pixel, false};
      const ResizeAxis x{kColumns, kNewColumns, ResizeMode::area, Coordinates::half_pixel, false};
      double worst = 0.0;
      for (Index n = 0; n < kImages; ++n) {
        for (Index j = 0; j < kNewRows; ++j) {
          for (Index i = 0; i < kNewColumns; ++i) {
            const ResizeWindow wy = resize_window(y, j), wx = resize_window(x, i);
            double mean[3] = {0.0, 0.0, 0.0};
            for (Index k = 0; k < wy.count; ++k) {
              for (Index l = 0; l < wx.count; ++l) {
                const Index column = mirrored ? kColumns - 1 - (wx.first + l) : wx.first + l;
                const std::uint8_t* p = &src[((n * kRows + wy.first + k) * kColumns + column) * 3];
                for (int c = 0; c < 3; ++c) mean[c] += p[c] / static_cast<double>(wy.count * wx.count);
              }
            }
            const double luma = 0.299 * mean[0] + 0.587 * mean[1] + 0.114 * mean[2];
            for (Index c = 0; c < channels; ++c) {
              const double wanted = (gray ? luma : mean[c]) * static_cast<double>(scale[c]);
              const double got = static_cast<double>(out[(n * channels + c) * plane + j * kNewColumns + i]);
              worst = std::fmax(worst, std::fabs(wanted - got));
            }
          }
        }
      }
      expect(worst < 1e-3, "resize of colour", threads);
    }
  }
}

void test_take(bool plain, int threads) {
  Volume<std::uint16_t> src(4, 9, 70, plain), out(6, 11, 90, plain);
  src.fill([] { return random_bits(); });
  std::vector<std::int32_t> index[3];
  for (int a = 0; a < 3; ++a) {  // edges repeated
    for (Index i = 0; i < out.shape[a]; ++i) {
      index[a].push_back(static_cast<std::int32_t>(std::fmin(std::fmax(i - 1.0, 0.0), src.shape[a] - 1.0)));
    }
  }
  const std::int32_t* const indices[3] = {index[0].data(), index[1].data(), index[2].data()};
  const Array3 to = out.view(DType::u16);
  take(src.source(DType::u16).data, src.stride, to.data, out.shape, out.stride, 2, indices, threads);
  bool same = true;
  out.each([&](Index z, Index y, Index x) {
    same = same && out.at(z, y, x) == src.at(index[0][z], index[1][y], index[2][x]);
  });
  expect(same, "take", threads);
}

template <typename T>
void test_correlate(DType type, bool plain, int threads) {
  Volume<T> src(5, 11, 23, plain);
  src.fill([] { return random_bits() % 100; });
  for (int axis = 0; axis < 3; ++axis) {
    Volume<float> out(5, 11, 23, axis == 1);
    const float weight[7] = {0.5f, 0.0f, -1.0f, 2.0f, 0.25f, 1.0f, -0.5f};
    correlate(src.source(type), out.view(DType::f32), weight, 3, axis, threads);
    double worst = 0.0;
    out.each([&](Index z, Index y, Index x) {
      double sum = 0.0;
      for (Index k = -3; k <= 3; ++k) {
        Index at[3] = {z, y, x};
        at[axis] += k;
        if (at[axis] < 0 || at[axis] >= src.shape[axis]) continue;
        sum += static_cast<double>(weight[k + 3]) * static_cast<double>(src.at(at[0], at[1], at[2]));
      }
      worst = std::fmax(worst, std::fabs(sum - static_cast<double>(out.at(z, y, x))));
    });
    expect(worst < 1e-3, "correlate", threads);
  }
}

constexpr Index kSizes[][3] = {{5, 9, 40}, {5, 50, 11}, {2, 30, 70}, {11, 7, 5}, {1, 1, 1}};

const Test registered("resize", [](int threads) {
  for (const bool plain : {false, true}) {
    for (const Index(&size)[3] : kSizes) {
      for (const ResizeMode mode :
           {ResizeMode::nearest, ResizeMode::linear, ResizeMode::cubic, ResizeMode::area, ResizeMode::coverage}) {
        for (const bool antialias : {false, true}) {
          if (antialias && mode != ResizeMode::linear && mode != ResizeMode::cubic) continue;
          test_resize<std::uint8_t>(DType::u8, mode, antialias, plain, size, threads);
          test_resize<std::int16_t>(DType::i16, mode, antialias, plain, size, threads);
          test_resize<float>(DType::f32, mode, antialias, plain, size, threads);
        }
      }
    }
    test_take(plain, threads);
    test_correlate<std::int8_t>(DType::i8, plain, threads);
    test_correlate<float>(DType::f32, plain, threads);
  }
  test_colour(threads);
});

}  // namespace

}  // namespace bedside::cpu::test
