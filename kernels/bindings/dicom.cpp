#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "../cpu/thread_pool.h"
#include "bedside/dicom_header.h"
#include "bedside/dicom_rle.h"
#include "bedside/read_planes.h"
#include "bindings.h"
#include "checks.h"

namespace py = pybind11;
namespace dicom = bedside::dicom;

namespace {

const char* name(dicom::Status status) {
  switch (status) {
    case dicom::Status::ok:
      return "ok";
    case dicom::Status::more:
      return "more";
    case dicom::Status::truncated:
      return "truncated";
    case dicom::Status::deflated:
      return "deflated";
    case dicom::Status::too_deep:
      return "too deep";
    case dicom::Status::unusual:
      return "unusual";
    case dicom::Status::not_dicom:
      return "not dicom";
  }
  return "unusual";
}

// The tags a caller wants, sorted once and kept: a series asks the same ones of every file.
struct Wanted : bedside::bindings::MadeByInit {
  std::vector<std::uint32_t> tags;
  explicit Wanted(std::vector<std::uint32_t> list) : tags(std::move(list)) { std::sort(tags.begin(), tags.end()); }
};

py::tuple scan(const py::buffer& buffer, const Wanted& wanted, std::uint64_t file_size, const std::string& encoding) {
  Py_buffer view;
  if (PyObject_GetBuffer(buffer.ptr(), &view, PyBUF_SIMPLE) != 0) throw py::error_already_set();
  dicom::Scanner scanner(static_cast<const std::uint8_t*>(view.buf), static_cast<std::uint64_t>(view.len), file_size,
                         wanted.tags);
  dicom::Header header;
  bool known = true;
  // The walk takes a few microseconds: letting other threads in would cost more than it.
  if (encoding.empty()) {
    header = scanner.file();
  } else if (encoding == "implicit little") {
    header = scanner.dataset(dicom::Encoding::implicit_little);
  } else if (encoding == "explicit little") {
    header = scanner.dataset(dicom::Encoding::explicit_little);
  } else if (encoding == "explicit big") {
    header = scanner.dataset(dicom::Encoding::explicit_big);
  } else {
    known = false;
  }
  PyBuffer_Release(&view);
  if (!known)
    throw py::value_error("encoding must be 'implicit little', 'explicit little', 'explicit big' or empty, got '" +
                          encoding + "'");

  py::dict values;
  for (const dicom::Element& element : header.elements) {
    values[py::int_(element.tag)] = py::make_tuple(element.offset, element.length);
  }
  py::object pixels = py::none();
  if (header.pixels.tag != 0) {
    const bool encapsulated = header.pixels.length == dicom::kUndefined;
    const bool implicit = header.pixels.vr[0] == 0;
    pixels = py::make_tuple(header.pixels.tag, header.pixels.offset,
                            encapsulated ? py::int_(-1) : py::int_(header.pixels.length),
                            implicit ? std::string("OW") : std::string(header.pixels.vr.data(), 2));
  }
  const std::uint64_t place = header.status == dicom::Status::more ? header.needed : header.dataset_offset;
  // A damaged UID may hold any byte.
  const std::string& syntax = header.transfer_syntax;
  auto text = py::reinterpret_steal<py::str>(
      PyUnicode_DecodeLatin1(syntax.data(), static_cast<py::ssize_t>(syntax.size()), nullptr));
  return py::make_tuple(name(header.status), text, values, pixels, place);
}

void rle(const py::buffer& stream, const py::array& out, std::size_t samples) {
  if (samples == 0 || samples > 3) throw py::value_error("samples must be 1, 2 or 3");
  const auto size = static_cast<std::size_t>(out.size());
  const auto itemsize = static_cast<std::size_t>(out.itemsize());
  const char kind = out.dtype().kind();
  if ((kind != 'u' && kind != 'i') || itemsize > 4) throw py::value_error("out must have integers of 8, 16 or 32 bits");
  if (out.dtype().byteorder() == '>') throw py::value_error("out must be little-endian");
  if ((out.flags() & py::array::c_style) == 0 || !out.writeable() || size % samples != 0) {
    throw py::value_error("out must be a writeable, C-contiguous array of whole pixels");
  }
  Py_buffer view;
  if (PyObject_GetBuffer(stream.ptr(), &view, PyBUF_SIMPLE) != 0) throw py::error_already_set();
  auto* target = static_cast<std::uint8_t*>(const_cast<void*>(out.data()));
  const char* wrong = nullptr;
  {
    const py::gil_scoped_release release;
    wrong = dicom::decode_rle(static_cast<const std::uint8_t*>(view.buf), static_cast<std::size_t>(view.len), target,
                              size / samples, samples, itemsize);
  }
  PyBuffer_Release(&view);
  if (wrong != nullptr) throw py::value_error(wrong);
}

template <class T>
void read_all(std::vector<dicom::Plane>& planes, std::uint8_t* out, std::size_t bytes, int threads) {
  bedside::cpu::parallel_for(static_cast<bedside::Index>(planes.size()), 1, bedside::cpu::resolve_threads(threads),
                             [&](int, bedside::Index begin, bedside::Index end) {
                               for (bedside::Index i = begin; i < end; ++i) {
                                 const auto k = static_cast<std::size_t>(i);
                                 dicom::read_plane_with_range<T>(planes[k], out + k * bytes, bytes);
                               }
                             });
}

py::list read_planes(const std::vector<std::string>& paths, const std::vector<std::int64_t>& offsets,
                     const py::object& target, int threads) {
  const bedside::bindings::Argument out("out", target);
  bedside::bindings::check_dimensions(out, 3, "[z, y, x]");
  bedside::bindings::check_threads(threads);
  if (paths.size() != offsets.size() || static_cast<py::ssize_t>(paths.size()) != out.array.shape(0)) {
    throw py::value_error("'paths' and 'offsets' must have one entry a plane of 'out'");
  }
  if ((out.array.flags() & py::array::c_style) == 0 || !out.array.writeable()) {
    out.refuse("must be writeable and C-contiguous");
  }
  if (reinterpret_cast<std::uintptr_t>(out.array.data()) % static_cast<std::uintptr_t>(out.array.itemsize()) != 0) {
    out.refuse("is not aligned to its elements; pass a copy");
  }
  std::vector<dicom::Plane> planes(paths.size());
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (offsets[i] < 0) throw py::value_error("'offsets' must not be negative");
    planes[i].path = paths[i].c_str();
    planes[i].offset = offsets[i];
  }
  const std::string type = out.dtype();
  const std::size_t bytes = planes.empty() ? 0 : static_cast<std::size_t>(out.array.nbytes()) / planes.size();
  auto* data = static_cast<std::uint8_t*>(py::array(out.array).mutable_data());
  void (*read)(std::vector<dicom::Plane>&, std::uint8_t*, std::size_t, int) = nullptr;
  if (type == "uint8") read = &read_all<std::uint8_t>;
  if (type == "int8") read = &read_all<std::int8_t>;
  if (type == "uint16") read = &read_all<std::uint16_t>;
  if (type == "int16") read = &read_all<std::int16_t>;
  if (type == "int32") read = &read_all<std::int32_t>;
  if (type == "uint32") read = &read_all<std::uint32_t>;
  if (read == nullptr) out.refuse("must have integers of 8, 16 or 32 bits in the order of this machine, got " + type);
  {
    const py::gil_scoped_release release;
    read(planes, data, bytes, threads);
  }
  py::list answers;
  for (const dicom::Plane& plane : planes) answers.append(py::make_tuple(plane.got, plane.low, plane.high));
  return answers;
}

}  // namespace

void bind_dicom(py::module_& m) {
  py::class_<Wanted>(m, "WantedTags", "Top-level tags to look for, e.g. 0x00280010.")
      .def(py::init(
               [](std::vector<std::uint32_t> tags) { return std::unique_ptr<Wanted>(::new Wanted(std::move(tags))); }),
           py::arg("tags"));
  m.def("scan_header", &scan, py::arg("buffer"), py::arg("tags"), py::kw_only(), py::arg("file_size") = 0,
        py::arg("encoding") = "",
        R"(Find top-level elements of a DICOM header without parsing the rest (PS3.5 section 7, PS3.10 section 7.1).

Parameters
----------
buffer : bytes-like
    The first bytes of a file, or of a bare data set if `encoding` is given.
tags : WantedTags
    The elements wanted.
file_size : int
    Bytes in the whole file, 0 if the buffer is all of it.
encoding : str
    Empty for a file with preamble and meta information; 'implicit little', 'explicit little' or 'explicit big' for a data set.

Returns
-------
status : str
    'ok'; 'more' (scan again with at least `place` bytes); 'truncated' (the file ends inside an element); 'deflated' (the data set at
    `place` is deflated); 'too deep' (nested over 64 levels); 'unusual' (leave it to a full parser); 'not dicom'.
transfer_syntax : str
values : dict[int, tuple[int, int]]
    Value offset and length by tag, of those found up to where the walk ended.
pixels : tuple[int, int, int, str] or None
    Tag (7FE0,0008/0009/0010), value offset, length (-1 if encapsulated) and VR of the pixel data.
place : int
)");
  m.def(
      "decode_rle", &rle, py::arg("stream"), py::arg("out"), py::kw_only(), py::arg("samples") = 1,
      R"(Decode one RLE frame (PS3.5 annex G) into `out`, C-contiguous, [y, x] or [y, x, sample] integers of 8, 16 or 32 bits.

Raises
------
ValueError
    `out` has the wrong form, or the stream is damaged; `out` is then in part overwritten.
)");
  m.def("read_planes", &read_planes, py::arg("paths"), py::arg("offsets"), py::arg("out"), py::kw_only(),
        py::arg("threads") = 0,
        R"(Read uncompressed frames, one a plane of `out` [z, y, x], straight from their files.

Returns
-------
list of tuple[int, int, int]
    For every plane the bytes read (fewer than a plane where the file ends, or minus the errno), and the smallest and
    the largest value, in the byte order of this machine; these are 0 if the plane is not whole.

Raises
------
ValueError
    An argument has the wrong form, and is named.
)");
}
