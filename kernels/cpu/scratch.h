// Memory a kernel needs while it runs: kept a thread that calls kernels, so that only the first of equal calls
// allocates.
#pragma once

#include <cstddef>
#include <vector>

#include "bedside/host_device.h"

namespace bedside::cpu {

// At least `bytes` bytes, aligned for every type, of no defined content; the next call of this thread reuses them.
// Throws std::bad_alloc.
inline void* scratch(std::size_t bytes) {
  static thread_local std::vector<std::max_align_t> memory;
  const std::size_t units = bytes / sizeof(std::max_align_t) + 1;
  if (memory.size() < units) {
    memory.clear();
    memory.resize(units);
  }
  return memory.data();
}

inline Index round_up(Index n, Index step) {
  return (n + step - 1) / step * step;
}

// A bump allocator over one scratch block, sized in a first pass with a null base.
struct Carver {
  char* base;
  std::size_t used = 0;
  template <typename T>
  T* take(Index count) {
    T* const at = base == nullptr ? nullptr : reinterpret_cast<T*>(base + used);
    used += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return at;
  }
};

}  // namespace bedside::cpu
