// The cubic B-spline through the voxels of a volume: which coefficients lie around a coordinate, and their weights.
// M. Unser, A. Aldroubi, M. Eden: B-spline signal processing, IEEE Trans. Signal Processing 41(2), 1993.
//
// Beyond its ends a line is what scipy.ndimage makes of it: with Padding::border it goes on with its outermost voxel,
// with Padding::constant it is mirrored there and every coordinate outside is the fill.
#pragma once

#include "bedside/host_device.h"
#include "bedside/resample.h"

namespace bedside {

inline constexpr double kSplinePole = -0.26794919243112270647;  // sqrt(3) - 2

// How far outside a coordinate is told from another (border); further on the spline is the outermost voxel, to 2^-22
// of its own waves.
inline constexpr double kSplineReach = 12.0;

// Four coefficients along one axis, from `index` on. index is in 0..max(n - 4, 0); on an axis of less than four voxels
// the weights of those that do not exist are 0.
struct CubicSample {
  Index index;
  float weight[4];
};

BEDSIDE_HD bool cubic_inside(double c, Index n, Padding padding) {
  return padding == Padding::border || (c >= 0.0 && c <= static_cast<double>(n - 1));
}

// A tap that is `beyond` the coefficient at an end: a weight of that one and, second, of its neighbour. With the edge
// repeated for ever, coefficients go over to the edge voxel e as powers of the pole, e + pole^beyond * (end - e), and e
// itself is (neighbour + (4 + pole) * end) / (5 + pole).
BEDSIDE_HD void repeat_edge(Index beyond, double weight, double& end, double& neighbour) {
  double power = 1.0;
  for (Index i = 0; i < beyond; ++i) power *= kSplinePole;
  const double edge = weight * (1.0 - power) / (5.0 + kSplinePole);
  end += weight * power + edge * (4.0 + kSplinePole);
  neighbour += edge;
}

// c is inside, as cubic_inside() says.
BEDSIDE_HD CubicSample cubic_sample(double c, Index n, Padding padding) {
  if (n == 1) return {0, {1.0f, 0.0f, 0.0f, 0.0f}};
  c = clamp_coordinate(c, -kSplineReach, static_cast<double>(n - 1) + kSplineReach);
  const Index below = static_cast<Index>(c + kSplineReach) - static_cast<Index>(kSplineReach);  // floor
  const double t = c - static_cast<double>(below), s = 1.0 - t;
  const double w[4] = {s * s * s / 6.0, (4.0 - 3.0 * t * t * (2.0 - t)) / 6.0, (4.0 - 3.0 * s * s * (2.0 - s)) / 6.0,
                       t * t * t / 6.0};
  const Index first = below - 1, last_first = n > 4 ? n - 4 : 0;
  if (first >= 0 && first + 3 < n) {
    return {first,
            {static_cast<float>(w[0]), static_cast<float>(w[1]), static_cast<float>(w[2]), static_cast<float>(w[3])}};
  }
  const Index index = first < 0 ? 0 : first > last_first ? last_first : first;
  double v[4] = {};
  for (int k = 0; k < 4; ++k) {
    const Index at = first + k;
    if (at >= 0 && at < n) {
      v[at - index] += w[k];
    } else if (padding == Padding::border) {
      if (at < 0) {
        repeat_edge(-at, w[k], v[0], v[1]);
      } else {
        repeat_edge(at - (n - 1), w[k], v[n - 1 - index], v[n - 2 - index]);
      }
    } else {
      const Index mirrored = at < 0 ? -at : 2 * (n - 1) - at;
      if (mirrored >= index && mirrored < n) v[mirrored - index] += w[k];  // what is further off has weight 0
    }
  }
  return {index,
          {static_cast<float>(v[0]), static_cast<float>(v[1]), static_cast<float>(v[2]), static_cast<float>(v[3])}};
}

BEDSIDE_HD float weigh_four(float a, float b, float c, float d, const float w[4]) {
  return (w[0] * a + w[1] * b) + (w[2] * c + w[3] * d);
}

// The recursive filter that makes coefficients of the voxels of a line: y[i] = 6 x[i] + pole y[i - 1], then
// c[i] = pole (c[i + 1] - y[i]). What it begins with at either end: y[0] = 6 sum(first[k] x[k]) and
// c[n - 1] = last[0] y[n - 1] + last[1] y[n - 2]. A line of one voxel is its own coefficient.
struct SplineEnds {
  static constexpr int kMost = 24;  // the pole to this power is below 2^-45
  float first[kMost];
  int count;
  float last[2];
};

BEDSIDE_HD SplineEnds spline_ends(Index n, Padding padding) {
  constexpr double z = kSplinePole;
  SplineEnds ends{};
  if (padding == Padding::border) {
    const double q = z / ((1.0 - z) * (1.0 - z) * (1.0 + z));
    ends.first[0] = static_cast<float>(1.0 / (1.0 - z));
    ends.count = 1;
    ends.last[0] = static_cast<float>(-z * (q + 1.0 / (1.0 - z * z)));
    ends.last[1] = static_cast<float>(z * z * q);
    return ends;
  }
  ends.count = static_cast<int>(n < SplineEnds::kMost ? n : SplineEnds::kMost);
  // The mirrored line has a period of 2 (n - 1), in which every voxel but the two outermost comes twice.
  double round = 1.0;
  for (Index i = 0; i < 2 * (n - 1) && i < 2 * SplineEnds::kMost; ++i) round *= z;
  double power = 1.0;
  for (int k = 0; k < ends.count; ++k) {
    const bool twice = k > 0 && k < n - 1;
    ends.first[k] = static_cast<float>((power + (twice ? round / power : 0.0)) / (1.0 - round));
    power *= z;
  }
  ends.last[0] = static_cast<float>(z / (z * z - 1.0));
  ends.last[1] = static_cast<float>(z * z / (z * z - 1.0));
  return ends;
}

}  // namespace bedside
