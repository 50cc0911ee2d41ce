"""Read the header of one DICOM file: with the C++ scanner if the file is well formed, else with pydicom."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from bedside.kernels._cpu import WantedTags, scan_header

from ..quiet import silent

FIRST_READ = 16 * 1024
"""Bytes read first; the header of a CT slice is 2 to 12 KB."""
EMPTY_FILE = "empty file"
"""The reason why a file of no bytes is skipped."""
MAX_HEADER = 256 * 1024 * 1024
"""A header of more bytes than this is not believed (the per-frame groups of 10,000 frames take some 20 MB)."""
MAX_INFLATED = 2 * 1024**3
"""Deflated data sets grow up to 1032 times; one that grows beyond this is not believed."""

FLOAT_PIXELS, DOUBLE_PIXELS, INTEGER_PIXELS = 0x7FE00008, 0x7FE00009, 0x7FE00010
TRANSFER_SYNTAX, MEDIA_SOP_CLASS = 0x00020010, 0x00020002

TAGS: dict[str, int] = {
    "SpecificCharacterSet": 0x00080005,
    "ImageType": 0x00080008,
    "SOPClassUID": 0x00080016,
    "SOPInstanceUID": 0x00080018,
    "StudyDate": 0x00080020,
    "StudyTime": 0x00080030,
    "AccessionNumber": 0x00080050,
    "Modality": 0x00080060,
    "Manufacturer": 0x00080070,
    "StudyDescription": 0x00081030,
    "SeriesDescription": 0x0008103E,
    "PatientName": 0x00100010,
    "PatientID": 0x00100020,
    "PatientBirthDate": 0x00100030,
    "PatientSex": 0x00100040,
    "BodyPartExamined": 0x00180015,
    "SliceThickness": 0x00180050,
    "FrameTime": 0x00181063,
    "GantryDetectorTilt": 0x00181120,
    "ViewPosition": 0x00185101,
    "SequenceOfUltrasoundRegions": 0x00186011,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
    "StudyID": 0x00200010,
    "SeriesNumber": 0x00200011,
    "InstanceNumber": 0x00200013,
    "ImagePositionPatient": 0x00200032,
    "ImageOrientationPatient": 0x00200037,
    "FrameOfReferenceUID": 0x00200052,
    "Laterality": 0x00200060,
    "ImageLaterality": 0x00200062,
    "SamplesPerPixel": 0x00280002,
    "PhotometricInterpretation": 0x00280004,
    "PlanarConfiguration": 0x00280006,
    "NumberOfFrames": 0x00280008,
    "Rows": 0x00280010,
    "Columns": 0x00280011,
    "PixelSpacing": 0x00280030,
    "BitsAllocated": 0x00280100,
    "BitsStored": 0x00280101,
    "HighBit": 0x00280102,
    "PixelRepresentation": 0x00280103,
    "PixelPaddingValue": 0x00280120,
    "WindowCenter": 0x00281050,
    "WindowWidth": 0x00281051,
    "RescaleIntercept": 0x00281052,
    "RescaleSlope": 0x00281053,
    "VOILUTFunction": 0x00281056,
    "ModalityLUTSequence": 0x00283000,
    "VOILUTSequence": 0x00283010,
    "SharedFunctionalGroupsSequence": 0x52009229,
    "PerFrameFunctionalGroupsSequence": 0x52009230,
}

_WANTED = WantedTags([MEDIA_SOP_CLASS, *TAGS.values()])


class HeaderError(Exception):
    """Why a file has no header that can be used: one line for a list of skipped files.

    ``truncated`` is True where a DICOM file ends before its header does; ``series_uid`` is its series, if that far.
    ``doubtful`` is True where the file may be an image: it begins as DICOM does, or its bytes could not be had.
    """

    def __init__(self, reason: str, *, truncated: bool = False, series_uid: str = "", doubtful: bool = False) -> None:
        super().__init__(reason)
        self.truncated = truncated
        self.series_uid = series_uid
        self.doubtful = doubtful


@dataclass(frozen=True, slots=True)
class Header:
    """The top-level elements of one file that the runtime looks at, as bytes, and where its pixels are."""

    path: Path
    file_size: int
    transfer_syntax: str
    values: Mapping[int, bytes]
    big_endian: bool = False
    pixels: tuple[int, int, int, str] | None = None
    """Tag, offset, length and VR of the pixel data; length -1 if encapsulated. The offset is in the inflated data set
    where the transfer syntax is deflated, else in the file."""

    def has(self, name: str) -> bool:
        """Is the element there, even if empty?"""
        return TAGS[name] in self.values

    def raw(self, name: str) -> bytes:
        """The value's bytes without padding; empty if absent."""
        return self.values.get(TAGS[name], b"").rstrip(b"\0 ")

    def strings(self, name: str) -> tuple[str, ...]:
        """The values of a CS, UI, DA or other text in the default repertoire."""
        raw = self.values.get(TAGS[name])
        return _strings(raw) if raw else ()

    def string(self, name: str) -> str:
        """The first value of :meth:`strings`, or the empty string."""
        values = self.strings(name)
        return values[0] if values else ""

    def floats(self, name: str) -> tuple[float, ...]:
        """The values of a DS or IS; empty if absent or if one of them is no finite number."""
        raw = self.values.get(TAGS[name])
        return _floats(raw) if raw else ()

    def number(self, name: str) -> float | None:
        """The first value of :meth:`floats`."""
        values = self.floats(name)
        return values[0] if values else None

    def integer(self, name: str) -> int | None:
        """The first value of an IS, or None."""
        value = self.number(name)
        return None if value is None or value != int(value) else int(value)

    def short(self, name: str, default: int = 0) -> int:
        """The first value of a US."""
        raw = self.values.get(TAGS[name], b"")
        return int.from_bytes(raw[:2], "big" if self.big_endian else "little") if len(raw) >= 2 else default

    @property
    def media_sop_class(self) -> str:
        """Media Storage SOP Class UID (0002,0002) of the file meta information."""
        return self.values.get(MEDIA_SOP_CLASS, b"").rstrip(b"\0 ").decode("latin-1")

    def signed_short(self, name: str) -> int:
        """The first value of an SS."""
        return int(struct.unpack(">h" if self.big_endian else "<h", self.values[TAGS[name]][:2])[0])


def shown(value: str) -> str:
    """A header's value as a message may quote it: 64 printable characters of the default repertoire at most."""
    text = "".join(char if " " <= char <= "~" else "?" for char in value[:65])
    return text if len(text) <= 64 else text[:61] + "..."


def file_name(path: Path) -> str:
    """A file's name as text that can be printed."""
    return printable(path.name)


def printable(path: Path | str) -> str:
    """A path as text that can be printed: names in GBK, common on media from China, are no valid UTF-8."""
    raw = os.fsencode(path)
    for codec in ("utf-8", "gb18030"):
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", "replace")


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Around what pydicom parses when it is asked for: whatever a damaged value raises becomes a HeaderError."""
    with silent():
        try:
            yield
        except HeaderError:
            raise
        except Exception as error:
            raise HeaderError(f"{what} cannot be parsed ({type(error).__name__})") from error


@lru_cache(maxsize=4096)
def _strings(raw: bytes) -> tuple[str, ...]:
    """Cached: most values are the same in all slices of a series."""
    text = raw.decode("latin-1").rstrip("\0 ")
    return tuple(part.strip("\0 ") for part in text.split("\\")) if text else ()


@lru_cache(maxsize=4096)
def _floats(raw: bytes) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in raw.rstrip(b"\0 ").split(b"\\"))
    except ValueError:
        return ()
    return values if all(-1e30 < value < 1e30 for value in values) else ()


def read_header(path: Path) -> Header:
    """Read what the runtime wants of a file's header.

    Raises
    ------
    HeaderError
        The file is no DICOM, is empty, or its header is broken or ends early.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise HeaderError(f"cannot be opened: {error.strerror}", doubtful=True) from error
    buffer = b""
    try:
        size = os.fstat(descriptor).st_size
        if size == 0:
            raise HeaderError(EMPTY_FILE)
        want = FIRST_READ
        while True:
            buffer = os.pread(descriptor, want, 0)
            if len(buffer) < min(want, size):
                raise HeaderError("the file became shorter while it was read", truncated=True)
            status, syntax, places, pixels, place = scan_header(buffer, _WANTED, file_size=size)
            if status != "more":
                break
            if want >= size:
                raise HeaderError("the file ends inside its header", truncated=True)
            if place > MAX_HEADER:
                raise HeaderError(f"a header of more than {MAX_HEADER >> 20} MB")
            want = min(max(place + FIRST_READ, 8 * want), size)
        if status in ("ok", "truncated"):
            values = {tag: buffer[offset : offset + length] for tag, (offset, length) in places.items()}
            header = Header(path, size, syntax, values, syntax == ExplicitVRBigEndian, pixels)
            if status == "truncated":
                raise _truncated(header)
            return header
        if status == "too deep":
            raise HeaderError("sequences nested more than 64 levels deep")
        if status == "deflated":
            return _read_deflated(path, size, os.pread(descriptor, size, 0), place)
        if status == "not dicom" and not _may_be_bare(buffer):
            raise HeaderError("not a DICOM file")
        with parsing("the header"):
            return _read_with_pydicom(path, size, descriptor)
    except HeaderError as error:
        error.doubtful = error.truncated or _begins_as_dicom(buffer)
        raise
    except OSError as error:
        raise HeaderError(f"cannot be read: {error.strerror}", doubtful=True) from error
    finally:
        os.close(descriptor)


def inflate(content: bytes, offset: int) -> bytes:
    """The inflated data set of a file in Deflated Explicit VR Little Endian (PS3.5 A.5).

    Raises
    ------
    HeaderError
        It is damaged or grows beyond :data:`MAX_INFLATED`.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(memoryview(content)[offset:], MAX_INFLATED)
    except zlib.error as error:
        raise HeaderError(f"the deflated data set is damaged: {error}") from error
    if inflater.unconsumed_tail:
        raise HeaderError(f"the deflated data set grows beyond {MAX_INFLATED >> 30} GB")
    if not inflater.eof:
        raise HeaderError("the deflated data set ends early", truncated=True)
    return data


def dataset_offset(content: bytes) -> int:
    """Where the data set starts in a file of PS3.10."""
    place = scan_header(content, _WANTED)[4]
    return int(place)


def read_dataset(path: Path) -> Dataset:
    """The whole header as pydicom has it, without the pixel data.

    Raises
    ------
    HeaderError
        pydicom cannot read it.
    """
    return _with_pydicom(path, stop_before_pixels=True)


def _with_pydicom(source: Any, **options: Any) -> Dataset:
    with silent():
        try:
            return pydicom.dcmread(source, force=True, **options)
        except InvalidDicomError as error:
            raise HeaderError("not a DICOM file") from error
        except (EOFError, OSError) as error:
            raise HeaderError("the file ends inside its header", truncated=True) from error
        except RecursionError as error:
            raise HeaderError("sequences nested too deep") from error
        except Exception as error:  # pydicom lets whatever a damaged value provokes pass through
            raise HeaderError(f"the header cannot be parsed ({type(error).__name__})") from error


def _truncated(header: Header) -> HeaderError:
    return HeaderError("the file ends inside its header", truncated=True, series_uid=header.string("SeriesInstanceUID"))


def _read_deflated(path: Path, size: int, content: bytes, offset: int) -> Header:
    data = inflate(content, offset)
    status, _, places, pixels, _ = scan_header(data, _WANTED, encoding="explicit little")
    values = {tag: data[start : start + length] for tag, (start, length) in places.items()}
    header = Header(path, size, DeflatedExplicitVRLittleEndian, values, False, pixels)
    if status == "truncated":
        raise _truncated(header)
    if status != "ok":
        raise HeaderError("the deflated data set is not well formed")
    return header


def _may_be_bare(buffer: bytes) -> bool:
    """Could this be a data set without preamble: does it begin with group 0002 or 0008, in either byte order?"""
    return buffer[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08") and len(buffer) > 32


def _begins_as_dicom(buffer: bytes) -> bool:
    """Is there the prefix of PS3.10 7.1, or, without preamble, an element that can be one of group 0002 or 0008?"""
    if buffer[128:132] == b"DICM":
        return True
    if len(buffer) < 8 or buffer[:2] not in (b"\x02\x00", b"\x08\x00"):
        return False
    explicit = buffer[4:6] in (b"UL", b"UI", b"CS", b"DA", b"OB")
    return buffer[3] == 0 and (explicit or int.from_bytes(buffer[4:8], "little") <= 64)


def _read_with_pydicom(path: Path, size: int, descriptor: int) -> Header:
    """What the scanner leaves: bare data sets, unordered tags, implicit data under an explicit syntax, and such."""
    if size > MAX_INFLATED:
        raise HeaderError("an irregular header, and too large a file to parse whole")
    dataset = _with_pydicom(BytesIO(os.pread(descriptor, size, 0)))
    media = str(dataset.file_meta.get("MediaStorageSOPClassUID", "") or "")
    if "SOPClassUID" not in dataset and not media:
        raise HeaderError("no SOP Class UID: not a DICOM image")
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "") or "")
    implicit, little = dataset.original_encoding
    if not syntax:
        syntax = ImplicitVRLittleEndian if implicit else "1.2.840.10008.1.2.1" if little else ExplicitVRBigEndian
    values = {tag: _bytes(dataset, tag, bool(little)) for tag in TAGS.values() if tag in dataset}
    values[MEDIA_SOP_CLASS] = media.encode("ascii", "replace")
    pixels = None
    for tag in (FLOAT_PIXELS, DOUBLE_PIXELS, INTEGER_PIXELS):
        if tag in dataset:
            item = dataset.get_item(tag)
            if isinstance(item, RawDataElement):
                pixels = (tag, item.value_tell, -1 if item.length == 0xFFFFFFFF else item.length, item.VR or "OW")
    return Header(path, size, syntax, values, not little, pixels)


def _bytes(dataset: Dataset, tag: int, little: bool) -> bytes:
    """An element's value as it stands in the file; pydicom has converted a few of them already."""
    item = dataset.get_item(tag)
    if isinstance(item, RawDataElement):
        return item.value if isinstance(item.value, bytes) else b""
    value = item.value if item is not None else None
    if value is None or item is None or item.VR == "SQ":
        return b""
    if isinstance(value, int) and item.VR in ("US", "SS"):
        return struct.pack(("<" if little else ">") + ("H" if item.VR == "US" else "h"), value)
    values = value if isinstance(value, list | MultiValue) else [value]
    return "\\".join(str(part) for part in values).encode("utf-8")
