// 32-bit values as unsigned numbers that sort as the values do, so that order statistics of floats are found by
// counting.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

enum class Order {
  floats,    // IEEE 754: a negative number's magnitude runs the other way; -0 comes before +0
  integers,  // two's complement
};

// The place of a value among all 2^32, from its bits, and the way back. A NaN lies beyond the infinity of its sign.
BEDSIDE_HD std::uint32_t place_of_bits(std::uint32_t bits, Order order) {
  return order == Order::floats && bits >> 31 ? ~bits : bits ^ 0x80000000u;
}

BEDSIDE_HD std::uint32_t bits_at_place(std::uint32_t place, Order order) {
  return order == Order::floats && !(place >> 31) ? ~place : place ^ 0x80000000u;
}

// A float's bits as a signed number that sorts as the floats do, and the way back.
BEDSIDE_HD std::int32_t signed_order(std::int32_t bits) {
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

BEDSIDE_HD bool is_nan_bits(std::int32_t bits) {
  return (bits & 0x7fffffff) > 0x7f800000;
}

BEDSIDE_HD bool is_infinite_bits(std::int32_t bits) {
  return (bits & 0x7fffffff) == 0x7f800000;
}

}  // namespace bedside
