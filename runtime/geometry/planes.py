"""The arithmetic of image planes (DICOM PS3.3 C.7.6.2.1.1): normals, names, affines. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..image import Frame, Vector

__all__ = ["affine_from_frames", "axes_of", "orientation_name", "pixel_to_patient", "plane_affine", "projections"]

OBLIQUE = 0.8
"""The normal of a named plane has a component of at least this much along its axis (37 degrees off at most): the
largest gantry tilt, 30 degrees, leaves an axial slice axial, and a plane half way between two axes has no name."""

_NAMES = ("sagittal", "coronal", "axial")


def axes_of(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors of a frame in LPS: along a row (x), along a column (y), and the normal (z = x cross y).

    The direction cosines of a header are rounded decimals; they are made orthonormal, the row first.

    Raises
    ------
    ValueError
        The frame has no orientation.
    """
    if frame.orientation is None:
        raise ValueError("the frame has no Image Orientation (Patient)")
    x = np.array(frame.orientation[:3], dtype=np.float64)
    y = np.array(frame.orientation[3:], dtype=np.float64)
    x = x / np.linalg.norm(x)
    y = y - (y @ x) * x
    y = y / np.linalg.norm(y)
    return x, y, np.cross(x, y)


def orientation_name(frame: Frame) -> str:
    """``axial``, ``coronal``, ``sagittal`` or ``oblique``, by the normal; ``unknown`` without an orientation."""
    if frame.orientation is None:
        return "unknown"
    components = np.abs(axes_of(frame)[2])
    axis = int(np.argmax(components))
    return _NAMES[axis] if components[axis] >= OBLIQUE else "oblique"


def pixel_to_patient(frame: Frame, y: float, x: float) -> Vector:
    """Where the point (row index y, column index x) of a frame lies in the patient, LPS mm; (0, 0) is a pixel's centre.

    Raises
    ------
    ValueError
        The frame has no position, orientation or pixel spacing.
    """
    if frame.position is None or frame.spacing is None:
        raise ValueError("the frame has no Image Position (Patient) or no Pixel Spacing")
    along_row, along_column, _ = axes_of(frame)
    point = np.array(frame.position) + along_row * (x * frame.spacing[1]) + along_column * (y * frame.spacing[0])
    return float(point[0]), float(point[1]), float(point[2])


def projections(frames: Sequence[Frame], reference: Frame) -> NDArray[np.float64]:
    """Coordinates (n, 3) in mm of the frames' positions along the reference's normal, column and row: (z, y, x).

    Raises
    ------
    ValueError
        A frame has no position, or the reference no orientation.
    """
    if any(frame.position is None for frame in frames):
        raise ValueError("a frame has no Image Position (Patient)")
    x, y, z = axes_of(reference)
    positions = np.array([frame.position for frame in frames], dtype=np.float64).reshape(-1, 3)
    return positions @ np.stack([z, y, x], axis=1)


def plane_affine(frame: Frame, origin: NDArray[np.float64], spacing: Vector) -> NDArray[np.float64]:
    """The affine, index (z, y, x) to LPS mm, of an orthogonal grid in the frame's orientation."""
    x, y, z = axes_of(frame)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([z * spacing[0], y * spacing[1], x * spacing[2]], axis=1)
    affine[:3, 3] = origin
    return affine


def affine_from_frames(frames: Sequence[Frame]) -> NDArray[np.float64]:
    """The affine, index (z, y, x) to LPS mm, of frames that are already in order and regular.

    The origin is the first frame's position; the slice step is the mean of the projected steps, along the normal. A
    single frame takes its slice thickness for the step.

    Raises
    ------
    ValueError
        No frames, or position, orientation, pixel spacing or (of a single frame) thickness is absent.
    """
    if not frames or frames[0].spacing is None:
        raise ValueError("no frames, or no Pixel Spacing")
    first = frames[0]
    rows, columns = frames[0].spacing
    along = projections(frames, first)[:, 0]
    if len(frames) > 1:
        step = float(along[-1] - along[0]) / (len(frames) - 1)
    elif first.thickness:
        step = first.thickness
    else:
        raise ValueError("a single frame without Slice Thickness has no slice step")
    return plane_affine(first, np.array(first.position, dtype=np.float64), (step, rows, columns))
