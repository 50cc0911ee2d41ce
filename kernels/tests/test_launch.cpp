// The bodies of the CUDA launches, walked by the host through the same grid of blocks and threads, against the CPU
// kernels bit for bit. What this cannot see: the launch itself, and a device's memory.
#include <cmath>
#include <cstring>

#include "check.h"
#include "cuda/elementwise.h"
#include "cuda/pack_bits.h"
#include "cuda/resample.h"
#include "cuda/resize.h"
#include "cuda/window.h"
#include "elementwise/colour.h"
#include "elementwise/crop_pad.h"
#include "elementwise/rescale.h"
#include "resample/resample.h"
#include "resize/resize.h"
#include "segmentation/pack_bits.h"
#include "window/window.h"

namespace bedside::cpu::test {

namespace {

using cuda::Extent;
using cuda::Grid;

// As cuda::Stream, on the host. A small grid makes every thread stride; `shape` says which.
struct HostLaunch {
  enum { as_on_a_card, one_block, few_blocks } shape;

  template <typename Body>
  int operator()(const Extent& extent, const Body& body) const {
    if (extent.rows == 0 || extent.columns == 0) return 0;
    const Grid grid = shape == as_on_a_card ? cuda::grid_of(extent) : shape == one_block ? Grid{1, 1} : Grid{2, 3};
    for (unsigned row_block = 0; row_block < grid.row_blocks; ++row_block) {
      for (unsigned column_block = 0; column_block < grid.column_blocks; ++column_block) {
        for (unsigned row = 0; row < cuda::kBlockRows; ++row) {
          for (unsigned column = 0; column < cuda::kBlockColumns; ++column) {
            cuda::walk(grid, {column_block, row_block, column, row}, extent, body);
          }
        }
      }
    }
    return 0;
  }
};

constexpr HostLaunch kLaunches[] = {{HostLaunch::as_on_a_card}, {HostLaunch::one_block}, {HostLaunch::few_blocks}};

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Every element of an extent once and none beside it, whatever the grid.
void test_grid(int threads) {
  for (const Extent extent : {Extent{1, 1}, {1, 31}, {8, 32}, {9, 33}, {70, 5}, {3, 1000}}) {
    for (const HostLaunch& launch : kLaunches) {
      std::vector<int> seen(extent.rows * extent.columns, 0);
      launch(extent, [&](Index row, Index column) { ++seen[row * extent.columns + column]; });
      bool once = true;
      for (const int n : seen) once = once && n == 1;
      expect(once, "launch: the grid", threads);
    }
  }
  const Grid largest = cuda::grid_of({Index{1} << 40, Index{1} << 40});
  expect(largest.row_blocks <= 65535, "launch: the limit of a grid", threads);
}

template <typename T>
void test_rescale(DType type, bool plain, int threads) {
  Volume<T> src(3, 13, 41, plain);
  src.fill(random_bits);
  Volume<float> out(3, 13, 41, !plain), expected(3, 13, 41, !plain);
  const std::vector<float> slope = {1.0f, 0.1f, -2.0f};
  const float intercept = -7.25f;
  const PerSlice slopes{slope.data(), 1}, intercepts{&intercept, 0};
  rescale(src.source(type), expected.view(DType::f32), slopes, intercepts, -500.0f, 900.0f, 0.01f, 0.5f, threads);
  for (const HostLaunch& launch : kLaunches) {
    out.fill([] { return -1.0f; });
    cuda::rescale(src.source(type), out.view(DType::f32), slopes, intercepts, -500.0f, 900.0f, 0.01f, 0.5f, {}, launch);
    expect(same_bits(out.memory, expected.memory), "launch: rescale", threads);
  }
  const PaddingValue nothing_here{static_cast<double>(src.at(1, 2, 3)), -9.0f};
  const OutputForm form{{0.05f, -7}, &nothing_here};
  const SigmoidWindow window{0.5f, 3.0f, 60.0f, -4.0f / 90.0f, 255.0f, 1.0f};
  const Index start[3] = {-1, 4, 2};
  const Rescale map{1.5f, -3.0f, -500.0f, 900.0f, 0.01f, 0.1f};
  Volume<std::int8_t> small(3, 13, 41, plain), expected_small(3, 13, 41, plain);
  const Quantization& quantization = form.quantization;
  const HostLaunch launch{HostLaunch::few_blocks};
  rescale(src.source(type), expected_small.view(DType::i8), slopes, intercepts, -500.0f, 900.0f, 0.01f, 0.5f, threads,
          form);
  cuda::rescale(src.source(type), small.view(DType::i8), slopes, intercepts, -500.0f, 900.0f, 0.01f, 0.5f, form,
                launch);
  expect(same_bits(small.memory, expected_small.memory), "launch: rescale to int8 with padding", threads);
  sigmoid_window(src.source(type), expected_small.view(DType::i8), window, threads, {quantization, nullptr});
  cuda::sigmoid_window(src.source(type), small.view(DType::i8), window, quantization, launch);
  expect(same_bits(small.memory, expected_small.memory), "launch: sigmoid_window", threads);
  crop_pad(src.source(type), expected_small.view(DType::i8), start, 2.5, &map, quantization, threads);
  cuda::crop_pad(src.source(type), small.view(DType::i8), start, 2.5, map, quantization, launch);
  expect(same_bits(small.memory, expected_small.memory), "launch: crop_pad", threads);
}

template <typename T>
void test_colour(DType type, int threads) {
  Volume<T> src(2, 9, 13 * 3, true);
  src.fill(random_bits);
  const ConstPixels pixels{src.memory.data(), type, {2, 9, 13, 3}, {9 * 39, 39, 3, 1}};
  const float slope[3] = {1.0f, 0.5f, -2.0f}, intercept[3] = {0.0f, 7.0f, -3.0f};
  std::vector<Half> planes(2 * 3 * 9 * 13), expected_planes(planes.size());
  const auto out = [](std::vector<Half>& memory) {
    return Pixels{memory.data(), DType::f16, {2, 3, 9, 13}, {3 * 117, 117, 13, 1}};
  };
  const HostLaunch launch{HostLaunch::few_blocks};
  const Quantization none{1.0f, 0};
  to_planes(pixels, out(expected_planes), {slope, 1}, {intercept, 1}, -200.0f, 300.0f, 0.1f, 1.0f, none, threads);
  cuda::to_planes(pixels, out(planes), {slope, 1}, {intercept, 1}, -200.0f, 300.0f, 0.1f, 1.0f, none, launch);
  expect(same_bits(planes, expected_planes), "launch: to_planes", threads);
  Volume<float> gray(2, 9, 13, false), expected_gray(2, 9, 13, false);
  const Rescale map{1.5f, -3.0f, -500.0f, 900.0f, 0.01f, 0.1f};
  for (const Photometric photometric : {Photometric::rgb, Photometric::ybr_full}) {
    to_gray(pixels, expected_gray.view(DType::f32), photometric, map, none, threads);
    cuda::to_gray(pixels, gray.view(DType::f32), photometric, map, none, launch);
    expect(same_bits(gray.memory, expected_gray.memory), "launch: to_gray", threads);
  }
}

template <typename T, typename Out>
void test_resize(DType type, DType out_type, ResizeMode mode, bool antialias, bool plain, const Index (&to)[3],
                 int threads) {
  Volume<T> src(3, 11, 17, plain);
  src.fill(random_bits);
  Volume<Out> out(to[0], to[1], to[2], !plain), expected(to[0], to[1], to[2], !plain);
  const float one = 1.0f, nothing = 0.0f;
  Resize how{};
  how.mode = mode;
  how.antialias = antialias;
  how.slope = 1.5f, how.intercept = -3.0f, how.low = -1e4f, how.high = 2e4f;
  how.scale = {&one, 0}, how.offset = {&nothing, 0};
  how.quantization = {90.0f, 3};
  const ConstImages from{src.source(type), 1, 1};
  resize(from, {expected.view(out_type), 1, 1}, how, threads);
  std::vector<float> workspace(cuda::resize_workspace(from, {out.view(out_type), 1, 1}, how) / sizeof(float));
  for (const HostLaunch& launch : kLaunches) {
    out.fill([] { return Out{}; });
    cuda::resize(from, {out.view(out_type), 1, 1}, how, workspace.data(), launch);
    expect(same_bits(out.memory, expected.memory), "launch: resize", threads);
  }
}

// [z, y, x, channel] to [z, channel, y, x], or to gray.
void test_resize_colour(bool gray, int threads) {
  Volume<std::uint8_t> src(2, 11, 17 * 3, true);
  src.fill(random_bits);
  const Index channels = gray ? 1 : 3;
  const float scale[3] = {1.0f, 0.5f, 0.25f}, offset[3] = {0.0f, 1.0f, 2.0f};
  Resize how{};
  how.mode = ResizeMode::linear;
  how.gray = gray;
  how.slope = 1.0f, how.intercept = 0.0f, how.low = 0.0f, how.high = 255.0f;
  how.scale = {scale, 1}, how.offset = {offset, 1};
  ConstImages from{src.source(DType::u8), 3, 1};
  from.array.shape[2] = 17;
  from.array.stride[2] = 3;
  Volume<float> out(2 * channels, 9, 23, true), expected(2 * channels, 9, 23, true);
  const auto images = [&](Volume<float>& volume) {
    Images to{volume.view(DType::f32), channels, 9 * 23};
    to.array.shape[0] = 2;
    to.array.stride[0] *= channels;
    return to;
  };
  resize(from, images(expected), how, threads);
  std::vector<float> workspace(cuda::resize_workspace(from, images(out), how) / sizeof(float));
  cuda::resize(from, images(out), how, workspace.data(), HostLaunch{HostLaunch::as_on_a_card});
  expect(same_bits(out.memory, expected.memory), "launch: resize of colour", threads);
}

template <typename T>
void test_resample(DType type, bool plain, bool sheared, Padding padding, int threads) {
  Volume<T> src(7, 11, 23, plain);
  src.fill([] { return random_bits() % 200; });
  const double shear = sheared ? 0.123 : 0.0;
  const double m[12] = {0.61, shear, 0, -1.0, 0, 0, -0.627, 15.3, shear, 1.31, 0, -2.7};
  const Rescale map{1.5f, -3.25f, 10.0f, 180.0f, 0.01f, 0.1f};
  for (const Rescale* rescale : {static_cast<const Rescale*>(nullptr), &map}) {
    Volume<float> out(9, 17, 29, !plain), expected(9, 17, 29, !plain);
    Volume<std::int8_t> small(9, 17, 29, plain), expected_small(9, 17, 29, plain);
    const Finish finish{rescale, {1.0f, 0}}, quantised{rescale, {0.7f, 3}};
    resample(src.source(type), expected.view(DType::f32), m, Interpolation::linear, padding, 7.0, finish, threads);
    resample(src.source(type), expected_small.view(DType::i8), m, Interpolation::linear, padding, 7.0, quantised,
             threads);
    for (const HostLaunch& launch : kLaunches) {
      cuda::resample(src.source(type), out.view(DType::f32), m, Interpolation::linear, padding, 7.0, finish, launch);
      expect(same_bits(out.memory, expected.memory), "launch: linear resample", threads);
      cuda::resample(src.source(type), small.view(DType::i8), m, Interpolation::linear, padding, 7.0, quantised,
                     launch);
      expect(same_bits(small.memory, expected_small.memory), "launch: linear resample to int8", threads);
    }
  }
  Volume<T> labels(9, 17, 29, plain), expected_labels(9, 17, 29, plain);
  Volume<float> out(9, 17, 29, plain), expected(9, 17, 29, plain);
  resample(src.source(type), expected_labels.view(type), m, Interpolation::nearest, padding, 7.0, {}, threads);
  resample(src.source(type), expected.view(DType::f32), m, Interpolation::nearest, padding, 7.0, {}, threads);
  for (const HostLaunch& launch : kLaunches) {
    cuda::resample(src.source(type), labels.view(type), m, Interpolation::nearest, padding, 7.0, {}, launch);
    cuda::resample(src.source(type), out.view(DType::f32), m, Interpolation::nearest, padding, 7.0, {}, launch);
    expect(same_bits(labels.memory, expected_labels.memory) && same_bits(out.memory, expected.memory),
           "launch: nearest resample", threads);
  }
}

float wild_float() {
  const std::uint32_t bits = random_bits() % 41;
  return bits == 0 ? NAN : bits == 1 ? INFINITY : bits == 2 ? -INFINITY : random_float();
}

void test_gather(bool plain, int threads) {
  Volume<std::int16_t> src(3 * 2, 7, 11, true);
  src.fill(random_bits);
  ConstArray3 from = src.source(DType::i16);
  from.shape[0] = 3;
  Volume<float> out(5, 9, 23, plain), expected(5, 9, 23, plain), two(5 * 2, 9, 23, true), expected_two(10, 9, 23, true);
  const Rescale map{1.5f, -3.0f, -500.0f, 900.0f, 0.01f, 0.1f};
  const Index start[3] = {-1, -1, -6}, inside[3] = {0, 1, 2};
  for (const Outside mode : {Outside::constant, Outside::reflect, Outside::replicate, Outside::circular}) {
    for (const HostLaunch& launch : kLaunches) {
      gather(from, 77 * 3, expected.view(DType::f32), 0, 1, start, mode, 0.25f, &map, threads);
      cuda::gather(from, 77 * 3, out.view(DType::f32), 0, 1, start, mode, 0.25f, &map, launch);
      expect(same_bits(out.memory, expected.memory), "launch: gather", threads);
    }
    Array3 view = two.view(DType::f32), expected_view = expected_two.view(DType::f32);
    view.shape[0] = expected_view.shape[0] = 5;
    gather(from, 77 * 3, expected_view, 5 * 9 * 23, 2, inside, mode, 0.25f, &map, threads);
    cuda::gather(from, 77 * 3, view, 5 * 9 * 23, 2, inside, mode, 0.25f, &map, kLaunches[0]);
    expect(same_bits(two.memory, expected_two.memory), "launch: gather of channels", threads);
  }
}

void test_accumulate(int threads) {
  constexpr Index channels = 2, planes = 9, slice = 13 * 37;
  const float bell_z[4] = {0.1f, 0.9f, 1.0f, 0.3f};
  std::vector<float> bell_y(6), bell_x(20);
  for (float& v : bell_y) v = random_float() / 100.0f;
  for (float& v : bell_x) v = random_float() / 100.0f;
  const WindowWeights weights{{bell_z, bell_y.data(), bell_x.data()}, {4, 6, 20}, 0.05f};
  Volume<float> patch(4 * channels, 6, 20, true), total(4 * channels, 13, 37, true),
      expected(4 * channels, 13, 37, true);
  patch.fill(random_float);
  ConstArray3 piece = patch.source(DType::f32);
  piece.shape[0] = 4;
  total.fill(random_float);
  expected.memory = total.memory;
  const auto slab = [](Volume<float>& volume) {
    Array3 view = volume.view(DType::f32);
    view.shape[0] = 4;  // a ring of planes
    return view;
  };
  const Index starts[][3] = {{3, -2, 30}, {-1, 9, -5}, {5, 2, 3}, {20, 0, 0}}, fresh[3] = {2, 3, 7};
  for (const Index(&start)[3] : starts) {
    for (const HostLaunch& launch : kLaunches) {
      std::int32_t peak = 0;
      const std::int32_t most =
          accumulate(piece, 4 * 120, weights, slab(expected), 4 * slice, channels, planes, start, fresh, threads);
      cuda::accumulate(piece, 4 * 120, weights, slab(total), 4 * slice, channels, planes, start, fresh, &peak, launch);
      expect(same_bits(total.memory, expected.memory) && peak == most, "launch: accumulate", threads);
    }
  }
  const std::int64_t z[2] = {-1, 2}, y[3] = {-2, 4, 7}, x[3] = {0, 10, 30};
  Volume<float> norm(5, 13, 37, false), expected_norm(5, 13, 37, false);
  const WindowGrid grid{{z, y, x}, {2, 3, 3}};
  window_norm(weights, grid, 1, expected_norm.view(DType::f32), threads);
  cuda::window_norm(weights, grid, 1, norm.view(DType::f32), kLaunches[2]);
  expect(same_bits(norm.memory, expected_norm.memory), "launch: window_norm", threads);
}

// NaNs are compared as such: which payload they have is nobody's promise.
bool same_numbers(const std::vector<float>& a, const std::vector<float>& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) {
    same = std::memcmp(&a[i], &b[i], sizeof(float)) == 0 || (a[i] != a[i] && b[i] != b[i]);
  }
  return same;
}

void test_scores(bool plain, int threads) {
  constexpr Index channels = 4, volume = 3 * 11 * 43;
  Volume<float> src(3 * channels, 11, 43, true), norm(3, 11, 43, plain);
  src.fill(wild_float);
  norm.fill([] { return static_cast<float>(random_bits() % 4); });
  ConstArray3 from = src.source(DType::f32);
  from.shape[0] = 3;
  const ConstArray3 divisor = norm.source(DType::f32);
  Volume<std::uint8_t> labels(3, 11, 43, !plain), expected(3, 11, 43, !plain);
  for (const HostLaunch& launch : kLaunches) {
    argmax(from, volume, channels, expected.view(DType::u8), threads);
    cuda::argmax(from, volume, channels, labels.view(DType::u8), launch);
    expect(same_bits(labels.memory, expected.memory), "launch: argmax", threads);
    for (const ConstArray3* by : {static_cast<const ConstArray3*>(nullptr), &divisor}) {
      threshold(from, volume, channels, by, 12.5f, 1, expected.view(DType::u8), threads);
      cuda::threshold(from, volume, channels, by, 12.5f, 1, labels.view(DType::u8), launch);
      expect(same_bits(labels.memory, expected.memory), "launch: threshold", threads);
    }
    std::vector<float> made(src.memory.size()), wanted(made.size());
    const auto out = [](std::vector<float>& memory) {
      return Array3{memory.data(), DType::f32, {3, 11, 43}, {11 * 43, 43, 1}};
    };
    softmax(from, volume, out(wanted), volume, channels, threads);
    cuda::softmax(from, volume, out(made), volume, channels, launch);
    expect(same_numbers(made, wanted), "launch: softmax", threads);
    sigmoid(from, volume, out(wanted), volume, channels, threads);
    cuda::sigmoid(from, volume, out(made), volume, channels, launch);
    expect(same_numbers(made, wanted), "launch: sigmoid", threads);
    divide(from, volume, divisor, out(wanted), volume, channels, threads);
    cuda::divide(from, volume, divisor, out(made), volume, channels, launch);
    expect(same_numbers(made, wanted), "launch: divide", threads);
  }
  Volume<std::uint8_t> masks(3 * channels, 11, 43, true);
  masks.fill([] { return random_bits() % 2; });
  ConstArray3 mask = masks.source(DType::u8);
  mask.shape[0] = 3;
  threshold_u8(mask, volume, channels, 1, 1, expected.view(DType::u8), threads);
  cuda::threshold_u8(mask, volume, channels, 1, 1, labels.view(DType::u8), kLaunches[0]);
  expect(same_bits(labels.memory, expected.memory), "launch: threshold_u8", threads);
}

void test_pack(Index rows, Index columns, bool plain, int threads) {
  Volume<std::uint8_t> mask(5, rows, columns, plain);
  mask.fill([] { return random_bits() % 7; });
  for (Index y = 0; y < rows; ++y) {
    for (Index x = 0; x < columns; ++x) mask.at(3, y, x) = 0;
  }
  const std::size_t bytes = static_cast<std::size_t>((5 * rows * columns + 7) / 8);
  std::vector<std::uint8_t> out(bytes), expected(bytes);
  bool occupied[5], wanted[5];
  pack_bits(mask.source(DType::u8), expected.data(), wanted, 2, threads);
  for (const HostLaunch& launch : kLaunches) {
    std::memset(occupied, 1, sizeof occupied);
    cuda::pack_bits(mask.source(DType::u8), out.data(), occupied, 2, launch);
    expect(out == expected && std::memcmp(occupied, wanted, sizeof wanted) == 0, "launch: pack_bits", threads);
  }
}

constexpr Index kSizes[][3] = {{3, 5, 40}, {2, 23, 11}, {5, 7, 9}, {1, 1, 1}};

const Test registered("launch", [](int threads) {
  test_grid(threads);
  for (const bool plain : {false, true}) {
    test_rescale<std::uint8_t>(DType::u8, plain, threads);
    test_rescale<std::int16_t>(DType::i16, plain, threads);
    test_rescale<std::int32_t>(DType::i32, plain, threads);
    for (const Index(&to)[3] : kSizes) {
      for (const ResizeMode mode :
           {ResizeMode::nearest, ResizeMode::linear, ResizeMode::cubic, ResizeMode::area, ResizeMode::coverage}) {
        test_resize<std::uint8_t, float>(DType::u8, DType::f32, mode, false, plain, to, threads);
        test_resize<std::int16_t, std::int8_t>(DType::i16, DType::i8, mode, false, plain, to, threads);
      }
      test_resize<float, Half>(DType::f32, DType::f16, ResizeMode::linear, true, plain, to, threads);
      test_resize<std::uint16_t, float>(DType::u16, DType::f32, ResizeMode::cubic, true, plain, to, threads);
    }
    for (const bool sheared : {false, true}) {
      for (const Padding padding : {Padding::border, Padding::constant}) {
        test_resample<std::uint8_t>(DType::u8, plain, sheared, padding, threads);
        test_resample<std::int16_t>(DType::i16, plain, sheared, padding, threads);
        test_resample<float>(DType::f32, plain, sheared, padding, threads);
      }
    }
    test_gather(plain, threads);
    test_scores(plain, threads);
    test_pack(13, 17, plain, threads);
    test_pack(8, 12, plain, threads);
  }
  test_accumulate(threads);
  test_colour<std::uint8_t>(DType::u8, threads);
  test_colour<std::uint16_t>(DType::u16, threads);
  test_resize_colour(false, threads);
  test_resize_colour(true, threads);
});

}  // namespace

}  // namespace bedside::cpu::test
