// Loops are compiled once an instruction set; the best that this CPU has is picked at run time.
//
// A group of kernels has a loops.h with a struct of function pointers and BEDSIDE_LOOPS(Struct, group_loops), and a
// loops.cpp that defines BEDSIDE_LEVEL(group_loops); CMakeLists.txt builds it for every level. Call group_loops().
#pragma once

namespace bedside::cpu {

enum class Level {
  baseline,  // x86-64-v2, or all that a CPU of another architecture is sure to have (aarch64: NEON)
#if defined(BEDSIDE_X86_64_LEVELS)
  x86_64_v3,  // AVX2
  x86_64_v4,  // AVX-512
#endif
};

// Chosen at the first call: the best this CPU has, or the one the environment variable BEDSIDE_KERNEL_ISA names.
// Throws std::runtime_error if the CPU lacks it, or lacks the baseline.
Level active_level();

// "x86-64-v4", "x86-64-v3", "x86-64-v2" or "aarch64".
const char* level_name(Level level);

// What this CPU can run, the best first; for tests.
struct Levels {
  Level level[3];
  int count;
};
Levels available_levels();

// Makes active_level() say this until the next call; for tests, not while a kernel runs.
void use_level(Level level);

}  // namespace bedside::cpu

#define BEDSIDE_PASTE_(name, suffix) name##_##suffix
#define BEDSIDE_PASTE(name, suffix) BEDSIDE_PASTE_(name, suffix)
// The name of a table in the build of one level.
#define BEDSIDE_LEVEL(name) BEDSIDE_PASTE(name, BEDSIDE_SUFFIX)

// Declares the tables `name` of all levels and a function of that name that gives the active one. The tables are
// constants: no code of a level runs before the CPU is known to have its instructions.
#if defined(BEDSIDE_X86_64_LEVELS)
#define BEDSIDE_LOOPS(Type, name)     \
  extern const Type name##_baseline;  \
  extern const Type name##_x86_64_v3; \
  extern const Type name##_x86_64_v4; \
  static inline const Type& name() {  \
    switch (active_level()) {         \
      case Level::x86_64_v4:          \
        return name##_x86_64_v4;      \
      case Level::x86_64_v3:          \
        return name##_x86_64_v3;      \
      default:                        \
        return name##_baseline;       \
    }                                 \
  }
#else
#define BEDSIDE_LOOPS(Type, name)    \
  extern const Type name##_baseline; \
  static inline const Type& name() { \
    return name##_baseline;          \
  }
#endif
