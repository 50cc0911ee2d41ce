// A label map as runs: what connected components, their measurements and their drawing are made from. Callers check
// shapes and strides (bindings/checks.h); these trust them.
#pragma once

#include <cstddef>
#include <memory>

#include "array.h"
#include "bedside/components.h"

namespace bedside::cpu {

// Memory that grows and is not filled.
template <typename T>
class Buffer {
 public:
  // Room for n; what was held is lost where that needs more memory. Throws std::bad_alloc.
  T* need(std::size_t n) {
    if (n > room_) {
      held_.reset();
      room_ = 0;
      held_.reset(new T[n]);
      room_ = n;
    }
    return held_.get();
  }
  T* data() { return held_.get(); }
  const T* data() const { return held_.get(); }
  T& operator[](std::size_t i) { return held_[i]; }
  const T& operator[](std::size_t i) const { return held_[i]; }

 private:
  std::unique_ptr<T[]> held_;
  std::size_t room_ = 0;
};

struct Runs {
  Index shape[3] = {0, 0, 0};
  Buffer<std::uint32_t>
      first;  // [rows + 1]: the runs of row z * shape[1] + y are run[first[row]] ... run[first[row + 1] - 1]
  Buffer<Run> run;
  std::uint32_t components = 0;
  Buffer<std::uint8_t> label;  // [components], of component 1 first

  Index rows() const { return shape[0] * shape[1]; }
  std::uint32_t count() const { return rows() > 0 ? first[static_cast<std::size_t>(rows())] : 0; }
};

// Which voxels are neighbours: those that differ by one step along at most so many axes.
enum class Connectivity {
  none,  // a component is all of one label
  edges2 = 4,
  corners2 = 8,  // in a slice
  faces = 6,
  edges = 18,
  corners = 26,
};

// Where group[voxel] is not 0 that is the label of the voxel. With more than one channel, `channel` elements apart, a
// voxel is the bitwise or over the channels. Where src is written to meanwhile, the runs are those of some mixture of
// before and after. Throws std::length_error where there are more than 2^32 - 2 runs.
void find_runs(const ConstArray3& src, Index channels, Index channel, const std::uint8_t* group, int threads,
               Runs& runs);

// Numbers components from 1, in raster order of their first voxel; none: in the order of the labels.
void number_components(Runs& runs, Connectivity connectivity, int threads);

// Component k + 1 becomes component numbers[k] of `to`, or is left out where that is 0. Those that become one must have
// one label (the first one's is kept). `components` is the largest of the numbers.
void select_components(const Runs& from, const std::uint32_t* numbers, std::uint32_t components, Runs& to);

// Writes values[k] (k where there are none) to the voxels of component k + 1 (k + 1), and 0 to all others if `clear`.
// out is u8, u16 or i32 and as large as the label map.
void paint(const Runs& runs, const std::uint32_t* values, bool clear, const Array3& out, int threads);

}  // namespace bedside::cpu
