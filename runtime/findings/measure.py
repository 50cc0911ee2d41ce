"""Millimetres and modality units of what was read; the conventions are those of :mod:`findings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.planes import plane_affine
from ..image import Cine, Frame, Image, UltrasoundRegion, Vector, Volume

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Grid:
    """Where pixels lie. ``affine`` maps (z, y, x) to LPS; ``pixel`` is mm per pixel along y and x."""

    affine: NDArray[np.float64] | None
    pixel: tuple[float, float] | None
    voxel_mm3: float | None
    regions: tuple[UltrasoundRegion, ...] = ()

    def pixel_at(self, box: Box) -> tuple[float, float] | None:
        """The pixel size that holds all over ``box``: of the image, or of the ultrasound region it lies in."""
        if self.pixel is not None:
            return self.pixel
        (_, _), (y0, y1), (x0, x1) = box
        for region in self.regions:
            inside = region.x0 <= x0 and x1 - 1 <= region.x1 and region.y0 <= y0 and y1 - 1 <= region.y1
            if inside and region.data_type in (None, 1) and region.mm_per_pixel_x and region.mm_per_pixel_y:
                return abs(region.mm_per_pixel_y), abs(region.mm_per_pixel_x)
        return None

    def lps(self, z: float, y: float, x: float) -> Vector | None:
        if self.affine is None:
            return None
        left, posterior, superior = (float(v) for v in self.affine[:3, :3] @ (z, y, x) + self.affine[:3, 3])
        return left, posterior, superior


def frame_affine(frame: Frame) -> NDArray[np.float64] | None:
    """Index (z, y, x) of one image plane to LPS mm, z along its normal; None if the header does not place it."""
    if frame.position is None or frame.orientation is None or frame.spacing is None:
        return None
    rows, columns = frame.spacing
    return plane_affine(frame, np.array(frame.position, np.float64), (frame.thickness or 1.0, rows, columns))


def grid_of(source: Volume | Image | Cine) -> Grid:
    if isinstance(source, Volume):
        _, y, x = source.spacing
        return Grid(source.affine, (y, x), abs(float(np.linalg.det(source.affine[:3, :3]))))
    if isinstance(source, Image):
        return Grid(frame_affine(source.frame), source.frame.spacing, None, source.regions)
    first = source.frames[0]
    still = all(
        (f.position, f.orientation, f.spacing) == (first.position, first.orientation, first.spacing)
        for f in source.frames
    )
    affine = frame_affine(first) if still else None
    if affine is not None:
        affine[:3, 0] = 0.0
    return Grid(affine, first.spacing if still else None, None, source.regions)


def pixels_of(source: Volume | Image | Cine) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]] | None:
    """Stored values [z, y, x] with slope and intercept per slice; None for colour."""
    if isinstance(source, Volume):
        return source.voxels, source.slope, source.intercept
    pixels = source.pixels[np.newaxis] if isinstance(source, Image) else source.pixels
    if pixels.ndim != 3:
        return None
    slope, intercept = (np.full(len(pixels), v, np.float32) for v in (source.slope, source.intercept))
    return pixels, slope, intercept
