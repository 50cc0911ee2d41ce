// Count, mean and sum of squared deviations, and how those of two sets make those of their union.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

struct Moments {
  std::int64_t count;
  double mean;
  double squares;  // sum of (v - mean)^2
};

// From sums of v - shift and of its square. Sound where shift is one of the values: then the mean square of v - shift
// is at most count times the variance, so what cancels is bounded.
BEDSIDE_HD Moments shifted_moments(std::int64_t count, double shift, double sum, double sum_of_squares) {
  if (count == 0) return {0, 0.0, 0.0};
  const double n = static_cast<double>(count), squares = sum_of_squares - sum * (sum / n);
  return {count, shift + sum / n, squares < 0.0 ? 0.0 : squares};
}

// Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
BEDSIDE_HD Moments merge(const Moments& a, const Moments& b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  const double na = static_cast<double>(a.count), nb = static_cast<double>(b.count), n = na + nb;
  const double step = b.mean - a.mean;
  return {a.count + b.count, a.mean + step * (nb / n), a.squares + b.squares + step * step * (na * nb / n)};
}

}  // namespace bedside
