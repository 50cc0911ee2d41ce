"""Millimetres, diameters and intensity statistics; the conventions are those of :mod:`findings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.planes import plane_affine
from ..image import Cine, Frame, Image, UltrasoundRegion, Vector, Volume

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

_VOXELS_AT_ONCE = 1 << 22
"""Voxels that are looked at in one go when statistics are taken."""


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


def longest_diameter(
    inside: NDArray[np.bool_], pixel: tuple[float, float], slices: range | tuple[int, ...]
) -> tuple[float, int, tuple[tuple[int, int], tuple[int, int]]]:
    """Largest distance between the centres of two pixels in one slice.

    Parameters
    ----------
    inside
        [z, y, x], true within the lesion.
    pixel
        Pixel size along y and x; the result has its unit.
    slices
        Which z to look at.

    Returns
    -------
    length, z, ((y, x), (y, x))
        The first such pair.
    """
    rows: NDArray[np.bool_] = np.any(inside, axis=2)
    columns: NDArray[np.bool_] = np.any(inside, axis=1)
    # The diagonal of a slice's box bounds its diameter, so most slices need no look at their pixels.
    bounds = [
        (-float(np.hypot((y[-1] - y[0]) * pixel[0], (x[-1] - x[0]) * pixel[1])), z, y)
        for z in slices
        if len(y := np.flatnonzero(rows[z])) and len(x := np.flatnonzero(columns[z]))
    ]
    best, where, ends = -1.0, 0, ((0, 0), (0, 0))
    for bound, z, y in sorted(bounds, key=lambda one: one[:2]):
        if -bound <= best:
            break
        plane = inside[z, y]
        points = _corners(y, plane.argmax(axis=1), plane.shape[1] - 1 - plane[:, ::-1].argmax(axis=1))
        scaled = points * pixel
        distance = (scaled[:, np.newaxis, 0] - scaled[:, 0]) ** 2 + (scaled[:, np.newaxis, 1] - scaled[:, 1]) ** 2
        a, b = divmod(int(distance.argmax()), len(points))
        length = float(np.sqrt(distance[a, b]))
        if length > best:
            best, where = length, z
            ends = ((int(points[a, 0]), int(points[a, 1])), (int(points[b, 0]), int(points[b, 1])))
    return best, where, ends


def _corners(y: NDArray[np.intp], left: NDArray[np.intp], right: NDArray[np.intp]) -> NDArray[np.intp]:
    """Corners (y, x) of the convex hull of rows of pixels: only these can be an end of a longest distance.

    By the monotone chain (Andrew 1979), exact in integers; a hull of n rows has some n^(2/3) corners at most, so all
    pairs of them are few. First the left ends and then the right ends, each in the order of the rows; a row of one
    pixel counts as a left end.
    """
    rows, ends = y.tolist(), (left.tolist(), right.tolist())
    count = len(rows)
    kept = set(_chain(rows, ends[0], 1))
    kept.update(n if ends[0][n] == ends[1][n] else n + count for n in _chain(rows, ends[1], -1))
    return np.array([(rows[n % count], ends[n // count][n % count]) for n in sorted(kept)], np.intp)


def _chain(rows: list[int], columns: list[int], side: int) -> list[int]:
    """Which of the points, one a row, are corners of their hull towards lower (``side`` 1) or higher (-1) columns."""
    kept: list[int] = []
    for n, (row, column) in enumerate(zip(rows, columns, strict=True)):
        while len(kept) > 1:
            a, b = kept[-2:]
            turn = (rows[b] - rows[a]) * (column - columns[a]) - (columns[b] - columns[a]) * (row - rows[a])
            if turn * side > 0:
                break
            kept.pop()
        kept.append(n)
    return kept


def statistics(
    inside: NDArray[np.bool_], box: tuple[slice, slice, slice], source: Volume | Image | Cine
) -> tuple[float, float, float, float] | tuple[None, None, None, None]:
    """Mean, population standard deviation, minimum and maximum in modality units, in blocks of slices (Chan et al.
    1979).
    """
    pixels = pixels_of(source)
    if pixels is None:
        return None, None, None, None
    stored, slope, intercept = pixels
    z, y, x = box
    padding = None if isinstance(source, Cine) else source.padding_value
    count, mean, squares, low, high = 0, 0.0, 0.0, np.inf, -np.inf
    step = max(1, _VOXELS_AT_ONCE // max(1, inside[0].size))
    for start in range(0, len(inside), step):
        chosen = inside[start : start + step]
        rows = slice(z.start + start, z.start + start + len(chosen))
        values = stored[rows, y, x]
        if padding is not None:
            chosen = chosen & (values != padding)
        block = values[chosen].astype(np.float64)
        if not len(block):
            continue
        scale, offset = slope[rows].astype(np.float64), intercept[rows].astype(np.float64)
        if (scale == scale[0]).all() and (offset == offset[0]).all():
            block *= scale[0]
            block += offset[0]
        else:
            per_slice = np.count_nonzero(chosen, axis=(1, 2))
            block *= np.repeat(scale, per_slice)
            block += np.repeat(offset, per_slice)
        shift = float(block.mean()) - mean
        total = count + len(block)
        squares += float(((block - block.mean()) ** 2).sum()) + shift**2 * count * len(block) / total
        mean += shift * len(block) / total
        count = total
        low, high = min(low, float(block.min())), max(high, float(block.max()))
    if not count:
        return None, None, None, None
    return mean, float(np.sqrt(squares / count)), low, high
