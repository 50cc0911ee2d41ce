"""Data elements straight to bytes, Explicit VR Little Endian (DICOM PS3.5 7.1.2), for the parts where it counts.

A SEG has one nested item for each frame, an SR one for each source image. Building 300 of them as pydicom datasets and
writing them takes longer than everything else about the file; as bytes they take a few milliseconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import DSfloat

_LONG = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"}


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    """One element with explicit length; the value is padded to an even length as its VR asks (PS3.5 6.2)."""
    if len(value) % 2:
        value += b"\0" if vr in (b"UI", b"OB", b"UN") else b" "
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr in _LONG:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def item(*elements: bytes) -> bytes:
    """One sequence item with explicit length."""
    content = b"".join(elements)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def sequence(tag: int, items: Iterable[bytes]) -> bytes:
    """A sequence of finished items, with explicit length."""
    return element(tag, b"SQ", b"".join(items))


def raw_sequence(tag: int, items: Iterable[bytes]) -> RawDataElement:
    """A sequence of finished items as an element of a pydicom dataset, which decodes it when it is asked for."""
    content = b"".join(items)
    return RawDataElement(BaseTag(tag), "SQ", len(content), content, 0, False, True)


def dataset_item(dataset: Dataset) -> bytes:
    """A pydicom dataset as a sequence item; text in the default repertoire or UTF-8."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset, parent_encoding="ISO_IR 192")
    return item(buffer.getvalue())


def write_as_it_stands(dataset: Dataset) -> None:
    """Let pydicom write the finished sequences of a dataset, at any depth, as the bytes that they are.

    Without it pydicom decodes them, and looks through all that lies below an item for VRs that depend on other
    elements, once for each level it lies at.
    """
    text = convert_encodings(dataset.get("SpecificCharacterSet", default_encoding))
    dataset.set_original_encoding(False, True, text if "SpecificCharacterSet" in dataset else default_encoding)
    for tag in list(dataset.keys()):
        one = dataset.get_item(tag)
        if isinstance(one, DataElement) and one.VR == "SQ":
            for part in one.value:
                write_as_it_stands(part)


def code(tag: int, value: str, scheme: str, meaning: str) -> bytes:
    """A sequence of one coded concept in the default character repertoire."""
    return sequence(
        tag,
        [
            item(
                element(0x00080100, b"SH", value.encode("ascii")),
                element(0x00080102, b"SH", scheme.encode("ascii")),
                element(0x00080104, b"LO", meaning.encode("ascii")),
            )
        ],
    )


def reference(sop_class: str, uid: str, frame: int | None = None) -> list[bytes]:
    """The elements of an Image SOP Instance Reference (PS3.3 table 10-3)."""
    elements = [element(0x00081150, b"UI", sop_class.encode("ascii")), element(0x00081155, b"UI", uid.encode("ascii"))]
    if frame is not None:
        elements.append(element(0x00081160, b"IS", str(frame).encode("ascii")))
    return elements


def decimal_string(value: float) -> str:
    """A DS value (at most 16 characters, PS3.5 6.2) as close to ``value`` as it can be."""
    short = repr(float(value)).removesuffix(".0")
    return short if len(short) <= 16 else str(DSfloat(float(value), auto_format=True))


def decimals(values: Iterable[float]) -> bytes:
    return "\\".join(decimal_string(value) for value in values).encode("ascii")


def longs(values: Iterable[int]) -> bytes:
    numbers = tuple(values)
    return struct.pack(f"<{len(numbers)}I", *numbers)


def short(value: int) -> bytes:
    return struct.pack("<H", value)
