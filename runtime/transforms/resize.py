"""Resizing to a number of voxels as torch.nn.functional.interpolate and MONAI 1.6 do it, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike
from scipy import special

from bedside import kernels

from ..dtypes import readable
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
    if mode in ("nearest", "nearest-exact"):
        exact = mode == "nearest-exact"
        indices = [nearest_indices(old, new, exact=exact) for new, old in zip(shape, source, strict=True)]
        return take(array, indices, threads=threads)
    array = readable(array, threads)
    if mode == "linear" and len(shape) == 3:
        # resample reads a volume's planes once, where resize would again and again.
        matrix = scale_matrix(source, shape, align_corners=align_corners)
        return resample(array, matrix, shape, nearest=False, border=True, threads=threads)
    out = _beside(array, shape, np.float32)
    kind: Literal["linear", "area"] = "linear" if mode == "linear" else "area"
    coordinates: Literal["align_corners", "half_pixel"] = "align_corners" if align_corners else "half_pixel"
    if len(shape) == 2:
        pixels = np.moveaxis(array, 0, -1)[np.newaxis]
        kernels.resize(pixels, out[np.newaxis], mode=kind, coordinates=coordinates, threads=threads)
    else:
        for channel, target in zip(array, out, strict=True):
            kernels.resize(channel, target, mode=kind, coordinates=coordinates, threads=threads)
    return out


def take(array: Array, indices: Sequence[Array], *, threads: int) -> Array:
    """Voxels of [C, spatial...] at the indices given for each spatial axis, in the array's own dtype."""
    out = _beside(array, tuple(len(index) for index in indices), array.dtype)
    index = tuple(np.ascontiguousarray(i, dtype=np.int32) for i in indices)
    if len(index) == 2:
        rows, columns = index
        kernels.take(array, out, (np.arange(len(array), dtype=np.int32), rows, columns), threads=threads)
    else:
        first, second, third = index
        for channel, target in zip(array, out, strict=True):
            kernels.take(channel, target, (first, second, third), threads=threads)
    return out


def _beside(array: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """An uninitialised [C, *shape], channel by channel, with the spatial axes in the memory order of ``array``.

    Read and written in one order, a transposed view costs no more than its base.
    """
    require_memory((array.shape[0], *shape), dtype)
    order = [0, *sorted(range(1, array.ndim), key=lambda axis: -abs(array.strides[axis]))]
    full = (array.shape[0], *shape)
    return np.empty([full[axis] for axis in order], dtype).transpose(np.argsort(order))


def nearest_indices(old: int, new: int, *, exact: bool) -> np.ndarray:
    """Source index of each target index: floor(i * old / new) in float32, with ``exact`` of the voxel centre."""
    scale = np.float32(old) / np.float32(new)
    index = np.arange(new, dtype=np.float32) + np.float32(0.5 if exact else 0.0)
    found: Array = np.minimum(np.floor(index * scale).astype(np.int32), old - 1)
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


def smooth_before_shrinking(
    array: Array, shape: Sequence[int], sigma: Sequence[float] | None, *, threads: int
) -> Array:
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
            weights = (0.5 * (special.erf(at + half) - special.erf(at - half))).astype(np.float32)
            array = _correlated(array, weights, axis, threads)
    return array


def _correlated(array: Array, weights: Array, axis: int, threads: int) -> Array:
    out = _beside(array, array.shape[1:], np.float32)
    if array.ndim == 3:
        kernels.correlate(array, out, weights, axis, threads=threads)
    else:
        for channel, target in zip(array, out, strict=True):
            kernels.correlate(channel, target, weights, axis - 1, threads=threads)
    return out
