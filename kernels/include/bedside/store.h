// A float as a network's input holds it: float32, float16, quantised as ONNX QuantizeLinear (operator version 13 and
// up) says, or cut to an integer. The same bits on every CPU and on CUDA: no hardware conversion decides what becomes
// of a NaN, a tie or what is out of range.
#pragma once

#include <cstring>

#include "bedside/host_device.h"

namespace bedside {

// IEEE 754 binary16.
struct Half {
  std::uint16_t bits;
};

// How real numbers are held by integers: real = (stored - zero_point) * scale.
struct Quantization {
  float scale;              // above 0
  std::int32_t zero_point;  // within the range of the type that is written
  bool truncates = false;   // cut towards zero instead; scale and zero point are not used
};

BEDSIDE_HD std::uint32_t float_bits(float v) {
  std::uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return bits;
}

BEDSIDE_HD float bits_float(std::uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, 4);
  return v;
}

// Rounded to nearest, ties to even; beyond the range of a half it is an infinity (from 65520 on). A NaN becomes a quiet
// NaN of the same sign and the upper bits of its payload, as F16C and AArch64 do.
BEDSIDE_HD Half to_half(float v) {
  const std::uint32_t bits = float_bits(v), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  // Normal: the exponent's bias changes from 127 to 15, half of what is cut off is added, less the last bit if that is
  // even. A carry into the exponent is right.
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  // Below 2^-14: one unit in the last place of 0.5f is the smallest half, so the addition rounds as it must.
  const std::uint32_t subnormal = float_bits(bits_float(magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t not_a_number = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  std::uint32_t half = magnitude < (113u << 23) ? subnormal : normal;
  half = magnitude >= (143u << 23) ? 0x7c00u : half;
  half = magnitude > 0x7f800000u ? not_a_number : half;
  return {static_cast<std::uint16_t>(half | sign)};
}

// saturate(round_half_even(v / scale) + zero_point); low and high are the range of the integer type, of at most 16
// bits. A NaN becomes the zero point, of which ONNX says nothing: it is the 0 of the quantised numbers.
BEDSIDE_HD std::int32_t quantize(float v, const Quantization& q, std::int32_t low, std::int32_t high) {
  const float least = static_cast<float>(low - q.zero_point), most = static_cast<float>(high - q.zero_point);
  float x = v / q.scale;
  x = x == x ? x : 0.0f;
  x = x < least ? least : x;
  x = x > most ? most : x;
  // Less than 2^22 in magnitude: what is left after this sum has no room for a fraction.
  x = (x + 12582912.0f) - 12582912.0f;
  return static_cast<std::int32_t>(x) + q.zero_point;
}

// Cut towards zero and saturated; both ends are floats within the range of int32. A NaN becomes 0.
BEDSIDE_HD std::int32_t cut(float v, float least, float most) {
  float x = v == v ? v : 0.0f;
  x = x < least ? least : x;
  x = x > most ? most : x;
  return static_cast<std::int32_t>(x);
}

// store<Out>(v, q): Out is float, Half (q is not used), an integer of at most 16 bits, or an int32 (which is only cut).
template <typename Out>
struct Store;

template <>
struct Store<float> {
  static BEDSIDE_HD float of(float v, const Quantization&) { return v; }
  static BEDSIDE_HD float cut(float v) { return v; }
};

template <>
struct Store<Half> {
  static BEDSIDE_HD Half of(float v, const Quantization&) { return to_half(v); }
  static BEDSIDE_HD Half cut(float v) { return to_half(v); }
};

template <>
struct Store<std::int32_t> {
  static BEDSIDE_HD std::int32_t of(float v, const Quantization&) { return cut(v); }
  static BEDSIDE_HD std::int32_t cut(float v) {
    // The greatest float below 2^31 is 2^31 - 128.
    return v >= 2147483648.0f ? 2147483647 : bedside::cut(v, -2147483648.0f, 2147483520.0f);
  }
};

template <>
struct Store<std::uint8_t> {
  static BEDSIDE_HD std::uint8_t of(float v, const Quantization& q) {
    return static_cast<std::uint8_t>(quantize(v, q, 0, 255));
  }
  static BEDSIDE_HD std::uint8_t cut(float v) { return static_cast<std::uint8_t>(bedside::cut(v, 0.0f, 255.0f)); }
};

template <>
struct Store<std::int8_t> {
  static BEDSIDE_HD std::int8_t of(float v, const Quantization& q) {
    return static_cast<std::int8_t>(quantize(v, q, -128, 127));
  }
  static BEDSIDE_HD std::int8_t cut(float v) { return static_cast<std::int8_t>(bedside::cut(v, -128.0f, 127.0f)); }
};

template <>
struct Store<std::uint16_t> {
  static BEDSIDE_HD std::uint16_t of(float v, const Quantization& q) {
    return static_cast<std::uint16_t>(quantize(v, q, 0, 65535));
  }
  static BEDSIDE_HD std::uint16_t cut(float v) { return static_cast<std::uint16_t>(bedside::cut(v, 0.0f, 65535.0f)); }
};

template <>
struct Store<std::int16_t> {
  static BEDSIDE_HD std::int16_t of(float v, const Quantization& q) {
    return static_cast<std::int16_t>(quantize(v, q, -32768, 32767));
  }
  static BEDSIDE_HD std::int16_t cut(float v) {
    return static_cast<std::int16_t>(bedside::cut(v, -32768.0f, 32767.0f));
  }
};

template <typename Out>
BEDSIDE_HD Out store(float v, const Quantization& q) {
  return q.truncates ? Store<Out>::cut(v) : Store<Out>::of(v, q);
}

}  // namespace bedside
