// Uncompressed frames straight from their files to their place in a volume, with the range of each while it is in the
// cache.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace bedside::dicom {

struct Plane {
  const char* path = nullptr;
  std::int64_t offset = 0;         // of the frame, in its file
  std::int64_t got = 0;            // bytes read, or -errno
  std::int64_t low = 0, high = 0;  // of the values read
};

// Unsigned values are compared as signed ones of the other half: every instruction set has the signed comparison.
template <class T>
void value_range(const void* values, std::size_t bytes, Plane& plane) {
  using S = std::make_signed_t<T>;
  constexpr T kHalf = std::is_signed_v<T> ? T{0} : static_cast<T>(T{1} << (8 * sizeof(T) - 1));
  const T* p = static_cast<const T*>(values);
  const std::size_t count = bytes / sizeof(T);
  if (count == 0) return;
  S low = static_cast<S>(p[0] ^ kHalf), high = low;
  for (std::size_t i = 1; i < count; ++i) {
    const S value = static_cast<S>(p[i] ^ kHalf);
    low = std::min(low, value);
    high = std::max(high, value);
  }
  plane.low = static_cast<T>(low ^ static_cast<S>(kHalf));
  plane.high = static_cast<T>(high ^ static_cast<S>(kHalf));
}

// Reads `bytes` bytes at the plane's offset to `out`, in as many calls as it takes.
inline void read_plane(Plane& plane, std::uint8_t* out, std::size_t bytes) {
  const int file = ::open(plane.path, O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    plane.got = -errno;
    return;
  }
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t got =
        ::pread(file, out + done, bytes - done, static_cast<off_t>(plane.offset) + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      plane.got = -errno;
      ::close(file);
      return;
    }
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  ::close(file);
  plane.got = static_cast<std::int64_t>(done);
}

// Reads one plane and tells the range of its values, which are of type T. Several may be read at once.
template <class T>
void read_plane_with_range(Plane& plane, std::uint8_t* out, std::size_t bytes) {
  read_plane(plane, out, bytes);
  if (plane.got == static_cast<std::int64_t>(bytes)) value_range<T>(out, bytes, plane);
}

}  // namespace bedside::dicom
