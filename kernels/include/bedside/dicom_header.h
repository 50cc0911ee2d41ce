// A bounds-checked walk over the top level of a DICOM header (PS3.5 section 7, PS3.10 section 7.1).
//
// The walk reads tags, VRs and lengths only. Sequences are skipped, not parsed: those of undefined length by an
// explicit stack with a depth limit, so hostile nesting costs neither recursion nor memory. Whatever a well-formed file
// would not hold ends the walk with Status::unusual, and the caller turns to a full parser.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace bedside::dicom {

enum class Status {
  ok,         // the pixel data or the end of the data set was reached
  more,       // the buffer ends before the header does: scan again with at least `needed` bytes
  truncated,  // the file ends inside an element
  deflated,   // the data set after the file meta information is deflated; it starts at `dataset_offset`
  too_deep,   // sequences nested deeper than kMaxDepth
  unusual,    // not a well-formed header in ascending tag order
  not_dicom,  // no "DICM" after the preamble
};

inline constexpr std::uint32_t kUndefined = 0xFFFFFFFFu;
inline constexpr std::size_t kMaxDepth = 64;

struct Element {
  std::uint32_t tag = 0;
  std::array<char, 2> vr{};  // zeros where the transfer syntax is implicit
  std::uint64_t offset = 0;  // of the value, from the start of the file
  std::uint64_t length = 0;  // of the value; for a sequence of undefined length, up to and with its delimiter;
                             // kUndefined for encapsulated pixels
};

struct Header {
  Status status = Status::unusual;
  std::string transfer_syntax;
  std::uint64_t dataset_offset = 0;
  std::uint64_t needed = 0;
  std::vector<Element> elements;  // the wanted ones, in file order
  Element pixels;                 // tag 0 if the data set has none
};

enum class Encoding { implicit_little, explicit_little, explicit_big };

class Scanner {
 public:
  // `data` holds the first `size` bytes of a file of `total` bytes; `wanted` is sorted.
  Scanner(const std::uint8_t* data, std::uint64_t size, std::uint64_t total, const std::vector<std::uint32_t>& wanted)
      : data_(data), size_(size), total_(std::max(size, total)), wanted_(wanted) {}

  // A file of PS3.10: preamble, file meta information, data set.
  Header file() {
    if (total_ < 132) return stop(Status::not_dicom);
    if (!need(132)) return end();
    if (std::memcmp(data_ + 128, "DICM", 4) != 0) return stop(Status::not_dicom);
    pos_ = 132;
    encoding_ = Encoding::explicit_little;
    std::uint32_t previous = 0;
    while (pos_ < total_) {
      if (!need(4)) return end();
      if (u16(pos_) != 0x0002) break;
      Element element;
      if (!read_element(element)) return end();
      if (element.tag <= previous) return stop(Status::unusual);
      previous = element.tag;
      if (element.length == kUndefined) return stop(Status::unusual);
      const bool is_syntax = element.tag == 0x00020010u;
      if (is_syntax && pair(element.vr[0], element.vr[1]) != pair('U', 'I')) return stop(Status::unusual);
      if (!take(element, /*always=*/is_syntax)) return end();
      if (is_syntax) header_.transfer_syntax = uid(element);
    }
    const std::string& syntax = header_.transfer_syntax;
    header_.dataset_offset = pos_;
    if (syntax.empty()) return stop(Status::unusual);
    if (syntax == "1.2.840.10008.1.2.1.99") return stop(Status::deflated);
    if (syntax == "1.2.840.10008.1.2") return dataset(Encoding::implicit_little);
    if (syntax == "1.2.840.10008.1.2.2") return dataset(Encoding::explicit_big);
    return dataset(Encoding::explicit_little);
  }

  // A bare data set from the current position (0 in a new scanner).
  Header dataset(Encoding encoding) {
    encoding_ = encoding;
    std::uint32_t previous = 0;
    while (pos_ < total_) {
      Element element;
      if (!read_element(element)) return end();
      if (element.tag <= previous || element.tag < 0x00080000u) return stop(Status::unusual);
      previous = element.tag;
      if (element.tag == 0x7FE00008u || element.tag == 0x7FE00009u || element.tag == 0x7FE00010u) {
        header_.pixels = element;
        return stop(Status::ok);
      }
      if (element.length == kUndefined) {
        const bool unknown = element.vr[0] == 'U' && element.vr[1] == 'N';
        if (!skip_sequence(unknown ? Encoding::implicit_little : encoding)) return end();
        element.length = pos_ - element.offset;
        keep(element);
      } else if (!take(element, false)) {
        return end();
      }
    }
    return stop(Status::ok);
  }

 private:
  Header stop(Status status) {
    header_.status = status;
    return std::move(header_);
  }
  Header end() { return stop(failure_); }
  bool fail(Status status) {
    failure_ = status;
    return false;
  }

  // True if `count` bytes from the current position are in the buffer.
  bool need(std::uint64_t count) {
    if (pos_ <= size_ && count <= size_ - pos_) return true;
    if (pos_ > total_ || count > total_ - pos_) return fail(Status::truncated);
    header_.needed = pos_ + count;
    return fail(Status::more);
  }

  bool big() const { return encoding_ == Encoding::explicit_big; }
  std::uint16_t u16(std::uint64_t at) const {
    const std::uint8_t* p = data_ + at;
    return static_cast<std::uint16_t>(big() ? (p[0] << 8) | p[1] : p[0] | (p[1] << 8));
  }
  std::uint32_t u32(std::uint64_t at) const {
    const std::uint32_t first = u16(at), second = u16(at + 2);
    return big() ? (first << 16) | second : first | (second << 16);
  }
  std::uint32_t tag(std::uint64_t at) const { return (static_cast<std::uint32_t>(u16(at)) << 16) | u16(at + 2); }

  static std::uint16_t pair(char a, char b) {
    return static_cast<std::uint16_t>((static_cast<unsigned char>(a) << 8) | static_cast<unsigned char>(b));
  }

  // 0: not a VR of PS3.5 table 6.2-1; 2: a VR with a 16-bit length; 4: one with two reserved bytes and a 32-bit length
  // (section 7.1.2).
  static int length_bytes(char a, char b) {
    static const std::array<const char*, 21> shorter = {"AE", "AS", "AT", "CS", "DA", "DS", "DT",
                                                        "FL", "FD", "IS", "LO", "LT", "PN", "SH",
                                                        "SL", "SS", "ST", "TM", "UI", "UL", "US"};
    static const std::array<const char*, 13> longer = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ",
                                                       "SV", "UC", "UN", "UR", "UT", "UV"};
    const auto same = [=](const char* vr) { return pair(vr[0], vr[1]) == pair(a, b); };
    if (std::any_of(shorter.begin(), shorter.end(), same)) return 2;
    if (std::any_of(longer.begin(), longer.end(), same)) return 4;
    return 0;
  }

  // Reads tag, VR and length and moves to the value. False: failure_ says why.
  bool read_element(Element& element) {
    if (!need(8)) return false;
    element.tag = tag(pos_);
    if (encoding_ == Encoding::implicit_little || (element.tag >> 16) == 0xFFFEu) {
      element.length = u32(pos_ + 4);
      pos_ += 8;
    } else {
      const char a = static_cast<char>(data_[pos_ + 4]), b = static_cast<char>(data_[pos_ + 5]);
      element.vr = {a, b};
      const int bytes = length_bytes(a, b);
      if (bytes == 0) return fail(Status::unusual);
      if (bytes == 2) {
        element.length = u16(pos_ + 6);
        pos_ += 8;
      } else {
        if (!need(12)) return false;
        element.length = u32(pos_ + 8);
        pos_ += 12;
      }
    }
    element.offset = pos_;
    return true;
  }

  // Moves over a value that may lie beyond the buffer but not beyond the file.
  bool skip(std::uint64_t length) {
    if (length > total_ - pos_) return fail(Status::truncated);
    pos_ += length;
    return true;
  }

  void keep(const Element& element) {
    if (std::binary_search(wanted_.begin(), wanted_.end(), element.tag)) header_.elements.push_back(element);
  }

  // Moves over a value; a wanted one must be in the buffer, unless it is a sequence, of which only the place is told.
  bool take(const Element& element, bool always) {
    const bool wanted = std::binary_search(wanted_.begin(), wanted_.end(), element.tag);
    const bool sequence = element.vr[0] == 'S' && element.vr[1] == 'Q';
    if ((wanted || always) && !sequence && !need(element.length)) return false;
    if (!skip(element.length)) return false;
    if (wanted) header_.elements.push_back(element);
    return true;
  }

  // Skips a sequence of undefined length whose first item, or delimiter, is next (PS3.5 section 7.5).
  bool skip_sequence(Encoding inner) {
    struct Level {
      bool item;
      Encoding encoding;
    };
    const Encoding outer = encoding_;
    std::array<Level, kMaxDepth> levels;
    std::size_t depth = 0;
    levels[depth++] = {false, inner};
    while (depth > 0) {
      encoding_ = levels[depth - 1].encoding;
      Element element;
      if (!read_element(element)) return false;
      if (levels[depth - 1].item) {
        if (element.tag == 0xFFFEE00Du) {
          --depth;
        } else if ((element.tag >> 16) == 0xFFFEu) {
          return fail(Status::unusual);
        } else if (element.length == kUndefined) {
          if (depth == kMaxDepth) return fail(Status::too_deep);
          const bool unknown = element.vr[0] == 'U' && element.vr[1] == 'N';
          levels[depth] = {false, unknown ? Encoding::implicit_little : encoding_};
          ++depth;
        } else if (!skip(element.length)) {
          return false;
        }
      } else if (element.tag == 0xFFFEE0DDu) {
        --depth;
      } else if (element.tag != 0xFFFEE000u) {
        return fail(Status::unusual);
      } else if (element.length == kUndefined) {
        if (depth == kMaxDepth) return fail(Status::too_deep);
        levels[depth] = {true, encoding_};
        ++depth;
      } else if (!skip(element.length)) {
        return false;
      }
    }
    encoding_ = outer;
    return true;
  }

  // A UID value without its padding (PS3.5 section 9.1).
  std::string uid(const Element& element) const {
    std::string text(reinterpret_cast<const char*>(data_ + element.offset), element.length);
    const std::size_t last = text.find_last_not_of(std::string("\0 ", 2));
    return last == std::string::npos ? std::string() : text.substr(0, last + 1);
  }

  const std::uint8_t* data_;
  std::uint64_t size_;
  std::uint64_t total_;
  const std::vector<std::uint32_t>& wanted_;
  std::uint64_t pos_ = 0;
  Encoding encoding_ = Encoding::explicit_little;
  Status failure_ = Status::unusual;
  Header header_;
};

}  // namespace bedside::dicom
