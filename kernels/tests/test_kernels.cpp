// Each kernel against a naive loop, with every table of loops this CPU can run: for targets where the Python tests do
// not run (scripts/check-aarch64). Shapes are odd and strides of both signs, so that heads, tails and strided paths are
// walked.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "../cpu/kernels.h"
#include "../cpu/loops.h"

namespace {

using namespace bedside;
using namespace bedside::cpu;

int failures = 0;

void expect(bool ok, const char* what, int threads) {
  if (ok) return;
  ++failures;
  std::printf("FAILED: %s, %s, %d threads\n", what, active_isa(), threads);
}

std::uint32_t random_bits() {
  static std::uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return state >> 8;
}

// A volume whose memory order is x, z, y with y flipped, or plain.
template <typename T>
struct Volume {
  Index shape[3], stride[3];
  std::vector<T> memory;
  Index origin = 0;

  Volume(Index z, Index y, Index x, bool plain) : shape{z, y, x}, memory(z * y * x) {
    if (plain) {
      stride[0] = y * x, stride[1] = x, stride[2] = 1;
    } else {
      stride[2] = z * y, stride[0] = y, stride[1] = -1, origin = y - 1;
    }
  }
  T& at(Index z, Index y, Index x) { return memory[origin + z * stride[0] + y * stride[1] + x * stride[2]]; }
  template <typename F>
  void fill(F&& value) {
    for (T& v : memory) v = static_cast<T>(value());
  }
  template <typename F>
  void each(F&& visit) {
    for (Index z = 0; z < shape[0]; ++z) {
      for (Index y = 0; y < shape[1]; ++y) {
        for (Index x = 0; x < shape[2]; ++x) visit(z, y, x);
      }
    }
  }
  Array3 view(DType type) {
    return {memory.data() + origin, type, {shape[0], shape[1], shape[2]}, {stride[0], stride[1], stride[2]}};
  }
  ConstArray3 source(DType type) {
    return {memory.data() + origin, type, {shape[0], shape[1], shape[2]}, {stride[0], stride[1], stride[2]}};
  }
};

float random_float() {
  return static_cast<float>(random_bits() % 2001) / 8.0f - 125.0f;
}

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
  resample(src.source(type), out.view(DType::f32), m, Interpolation::linear, padding, fill, threads);
  resample(src.source(type), labels.view(type), m, Interpolation::nearest, padding, fill, threads);
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

void test_blend(bool plain, int threads) {
  constexpr Index channels = 3, z = 5, y = 33, x = 71;
  std::vector<Volume<float>> total(channels, Volume<float>(z, y, x, plain));
  Volume<float> all(z * channels, y, x, true), norm(z, y, x, plain), weight(4, 30, 50, !plain);
  Volume<float> patch(4 * channels, 30, 50, true);
  weight.fill([] { return 0.25f + std::fabs(random_float()); });
  patch.fill(random_float);
  const Index start[3] = {-1, 7, 40};
  const Index slice = y * x, patch_slice = 30 * 50;
  Array3 view = all.view(DType::f32);
  view.shape[0] = z;
  ConstArray3 piece = patch.source(DType::f32);
  piece.shape[0] = 4;
  for (int round = 0; round < 2; ++round) {
    accumulate(piece, 4 * patch_slice, weight.source(DType::f32), view, z * slice, norm.view(DType::f32), channels,
               start, threads);
  }
  Volume<std::uint8_t> best(z, y, x, !plain), above(z, y, x, plain);
  const ConstArray3 sums{all.memory.data(), DType::f32, {z, y, x}, {slice, x, 1}};
  argmax_blend(sums, z * slice, channels, best.view(DType::u8), threads);
  threshold_blend(sums, z * slice, channels, norm.source(DType::f32), above.view(DType::u8), 10.0f, threads);
  bool same = true, argmax = true, threshold = true;
  norm.each([&](Index k, Index j, Index i) {
    const Index at[3] = {k - start[0], j - start[1], i - start[2]};
    const bool covered = at[0] >= 0 && at[0] < 4 && at[1] >= 0 && at[1] < 30 && at[2] >= 0 && at[2] < 50;
    const float w = covered ? weight.at(at[0], at[1], at[2]) : 0.0f;
    same = same && norm.at(k, j, i) == w + w;
    int winner = 0, first = 0;
    float most = 0.0f;
    for (int c = 0; c < channels; ++c) {
      const float term = covered ? patch.at(c * 4 + at[0], at[1], at[2]) * w : 0.0f, sum = term + term;
      same = same && all.at(c * z + k, j, i) == sum;
      if (c == 0 || sum > most) winner = c, most = sum;
      if (first == 0 && covered && sum / (w + w) >= 10.0f) first = c + 1;
    }
    argmax = argmax && best.at(k, j, i) == winner;
    threshold = threshold && above.at(k, j, i) == first;
  });
  expect(same, "accumulate", threads);
  expect(argmax, "argmax_blend", threads);
  expect(threshold, "threshold_blend", threads);
}

void test_pack(Index rows, Index columns, bool plain, int threads) {
  Volume<std::uint8_t> mask(11, rows, columns, plain);
  mask.fill([] { return random_bits() % 3; });
  for (Index y = 0; y < rows; ++y) {
    for (Index x = 0; x < columns; ++x) mask.at(4, y, x) = 0;
  }
  const Index bits = 11 * rows * columns;
  std::vector<std::uint8_t> out((bits + 7) / 8, 0xa5), expected((bits + 7) / 8, 0);
  bool occupied[11];
  pack_bits(mask.source(DType::u8), out.data(), occupied, 2, threads);
  Index bit = 0;
  bool wanted[11] = {};
  mask.each([&](Index z, Index y, Index x) {
    const bool set = mask.at(z, y, x) == 2;
    expected[bit / 8] = static_cast<std::uint8_t>(expected[bit / 8] | set << bit % 8);
    wanted[z] = wanted[z] || set;
    ++bit;
  });
  expect(out == expected, "pack_bits", threads);
  for (int z = 0; z < 11; ++z) expect(occupied[z] == wanted[z], "pack_bits: occupied", threads);
}

}  // namespace

int main() {
  const LoopsList list = available_loops();
  for (int i = 0; i < list.count; ++i) {
    use_loops(*list.table[i]);
    for (const int threads : {1, 3}) {
      for (const bool plain : {false, true}) {
        test_rescale<std::uint8_t>(DType::u8, plain, threads);
        test_rescale<std::int8_t>(DType::i8, plain, threads);
        test_rescale<std::uint16_t>(DType::u16, plain, threads);
        test_rescale<std::int16_t>(DType::i16, plain, threads);
        test_rescale<std::int32_t>(DType::i32, plain, threads);
        for (const bool sheared : {false, true}) {
          for (const Padding padding : {Padding::border, Padding::constant}) {
            test_resample<std::uint8_t>(DType::u8, plain, sheared, padding, threads);
            test_resample<std::uint16_t>(DType::u16, plain, sheared, padding, threads);
            test_resample<std::int16_t>(DType::i16, plain, sheared, padding, threads);
            test_resample<float>(DType::f32, plain, sheared, padding, threads);
          }
        }
        test_blend(plain, threads);
        test_pack(13, 17, plain, threads);
        test_pack(16, 36, plain, threads);
      }
    }
    std::printf("%s: %s\n", list.table[i]->isa, failures == 0 ? "ok" : "FAILED");
  }
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
