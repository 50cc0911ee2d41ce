"""A SEG counts as written only when it reads back from the disk as the mask that was meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ..errors import DeliveryError
from ..image import Frame
from .context import ReportInput
from .planes import Planes, planes_of, source_frames

_POSITION_TOLERANCE_MM = 1e-3
_COMPARE_FRAMES = 16


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
        planes, sources = planes_of(data), source_frames(data)
        frames = [_frame_of(item, planes, sources) for item in ds.PerFrameFunctionalGroupsSequence]
        raw = np.frombuffer(ds.PixelData, np.uint8)
        rows, columns = int(ds.Rows), int(ds.Columns)
        binary = ds.SegmentationType == "BINARY"
    except (InvalidDicomError, OSError, AttributeError, KeyError, ValueError, TypeError, EOFError) as error:
        raise DeliveryError(f"{path.name} does not read back: {error}", mend="write to another disk") from error
    wrong = DeliveryError(f"{path.name} does not read back as the mask that was written", mend="write to another disk")
    size = rows * columns
    if (rows, columns) != parts.shape[1:] or int(ds.NumberOfFrames) != len(frames) or len(set(frames)) != len(frames):
        raise wrong
    seen = 0
    for start in range(0, len(frames), _COMPARE_FRAMES):
        chunk = frames[start : start + _COMPARE_FRAMES]
        stored = _stored(raw, start, len(chunk), size, binary)
        if stored is None:
            raise wrong
        for (number, z), pixels in zip(chunk, stored.reshape(-1, rows, columns), strict=True):
            meant = (parts[z] == number) if binary else parts[z]
            if not np.array_equal(pixels, meant):
                raise wrong
            seen += int(np.count_nonzero(pixels))
    if seen != np.count_nonzero(parts):
        raise wrong


def _stored(raw: NDArray[np.uint8], first: int, count: int, size: int, binary: bool) -> NDArray[np.uint8] | None:
    """Pixels of ``count`` frames from frame ``first`` on, 0/1 or labels; None if the data ends before."""
    if not binary:
        return raw[first * size : (first + count) * size] if (first + count) * size <= len(raw) else None
    begin, end = first * size, (first + count) * size
    if end > len(raw) * 8:
        return None
    bits = np.unpackbits(raw[begin // 8 : -(-end // 8)], bitorder="little")
    return bits[begin % 8 : begin % 8 + end - begin]


def _frame_of(item: Dataset, planes: Planes, sources: tuple[Frame | None, ...]) -> tuple[int, int]:
    """Segment number (0 in a label map) and slice that a frame's functional groups name."""
    number = 0
    if "SegmentIdentificationSequence" in item:
        number = int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    if "PlanePositionSequence" in item:
        if planes.positions is None:
            raise ValueError("a plane position where the source has none")
        position = [float(v) for v in item.PlanePositionSequence[0].ImagePositionPatient]
        distance = np.abs(planes.positions - position).max(axis=1)
        z = int(distance.argmin())
        if distance[z] > _POSITION_TOLERANCE_MM:
            raise ValueError("a plane position that no source slice has")
        return number, z
    source = item.DerivationImageSequence[0].SourceImageSequence[0]
    wanted = (source.ReferencedSOPInstanceUID, int(source.get("ReferencedFrameNumber", 1)))
    for z, frame in enumerate(sources):
        if frame is not None and (frame.sop_instance_uid, frame.number) == wanted:
            return number, z
    raise ValueError("a reference to an image that is not in the source")
