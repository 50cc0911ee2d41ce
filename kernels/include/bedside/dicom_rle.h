// Run-length decoding of one frame (DICOM PS3.5 annex G): one PackBits segment a byte of a sample, most significant
// byte first, sample after sample. A segment that gives too few or too many bytes is an error, so that no part of a
// frame is ever left as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bedside::dicom {

inline constexpr std::size_t kRleHeader = 64;
inline constexpr std::size_t kMaxSegments = 15;

inline std::uint32_t little32(const std::uint8_t* p) {
  return static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 |
         static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24;
}

// Unpacks `count` bytes into every `stride`-th byte of `out`. Null, or what is wrong.
inline const char* unpack_segment(const std::uint8_t* in, std::size_t size, std::uint8_t* out, std::size_t count,
                                  std::size_t stride) {
  std::size_t at = 0, done = 0;
  while (done < count) {
    if (at >= size) return "an RLE segment ends early";
    const std::uint8_t control = in[at++];
    if (control == 128) continue;
    const std::size_t run = control < 128 ? control + 1u : 257u - control;
    if (run > count - done) return "an RLE segment has too many bytes";
    if (control < 128) {
      if (run > size - at) return "an RLE segment ends early";
      if (stride == 1) {
        std::memcpy(out + done, in + at, run);
      } else {
        for (std::size_t i = 0; i < run; ++i) out[(done + i) * stride] = in[at + i];
      }
      at += run;
    } else {
      if (at >= size) return "an RLE segment ends early";
      const std::uint8_t value = in[at++];
      if (stride == 1) {
        std::memset(out + done, value, run);
      } else {
        for (std::size_t i = 0; i < run; ++i) out[(done + i) * stride] = value;
      }
    }
    done += run;
  }
  return nullptr;
}

// Decodes a frame of `pixels` pixels into little-endian samples of `itemsize` bytes, the `samples` of a pixel side by
// side. Null, or what is wrong with the stream.
inline const char* decode_rle(const std::uint8_t* in, std::size_t size, std::uint8_t* out, std::size_t pixels,
                              std::size_t samples, std::size_t itemsize) {
  const std::size_t segments = samples * itemsize;
  if (size < kRleHeader) return "the RLE header is cut short";
  if (little32(in) != segments || segments > kMaxSegments)
    return "the number of RLE segments is not that of the header";
  for (std::size_t k = 0; k < segments; ++k) {
    const std::size_t begin = little32(in + 4 * (k + 1));
    const std::size_t end = k + 1 < segments ? little32(in + 4 * (k + 2)) : size;
    if (begin < kRleHeader || begin > end || end > size) return "an RLE segment lies outside the frame";
    const std::size_t sample = k / itemsize, byte = itemsize - 1 - k % itemsize;
    const char* wrong = unpack_segment(in + begin, end - begin, out + sample * itemsize + byte, pixels, segments);
    if (wrong != nullptr) return wrong;
  }
  return nullptr;
}

}  // namespace bedside::dicom
