// What a fuzz target makes of the fuzzer's bytes: arguments as bindings/checks.h lets them through, and no others. The
// arrays lie in memory of exactly their span, so that the address sanitizer sees a step beside it.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "array.h"
#include "bedside/rescale.h"
#include "bedside/store.h"
#include "isa.h"

namespace bedside::cpu::fuzz {

// Ends the run with a report unless `same`.
inline void expect(bool same, const char* what) {
  if (same) return;
  std::fprintf(stderr, "%s differs\n", what);
  std::abort();
}

inline constexpr DType kTypes[] = {DType::u8, DType::i8, DType::u16, DType::i16, DType::i32, DType::f32};
inline constexpr DType kNetworkInput[] = {DType::f32, DType::f16, DType::u8, DType::i8, DType::u16, DType::i16};

// The bytes one after the other; zeros when they are used up.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  bool empty() const { return at_ >= size_; }
  std::uint8_t byte() { return empty() ? 0 : data_[at_++]; }
  bool flag() { return (byte() & 1) != 0; }
  Index range(Index low, Index high) { return low + bits() % (high - low + 1); }
  // A length, at times 0, most often under 16: small arrays are many arrays a second.
  Index length(Index most) {
    const Index b = byte();
    return (b & 0xc0) == 0xc0 || most < 16 ? b % (most + 1) : b % 16;
  }
  template <typename T, std::size_t N>
  T one_of(const T (&choices)[N]) {
    return choices[byte() % N];
  }

  std::uint32_t bits() {
    std::uint32_t value = byte();
    return value | static_cast<std::uint32_t>(byte()) << 8;
  }
  std::uint64_t bits64() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value |= static_cast<std::uint64_t>(byte()) << 8 * i;
    return value;
  }

  // Any number at all, NaN if `nan` allows it.
  double number(bool nan) {
    static constexpr double kInfinity = std::numeric_limits<double>::infinity();
    static constexpr double kSpecial[] = {0.0,           -0.0,         1.0,
                                          -1.0,          0.5,          1.5,
                                          2.0,           5e-324,       -1e-310,
                                          1e-45,         1e-9,         -1e-9,
                                          255.0,         256.0,        -128.0,
                                          65520.0,       16777217.0,   2147483647.0,
                                          -2147483648.0, 2147483648.0, 9.3e18,
                                          -9.3e18,       3.4028235e38, -3.4e38,
                                          1e280,         -1e280,       1.7976931348623157e308};
    switch (byte() % 4) {
      case 0:
        return one_of(kSpecial);
      case 1:
        return (static_cast<double>(range(0, 4096)) - 2048.0) / 64.0;
      case 2: {
        const std::uint64_t value = bits64();
        double v;
        std::memcpy(&v, &value, sizeof v);
        return v == v || nan ? v : 0.0;
      }
      default:
        return flag() ? kInfinity : -kInfinity;
    }
  }
  double finite(double most) {
    const double v = number(false);
    return v > most ? most : v < -most ? -most : v;
  }

  // A value map, at times one that changes nothing.
  Rescale map() {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    Rescale map{1.0f, 0.0f, -infinity, infinity, 1.0f, 0.0f};
    if (flag()) return map;
    for (float* p : {&map.slope, &map.intercept, &map.scale, &map.offset}) *p = static_cast<float>(number(true));
    map.low = static_cast<float>(number(false));
    map.high = static_cast<float>(number(false));
    if (map.low > map.high) std::swap(map.low, map.high);
    return map;
  }
  // As an output of this type may have it.
  Quantization quantization(DType type) {
    if (type == DType::f32 || type == DType::f16) return {1.0f, 0};
    const float scale = std::fabs(static_cast<float>(finite(3e38)));
    const bool is_signed = type == DType::i8 || type == DType::i16;
    const Index values = Index{1} << 8 * item_size(type);
    return {scale > 0 ? scale : 1.0f, static_cast<std::int32_t>((is_signed ? -values / 2 : 0) + bits() % values)};
  }

  const std::uint8_t* rest() const { return data_ + at_; }
  std::size_t left() const { return size_ - at_; }

 private:
  const std::uint8_t* data_;
  std::size_t size_, at_ = 0;
};

// Contents of arrays: a sequence of its own, so that they cost none of the fuzzer's bytes but those of the seed.
class Noise {
 public:
  explicit Noise(Input& in) : state_(in.bits()), wild_(in.flag()) {}
  std::uint32_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state_ >> 33);
  }
  // With infinities, NaN and denormal numbers among them if the fuzzer says so.
  float real();

 private:
  std::uint64_t state_;
  bool wild_;
};

// An array of up to four axes in memory of exactly its span. An output has no two elements in one place; an input may
// (a broadcast axis, overlapping windows). An axis of at most one element may have any stride, as in numpy. What walks
// all elements is in input.cpp, which is built without the fuzzer's counters and the sanitizers: they are for the
// kernels.
class Array {
 public:
  // Strides of both signs, the axes in any order in memory, with gaps.
  Array(Input& in, DType type, std::vector<Index> shape, bool output);
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { std::free(memory_); }

  const std::vector<Index>& shape() const { return shape_; }
  Index shape(int axis) const { return shape_[axis]; }
  Index stride(int axis) const { return stride_[axis]; }
  Index count() const { return count_; }
  void* data() const { return memory_ + origin_ * item_size(type_); }
  // The last three axes, as a binding hands them on.
  ConstArray3 source() const { return view<ConstArray3>(); }
  Array3 target() const { return view<Array3>(); }

  void fill(Noise& noise);
  // Every element zero, gaps untouched.
  void clear();
  // The elements in C order, as bytes; NaNs made one, since their payloads are nobody's promise.
  std::vector<std::uint8_t> contents() const;
  // Nothing but the elements was written.
  bool gaps_untouched() const;

  // Offset of an element given by its indices.
  template <typename... I>
  Index offset(I... index) const {
    const Index at[] = {index...};
    Index sum = 0;
    for (std::size_t k = 0; k < sizeof...(I); ++k) sum += at[k] == 0 ? 0 : at[k] * stride_[k];
    return sum;
  }
  std::uint8_t* address(Index offset) const { return memory_ + (origin_ + offset) * item_size(type_); }
  template <typename T, typename... I>
  T at(I... index) const {
    T value;
    std::memcpy(&value, address(offset(index...)), sizeof value);
    return value;
  }
  // visit(offset) for every element, in C order.
  template <typename F>
  void each(F&& visit) const {
    Index at[4] = {};
    for (Index i = 0; i < count_; ++i) {
      Index sum = 0;
      for (std::size_t k = 0; k < shape_.size(); ++k) sum += at[k] == 0 ? 0 : at[k] * stride_[k];
      visit(sum);
      for (std::size_t k = shape_.size(); k-- > 0;) {
        if (++at[k] < shape_[k]) break;
        at[k] = 0;
      }
    }
  }

 private:
  template <typename View>
  View view() const {
    View v{data(), type_, {}, {}};
    const std::size_t first = shape_.size() - 3;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      v.shape[axis] = shape_[first + axis];
      v.stride[axis] = stride_[first + axis];
    }
    return v;
  }

  DType type_;
  std::vector<Index> shape_, stride_;
  Index count_ = 1, bytes_ = 0, origin_ = 0;
  std::uint8_t* memory_;
};

// Calls work(threads) with the best instruction set of this CPU and one thread, and again with another and three: the
// caller compares what the two left.
template <typename F>
void on_two_levels(Input& in, F&& work) {
  const Levels found = available_levels();
  use_level(found.level[0]);
  work(0, 1);
  use_level(found.level[in.byte() % found.count]);
  work(1, 3);
}

}  // namespace bedside::cpu::fuzz
