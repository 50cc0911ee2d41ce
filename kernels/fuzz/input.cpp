#include "input.h"

#include <algorithm>

namespace bedside::cpu::fuzz {

namespace {

constexpr std::uint8_t kUntouched = 0xa5;

bool is_nan(DType type, const std::uint8_t* element) {
  if (type == DType::f16) {
    std::uint16_t bits;
    std::memcpy(&bits, element, sizeof bits);
    return (bits & 0x7fff) > 0x7c00;
  }
  float value = 0.0f;
  if (type == DType::f32) std::memcpy(&value, element, sizeof value);
  return value != value;
}

}  // namespace

float Noise::real() {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  static constexpr float kWild[] = {0.0f,     -0.0f,    1e-45f,    3.4e38f,
                                    -3.4e38f, infinity, -infinity, std::numeric_limits<float>::quiet_NaN()};
  if (wild_ && next() % 8 == 0) return kWild[next() % 8];
  return (static_cast<float>(next() % 65536) - 32768.0f) / 32.0f;
}

Array::Array(Input& in, DType type, std::vector<Index> shape, bool output) : type_(type), shape_(std::move(shape)) {
  const int axes = static_cast<int>(shape_.size());
  stride_.resize(shape_.size());
  int order[4] = {0, 1, 2, 3};
  const bool plain = in.flag();
  if (!plain) {
    for (int k = axes - 1; k > 0; --k) std::swap(order[k], order[in.byte() % (k + 1)]);
  }
  Index reach = 1, low = 0, high = 0;  // in elements
  for (int k = axes - 1; k >= 0; --k) {
    const int axis = order[k];
    const Index n = shape_[axis];
    const std::uint8_t how = plain ? 0 : in.byte();
    Index stride = reach;
    if (how & 1) stride += how >> 5;              // a gap
    if (!output && (how & 4)) stride = how >> 5;  // elements that share memory
    if (n > 1) reach = std::max(reach, (n - 1) * stride + reach);
    if (n <= 1 && (how & 8)) stride = (Index{1} << 40) + how;
    stride_[axis] = (how & 2) ? -stride : stride;
    if (n > 1) (stride_[axis] < 0 ? low : high) += (n - 1) * stride_[axis];
    count_ *= n;
  }
  if (count_ > 0) {
    bytes_ = (high - low + 1) * item_size(type_);
    origin_ = -low;
  }
  // No vector: the end of this memory is the end of the array.
  memory_ = static_cast<std::uint8_t*>(std::malloc(static_cast<std::size_t>(bytes_)));
  std::memset(memory_, kUntouched, static_cast<std::size_t>(bytes_));
}

void Array::fill(Noise& noise) {
  const std::size_t size = static_cast<std::size_t>(item_size(type_));
  each([&](Index offset) {
    const float real = type_ == DType::f32 ? noise.real() : 0.0f;
    const std::uint32_t whole = type_ == DType::f32 ? 0 : noise.next();
    std::memcpy(address(offset), type_ == DType::f32 ? static_cast<const void*>(&real) : &whole, size);
  });
}

void Array::clear() {
  each([&](Index offset) { std::memset(address(offset), 0, static_cast<std::size_t>(item_size(type_))); });
}

std::vector<std::uint8_t> Array::contents() const {
  const std::size_t size = static_cast<std::size_t>(item_size(type_));
  std::vector<std::uint8_t> all(static_cast<std::size_t>(count_) * size);
  std::uint8_t* to = all.data();
  each([&](Index offset) {
    std::memcpy(to, address(offset), size);
    if (is_nan(type_, to)) std::memset(to, 0xff, size);
    to += size;
  });
  return all;
}

bool Array::gaps_untouched() const {
  const std::size_t size = static_cast<std::size_t>(item_size(type_));
  std::vector<std::uint8_t> ours(static_cast<std::size_t>(bytes_), 0);
  each([&](Index offset) { std::memset(ours.data() + (address(offset) - memory_), 1, size); });
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (ours[i] == 0 && memory_[i] != kUntouched) return false;
  }
  return true;
}

}  // namespace bedside::cpu::fuzz
