// RLE frames: any bytes, any number of segments.
#include "bedside/dicom_rle.h"

#include <string>

#include "input.h"

using namespace bedside;
using namespace bedside::cpu::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const std::size_t samples = 1 + in.byte() % 3, itemsize = 1 + in.byte() % 4, pixels = in.byte();
  std::vector<std::uint8_t> stream;
  if (in.flag()) {  // a header that the fuzzer need not find: segments of equal parts
    const std::size_t segments = samples * itemsize, rest = in.left();
    stream.resize(dicom::kRleHeader);
    stream[0] = static_cast<std::uint8_t>(segments);
    for (std::size_t k = 0; k < segments && k < dicom::kMaxSegments; ++k) {
      const std::size_t begin = dicom::kRleHeader + rest * k / segments;
      for (int b = 0; b < 4; ++b) stream[4 * (k + 1) + b] = static_cast<std::uint8_t>(begin >> 8 * b);
    }
  }
  stream.insert(stream.end(), in.rest(), in.rest() + in.left());
  stream.shrink_to_fit();
  // A part that is not written shows as a difference between two backgrounds.
  std::vector<std::uint8_t> out(pixels * samples * itemsize, 0x00), other(out.size(), 0xff);
  out.reserve(1);  // of no pixels there is an address, as in numpy
  other.reserve(1);
  const char* const wrong = dicom::decode_rle(stream.data(), stream.size(), out.data(), pixels, samples, itemsize);
  const char* const again = dicom::decode_rle(stream.data(), stream.size(), other.data(), pixels, samples, itemsize);
  expect(std::string(wrong ? wrong : "") == (again ? again : ""), "the answer");
  if (wrong == nullptr) expect(out == other, "a decoded frame");
  return 0;
}
