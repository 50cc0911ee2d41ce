// The walk over a DICOM header: any bytes, as a file and as a bare data set of each encoding.
#include <algorithm>

#include "bedside/dicom_header.h"
#include "input.h"

using namespace bedside;
using cpu::fuzz::expect;

namespace {

dicom::Header scan(const std::vector<std::uint8_t>& bytes, std::size_t size, std::uint64_t total, int mode,
                   const std::vector<std::uint32_t>& wanted) {
  std::vector<std::uint8_t> exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
  exact.shrink_to_fit();
  dicom::Scanner scanner(exact.data(), exact.size(), total, wanted);
  switch (mode) {
    case 0:
      return scanner.dataset(dicom::Encoding::implicit_little);
    case 1:
      return scanner.dataset(dicom::Encoding::explicit_little);
    case 2:
      return scanner.dataset(dicom::Encoding::explicit_big);
    default:
      return scanner.file();
  }
}

void check_places(const dicom::Header& header, std::uint64_t total) {
  for (const dicom::Element& element : header.elements) {
    expect(element.offset <= total && element.length <= total - element.offset, "the place of an element");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const int mode = data[0] % 5;
  std::vector<std::uint8_t> bytes;
  if (mode == 4) {  // a preamble that the fuzzer need not find
    bytes.resize(128);
    for (const char c : {'D', 'I', 'C', 'M'}) bytes.push_back(static_cast<std::uint8_t>(c));
  }
  bytes.insert(bytes.end(), data + 3, data + size);
  std::vector<std::uint32_t> wanted = {0x00080018u, 0x00080060u, 0x00180050u, 0x00200032u, 0x00280010u,
                                       0x00280011u, 0x00281050u, 0x52009229u, 0x52009230u};
  const std::uint64_t total = bytes.size() + (data[1] & 1 ? data[2] * 16u : 0u);
  const dicom::Header whole = scan(bytes, bytes.size(), total, mode, wanted);
  check_places(whole, total);
  // A part of the bytes gives the same, or asks for more, and for less than there is.
  const std::size_t part = bytes.size() * data[1] / 256;
  const dicom::Header first = scan(bytes, part, total, mode, wanted);
  check_places(first, total);
  if (first.status == dicom::Status::more) {
    expect(first.needed > part && first.needed <= total, "the bytes asked for");
  } else if (whole.status != dicom::Status::more) {
    expect(first.status == whole.status && first.elements.size() == whole.elements.size() &&
               first.pixels.offset == whole.pixels.offset,
           "a part of the header");
  }
  return 0;
}
