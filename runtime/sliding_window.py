"""Sliding windows: where they lie, what they weigh, how they are cut out of the image and blended together again.

The arithmetic is that of MONAI's SlidingWindowInferer (monai.inferers.sliding_window_inference, dense_patch_slices and
compute_importance_map, 1.6); the memory is not: windows go along the first spatial axis, and only as many planes of
accumulated output are kept as a window is deep.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from .dtypes import readable
from .errors import BundleError, StudyRejected

Float = NDArray[np.float32]
Emit = Callable[[int, Float, Float | None], None]
"""Takes finished planes from ``first`` on: their weighted sums [C, planes, y, x] and, if asked for, what they are to be
divided by, [planes, y, x]."""


def roi_of(
    roi_size: Sequence[int | None], image: tuple[int, ...], network: Sequence[int | None] | None = None
) -> tuple[int, ...]:
    """Window size: one value an axis, or one for all; None or a value below 1 is the image's own size.

    Raises
    ------
    BundleError
        The number of axes does not fit, or ``network``, the sizes the network fixes, differ.
    """
    asked = tuple(roi_size) * len(image) if len(roi_size) == 1 else tuple(roi_size)
    if len(asked) != len(image):
        raise BundleError(f"roi_size {list(roi_size)} has {len(asked)} values, the image has {len(image)} axes")
    roi = tuple(want if want is not None and want > 0 else size for want, size in zip(asked, image, strict=True))
    if network is not None and any(fixed not in (None, size) for fixed, size in zip(network, roi, strict=True)):
        raise BundleError(
            f"the network takes windows of {by(network)}, roi_size {list(roi_size)} gives {by(roi)}",
            mend="set roi_size to the network's own size",
        )
    return roi


def window_starts(size: int, roi: int, overlap: float) -> list[int]:
    """First index of each window along one axis; the last window ends with the axis.

    ``size`` is at least ``roi``. The step is ``int(roi * (1 - overlap))``, at least 1, as MONAI rounds it.
    """
    step = roi if roi == size else max(int(roi * (1 - overlap)), 1)
    count = -(-(size - roi) // step) + 1
    return [min(index * step, size - roi) for index in range(count)]


@dataclass(frozen=True)
class Importance:
    """What the voxels of a window weigh: the product of one factor an axis, raised to a floor; all float32."""

    bells: tuple[Float, ...]
    floor: float


def importance(roi: tuple[int, ...], mode: str, sigma_scale: float | Sequence[float] = 0.125) -> Importance:
    """Weights of a window of size ``roi``.

    ``constant`` is 1 everywhere. ``gaussian`` is the product over the axes of exp(-x^2 / (2 s^2)), x the distance from
    the centre and s = sigma_scale * size, raised to at least max(its minimum, 1e-3).
    """
    if mode == "constant":
        return Importance(tuple(np.ones(size, np.float32) for size in roi), 0.0)
    bells = []
    least = np.float32(1)
    for size, scale in zip(roi, per_axis(sigma_scale, len(roi)), strict=True):
        x = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
        bells.append(np.exp(x**2 / np.float32(-2 * (size * scale) ** 2)))
        least *= bells[-1].min()
    return Importance(tuple(bells), max(float(least), 1e-3))


def per_axis(value: float | Sequence[float], axes: int) -> tuple[float, ...]:
    """One value an axis from one value for all or a sequence of the right length."""
    return tuple(value) if isinstance(value, Sequence) else (value,) * axes


def by(sizes: Iterable[int | None]) -> str:
    """Sizes as one reads them: ``96x96xany``."""
    return "x".join("any" if size is None else str(size) for size in sizes)


@dataclass(frozen=True)
class Windows:
    """The windows over one image."""

    image: tuple[int, ...]
    roi: tuple[int, ...]
    axes: tuple[tuple[int, ...], ...]
    """First voxel of the windows along each axis, as an index of the image. Where that is smaller than the window there
    is one, at minus half of what is missing, floored."""

    @classmethod
    def over(cls, image: tuple[int, ...], roi: tuple[int, ...], overlap: float | Sequence[float]) -> Windows:
        """Cover ``image`` with windows of size ``roi``."""
        axes = []
        for size, want, share in zip(image, roi, per_axis(overlap, len(image)), strict=True):
            before = max(want - size, 0) // 2
            axes.append(tuple(start - before for start in window_starts(max(size, want), want, share)))
        return cls(image, roi, tuple(axes))

    @property
    def starts(self) -> list[tuple[int, ...]]:
        """First voxel of each window, in the order they are visited: along the first axis slowest."""
        return list(itertools.product(*self.axes))

    @property
    def pads(self) -> bool:
        """Whether windows reach outside of the image."""
        return any(size < want for size, want in zip(self.image, self.roi, strict=True))

    def lifted(self) -> Windows:
        """The same in three dimensions: a 2D image has one plane."""
        front = 3 - len(self.image)
        return Windows((1,) * front + self.image, (1,) * front + self.roi, ((0,),) * front + self.axes)


class Cutter:
    """Cuts windows out of an image straight into the network's input buffer, padding where the image is too small.

    Parameters
    ----------
    image
        [C, spatial...], any strides.
    windows
        The windows over it.
    padding_mode, cval
        ``constant`` (fill with ``cval``), ``reflect``, ``replicate`` or ``circular``, as torch.nn.functional.pad.
    threads
        At most so many; 0 is every core.

    Raises
    ------
    StudyRejected
        The image is too small to be padded by reflection or circularly.
    """

    def __init__(self, image: NDArray[Any], windows: Windows, padding_mode: str, cval: float, threads: int) -> None:
        for size, want in zip(windows.image, windows.roi, strict=True):
            _require_paddable(size, want, padding_mode)
        self._image = lift(readable(image, threads))
        self._padding: Any = padding_mode
        self._cval = cval
        self._threads = threads
        self._scratch: Float | None = None

    def cut(self, start: tuple[int, ...], out: NDArray[Any]) -> None:
        """Copy the window at ``start`` into ``out`` [C, window...]."""
        target = out
        if out.dtype != np.float32:  # a network of another precision
            if self._scratch is None:
                self._scratch = np.empty(out.shape, np.float32)
            target = self._scratch
        z, y, x = (0,) * (3 - len(start)) + start
        kernels.gather(
            self._image, lift(target), (z, y, x), padding=self._padding, fill=self._cval, threads=self._threads
        )
        if target is not out:
            integers = np.issubdtype(out.dtype, np.integer)
            for channel, place in zip(lift(target), lift(out), strict=True):
                kernels.rescale(channel, place, slope=1.0, intercept=0.0, truncate=integers, threads=self._threads)


def lift(array: NDArray[Any]) -> NDArray[Any]:
    """[C, y, x] as [C, 1, y, x]; [C, z, y, x] as it is. A view."""
    return array[:, None] if array.ndim == 3 else array


def _require_paddable(size: int, want: int, mode: str) -> None:
    missing = max(want - size, 0)
    longest = {"reflect": size - 1, "circular": size}.get(mode, missing)
    if missing - missing // 2 > longest:
        raise StudyRejected(
            f"the image is {size} voxels along one axis, too few to be padded to {want} by padding_mode '{mode}'",
            mend="give the bundle's inferer padding_mode 'replicate' or 'constant'",
        )


class Blender:
    """Adds weighted windows up and hands finished planes on, keeping one window's depth of planes.

    Works in 3D; a 2D image has one plane. The slab is a ring: plane z of the image is kept at z modulo its depth.

    Parameters
    ----------
    channels
        Of the network's output.
    windows
        All that will be added.
    weights
        Of a window's voxels.
    emit
        Takes the planes.
    at_a_time
        How many planes, at most, are handed on with the weights to divide by; 0 hands on all that are finished, without
        them.
    threads
        At most so many; 0 is every core.
    """

    def __init__(
        self, channels: int, windows: Windows, weights: Importance, emit: Emit, at_a_time: int, threads: int
    ) -> None:
        image, roi, axes = (lifted := windows.lifted()).image, lifted.roi, lifted.axes
        self._planes = image[0]
        # Nothing is zeroed: a voxel's first window sets it.
        self._total = np.empty((channels, min(image[0], roi[0]), *image[1:]), np.float32)
        self._fresh = [
            {start: max(before + size - start, 0) for before, start in itertools.pairwise((-size, *starts))}
            for starts, size in zip(axes, roi, strict=True)
        ]
        self._bells = (np.ones(1, np.float32),) * (3 - len(weights.bells)) + weights.bells
        self._floor = weights.floor
        self._starts = tuple(np.array(starts, np.int64) for starts in axes)
        self._norm = np.empty((at_a_time, *image[1:]), np.float32)
        self._emit = emit
        self._threads = threads
        self._first = 0  # planes before this one are handed on

    def add(self, start: tuple[int, ...], window: Float) -> float:
        """Add a window [C, window...]; ``start`` never goes back along z.

        Returns the largest absolute value in the part that lies in the image; NaN if there is one.
        """
        z, y, x = (0,) * (3 - len(start)) + start
        self._finish(z)
        return kernels.accumulate(
            lift(window),
            self._bells,
            self._total,
            (z, y, x),
            floor=self._floor,
            planes=self._planes,
            fresh=(self._fresh[0][z], self._fresh[1][y], self._fresh[2][x]),
            threads=self._threads,
        )

    def close(self) -> None:
        """Hand on the planes that are left."""
        self._finish(self._planes)

    def _finish(self, until: int) -> None:
        depth = self._total.shape[1]
        while self._first < until:
            place = self._first % depth
            count = min(until - self._first, depth - place, len(self._norm) or depth)
            norm = None
            if len(self._norm):
                norm = self._norm[:count]
                kernels.window_norm(
                    norm, self._bells, self._starts, floor=self._floor, first=self._first, threads=self._threads
                )
            self._emit(self._first, self._total[:, place : place + count], norm)
            self._first += count


def slab_bytes(channels: int, image: tuple[int, ...], roi: tuple[int, ...], at_a_time: int) -> int:
    """Memory a Blender takes, in bytes."""
    front = (1,) * (3 - len(image))
    planes = channels * min((front + image)[0], (front + roi)[0]) + at_a_time
    return 4 * planes * math.prod((front + image)[1:])
