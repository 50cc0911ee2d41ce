// Frames read from a file: any file, offset and type, also beyond the end.
#include "bedside/read_planes.h"

#include <sys/mman.h>

#include <algorithm>
#include <string>

#include "input.h"

using namespace bedside;
using namespace bedside::cpu::fuzz;

namespace {

template <typename T>
void check(const std::string& path, const std::vector<std::uint8_t>& file, std::int64_t offset, std::size_t count) {
  std::vector<T> out(count);
  dicom::Plane plane;
  plane.path = path.c_str();
  plane.offset = offset;
  const std::size_t bytes = count * sizeof(T);
  dicom::read_plane_with_range<T>(plane, reinterpret_cast<std::uint8_t*>(out.data()), bytes);
  const std::int64_t size = static_cast<std::int64_t>(file.size());
  const std::int64_t there = offset >= size ? 0 : std::min(size - offset, static_cast<std::int64_t>(bytes));
  if (bytes > 0) expect(plane.got == there || (plane.got < 0 && offset > size), "the bytes read");
  if (plane.got != static_cast<std::int64_t>(bytes) || count == 0) {
    expect(plane.low == 0 && plane.high == 0, "the range of a plane cut short");
    return;
  }
  expect(std::memcmp(out.data(), file.data() + offset, bytes) == 0, "a plane");
  expect(
      plane.low == *std::min_element(out.begin(), out.end()) && plane.high == *std::max_element(out.begin(), out.end()),
      "the range of a plane");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int memory = memfd_create("fuzz", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(memory);
  Input in(data, size);
  const std::uint8_t type = in.byte();
  const std::size_t count = in.byte() % 67;
  const std::int64_t offset = in.flag() ? in.byte() : static_cast<std::int64_t>(in.bits64() >> 1);
  const std::vector<std::uint8_t> file(in.rest(), in.rest() + in.left());
  if (ftruncate(memory, 0) != 0 || pwrite(memory, file.data(), file.size(), 0) != static_cast<ssize_t>(file.size())) {
    return 0;
  }
  switch (type % 6) {
    case 0:
      check<std::uint8_t>(path, file, offset, count);
      break;
    case 1:
      check<std::int8_t>(path, file, offset, count);
      break;
    case 2:
      check<std::uint16_t>(path, file, offset, count);
      break;
    case 3:
      check<std::int16_t>(path, file, offset, count);
      break;
    case 4:
      check<std::int32_t>(path, file, offset, count);
      break;
    default:
      check<std::uint32_t>(path, file, offset, count);
  }
  return 0;
}
