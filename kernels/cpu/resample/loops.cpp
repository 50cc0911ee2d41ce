// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "resample/loops.h"

// GCC's intrinsics leave unused lanes undefined on purpose, and warn of it.
#if defined(__SSE4_2__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "resample/affine_loops.h"
#include "resample/linear_loops.h"
#include "resample/nearest_loops.h"
#include "stream.h"
#include "transpose.h"

namespace bedside::cpu {

namespace {

template <typename T>
constexpr void add_type(ResampleLoops& table, DType type) {
  const int i = static_cast<int>(type);
  table.blend_source_rows[i] = blend_source_rows<T>;
  table.index_row[i] = index_row<T>;
  table.affine_linear[i] = affine_linear<T>;
  table.affine_nearest[i][0] = affine_nearest<T, T>;
  table.affine_nearest[i][1] = affine_nearest<T, float>;
}

constexpr ResampleLoops make_table() {
  ResampleLoops table{};
  each_stored_type([&](auto zero, DType type) { add_type<decltype(zero)>(table, type); });
  table.sample_row = sample_row;
  table.finish = finish;
  table.stream = stream;
  add_turns(table.turn);
  table.pick_row = pick_row;
  return table;
}

}  // namespace

constexpr ResampleLoops BEDSIDE_LEVEL(resample_loops) = make_table();

}  // namespace bedside::cpu
