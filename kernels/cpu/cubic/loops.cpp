// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "cubic/loops.h"

#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace bedside::cpu {

namespace {

constexpr float kPole = static_cast<float>(kSplinePole);

// The state of all lines is held in registers, so that reads and writes of one array do not have to be told apart.
BEDSIDE_HD void filter_lines(const float* from, Index from_stride, float* work, float* to, Index to_stride, Index n,
                             Index width, const SplineEnds& ends) {
  float state[kSplineLines] = {}, before[kSplineLines] = {};
  for (int k = 0; k < ends.count; ++k) {
    const float* const x = from + k * from_stride;
    const float part = 6.0f * ends.first[k];
    for (Index j = 0; j < width; ++j) state[j] = state[j] + part * x[j];
  }
  for (Index j = 0; j < width; ++j) work[j] = state[j];
  for (Index i = 1; i < n; ++i) {
    const float* const x = from + i * from_stride;
    float* const y = work + i * kSplineLines;
    for (Index j = 0; j < width; ++j) {
      before[j] = state[j];
      state[j] = 6.0f * x[j] + kPole * state[j];
    }
    for (Index j = 0; j < width; ++j) y[j] = state[j];
  }
  for (Index j = 0; j < width; ++j) state[j] = ends.last[0] * state[j] + ends.last[1] * before[j];
  for (Index j = 0; j < width; ++j) to[(n - 1) * to_stride + j] = state[j];
  for (Index i = n - 2; i >= 0; --i) {
    const float* const y = work + i * kSplineLines;
    float* const c = to + i * to_stride;
    for (Index j = 0; j < width; ++j) state[j] = kPole * (state[j] - y[j]);
    for (Index j = 0; j < width; ++j) c[j] = state[j];
  }
}

void filter(const float* from, Index from_stride, float* work, float* to, Index to_stride, Index n, Index width,
            const SplineEnds& ends) {
  if (width == kSplineLines) {  // a constant, for which loops are unrolled
    filter_lines(from, from_stride, work, to, to_stride, n, kSplineLines, ends);
  } else {
    filter_lines(from, from_stride, work, to, to_stride, n, width, ends);
  }
}

void weigh_rows(const float* const rows[4], Index stride, const float weight[4], float* __restrict out, Index n) {
  const float *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
  const float w[4] = {weight[0], weight[1], weight[2], weight[3]};
  if (stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = weigh_four(a[i], b[i], c[i], d[i], w);
  } else {
    for (Index i = 0; i < n; ++i) {
      out[i] = weigh_four(a[i * stride], b[i * stride], c[i * stride], d[i * stride], w);
    }
  }
}

void sample_row(const float* __restrict row, const std::int32_t* __restrict index, const float* __restrict weight,
                Index room, float* __restrict out, Index n) {
  for (Index i = 0; i < n; i += kSampleBlock) {
    const std::int32_t* const at = index + i;
    const float *const w0 = weight + i, *const w1 = w0 + room, *const w2 = w1 + room, *const w3 = w2 + room;
    float* const to = out + i;
#if defined(__AVX512F__)
    // As in resample/loops.cpp: what a block of columns looks at usually lies within two registers.
    const std::int32_t last = at[kSampleBlock - 1];
    const std::int32_t begin = at[0] < last ? at[0] : last, end = at[0] < last ? last : at[0];
    if (end - begin <= 28) {
      const __m512i place = _mm512_sub_epi32(_mm512_loadu_si512(at), _mm512_set1_epi32(begin));
      const __m512 low = _mm512_loadu_ps(row + begin), high = _mm512_loadu_ps(row + begin + 16);
      const auto weighed = [&](int k, const float* w) {
        const __m512i tap = _mm512_add_epi32(place, _mm512_set1_epi32(k));
        return _mm512_mul_ps(_mm512_loadu_ps(w), _mm512_permutex2var_ps(low, tap, high));
      };
      const __m512 left = _mm512_add_ps(weighed(0, w0), weighed(1, w1));
      const __m512 right = _mm512_add_ps(weighed(2, w2), weighed(3, w3));
      _mm512_storeu_ps(to, _mm512_add_ps(left, right));
      continue;
    }
#endif
    for (Index k = 0; k < kSampleBlock; ++k) {
      const float* const tap = row + at[k];
      const float w[4] = {w0[k], w1[k], w2[k], w3[k]};
      to[k] = weigh_four(tap[0], tap[1], tap[2], tap[3], w);
    }
  }
}

// Four floats that compilers keep in one register, on every instruction set.
typedef float Four __attribute__((vector_size(16)));

// SideBySide: the taps of a row are four elements that follow each other.
template <bool SideBySide>
void affine_voxels(const AffineRow& row, float* __restrict out, Index n) {
  const float* const src = static_cast<const float*>(row.src);
  const float fill = static_cast<float>(row.fill);
  Index offset[3][4];  // of the taps; one that does not exist has weight 0
  for (int axis = 0; axis < 3; ++axis) {
    for (Index k = 0; k < 4; ++k) {
      offset[axis][k] = (k < row.shape[axis] ? k : row.shape[axis] - 1) * row.stride[axis];
    }
  }
  for (Index i = 0; i < n; ++i) {
    CubicSample at[3];
    bool inside = true;
    const float* base = src;
    for (int axis = 0; axis < 3; ++axis) {
      const double c = row.origin[axis] + row.step[axis] * static_cast<double>(i);
      inside = inside && cubic_inside(c, row.shape[axis], row.padding);
      if (!inside) break;
      at[axis] = cubic_sample(c, row.shape[axis], row.padding);
      base += at[axis].index * row.stride[axis];
    }
    if (!inside) {
      out[i] = fill;
      continue;
    }
    Four sum = {};
    for (int z = 0; z < 4; ++z) {
      for (int y = 0; y < 4; ++y) {
        const float w = at[0].weight[z] * at[1].weight[y];
        const float* const taps = base + offset[0][z] + offset[1][y];
        Four four;
        if constexpr (SideBySide) {
          std::memcpy(&four, taps, sizeof four);
        } else {
          four = Four{taps[offset[2][0]], taps[offset[2][1]], taps[offset[2][2]], taps[offset[2][3]]};
        }
        sum = sum + w * four;
      }
    }
    out[i] = weigh_four(sum[0], sum[1], sum[2], sum[3], at[2].weight);
  }
}

void affine(const AffineRow& row, float* out, Index n) {
  if (row.stride[2] == 1 && row.shape[2] >= 4) {
    affine_voxels<true>(row, out, n);
  } else {
    affine_voxels<false>(row, out, n);
  }
}

}  // namespace

constexpr CubicLoops BEDSIDE_LEVEL(cubic_loops) = {filter, weigh_rows, sample_row, affine};

}  // namespace bedside::cpu
