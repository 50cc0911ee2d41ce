// Colour to gray and YBR to RGB, a pixel at a time.
#pragma once

#include "bedside/host_device.h"

namespace bedside {

// Luma of ITU-R BT.601, that of YBR_FULL (DICOM PS3.3 C.7.6.3.1.2), not rounded.
BEDSIDE_HD float luma(float red, float green, float blue) {
  return 0.299f * red + 0.587f * green + 0.114f * blue;
}

struct Rgb {
  std::uint8_t red, green, blue;
};

BEDSIDE_HD std::uint8_t to_byte(float v) {
  v = v < 0.0f ? 0.0f : v;
  v = v > 255.0f ? 255.0f : v;
  return static_cast<std::uint8_t>(static_cast<std::int32_t>((v + 12582912.0f) - 12582912.0f));  // half to even
}

// YBR_FULL of 8 bits (DICOM PS3.3 C.7.6.3.1.2; the inverse is ITU-T T.871's).
BEDSIDE_HD Rgb rgb_of_ybr(std::uint8_t y, std::uint8_t cb, std::uint8_t cr) {
  const float light = static_cast<float>(y), blue = static_cast<float>(cb) - 128.0f,
              red = static_cast<float>(cr) - 128.0f;
  return {to_byte(light + 1.402f * red), to_byte(light - 0.344136f * blue - 0.714136f * red),
          to_byte(light + 1.772f * blue)};
}

}  // namespace bedside
