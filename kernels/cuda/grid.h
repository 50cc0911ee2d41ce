// Which thread of a launch computes which element. Only what is under __CUDACC__ needs CUDA: the rest is plain C++, so
// that the host can walk the same grid with the same body (tests/test_launch.cpp).
#pragma once

#include "array.h"
#include "bedside/host_device.h"
#include "bedside/store.h"

namespace bedside::cuda {

// What a launch covers: neighbouring threads take neighbouring columns.
struct Extent {
  Index rows, columns;
};

inline constexpr unsigned kBlockColumns = 32, kBlockRows = 8;  // threads of a block: a warp a row

// A grid of blocks. Threads stride over what a smaller grid than the extent leaves.
struct Grid {
  unsigned column_blocks, row_blocks;
};

// Enough blocks to fill any card many times over, and within the limits of a launch (65535 in y).
inline constexpr Index kMostColumnBlocks = 1024, kMostRowBlocks = 32768;

inline Grid grid_of(const Extent& extent) {
  const auto blocks = [](Index n, Index threads, Index most) {
    const Index all = (n + threads - 1) / threads;
    return static_cast<unsigned>(all < most ? all : most);
  };
  return {blocks(extent.columns, kBlockColumns, kMostColumnBlocks), blocks(extent.rows, kBlockRows, kMostRowBlocks)};
}

struct Thread {
  unsigned column_block, row_block, column, row;
};

// All that one thread does: body(row, column) for its share of the extent.
template <typename Body>
BEDSIDE_HD void walk(const Grid& grid, const Thread& thread, const Extent& extent, const Body& body) {
  const Index column_step = static_cast<Index>(grid.column_blocks) * kBlockColumns;
  const Index row_step = static_cast<Index>(grid.row_blocks) * kBlockRows;
  const Index first_column = static_cast<Index>(thread.column_block) * kBlockColumns + thread.column;
  for (Index row = static_cast<Index>(thread.row_block) * kBlockRows + thread.row; row < extent.rows; row += row_step) {
    for (Index column = first_column; column < extent.columns; column += column_step) body(row, column);
  }
}

#if defined(__CUDACC__)

template <typename Body>
__global__ void __launch_bounds__(kBlockColumns* kBlockRows) run(Grid grid, Extent extent, Body body) {
  walk(grid, {blockIdx.x, blockIdx.y, threadIdx.x, threadIdx.y}, extent, body);
}

// Puts launches into a stream.
struct Stream {
  cudaStream_t stream;

  template <typename Body>
  cudaError_t operator()(const Extent& extent, const Body& body) const {
    if (extent.rows == 0 || extent.columns == 0) return cudaSuccess;
    const Grid grid = grid_of(extent);
    run<<<dim3(grid.column_blocks, grid.row_blocks), dim3(kBlockColumns, kBlockRows), 0, stream>>>(grid, extent, body);
    return cudaGetLastError();
  }
};

#endif

template <typename T>
struct Type {
  using type = T;
};

// visit(Type<T>()) for a type that pixels are stored in.
template <typename F>
auto with_stored(cpu::DType type, F&& visit) {
  switch (type) {
    case cpu::DType::u8:
      return visit(Type<std::uint8_t>());
    case cpu::DType::i8:
      return visit(Type<std::int8_t>());
    case cpu::DType::u16:
      return visit(Type<std::uint16_t>());
    case cpu::DType::i16:
      return visit(Type<std::int16_t>());
    case cpu::DType::i32:
      return visit(Type<std::int32_t>());
    default:
      return visit(Type<float>());
  }
}

// Element `at` of an array of a type that a network's input may have. Chosen when the kernel runs, in all its threads
// alike: a kernel a type of output would be six times the machine code.
BEDSIDE_HD void store_as(cpu::DType type, void* data, Index at, float v, const Quantization& q) {
  switch (type) {
    case cpu::DType::u8:
      static_cast<std::uint8_t*>(data)[at] = store<std::uint8_t>(v, q);
      break;
    case cpu::DType::i8:
      static_cast<std::int8_t*>(data)[at] = store<std::int8_t>(v, q);
      break;
    case cpu::DType::u16:
      static_cast<std::uint16_t*>(data)[at] = store<std::uint16_t>(v, q);
      break;
    case cpu::DType::i16:
      static_cast<std::int16_t*>(data)[at] = store<std::int16_t>(v, q);
      break;
    case cpu::DType::f16:
      static_cast<Half*>(data)[at] = store<Half>(v, q);
      break;
    default:
      static_cast<float*>(data)[at] = v;
  }
}

// An array as a body holds it.
template <typename T>
struct View {
  T* data;
  Index shape[3], stride[3];

  BEDSIDE_HD T& at(Index z, Index y, Index x) const { return data[z * stride[0] + y * stride[1] + x * stride[2]]; }
};

template <typename T>
View<const T> view(const cpu::ConstArray3& a) {
  return {static_cast<const T*>(a.data), {a.shape[0], a.shape[1], a.shape[2]}, {a.stride[0], a.stride[1], a.stride[2]}};
}

template <typename T>
View<T> view(const cpu::Array3& a) {
  return {static_cast<T*>(a.data), {a.shape[0], a.shape[1], a.shape[2]}, {a.stride[0], a.stride[1], a.stride[2]}};
}

}  // namespace bedside::cuda
