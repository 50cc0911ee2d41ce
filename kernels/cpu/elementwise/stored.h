// Stored values to stored values, on arrays. Callers check shapes, strides and overlap (bindings/checks.h); these trust
// them.
#pragma once

#include "array.h"
#include "bedside/look_up.h"

namespace bedside::cpu {

// out = table[entry of src]. An entry is of out's type, or (channels 3) three bytes, out's type then being u8 and
// between the stride from one of its samples to the next.
void look_up(const ConstArray3& src, const Array3& out, const void* table, Index channels, Index between,
             const LookUp& how, int threads);

// Bits shift to shift + bits - 1 of integers, sign-extended where out is signed; out may be src.
void extract_bits(const ConstArray3& src, const Array3& out, int shift, int bits, int threads);

// values = total - values, in place, but for those that are `padding` (null: none); integers wrap around.
void mirror(const Array3& values, std::int64_t total, const double* padding, int threads);

}  // namespace bedside::cpu
