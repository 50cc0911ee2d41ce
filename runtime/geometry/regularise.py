"""Make a regular volume of slices that the gate accepted with a resampling (gaps, tilt, uneven steps, odd pixels)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from ..image import Frame, Volume
from .verdict import Plane, Resampling, Verdict

__all__ = ["regularise"]

Slice = NDArray[np.float32]

NOISE = 1e-3
"""Pixels; what decimal strings lose neither puts a pixel outside its slice nor mixes padding into it."""


def regularise(volume: Volume, verdict: Verdict, *, threads: int = 0) -> Volume:
    """Resample the slices in ``verdict.order`` onto the grid of ``verdict.affine``.

    Parameters
    ----------
    volume
        Its ``voxels[i]``, ``slope[i]``, ``intercept[i]`` and ``frames[i]`` are those of frame ``verdict.order[i]``.
    verdict
        Accepted; without a resampling the volume is returned as it is.
    threads
        0 is every core of the process's affinity mask.

    Returns
    -------
    Volume
        Slices that were not resampled are the same stored values and keep their frame; interpolated ones have ``None``
        for a frame. Interpolation is linear, between slices and within planes. Where all slices share slope and
        intercept, stored values are interpolated and, if integers, rounded to the nearest (at most half a stored unit
        off); otherwise the whole volume becomes float32 in modality units. What lies outside every slice, and every
        voxel that would mix Pixel Padding Value into tissue, is padding: the padding value, or the volume's minimum
        where the header has none.

    Raises
    ------
    ValueError
        The verdict refuses, or the volume has not the slices of ``verdict.order``.
    """
    plan = verdict.resampling
    if not verdict.accepted or verdict.affine is None:
        raise ValueError("a refused series has no volume")
    if len(volume.voxels) != len(verdict.order):
        raise ValueError(f"the volume has {len(volume.voxels)} slices, the verdict orders {len(verdict.order)}")
    if plan is None:
        return volume

    same_rescale = len(np.unique(volume.slope)) == 1 and len(np.unique(volume.intercept)) == 1
    source = volume.voxels
    dtype = source.dtype if same_rescale else np.dtype(np.float32)
    slope, intercept = volume.slope[list(plan.lower)], volume.intercept[list(plan.lower)]
    padding = volume.padding_value
    if not same_rescale:
        slope, intercept = np.ones_like(slope), np.zeros_like(intercept)
    fill = _fill(volume, same_rescale)

    out = np.empty(plan.shape, dtype)

    def run(part: range) -> None:
        load = _loader(volume, plan, same_rescale)
        for z in part:
            below, above, weight = plan.lower[z], plan.upper[z], plan.weight[z]
            if weight == 0 and plan.planes is None and same_rescale:
                out[z] = source[below]
                continue
            values, outside = load(below)
            if weight > 0:
                other, other_outside = load(above)
                values = values * np.float32(1 - weight) + other * np.float32(weight)
                outside = outside | other_outside
            values = np.where(outside, np.float32(fill), values)
            out[z] = np.rint(values) if np.issubdtype(dtype, np.integer) else values

    workers = threads or len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, _parts(len(out), workers)))
    frames: tuple[Frame | None, ...] = tuple(
        volume.frames[a] if weight == 0 and plan.planes is None else None
        for a, weight in zip(plan.lower, plan.weight, strict=True)
    )
    return Volume(
        voxels=out,
        affine=verdict.affine,
        slope=slope,
        intercept=intercept,
        frames=frames,
        window=volume.window,
        padding_value=padding if same_rescale else None,
        voi_lut=volume.voi_lut,
    )


def _parts(n: int, workers: int) -> list[range]:
    """Runs of slices, one a worker: neighbours share the sources between them."""
    edges = [n * k // workers for k in range(workers + 1)]
    return [range(a, b) for a, b in itertools.pairwise(edges) if b > a]


def _fill(volume: Volume, stored: bool) -> float:
    """The value of what no slice shows, stored or in modality units."""
    if stored:
        padding, dtype = volume.padding_value, volume.voxels.dtype
        if padding is not None and np.issubdtype(dtype, np.integer):
            # A padding value that the pixels cannot hold is in no pixel: a header that is wrong in sign or bits.
            limits = np.iinfo(dtype)
            padding = padding if limits.min <= padding <= limits.max else None
        return float(volume.voxels.min() if padding is None else padding)
    minima = []
    for values, slope, intercept in zip(volume.voxels, volume.slope, volume.intercept, strict=True):
        seen = values if volume.padding_value is None else values[values != volume.padding_value]
        if seen.size:
            minima += [float(seen.min() * slope + intercept), float(seen.max() * slope + intercept)]
    return min(minima, default=0.0)


def _loader(volume: Volume, plan: Resampling, stored: bool) -> Callable[[int], tuple[Slice, NDArray[np.bool_]]]:
    """A function that gives source slice i on the output plane, and where it shows nothing; the last two are kept."""
    kept: dict[int, tuple[Slice, NDArray[np.bool_]]] = {}

    def load(i: int) -> tuple[Slice, NDArray[np.bool_]]:
        if i not in kept:
            if len(kept) > 1:
                del kept[min(kept)]
            values = volume.voxels[i].astype(np.float32)
            padded = np.zeros(values.shape, bool)
            if volume.padding_value is not None:
                padded = volume.voxels[i] == volume.padding_value
            if not stored:
                values = values * volume.slope[i] + volume.intercept[i]
            if plan.planes is not None:
                values, padded = _move(values, padded, plan.planes[i], plan.shape[1:])
            kept[i] = values, padded
        return kept[i]

    return load


def _move(
    values: Slice, padded: NDArray[np.bool_], plane: Plane, shape: tuple[int, ...]
) -> tuple[Slice, NDArray[np.bool_]]:
    """The slice on the output plane, bilinear, and which output pixels lie outside it or touch its padding."""
    outside = np.zeros(shape, bool)
    for axis, (scale, shift) in enumerate(((plane.scale_y, plane.shift_y), (plane.scale_x, plane.shift_x))):
        places = scale * np.arange(shape[axis]) + shift
        beyond = (places < -NOISE) | (places > values.shape[axis] - 1 + NOISE)
        outside |= beyond[:, None] if axis == 0 else beyond[None, :]
    if padded.any():
        outside |= _bilinear(padded.astype(np.float32), plane, shape) > NOISE
    return _bilinear(values, plane, shape), outside


def _bilinear(values: Slice, plane: Plane, shape: tuple[int, ...]) -> Slice:
    """Pixels of a slice at the places of the output plane's; beyond the rim those at the rim."""
    matrix = np.array([[1, 0, 0, 0], [0, plane.scale_y, 0, plane.shift_y], [0, 0, plane.scale_x, plane.shift_x]], float)
    out = np.empty(shape, np.float32)
    # One thread: slices are shared out among threads already.
    kernels.resample(values[np.newaxis], out[np.newaxis], matrix, threads=1)
    return out
