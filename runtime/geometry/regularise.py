"""Make a regular volume of slices that the gate accepted with a resampling (gaps, tilt, uneven steps, odd pixels)."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from ..dtypes import copy_into, readable
from ..image import Frame, Volume
from .verdict import Plane, Resampling, Verdict

__all__ = ["regularise"]

NOISE = 1e-3
"""Pixels; what decimal strings lose neither puts a pixel outside its slice nor mixes padding into it."""
_ABOVE_NOISE = float(np.nextafter(np.float32(NOISE), np.float32(1)))
_WRITTEN = frozenset(np.dtype(name) for name in ("uint8", "int8", "uint16", "int16", "float32"))
"""Types that the resample kernel writes, whole numbers rounded."""
_IN_PLACE = Plane(1.0, 0.0, 1.0, 0.0)


def regularise(volume: Volume, verdict: Verdict, *, threads: int = 0) -> Volume:
    """Resample the slices in ``verdict.order`` onto the grid of ``verdict.affine``.

    Parameters
    ----------
    volume
        Its ``voxels[i]``, ``slope[i]``, ``intercept[i]`` and ``frames[i]`` are those of frame ``verdict.order[i]``.
    verdict
        Accepted; without a resampling the volume is returned as it is.
    threads
        0 is the process's thread budget.

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
    fill = _fill(volume, same_rescale, threads)

    out = np.empty(plan.shape, dtype)

    def run(part: range) -> None:
        slices = _Slices(volume, plan, same_rescale)
        for z in part:
            below, above, weight = plan.lower[z], plan.upper[z], plan.weight[z]
            if weight == 0 and plan.planes is None and same_rescale:
                copy_into(source[below], out[z], 1)
            else:
                slices.blend(below, above, weight, fill, out[z])

    workers = threads or kernels.thread_budget()
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


def _fill(volume: Volume, stored: bool, threads: int) -> float:
    """The value of what no slice shows, stored or in modality units."""
    padding, voxels = volume.padding_value, volume.voxels
    if stored:
        if padding is not None and np.issubdtype(voxels.dtype, np.integer):
            # A padding value that the pixels cannot hold is in no pixel: a header that is wrong in sign or bits.
            limits = np.iinfo(voxels.dtype)
            padding = padding if limits.min <= padding <= limits.max else None
        return kernels.minmax(readable(voxels, threads), threads=threads)[0] if padding is None else float(padding)
    minima = []
    values = np.empty((1, *voxels.shape[1:]), np.float32)
    for i in range(len(voxels)):
        _modality(volume, i, values, threads)
        minimum, _, not_seen, _ = kernels.minmax(values, threads=threads)
        if not_seen < values.size:
            minima.append(minimum)
    return min(minima, default=0.0)


def _modality(volume: Volume, i: int, out: NDArray[np.float32], threads: int) -> None:
    """Slice i in modality units, NaN where it is padding."""
    kernels.rescale(
        readable(volume.voxels[i : i + 1], threads),
        out,
        slope=float(volume.slope[i]),
        intercept=float(volume.intercept[i]),
        padding_value=volume.padding_value,
        padding_out=np.nan,
        threads=threads,
    )


class _Slices:
    """Source slices on the output plane, and where they show nothing; the last two are kept.

    Its kernels run on one thread: slices are shared out among threads already.
    """

    def __init__(self, volume: Volume, plan: Resampling, stored: bool) -> None:
        self._volume, self._planes, self._stored = volume, plan.planes, stored
        self._values = np.empty((2, *plan.shape[1:]), np.float32)
        self._outside = np.empty((2, *plan.shape[1:]), np.uint8)
        self._held = [-1, -1]

    def blend(self, below: int, above: int, weight: float, fill: float, out: NDArray[Any]) -> None:
        """Write what lies between two neighbouring slices, ``fill`` where one of them shows nothing."""
        used = [self._hold(i) for i in ((below, above) if weight > 0 else (below,))]
        pair = self._values if used[0] == 0 else self._values[::-1]
        blended = out if out.dtype in _WRITTEN else np.empty(out.shape, np.float32)
        kernels.resample(pair, blended[np.newaxis], _moved(z=weight), threads=1)
        bits = f"u{blended.itemsize}"
        filling = np.array([fill], blended.dtype).view(bits).astype(np.uint32)
        for place in used:
            outside = kernels.Components(self._outside[place], connectivity=None, threads=1)
            outside.paint(blended.view(bits), filling[: len(outside)], clear=False, threads=1)
        if blended is not out:  # 32 bits and more, which no kernel writes
            out[...] = np.rint(blended) if np.issubdtype(out.dtype, np.integer) else blended

    def _hold(self, i: int) -> int:
        """Where slice i is kept."""
        place = i % 2
        if self._held[place] != i:
            self._held[place] = i
            self._load(i, self._values[place : place + 1], self._outside[place])
        return place

    def _load(self, i: int, values: NDArray[np.float32], outside: NDArray[np.uint8]) -> None:
        volume = self._volume
        plane = self._planes[i] if self._planes is not None else _IN_PLACE
        matrix = _moved(plane)
        source = readable(volume.voxels[i : i + 1], 1)
        slope, intercept = (1.0, 0.0) if self._stored else (float(volume.slope[i]), float(volume.intercept[i]))
        kernels.resample(source, values, matrix, slope=slope, intercept=intercept, threads=1)
        (y0, y1), (x0, x1) = (
            _within(shift, scale, have, want)
            for shift, scale, have, want in (
                (plane.shift_y, plane.scale_y, source.shape[1], outside.shape[0]),
                (plane.shift_x, plane.scale_x, source.shape[2], outside.shape[1]),
            )
        )
        nothing = np.broadcast_to(np.uint8(0), (1, y1 - y0, x1 - x0))
        kernels.crop_pad(nothing, outside[np.newaxis], (0, -y0, -x0), fill=1, threads=1)
        padding = volume.padding_value
        if padding is not None and kernels.bounding_box(source, equal=padding, threads=1) is not None:
            padded = np.empty(source.shape, np.uint8)
            kernels.rescale(source, padded, slope=0.0, intercept=0.0, padding_value=padding, padding_out=1.0, threads=1)
            share = np.empty(values.shape, np.float32)
            kernels.resample(padded, share, matrix, threads=1)
            inside = (slice(None), slice(y0, y1), slice(x0, x1))
            kernels.threshold(share[inside][np.newaxis], outside[np.newaxis][inside], _ABOVE_NOISE, threads=1)


def _within(shift: float, scale: float, have: int, want: int) -> tuple[int, int]:
    """Which of ``want`` pixels of the output plane lie within the ``have`` of the slice: from, and up to."""
    places = scale * np.arange(want) + shift
    within = np.flatnonzero((places >= -NOISE) & (places <= have - 1 + NOISE))
    return (int(within[0]), int(within[-1]) + 1) if len(within) else (0, 0)


def _moved(plane: Plane = _IN_PLACE, z: float = 0.0) -> NDArray[np.float64]:
    """The matrix from the output plane to a slice, ``z`` of the way to the next one."""
    return np.array([[1, 0, 0, z], [0, plane.scale_y, 0, plane.shift_y], [0, 0, plane.scale_x, plane.shift_x]], float)
