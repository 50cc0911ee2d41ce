"""Where the frames of encapsulated pixel data lie in their file (DICOM PS3.5 A.4)."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

Extent = tuple[int, int]
"""Offset in the file and length."""

ITEM, DELIMITER = 0xFFFEE000, 0xFFFEE0DD
FRAME_STARTS = (b"\xff\xd8", b"\xff\x4f")
"""JPEG's SOI and JPEG 2000's SOC: what a fragment that begins a frame begins with."""


class EncapsulationError(Exception):
    """Why the frames cannot be found: one line."""


def locate_frames(descriptor: int, offset: int, size: int, count: int, *, one_fragment: bool) -> list[list[Extent]]:
    """The fragments of each frame.

    Parameters
    ----------
    descriptor : int
        The open file.
    offset, size : int
        Where the value of Pixel Data starts, and the bytes in the file.
    count : int
        Number of Frames.
    one_fragment : bool
        RLE: each frame is one fragment (PS3.5 A.4.2).

    Raises
    ------
    EncapsulationError
        A fragment goes beyond the end of the file, or there are not as many frames as the header says.
    """
    table, fragments = _fragments(descriptor, offset, size)
    if count == 1 and not one_fragment:
        frames = [fragments] if fragments else []
    elif len(fragments) == count:
        frames = [[fragment] for fragment in fragments]
    elif len(table) == count:
        frames = _by_table(table, fragments)
    else:
        frames = _by_start(descriptor, fragments)
    if len(frames) != count:
        raise EncapsulationError(f"{len(frames)} frames in the pixel data, the header says {count}")
    return frames


def read_frame(descriptor: int, fragments: Sequence[Extent]) -> bytes:
    """One frame's code stream.

    Raises
    ------
    EncapsulationError
        The file has become shorter.
    """
    parts = [os.pread(descriptor, length, offset) for offset, length in fragments]
    if any(len(part) != length for part, (_, length) in zip(parts, fragments, strict=True)):
        raise EncapsulationError("the file ends inside a frame")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _fragments(descriptor: int, offset: int, size: int) -> tuple[tuple[int, ...], list[Extent]]:
    """The Basic Offset Table and the fragments after it."""
    table: tuple[int, ...] | None = None
    fragments: list[Extent] = []
    while offset + 8 <= size:
        group, element, length = struct.unpack("<HHI", os.pread(descriptor, 8, offset))
        tag = group << 16 | element
        offset += 8
        if tag == DELIMITER:
            break
        if tag != ITEM:
            raise EncapsulationError(f"an item of the pixel data has the tag ({group:04X},{element:04X})")
        if length > size - offset:
            raise EncapsulationError("the file ends inside a frame")
        if table is None:
            words = length // 4
            table = struct.unpack(f"<{words}I", os.pread(descriptor, 4 * words, offset))
        else:
            fragments.append((offset, length))
        offset += length
    return table or (), fragments


def _by_table(table: Sequence[int], fragments: Sequence[Extent]) -> list[list[Extent]]:
    """Divide the fragments where the table says that frames begin; its offsets count from the first item after it."""
    first = fragments[0][0] - 8 if fragments else 0
    starts = {first + place for place in table}
    frames: list[list[Extent]] = []
    for fragment in fragments:
        if fragment[0] - 8 in starts or not frames:
            frames.append([])
        frames[-1].append(fragment)
    return frames


def _by_start(descriptor: int, fragments: Sequence[Extent]) -> list[list[Extent]]:
    """Divide the fragments where a code stream begins."""
    frames: list[list[Extent]] = []
    for fragment in fragments:
        if os.pread(descriptor, 2, fragment[0]) in FRAME_STARTS or not frames:
            frames.append([])
        frames[-1].append(fragment)
    return frames
