"""A SEG counts as written only when it reads back from the disk as the mask that was meant."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError

from bedside.kernels import pack_bits

from ..errors import DeliveryError
from ..image import Frame
from .context import ReportInput
from .decode import Span, elements, items, only_item
from .planes import Planes, planes_of, source_frames

_POSITION_TOLERANCE_MM = 1e-3
_COMPARE_FRAMES = 64
_FRAMES = 0x52009230
_SEGMENT, _NUMBER = 0x0062000A, 0x0062000B
_PLANE, _POSITION = 0x00209113, 0x00200032
_DERIVATION, _SOURCE, _SOURCE_UID, _SOURCE_FRAME = 0x00089124, 0x00082112, 0x00081155, 0x00081160

Index = dict[tuple[int, int], int]
"""Place of a frame in the file, from 0, by segment number and slice."""


def check(path: Path, data: ReportInput) -> None:
    """Read a written SEG back and compare it with the findings, frame by frame.

    Each frame's slice is found from what the file says (position, or source frame), not from the order of writing.

    Raises
    ------
    DeliveryError
        The file is not readable, or its frames are not exactly the mask.
    """
    parts = data.findings.parts
    assert parts is not None
    try:
        ds = dcmread(path)
        frames = _Frames(planes_of(data), source_frames(data)).of(ds.get_item(_FRAMES))
        raw = np.frombuffer(ds.PixelData, np.uint8)
        rows, columns = int(ds.Rows), int(ds.Columns)
        binary = ds.SegmentationType == "BINARY"
    except (InvalidDicomError, OSError, AttributeError, LookupError, ValueError, TypeError, EOFError) as error:
        raise DeliveryError(f"{path.name} does not read back: {error}", mend="write to another disk") from error
    wrong = DeliveryError(f"{path.name} does not read back as the mask that was written", mend="write to another disk")
    index = {frame: place for place, frame in enumerate(frames)}
    if (rows, columns) != parts.shape[1:] or int(ds.NumberOfFrames) != len(frames) or len(index) != len(frames):
        raise wrong
    bits = len(frames) * rows * columns * (1 if binary else 8)
    if len(raw) < -(-bits // 8):
        raise wrong
    same = _same_bits(index, raw, data) if binary else _same_labels(index, raw, data)
    if not same:
        raise wrong


def _same_bits(index: Index, raw: NDArray[np.uint8], data: ReportInput) -> bool:
    """Whether the frames are those slices of each lesion that have any of it, and show just that."""
    parts = data.findings.parts
    assert parts is not None
    size, left = parts[0].size, dict(index)
    for lesion in data.findings.lesions:
        first, last = lesion.bbox[0]
        for start in range(first, last, _COMPARE_FRAMES):
            stack = parts[start : min(start + _COMPARE_FRAMES, last)]
            for z, meant in enumerate(_bits_of(stack, lesion.number, data.threads), start):
                place = left.pop((lesion.number, z), None)
                if (place is None) != (meant is None):
                    return False
                if place is not None and meant is not None and not np.array_equal(_bits_at(raw, place, size), meant):
                    return False
    return not left


def _bits_of(stack: NDArray[np.uint8], number: int, threads: int) -> list[NDArray[np.uint8] | None]:
    """The bits of ``stack == number``, a slice each; None for a slice without any."""
    if stack[0].size % 8 == 0:
        bits = np.empty((len(stack), stack[0].size // 8), np.uint8)
        shown = pack_bits(stack, bits, number, threads=threads)
        return [row if there else None for row, there in zip(bits, shown, strict=True)]
    found: list[NDArray[np.uint8] | None] = []
    for z in range(len(stack)):
        row = np.empty(-(-stack[z].size // 8), np.uint8)
        found.append(row if pack_bits(stack[z : z + 1], row, number, threads=threads)[0] else None)
    return found


def _bits_at(raw: NDArray[np.uint8], place: int, size: int) -> NDArray[np.uint8]:
    """The bits of one frame, from the first bit of a byte on."""
    byte, shift = divmod(place * size, 8)
    count = -(-size // 8)
    if not shift and size % 8 == 0:
        return raw[byte : byte + count]
    bits = raw[byte : byte + count] >> np.uint8(shift)
    if shift:
        after = raw[byte + 1 : byte + 1 + count]
        bits[: len(after)] |= after << np.uint8(8 - shift)
    if size % 8:
        bits[-1] &= np.uint8((1 << size % 8) - 1)
    return bits


def _same_labels(index: Index, raw: NDArray[np.uint8], data: ReportInput) -> bool:
    """Whether the frames of a label map are the slices of the findings, and the slices that have none are empty."""
    parts = data.findings.parts
    assert parts is not None
    stored = raw[: len(index) * parts[0].size].reshape(-1, *parts.shape[1:])
    if any(not np.array_equal(stored[place], parts[z]) for (_, z), place in index.items()):
        return False
    shown = {z for _, z in index}
    return all(
        meant is None or z in shown
        for lesion in data.findings.lesions
        for z, meant in enumerate(
            _bits_of(parts[slice(*lesion.bbox[0])], lesion.number, data.threads), lesion.bbox[0][0]
        )
    )


class _Frames:
    """Finds the segment number and the slice that each frame's functional groups name."""

    def __init__(self, planes: Planes, sources: tuple[Frame | None, ...]) -> None:
        self._positions = planes.positions
        self._sources = {(f.sop_instance_uid, f.number): z for z, f in reversed([*enumerate(sources)]) if f is not None}
        self._known: dict[bytes, int] = {}

    def of(self, element: object) -> list[tuple[int, int]]:
        """Segment number (0 in a label map) and slice of each frame of a Per-Frame Functional Groups Sequence."""
        if not isinstance(element, RawDataElement) or element.value is None:
            raise ValueError("the functional groups of the frames are missing")
        data = element.value
        return [self._frame(data, elements(data, item)) for item in items(data, (0, len(data)))]

    def _frame(self, data: bytes, groups: Mapping[int, Span]) -> tuple[int, int]:
        number = 0
        if _SEGMENT in groups:
            (number,) = struct.unpack("<H", _value(data, only_item(data, groups, _SEGMENT)[_NUMBER]))
        if _PLANE in groups:
            return number, self._slice_at(_value(data, only_item(data, groups, _PLANE)[_POSITION]))
        source = only_item(data, only_item(data, groups, _DERIVATION), _SOURCE)
        uid = _value(data, source[_SOURCE_UID]).rstrip(b"\0").decode("ascii")
        frame = int(_value(data, source[_SOURCE_FRAME])) if _SOURCE_FRAME in source else 1
        if (uid, frame) not in self._sources:
            raise ValueError("a reference to an image that is not in the source")
        return number, self._sources[uid, frame]

    def _slice_at(self, text: bytes) -> int:
        """The slice at a position as the file has it, three decimals."""
        if text not in self._known:
            if self._positions is None:
                raise ValueError("a plane position where the source has none")
            position = [float(value) for value in text.split(b"\\")]
            distance = np.abs(self._positions - position).max(axis=1)
            self._known[text] = int(distance.argmin())
            if distance.min() > _POSITION_TOLERANCE_MM:
                raise ValueError("a plane position that no source slice has")
        return self._known[text]


def _value(data: bytes, span: Span) -> bytes:
    return data[span[0] : span[1]]
