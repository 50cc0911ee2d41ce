// Memory a kernel needs while it runs: kept a thread that calls kernels, so that only the first of equal calls
// allocates.
#pragma once

#include <cstddef>
#include <vector>

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

}  // namespace bedside::cpu
