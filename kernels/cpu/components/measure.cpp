#include "components/measure.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "bedside/diameter.h"
#include "bedside/moments.h"
#include "components/loops.h"
#include "scratch.h"
#include "thread_pool.h"

namespace bedside::cpu {

namespace {

// Calls visit(z, pieces of one slice, how many) for the slices of a component, from the first on.
template <typename Visit>
void each_slice(const Piece* piece, const Piece* end, Index height, Visit&& visit) {
  while (piece < end) {
    const Index z = piece->row / height;
    const Index below = (z + 1) * height;
    const Piece* next = piece + 1;
    while (next < end && next->row < below) ++next;
    visit(z, piece, next);
    piece = next;
  }
}

// So many components at once that threads do not meet too often.
Index grain_of(const Runs& runs) {
  return std::clamp<Index>(Index{runs.components} * 4096 / (Index{runs.count()} + 1), 1, 4096);
}

}  // namespace

void sort_pieces(const Runs& runs, Pieces& pieces) {
  const std::uint32_t count = runs.count();
  std::uint32_t* const first = pieces.first.need(std::size_t{runs.components} + 1);
  std::fill(first, first + runs.components + 1, 0);
  if (count == 0) return;
  Piece* const piece = pieces.piece.need(count);
  const Run* const run = runs.run.data();
  // first[k] moves from where component k + 1 begins to where it ends, which is where the next begins.
  for (std::uint32_t i = 0; i < count; ++i) ++first[run[i].number];
  for (std::uint32_t k = 1; k <= runs.components; ++k) first[k] += first[k - 1];
  for (std::uint32_t k = runs.components; k > 0; --k) first[k] = first[k - 1];
  const Index rows = runs.rows();
  for (Index row = 0; row < rows; ++row) {
    for (std::uint32_t i = runs.first[row]; i < runs.first[row + 1]; ++i) {
      piece[first[run[i].number]++] = {static_cast<std::uint32_t>(row), run[i].begin, run[i].end};
    }
  }
}

void measure_extent(const Runs& runs, const Pieces& pieces, const Extent& to, int threads) {
  const Index height = runs.shape[1];
  parallel_for(runs.components, grain_of(runs), resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index k = begin; k < end; ++k) {
      std::int64_t voxels = 0, sum[3] = {0, 0, 0}, key_area = 0;
      std::int32_t low[3] = {0, 0, 0}, high[3] = {0, 0, 0}, key_slice = 0;
      const Piece* const mine = pieces.piece.data() + pieces.first[k];
      const Piece* const last = pieces.piece.data() + pieces.first[k + 1];
      if (mine < last) {
        low[0] = static_cast<std::int32_t>(mine->row / height);
        low[1] = low[2] = std::numeric_limits<std::int32_t>::max();
      }
      each_slice(mine, last, height, [&](Index z, const Piece* piece, const Piece* stop) {
        std::int64_t area = 0;
        const Index above = z * height;
        low[1] = std::min(low[1], static_cast<std::int32_t>(piece->row - above));
        high[0] = static_cast<std::int32_t>(z + 1);
        high[1] = std::max(high[1], static_cast<std::int32_t>(stop[-1].row - above + 1));
        for (; piece < stop; ++piece) {
          const std::int64_t n = piece->end - piece->begin;
          area += n;
          sum[1] += static_cast<std::int64_t>(piece->row - above) * n;
          sum[2] += (static_cast<std::int64_t>(piece->begin) + piece->end - 1) * n / 2;
          low[2] = std::min(low[2], piece->begin);
          high[2] = std::max(high[2], piece->end);
        }
        voxels += area;
        sum[0] += area * z;
        if (area > key_area) {
          key_area = area;
          key_slice = static_cast<std::int32_t>(z);
        }
      });
      to.voxels[k] = voxels;
      to.key_area[k] = key_area;
      to.key_slice[k] = key_slice;
      for (int axis = 0; axis < 3; ++axis) {
        to.sum[3 * k + axis] = sum[axis];
        to.box[6 * k + 2 * axis] = low[axis];
        to.box[6 * k + 2 * axis + 1] = high[axis];
      }
    }
  });
}

namespace {

__extension__ typedef __int128 Wide;

// In the units of slope and intercept.
Moments moments_of(const ValueSums& sums, bool exact, double slope, double intercept) {
  if (!exact) {
    const Moments stored = shifted_moments(sums.count, sums.shift, sums.shifted_sum, sums.shifted_squares);
    return {stored.count, stored.mean * slope + intercept, stored.squares * (slope * slope)};
  }
  const double n = static_cast<double>(sums.count);
  const Wide apart = Wide{sums.count} * sums.squares - Wide{sums.sum} * sums.sum;
  return {sums.count, (slope * static_cast<double>(sums.sum) + intercept * n) / n,
          static_cast<double>(apart) / n * (slope * slope)};
}

// A range with more values; NaN wins.
struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;

  void take(double a, double b) {
    low = std::isnan(low) || low < std::min(a, b) ? low : std::min(a, b);
    high = std::isnan(high) || high > std::max(a, b) ? high : std::max(a, b);
  }
};

}  // namespace

void measure_values(const Runs& runs, const Pieces& pieces, const ConstArray3& stored, const float* slope,
                    const float* intercept, const double* padding, std::int64_t* count, double* values, int threads) {
  const Index height = runs.shape[1], size = item_size(stored.type);
  const auto add = component_loops().add_values[static_cast<int>(stored.type)];
  const bool exact = stored.type != DType::i32 && stored.type != DType::f32;
  constexpr std::int64_t kMost = 0x7fffffff;  // more squares of 16 bits might not fit into a sum of 64
  parallel_for(runs.components, grain_of(runs), resolve_threads(threads), [&](int, Index begin, Index end) {
    for (Index k = begin; k < end; ++k) {
      Moments all{0, 0.0, 0.0};
      Range range;
      ValueSums sums{};
      double scale = 1, offset = 0;
      const auto flush = [&] {
        if (sums.count == 0) return;
        all = merge(all, moments_of(sums, exact, scale, offset));
        range.take(sums.low * scale + offset, sums.high * scale + offset);
        sums = ValueSums{};
      };
      each_slice(pieces.piece.data() + pieces.first[k], pieces.piece.data() + pieces.first[k + 1], height,
                 [&](Index z, const Piece* piece, const Piece* stop) {
                   if (slope[z] != scale || intercept[z] != offset) flush();
                   scale = slope[z];
                   offset = intercept[z];
                   for (; piece < stop; ++piece) {
                     if (sums.count + piece->end - piece->begin > kMost) flush();
                     const Index y = piece->row - z * height;
                     const Index at = z * stored.stride[0] + y * stored.stride[1] + piece->begin * stored.stride[2];
                     add(static_cast<const char*>(stored.data) + at * size, stored.stride[2], piece->end - piece->begin,
                         padding, sums);
                   }
                 });
      flush();
      count[k] = all.count;
      const double none = std::numeric_limits<double>::quiet_NaN(), n = static_cast<double>(all.count);
      values[4 * k] = all.count > 0 ? all.mean : none;
      values[4 * k + 1] = all.count > 0 ? std::sqrt(all.squares / n) : none;
      values[4 * k + 2] = all.count > 0 ? range.low : none;
      values[4 * k + 3] = all.count > 0 ? range.high : none;
    }
  });
}

namespace {

// What measure_diameter needs of a slice: at most `height` rows.
struct Workspace {
  struct Slice {
    double bound;  // the diagonal of its box
    const Piece* piece;
    const Piece* stop;
  };
  Slice* slices;
  std::int32_t *y, *left, *right, *kept_left, *kept_right, *point_y, *point_x;

  static std::size_t bytes(Index depth, Index height) {
    return static_cast<std::size_t>(depth) * sizeof(Slice) +
           static_cast<std::size_t>(height) * 9 * sizeof(std::int32_t);
  }
  Workspace(char* memory, Index depth, Index height) {
    slices = reinterpret_cast<Slice*>(memory);
    y = reinterpret_cast<std::int32_t*>(slices + depth);
    left = y + height;
    right = left + height;
    kept_left = right + height;
    kept_right = kept_left + height;
    point_y = kept_right + height;
    point_x = point_y + 2 * height;
  }
};

// The outermost voxels of each row of a slice.
std::int32_t row_ends(const Workspace::Slice& slice, Index first_row, std::int32_t first_x, const Workspace& work) {
  std::int32_t rows = 0;
  for (const Piece* piece = slice.piece; piece < slice.stop; ++piece) {
    const std::int32_t y = static_cast<std::int32_t>(piece->row - first_row);
    if (rows == 0 || work.y[rows - 1] != y) {
      work.y[rows] = y;
      work.left[rows++] = piece->begin - first_x;
    }
    work.right[rows - 1] = piece->end - 1 - first_x;
  }
  return rows;
}

// Corners of the convex hull of the rows, the only pixels that can be an end of a longest distance. A hull of n rows
// has some n^(2/3) corners at most, so all pairs of them are few. First left ends, then right ones, each from top to
// bottom; a row of one pixel is a left end.
std::int32_t corners(std::int32_t rows, const Workspace& work) {
  const std::int32_t lefts = hull_chain(work.y, work.left, rows, 1, work.kept_left);
  const std::int32_t rights = hull_chain(work.y, work.right, rows, -1, work.kept_right);
  const auto is_left_end = [&](std::int32_t row) { return work.left[row] == work.right[row]; };
  std::int32_t points = 0, l = 0, r = 0;
  const auto add = [&](std::int32_t row, const std::int32_t* x) {
    work.point_y[points] = work.y[row];
    work.point_x[points++] = x[row];
  };
  for (;;) {
    while (r < rights && !is_left_end(work.kept_right[r])) ++r;
    const std::int32_t next_left = l < lefts ? work.kept_left[l] : rows;
    const std::int32_t next_right = r < rights ? work.kept_right[r] : rows;
    const std::int32_t row = std::min(next_left, next_right);
    if (row == rows) break;
    l += next_left == row;
    r += next_right == row;
    add(row, work.left);
  }
  for (r = 0; r < rights; ++r) {
    if (!is_left_end(work.kept_right[r])) add(work.kept_right[r], work.right);
  }
  return points;
}

}  // namespace

void measure_diameter(const Runs& runs, const Pieces& pieces, const double* pixel, const std::int32_t* only,
                      double* length, std::int32_t* slice, std::int32_t* ends, int threads) {
  const Index depth = runs.shape[0], height = runs.shape[1];
  threads = static_cast<int>(std::min<Index>(resolve_threads(threads), runs.components));
  const std::size_t each = (Workspace::bytes(depth, height) + 63) / 64 * 64;
  char* const memory = static_cast<char*>(scratch(each * static_cast<std::size_t>(threads)));
  parallel_for(runs.components, grain_of(runs), threads, [&](int slot, Index begin, Index end) {
    const Workspace work(memory + each * static_cast<std::size_t>(slot), depth, height);
    for (Index k = begin; k < end; ++k) {
      const double pixel_y = pixel[2 * k], pixel_x = pixel[2 * k + 1];
      Index slices = 0;
      // Indices count from the component's box, so that a length does not depend on where the component lies.
      const Piece* const mine = pieces.piece.data() + pieces.first[k];
      const Piece* const last = pieces.piece.data() + pieces.first[k + 1];
      std::int32_t low_y = std::numeric_limits<std::int32_t>::max(), low_x = low_y;
      each_slice(mine, last, height, [&](Index z, const Piece* piece, const Piece* stop) {
        low_y = std::min(low_y, static_cast<std::int32_t>(piece->row - z * height));
        for (; piece < stop; ++piece) low_x = std::min(low_x, piece->begin);
      });
      each_slice(mine, last, height, [&](Index z, const Piece* piece, const Piece* stop) {
        if (only != nullptr && only[k] != z) return;
        std::int32_t low = piece->begin, high = piece->end;
        for (const Piece* p = piece; p < stop; ++p) {
          low = std::min(low, p->begin);
          high = std::max(high, p->end);
        }
        const double bound = std::hypot(static_cast<double>(stop[-1].row - piece->row) * pixel_y,
                                        static_cast<double>(high - 1 - low) * pixel_x);
        work.slices[slices++] = {bound, piece, stop};
      });
      std::sort(work.slices, work.slices + slices, [](const Workspace::Slice& a, const Workspace::Slice& b) {
        return a.bound > b.bound || (a.bound == b.bound && a.piece < b.piece);
      });
      double best = -1;
      std::int32_t where = 0, found[4] = {0, 0, 0, 0};
      // The diagonal bounds a slice's diameter, so most slices need no look at their pixels.
      for (Index s = 0; s < slices && work.slices[s].bound > best; ++s) {
        const Index z = work.slices[s].piece->row / height;
        const std::int32_t rows = row_ends(work.slices[s], z * height + low_y, low_x, work);
        const std::int32_t points = corners(rows, work);
        double longest = 0;
        std::int32_t a = 0, b = 0;
        for (std::int32_t i = 0; i < points; ++i) {
          for (std::int32_t j = i + 1; j < points; ++j) {
            const double distance =
                squared_distance(work.point_y[i], work.point_x[i], work.point_y[j], work.point_x[j], pixel_y, pixel_x);
            if (distance > longest) {
              longest = distance;
              a = i;
              b = j;
            }
          }
        }
        if (std::sqrt(longest) <= best) continue;
        best = std::sqrt(longest);
        where = static_cast<std::int32_t>(z);
        found[0] = work.point_y[a] + low_y;
        found[1] = work.point_x[a] + low_x;
        found[2] = work.point_y[b] + low_y;
        found[3] = work.point_x[b] + low_x;
      }
      length[k] = best;
      slice[k] = where;
      std::copy(found, found + 4, ends + 4 * k);
    }
  });
}

}  // namespace bedside::cpu
