// Arrays in memory, as the kernels see them.
#pragma once

#include <cstdint>

#include "bedside/host_device.h"

namespace bedside::cpu {

enum class DType { u8, i8, u16, i16, i32, f32, f16 };
inline constexpr int kDTypes = 7;

// Calls add(T{}, type) for every type that pixels are stored in: how a table of loops gets its entries.
template <typename Add>
constexpr void each_stored_type(Add add) {
  add(std::uint8_t{}, DType::u8);
  add(std::int8_t{}, DType::i8);
  add(std::uint16_t{}, DType::u16);
  add(std::int16_t{}, DType::i16);
  add(std::int32_t{}, DType::i32);
  add(float{}, DType::f32);
}

// Three axes, strides in elements and of either sign.
struct Array3 {
  void* data;
  DType type;
  Index shape[3];
  Index stride[3];
};

struct ConstArray3 {
  const void* data;
  DType type;
  Index shape[3];
  Index stride[3];
};

// Pixels with samples: [n, y, x, c] or, planes of them, [n, c, y, x].
struct Pixels {
  void* data;
  DType type;
  Index shape[4];
  Index stride[4];
};

struct ConstPixels {
  const void* data;
  DType type;
  Index shape[4];
  Index stride[4];
};

inline Index item_size(DType type) {
  switch (type) {
    case DType::u8:
    case DType::i8:
      return 1;
    case DType::u16:
    case DType::i16:
    case DType::f16:
      return 2;
    default:
      return 4;
  }
}

inline Index magnitude(Index stride) {
  return stride < 0 ? -stride : stride;
}

}  // namespace bedside::cpu
