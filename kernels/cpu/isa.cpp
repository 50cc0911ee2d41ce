// Which build of the loops runs on this CPU.
#include "isa.h"

#if defined(BEDSIDE_X86_64_LEVELS)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace bedside::cpu {

const char* level_name(Level level) {
#if defined(BEDSIDE_X86_64_LEVELS)
  switch (level) {
    case Level::x86_64_v4:
      return "x86-64-v4";
    case Level::x86_64_v3:
      return "x86-64-v3";
    default:
      return "x86-64-v2";
  }
#else
  (void)level;
  return BEDSIDE_BASELINE;
#endif
}

#if defined(BEDSIDE_X86_64_LEVELS)
namespace {

// Of x86-64-v3, what clang's __builtin_cpu_supports has no word for before version 17.
bool has_f16c_movbe_lzcnt() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & bit_F16C) == 0 || (c & bit_MOVBE) == 0) return false;
  return __get_cpuid(0x80000001u, &a, &b, &c, &d) != 0 && (c & bit_LZCNT) != 0;
}

}  // namespace
#endif

Levels available_levels() {
  Levels found{{}, 0};
#if defined(BEDSIDE_X86_64_LEVELS)
  __builtin_cpu_init();
  const bool v2 =
      __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx") && __builtin_cpu_supports("avx2") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma") &&
                  has_f16c_movbe_lzcnt();
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  if (v4) found.level[found.count++] = Level::x86_64_v4;
  if (v3) found.level[found.count++] = Level::x86_64_v3;
  if (v2) found.level[found.count++] = Level::baseline;
#else
  found.level[found.count++] = Level::baseline;
#endif
  return found;
}

namespace {

Level choose() {
  const Levels found = available_levels();
  if (found.count == 0) throw std::runtime_error("the kernels need a CPU with SSE4.2 and POPCNT (x86-64-v2)");
  const char* wanted = std::getenv("BEDSIDE_KERNEL_ISA");
  if (wanted == nullptr || *wanted == '\0') return found.level[0];
  std::string names;
  for (int i = 0; i < found.count; ++i) {
    if (std::strcmp(level_name(found.level[i]), wanted) == 0) return found.level[i];
    names += std::string(i > 0 ? ", " : "") + level_name(found.level[i]);
  }
  throw std::runtime_error(std::string("BEDSIDE_KERNEL_ISA is '") + wanted + "'; this CPU has: " + names);
}

Level& active() {
  static Level level = choose();
  return level;
}

}  // namespace

Level active_level() {
  return active();
}

void use_level(Level level) {
  active() = level;
}

}  // namespace bedside::cpu
