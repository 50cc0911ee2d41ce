"""The regular grid of slices that passed the gate, and the resampling that fills it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from ..image import Frame, Vector
from .planes import affine_from_frames, axes_of, plane_affine, projections
from .steps import NOTED_SHARE, REFUSED_SHARE, Steps, tolerance
from .verdict import Plane, Resampling

__all__ = ["build_grid"]

Grid = tuple[NDArray[np.float64], Vector, Resampling | None]


def build_grid(frames: Sequence[Frame], steps: Steps | None, why: tuple[str, ...]) -> Grid:
    """Affine, spacing and resampling of the volume that these frames make.

    Parameters
    ----------
    frames
        In order of z, one a position, parallel, of one size and complete in position, orientation and pixel spacing.
    steps
        Their steps; None of a single frame.
    why
        The accepted kinds of finding that ask for resampling; without any, the frames are the volume as they stand.
    """
    if not why:
        affine = affine_from_frames(frames)
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        return affine, (float(spacing[0]), float(spacing[1]), float(spacing[2])), None
    first = frames[0]
    coordinates = projections(frames, first)
    along = coordinates[:, 0]
    if steps is None:
        step, depth = float(first.thickness or 0), 1
    elif steps.regular and "spacing" not in why:
        step, depth = steps.step, sum(steps.counts) + 1
    else:
        # An even step near the median that keeps both the first and the last slice.
        depth = max(2, round(float(along[-1] - along[0]) / steps.step) + 1)
        step = float(along[-1] - along[0]) / (depth - 1)
    # A slice that was let pass as regular is used as it is; where the step was not, only one that all but is in place.
    near = tolerance(step, NOTED_SHARE if "spacing" in why else REFUSED_SHARE)
    lower, upper, weight = _between(along, step, depth, near)
    if {"tilt", "shift", "non-square", "pixel-spacing"} & set(why):
        size, origin, pixel, planes = _planes(frames, coordinates, why)
    else:
        size, pixel, planes = (first.rows, first.columns), _spacing(first), None
        origin = np.array(first.position, dtype=np.float64)
    resampling = Resampling(why, (depth, *size), lower, upper, weight, planes)
    return plane_affine(first, origin, (step, *pixel)), (step, *pixel), resampling


def _spacing(frame: Frame) -> tuple[float, float]:
    if frame.spacing is None:
        raise ValueError("the frame has no Pixel Spacing")
    return frame.spacing


def _between(
    along: NDArray[np.float64], step: float, depth: int, near: float
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]:
    """For each slice of the grid the two sources around it and the upper one's weight; a near source is taken as is."""
    if len(along) == 1:
        return (0,) * depth, (0,) * depth, (0.0,) * depth
    places = along[0] + step * np.arange(depth)
    upper = np.clip(np.searchsorted(along, places), 1, len(along) - 1)
    lower = upper - 1
    weight = np.clip((places - along[lower]) / (along[upper] - along[lower]), 0.0, 1.0)
    weight[np.abs(places - along[lower]) <= near] = 0.0
    at_upper = np.abs(places - along[upper]) <= near
    lower = np.where(at_upper, upper, lower)
    weight[at_upper] = 0.0
    upper = np.where(weight == 0.0, lower, upper)
    return tuple(lower.tolist()), tuple(upper.tolist()), tuple(weight.tolist())


def _planes(
    frames: Sequence[Frame], coordinates: NDArray[np.float64], why: Collection[str]
) -> tuple[tuple[int, int], NDArray[np.float64], tuple[float, float], tuple[Plane, ...]]:
    """The upright plane grid that holds every slice: size, origin, pixel spacing, and the way from it to each slice."""
    spacings = np.array([_spacing(frame) for frame in frames])
    values, counts = np.unique(spacings, axis=0, return_counts=True)
    common = values[np.argmax(counts)]
    if "non-square" in why:
        common = np.full(2, common.min())
    extent = (np.array([frames[0].rows, frames[0].columns]) - 1) * spacings
    start = coordinates[:, 1:].min(axis=0)
    # A thousandth of a pixel is the noise of decimal strings, not a reason for another row.
    size = np.ceil(((coordinates[:, 1:] + extent).max(axis=0) - start) / common - 1e-3).astype(int) + 1
    scale = common / spacings
    shift = (start - coordinates[:, 1:]) / spacings
    planes = tuple(Plane(float(s[0]), float(t[0]), float(s[1]), float(t[1])) for s, t in zip(scale, shift, strict=True))
    along_row, along_column, _ = axes_of(frames[0])
    offset = start - coordinates[0, 1:]
    origin = np.array(frames[0].position) + along_column * offset[0] + along_row * offset[1]
    return (int(size[0]), int(size[1])), origin, (float(common[0]), float(common[1])), planes
