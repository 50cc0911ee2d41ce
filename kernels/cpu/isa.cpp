// Which table of loops runs on this CPU.
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "loops.h"

namespace bedside::cpu {

extern const Loops loops_baseline;
#if defined(BEDSIDE_X86_64_LEVELS)
extern const Loops loops_x86_64_v3;
extern const Loops loops_x86_64_v4;
#endif

LoopsList available_loops() {
  LoopsList list{{}, 0};
#if defined(BEDSIDE_X86_64_LEVELS)
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                  __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("movbe");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  if (v4) list.table[list.count++] = &loops_x86_64_v4;
  if (v3) list.table[list.count++] = &loops_x86_64_v3;
#endif
  list.table[list.count++] = &loops_baseline;
  return list;
}

namespace {

const Loops* choose() {
  const LoopsList list = available_loops();
  const char* wanted = std::getenv("BEDSIDE_KERNEL_ISA");
  if (wanted == nullptr || *wanted == '\0') return list.table[0];
  std::string names;
  for (int i = 0; i < list.count; ++i) {
    if (std::strcmp(list.table[i]->isa, wanted) == 0) return list.table[i];
    names += std::string(i > 0 ? ", " : "") + list.table[i]->isa;
  }
  throw std::invalid_argument(std::string("BEDSIDE_KERNEL_ISA is '") + wanted + "'; this CPU has: " + names);
}

const Loops*& active() {
  static const Loops* table = choose();
  return table;
}

}  // namespace

const Loops& loops() {
  return *active();
}

void use_loops(const Loops& table) {
  active() = &table;
}

const char* active_isa() {
  return loops().isa;
}

}  // namespace bedside::cpu
