// What every kernel header needs to compile for the host and for CUDA.
#pragma once

#include <cstddef>
#include <cstdint>

// Marks the arithmetic that host and device share. Always inlined on the host: the loops are compiled once an
// instruction set, and a shared out-of-line copy could be the one with instructions this CPU lacks.
#if defined(__CUDACC__)
#define BEDSIDE_HD __host__ __device__ __forceinline__
#else
#define BEDSIDE_HD __attribute__((always_inline)) inline
#endif

namespace bedside {

using Index = std::ptrdiff_t;

}  // namespace bedside
