"""Index arithmetic of the spatial transforms: where MONAI 1.6 puts voxels, and how to go back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bedside import kernels

from .state import Affine, Array, allocate, as_3d, resample, resample_cubic

AFFINE_TOLERANCE = 1e-3
"""Below this two affines, or a spacing and its target, count as equal (monai.data.utils.AFFINE_TOL)."""

_NO_VOXEL = 1e-10
"""A shift by less, in voxels, does not change a float32 weight."""

CODES = (("L", "R"), ("P", "A"), ("I", "S"))
"""Anatomical letters at the two ends of each RAS axis."""


def spacing_of(affine: Affine) -> np.ndarray:
    """Voxel size along each index axis: the norms of the affine's columns, 1 for a column of zeros."""
    size: Array = np.linalg.norm(affine[:-1, :-1], axis=0)
    size[size == 0] = 1.0
    return size


def axis_orientation(affine: Affine) -> tuple[tuple[int, int], ...]:
    """For each index axis: the RAS axis it runs along most closely, and +1 or -1.

    The assignment is nibabel's io_orientation: spacing is divided out, the closest orthogonal matrix taken by polar
    decomposition, then axes are matched from the most to the least aligned, each RAS axis once.
    """
    rzs = affine[:-1, :-1]
    zooms = np.sqrt((rzs * rzs).sum(axis=0))
    zooms[zooms == 0] = 1.0
    left, strength, right = np.linalg.svd(rzs / zooms, full_matrices=False)
    keep = strength > strength.max() * max(rzs.shape) * np.finfo(float).eps
    rotation = left[:, keep] @ right[keep]
    result: dict[int, tuple[int, int]] = {}
    for column in np.argsort(-(rotation**2).max(axis=0), kind="stable"):
        axis = int(np.argmax(np.abs(rotation[:, column])))
        result[int(column)] = (axis, -1 if rotation[axis, column] < 0 else 1)
        rotation[axis] = 0.0
    return tuple(result[column] for column in range(len(result)))


def parse_axcodes(axcodes: str) -> tuple[tuple[int, int], ...]:
    """'RAS', 'LPI', ... to (RAS axis, sign) for each index axis.

    Raises
    ------
    ValueError
        An unknown letter, or two letters of one axis.
    """
    result = []
    for letter in axcodes:
        found = [(axis, -1 if ends.index(letter) == 0 else 1) for axis, ends in enumerate(CODES) if letter in ends]
        if not found:
            raise ValueError(f"'{axcodes}' has the letter '{letter}'; known are L R, P A, I S")
        result.append(found[0])
    if len({axis for axis, _ in result}) != len(result):
        raise ValueError(f"'{axcodes}' names one axis twice")
    return tuple(result)


def spacing_target(
    affine: Affine, pixdim: Sequence[float], minimum: Sequence[float], maximum: Sequence[float]
) -> np.ndarray:
    """The spacing that MONAI's Spacing aims at: ``pixdim``, or the image's own where that is close enough."""
    rank = len(affine) - 1
    target = np.array([pixdim[min(axis, len(pixdim) - 1)] for axis in range(rank)], dtype=np.float64)
    have = spacing_of(affine)
    for axis in range(rank):
        low = min(minimum[axis], target[axis]) if axis < len(minimum) else target[axis]
        high = max(maximum[axis], target[axis]) if axis < len(maximum) else target[axis]
        if low - AFFINE_TOLERANCE <= have[axis] <= high + AFFINE_TOLERANCE:
            target[axis] = have[axis]
    return np.where(target > 0, target, have)


def rescaled_affine(affine: Affine, spacing: np.ndarray, *, diagonal: bool) -> Affine:
    """The affine with another voxel size, without shear and without translation; diagonal drops the rotation too."""
    if diagonal:
        return np.diag(np.append(spacing, 1.0))
    rzs = affine[:-1, :-1]
    upper = np.linalg.cholesky(rzs.T @ rzs).T
    result = np.eye(len(affine))
    result[:-1, :-1] = (rzs @ np.linalg.inv(upper)) * spacing
    return result


def resampled_grid(shape: Sequence[int], old: Affine, new: Affine) -> tuple[tuple[int, ...], np.ndarray]:
    """Shape and origin of the grid with affine ``new`` that covers the voxel centres of the old one.

    The extent between corner centres, rounded, plus one voxel. The origin is the corner from which all new axes run
    inwards; where no corner is (the axes are mixed), the two grids share their centre.
    """
    rank = len(shape)
    ends = np.array([(0.0, size - 1.0) for size in shape])
    corners = np.stack([axis.ravel() for axis in np.meshgrid(*ends, indexing="ij")] + [np.ones(2**rank)])
    placed = (np.linalg.solve(new, old) @ corners)[:-1]
    size = np.round(np.ptp(placed, axis=1) + 1.0)
    for index in range(placed.shape[1]):
        if np.allclose((placed - placed[:, index : index + 1]).min(axis=1), 0.0):
            return tuple(int(n) for n in size), (old @ corners[:, index])[:-1]
    centre = old[:-1, :-1] @ (np.array(shape) / 2.0) + old[:-1, -1]
    return tuple(int(n) for n in size), centre - new[:-1, :-1] @ (size / 2.0)


def wanted_size(wanted: int | Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """One size an axis; a value below 1 stands for the axis' own."""
    sizes = (wanted,) * len(shape) if isinstance(wanted, int) else tuple(wanted)
    if len(sizes) != len(shape):
        raise ValueError(f"has {len(sizes)} values, the image has {len(shape)} axes")
    return tuple(want if want > 0 else have for want, have in zip(sizes, shape, strict=True))


@dataclass(frozen=True, slots=True)
class Permute:
    """Axes were reordered, channel axis included."""

    axes: tuple[int, ...]
    resamples = False
    pads = False

    def invert(self, array: Array, *, nearest: bool, threads: int, fill: Array | None = None) -> Array:
        return array.transpose(np.argsort(self.axes))


@dataclass(frozen=True, slots=True)
class Flip:
    """Axes (of [C, spatial...]) were reversed."""

    axes: tuple[int, ...]
    resamples = False
    pads = False

    def invert(self, array: Array, *, nearest: bool, threads: int, fill: Array | None = None) -> Array:
        return np.flip(array, self.axes)


@dataclass(frozen=True, slots=True)
class Window:
    """A box was cut out; where it reaches beyond the image it was padded.

    Going back fills what was cut with ``fill``, one value a channel, or 0.
    """

    start: tuple[int, ...]
    shape: tuple[int, ...]
    source_shape: tuple[int, ...]
    resamples = False

    @property
    def pads(self) -> bool:
        return any(
            start > 0 or start + size < source
            for start, size, source in zip(self.start, self.shape, self.source_shape, strict=True)
        )

    @property
    def outside(self) -> tuple[tuple[int, int], ...]:
        """Padding before and after, an axis."""
        return tuple(
            (max(-start, 0), max(start + size - source, 0))
            for start, size, source in zip(self.start, self.shape, self.source_shape, strict=True)
        )

    def slices(self) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """The common part: in the source, and in the box (spatial axes only)."""
        in_source, in_box = [], []
        for start, size, source in zip(self.start, self.shape, self.source_shape, strict=True):
            first, last = max(start, 0), min(start + size, source)
            in_source.append(slice(first, last))
            in_box.append(slice(first - start, last - start))
        return tuple(in_source), tuple(in_box)

    def invert(self, array: Array, *, nearest: bool, threads: int, fill: Array | None = None) -> Array:
        if not self.pads:
            return array[(slice(None), *self.slices()[1])]
        out = allocate((array.shape[0], *self.source_shape), array.dtype)
        z, y, x = (0,) * (3 - len(self.start)) + tuple(-start for start in self.start)
        for channel, target, value in zip(array, out, np.zeros(len(array)) if fill is None else fill, strict=True):
            kernels.crop_pad(as_3d(channel), as_3d(target), (z, y, x), fill=float(value), threads=threads)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Interpolation:
    """A linear interpolation: ``matrix`` maps an index of the result to one of the source."""

    matrix: Affine
    shape: tuple[int, ...]
    border: bool

    def planes_of(self, first: int, last: int, planes: int) -> tuple[int, int]:
        """Which of the source's ``planes`` (first axis) the result's rows ``first`` to ``last`` look at."""
        ends = [(first, last - 1), *((0, size - 1) for size in self.shape[1:])]
        reach = [sorted((m * low, m * high)) for m, (low, high) in zip(self.matrix[0], ends, strict=False)]
        low, high = (sum(end[side] for end in reach) + self.matrix[0, -1] for side in (0, 1))
        # One plane more on either side than exact arithmetic would look at.
        start = min(max(int(np.floor(low)) - 1, 0), planes - 1)
        return start, min(max(int(np.floor(high)) + 3, start + 1), planes)

    def rows(self, planes: Array, start: int, first: int, last: int, threads: int) -> Array:
        """Rows ``first`` to ``last`` of the result, from the source's planes from ``start`` on."""
        matrix = self.matrix.copy()
        matrix[:, -1] += matrix[:, 0] * first
        matrix[0, -1] -= start
        return resample(
            planes, matrix, (last - first, *self.shape[1:]), nearest=False, border=self.border, threads=threads
        )


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """The image was sampled on another grid: ``matrix`` maps a new index to an old one."""

    matrix: Affine
    source_shape: tuple[int, ...]
    nearest: bool
    border: bool
    cubic: bool = False
    resamples = True
    pads = False

    def invert(self, array: Array, *, nearest: bool, threads: int, fill: Array | None = None) -> Array:
        if self.cubic and not nearest:
            return resample_cubic(array, self._back(), self.source_shape, border=self.border, threads=threads)
        return resample(
            array,
            self._back(),
            self.source_shape,
            nearest=nearest or self.nearest,
            border=self.border,
            threads=threads,
        )

    def interpolation(self, shape: tuple[int, ...]) -> Interpolation | None:
        """The way back of an image of ``shape`` as an interpolation, or None where it is none."""
        return None if self.nearest or self.cubic else Interpolation(self._back(), self.source_shape, self.border)

    def _back(self) -> Affine:
        """Old index to new index, without what rounding left where axes are parallel.

        That would be no zero any more once rows are counted from another one, and would mix a trace of the neighbouring
        voxels in.
        """
        matrix = np.linalg.inv(self.matrix)
        reach = np.abs(matrix) * [*self.source_shape, 1]
        matrix[reach < _NO_VOXEL] = 0.0
        return matrix
