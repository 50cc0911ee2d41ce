// Each kernel against a naive loop, on every instruction set this CPU has: for the sanitizers, and for targets where
// the Python tests do not run. Shapes are odd and strides of both signs, so that heads, tails and strided paths are
// walked.
#pragma once

#include <cstdint>
#include <vector>

#include "array.h"

namespace bedside::cpu::test {

// Runs `test` on every level with 1 and with 3 threads. One object of this at namespace scope a test.
struct Test {
  Test(const char* name, void (*test)(int threads));
};

// Counts and prints a failure unless `ok`.
void expect(bool ok, const char* what, int threads);

inline std::uint32_t random_bits() {
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

inline float random_float() {
  return static_cast<float>(random_bits() % 2001) / 8.0f - 125.0f;
}

}  // namespace bedside::cpu::test
