// Resizing to a number of samples: which source samples a sample of the output is made of along one axis, and with what
// weights. Every mode is separable, so that an image is these windows along each of its axes.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

enum class ResizeMode {
  nearest,   // one sample
  linear,    // two samples; with antialias a triangle as wide as the step where the axis shrinks
  cubic,     // four samples, Keys' kernel with a = -0.75, edges repeated; with antialias a = -0.5 and widened
  area,      // the plain mean of every sample that the output sample's box touches (adaptive average pooling)
  coverage,  // their mean, each weighted by how much of it lies in the box
};

enum class Coordinates {
  half_pixel,     // the edges of the outermost samples coincide
  align_corners,  // their centres do
  asymmetric,     // the centres of sample 0 do, and the step is from / to
};

struct ResizeAxis {
  Index from, to;
  ResizeMode mode;
  Coordinates coordinates;
  bool antialias;
};

// The samples first..first+count-1, all inside the source. norm: what antialiased weights are divided by.
struct ResizeWindow {
  Index first, count;
  double at, norm;
};

BEDSIDE_HD double resize_magnitude(double v) {
  return v < 0.0 ? -v : v;
}

BEDSIDE_HD Index resize_clamp(Index i, Index n) {
  i = i < 0 ? 0 : i;
  return i < n ? i : n - 1;
}

BEDSIDE_HD Index resize_floor(double v) {
  const Index i = static_cast<Index>(v);
  return static_cast<double>(i) > v ? i - 1 : i;
}

// Source coordinate (sample centres are whole numbers) of output sample i.
BEDSIDE_HD double resize_coordinate(const ResizeAxis& a, Index i) {
  const double step = static_cast<double>(a.from) / static_cast<double>(a.to);
  switch (a.coordinates) {
    case Coordinates::half_pixel:
      return (static_cast<double>(i) + 0.5) * step - 0.5;
    case Coordinates::align_corners:
      return a.to > 1 ? static_cast<double>(i) * (static_cast<double>(a.from - 1) / static_cast<double>(a.to - 1))
                      : 0.0;
    default:
      return static_cast<double>(i) * step;
  }
}

// The sample at or before the centre: torch's rule, in its single precision, which decides where a coordinate is all
// but a whole number.
BEDSIDE_HD Index resize_nearest(const ResizeAxis& a, Index i) {
  if (a.coordinates == Coordinates::align_corners) {
    return resize_clamp(static_cast<Index>(resize_coordinate(a, i) + 0.5), a.from);
  }
  const float step = static_cast<float>(a.from) / static_cast<float>(a.to);
  const float centre = a.coordinates == Coordinates::half_pixel ? 0.5f : 0.0f;
  return resize_clamp(static_cast<Index>((static_cast<float>(i) + centre) * step), a.from);
}

BEDSIDE_HD double cubic_weight(double x, double a) {
  x = resize_magnitude(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

// Half the width of the interpolating kernel.
BEDSIDE_HD double resize_reach(const ResizeAxis& a) {
  const double reach = a.mode == ResizeMode::cubic ? 2.0 : 1.0;
  return a.antialias && a.from > a.to ? reach * static_cast<double>(a.from) / static_cast<double>(a.to) : reach;
}

BEDSIDE_HD double antialias_weight(const ResizeAxis& a, double distance) {
  const double x = a.from > a.to ? distance * static_cast<double>(a.to) / static_cast<double>(a.from) : distance;
  if (a.mode == ResizeMode::cubic) return cubic_weight(x, -0.5);
  return resize_magnitude(x) < 1.0 ? 1.0 - resize_magnitude(x) : 0.0;
}

// No window of the axis has more samples.
BEDSIDE_HD Index resize_most(const ResizeAxis& a) {
  Index most;
  if (a.mode == ResizeMode::nearest) {
    most = 1;
  } else if (a.mode == ResizeMode::area || a.mode == ResizeMode::coverage) {
    most = a.from / a.to + 2;
  } else {
    most = 2 * static_cast<Index>(resize_reach(a)) + 3;
  }
  return most < a.from ? most : a.from;
}

BEDSIDE_HD ResizeWindow resize_window(const ResizeAxis& a, Index i) {
  switch (a.mode) {
    case ResizeMode::nearest:
      return {resize_nearest(a, i), 1, 0.0, 1.0};
    case ResizeMode::area:
    case ResizeMode::coverage: {
      const Index first = i * a.from / a.to, last = ((i + 1) * a.from + a.to - 1) / a.to;
      return {first, last - first, 0.0, 1.0};
    }
    default:
      break;
  }
  if (a.antialias) {
    const double centre = (static_cast<double>(i) + 0.5) * static_cast<double>(a.from) / static_cast<double>(a.to);
    const double reach = resize_reach(a);
    Index first = static_cast<Index>(centre - reach + 0.5), last = static_cast<Index>(centre + reach + 0.5);
    first = centre - reach + 0.5 < 0.0 ? 0 : first;
    last = last < a.from ? last : a.from;
    double sum = 0.0;
    for (Index k = first; k < last; ++k) sum += antialias_weight(a, static_cast<double>(k) + 0.5 - centre);
    return {first, last - first, centre, sum};
  }
  double at = resize_coordinate(a, i);
  if (a.mode == ResizeMode::cubic) {
    const Index low = resize_floor(at);
    const Index first = resize_clamp(low - 1, a.from);
    return {first, resize_clamp(low + 2, a.from) - first + 1, at, 1.0};
  }
  at = at < 0.0 ? 0.0 : at;
  const double end = static_cast<double>(a.from - 1);
  at = at > end ? end : at;
  const Index first = static_cast<Index>(at);
  return {first, static_cast<double>(first) < at ? 2 : 1, at, 1.0};
}

// Weight of sample first + k of output sample i's window. Those of `area` are 1: the sum is to be divided by the count.
BEDSIDE_HD float resize_weight(const ResizeAxis& a, const ResizeWindow& w, Index i, Index k) {
  const Index sample = w.first + k;
  switch (a.mode) {
    case ResizeMode::nearest:
    case ResizeMode::area:
      return 1.0f;
    case ResizeMode::coverage: {  // in units of 1 / to of a source sample
      const Index begin = i * a.from > sample * a.to ? i * a.from : sample * a.to;
      const Index end = (i + 1) * a.from < (sample + 1) * a.to ? (i + 1) * a.from : (sample + 1) * a.to;
      return static_cast<float>(static_cast<double>(end - begin) / static_cast<double>(a.from));
    }
    default:
      break;
  }
  if (a.antialias) {
    return static_cast<float>(antialias_weight(a, static_cast<double>(sample) + 0.5 - w.at) / w.norm);
  }
  if (a.mode == ResizeMode::linear) {
    const float up = static_cast<float>(w.at - static_cast<double>(w.first));
    return k == 0 ? 1.0f - up : up;
  }
  // Cubic: what lies outside the source is the sample at its edge.
  const Index low = resize_floor(w.at);
  double sum = 0.0;
  for (Index tap = low - 1; tap <= low + 2; ++tap) {
    if (resize_clamp(tap, a.from) == sample) sum += cubic_weight(w.at - static_cast<double>(tap), -0.75);
  }
  return static_cast<float>(sum);
}

// One step of a weighted sum. A sample of weight 0 is not looked at, so that its NaN or infinity does not spread.
BEDSIDE_HD float add_weighted(float sum, float value, float weight) {
  const float next = sum + weight * value;
  return weight == 0.0f ? sum : next;
}

// Gray of red, green and blue (ITU-R BT.601 luma, as OpenCV's RGB2GRAY and Pillow's "L").
BEDSIDE_HD float gray_of(float red, float green, float blue) {
  return 0.299f * red + 0.587f * green + 0.114f * blue;
}

}  // namespace bedside
