"""Where the slices of a source lie, for the SEG and for whoever reads it back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..findings.measure import frame_affine
from ..image import Frame, Image, Volume
from .context import ReportInput


@dataclass(frozen=True, slots=True)
class Planes:
    """Where the slices lie. ``positions`` is None where the source has no place in the patient."""

    orientation: tuple[float, ...] | None
    positions: NDArray[np.float64] | None
    order: NDArray[np.intp]
    """Rank of each slice against the normal, from 0."""
    spacing: tuple[float, float] | None
    """Pixel size in mm between rows, then between columns."""
    between: float | None
    """Distance of neighbouring slices in mm."""
    thickness: float | None


def planes_of(data: ReportInput) -> Planes:
    """The planes of ``data.source``, one a slice of the mask."""
    source = data.source
    if isinstance(source, Volume):
        return _volume_planes(source)
    frames = (source.frame,) if isinstance(source, Image) else source.frames
    affine = frame_affine(frames[0]) if isinstance(source, Image) else None
    if affine is None or not data.header.get("FrameOfReferenceUID"):
        return Planes(None, None, np.arange(len(frames)), None, None, None)
    frame = frames[0]
    return Planes(frame.orientation, affine[:3, 3][np.newaxis], np.arange(1), frame.spacing, None, frame.thickness)


def _volume_planes(volume: Volume) -> Planes:
    """The source's own numbers where a slice is a source plane, else those of the grid it was resampled to."""
    affine = volume.affine
    between, row, column = volume.spacing
    orientation = tuple(float(v) for v in (*(affine[:3, 2] / column), *(affine[:3, 1] / row)))
    spacing, thickness = (row, column), between
    first = volume.frames[0]
    if first is not None and first.orientation is not None and first.spacing is not None:
        orientation, spacing, thickness = first.orientation, first.spacing, first.thickness or between
    positions = np.array(
        [
            affine[:3, 3] + z * affine[:3, 0] if frame is None or frame.position is None else frame.position
            for z, frame in enumerate(volume.frames)
        ]
    )
    normal = np.cross(orientation[:3], orientation[3:])
    order = np.argsort(np.argsort(-(positions @ normal), kind="stable"), kind="stable")
    return Planes(orientation, positions, order, spacing, between, thickness)


def source_frames(data: ReportInput) -> tuple[Frame | None, ...]:
    """The source frame of each slice of the mask; None where a slice was resampled."""
    return (data.source.frame,) if isinstance(data.source, Image) else data.source.frames
