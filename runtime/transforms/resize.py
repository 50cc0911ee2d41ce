"""Resizing to a number of voxels as torch.nn.functional.interpolate and MONAI 1.6 do it, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special

from .geometry import Interpolation
from .state import Affine, Array, require_memory, resample


@dataclass(frozen=True, slots=True)
class Scaled:
    """The image was resized by torch.nn.functional.interpolate's rules."""

    source_shape: tuple[int, ...]
    mode: str
    align_corners: bool
    resamples = True
    pads = False

    def invert(self, array: Array, *, nearest: bool, threads: int, fill: Array | None = None) -> Array:
        mode = "nearest" if nearest else self.mode
        return interpolate(
            array, self.source_shape, mode, align_corners=self.align_corners and not nearest, threads=threads
        )

    def interpolation(self, shape: tuple[int, ...]) -> Interpolation | None:
        """The way back of an image of ``shape`` as a linear interpolation, or None where the mode is another."""
        if self.mode != "linear":
            return None
        return Interpolation(
            scale_matrix(shape, self.source_shape, align_corners=self.align_corners), self.source_shape, border=True
        )


def interpolate(array: Array, shape: tuple[int, ...], mode: str, *, align_corners: bool, threads: int) -> Array:
    """Resize [C, spatial...] as torch.nn.functional.interpolate does: nearest, nearest-exact, area or linear."""
    source = array.shape[1:]
    if shape == source:
        return array
    require_memory((array.shape[0], *shape), np.float32)
    if mode in ("nearest", "nearest-exact"):
        for axis, (new, old) in enumerate(zip(shape, source, strict=True), start=1):
            array = np.take(array, nearest_indices(old, new, exact=mode == "nearest-exact"), axis=axis)
        return array
    if mode == "area":
        # Axis by axis in memory order: a transposed view would be gathered with a stride.
        order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        inner = array.transpose(order)
        for place, axis in enumerate(order):
            if axis > 0:
                inner = _area(inner, place, shape[axis - 1])
        return inner.transpose(np.argsort(order))
    return resample(
        array,
        scale_matrix(source, shape, align_corners=align_corners),
        shape,
        nearest=False,
        border=True,
        threads=threads,
    )


def nearest_indices(old: int, new: int, *, exact: bool) -> np.ndarray:
    """Source index of each target index: floor(i * old / new) in float32, with ``exact`` of the voxel centre."""
    scale = np.float32(old) / np.float32(new)
    index = np.arange(new, dtype=np.float32) + np.float32(0.5 if exact else 0.0)
    found: Array = np.minimum(np.floor(index * scale).astype(np.intp), old - 1)
    return found


def scale_matrix(old: Sequence[int], new: Sequence[int], *, align_corners: bool) -> Affine:
    """New index to old index: voxel edges coincide, or with ``align_corners`` the centres of the corner voxels do."""
    matrix = np.eye(len(old) + 1)
    for axis, (have, want) in enumerate(zip(old, new, strict=True)):
        if align_corners:
            matrix[axis, axis] = (have - 1) / (want - 1) if want > 1 else 0.0
        else:
            matrix[axis, axis] = have / want
            matrix[axis, -1] = 0.5 * (have / want - 1.0)
    return matrix


def _area(array: Array, axis: int, new: int) -> Array:
    """Means over [floor(i * old / new), ceil((i + 1) * old / new)) along one axis (adaptive average pooling)."""
    old = array.shape[axis]
    if new == old:
        return array
    index = np.arange(new)
    first, last = index * old // new, -(-(index + 1) * old // new)
    count = (last - first).reshape((-1,) + (1,) * (array.ndim - axis - 1))
    total: Array = np.take(array, first, axis=axis).astype(np.float32)
    for step in range(1, int((last - first).max())):
        more = np.take(array, np.minimum(first + step, old - 1), axis=axis)
        np.add(total, more, out=total, where=count > step)
    total /= count.astype(np.float32)
    return total


def smooth_before_shrinking(array: Array, shape: Sequence[int], sigma: Sequence[float] | None) -> Array:
    """Resize's anti-aliasing: a Gaussian along each axis that shrinks, sigma (factor - 1) / 2 unless given.

    The kernel is the Gaussian integrated over each voxel and cut at 4 sigma; outside the image is 0
    (monai.networks.layers.GaussianFilter, approx='erf').
    """
    for axis, new in enumerate(shape, start=1):
        factor = array.shape[axis] / new
        width = max(0.0, (factor - 1) / 2) if sigma is None else sigma[axis - 1] * (factor > 1)
        if width > 0:
            tail = int(max(width * 4.0, 0.5) + 0.5)
            at = np.arange(-tail, tail + 1) / (np.sqrt(2.0) * width)
            half = 0.5 / (np.sqrt(2.0) * width)
            weights = 0.5 * (special.erf(at + half) - special.erf(at - half))
            array = ndimage.correlate1d(array, weights, axis=axis, mode="constant", output=np.float32)
    return array
