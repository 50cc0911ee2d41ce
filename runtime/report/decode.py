"""Explicit VR Little Endian back from bytes (DICOM PS3.5 7.1.2 and 7.5), for the one part of a SEG where it counts.

The counterpart of :mod:`.encode`, for reading back: pydicom takes half a millisecond for the functional groups of one
frame. Only explicit lengths, which is what :mod:`.encode` writes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

_LONG = frozenset((b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"))
_ITEM = 0xFFFEE000
_head = struct.Struct("<HH2sH").unpack_from
_length = struct.Struct("<I").unpack_from
_item = struct.Struct("<HHI").unpack_from

Span = tuple[int, int]
"""Where a value begins and ends in the bytes."""


def elements(data: bytes, span: Span) -> dict[int, Span]:
    """The elements of a dataset or item by tag.

    Raises
    ------
    ValueError
        An element is cut off, or of undefined length.
    """
    at, end = span
    found = {}
    try:
        while at < end:
            group, element, vr, size = _head(data, at)
            at += 8
            if vr in _LONG:
                (size,) = _length(data, at)
                at += 4
            found[group << 16 | element] = (at, at + size)
            at += size
    except struct.error:
        at = end + 1
    if at != end:
        raise ValueError("an element does not end where its dataset ends")
    return found


def items(data: bytes, span: Span) -> Iterator[Span]:
    """The items of a sequence, one after the other; errors as of :func:`elements`."""
    at, end = span
    while at < end:
        try:
            group, element, size = _item(data, at)
        except struct.error:
            group = element = size = 0
        at += 8 + size
        if group << 16 | element != _ITEM or at > end:
            raise ValueError("an item does not end where its sequence ends")
        yield at - size, at


def only_item(data: bytes, groups: Mapping[int, Span], tag: int) -> dict[int, Span]:
    """The elements of the first item of sequence ``tag``; KeyError where there is none."""
    for item in items(data, groups[tag]):
        return elements(data, item)
    raise KeyError(tag)
