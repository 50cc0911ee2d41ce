"""Sliding windows: where they lie, what they weigh, how they are cut out of the image and blended together again.

The arithmetic is that of MONAI's SlidingWindowInferer (monai.inferers.sliding_window_inference, dense_patch_slices and
compute_importance_map, 1.6); the memory is not: windows go along the first spatial axis, and only as many planes of
accumulated output are kept as a window is deep.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from .errors import BundleError, StudyRejected

Float = NDArray[np.float32]
Emit = Callable[[int, int, Float, Float], None]
"""Takes finished planes [first, last): their weighted sums [C, planes, y, x] and their weights [planes, y, x]."""

_NUMPY_PADDING = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


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


def importance_map(roi: tuple[int, ...], mode: str, sigma_scale: float | Sequence[float] = 0.125) -> Float:
    """Weight of each voxel of a window, float32 of shape ``roi``.

    ``constant`` is 1 everywhere. ``gaussian`` is the product over the axes of exp(-x^2 / (2 s^2)), x the distance from
    the centre and s = sigma_scale * size, raised to at least max(its minimum, 1e-3).
    """
    weight = np.ones(roi, np.float32)
    if mode == "constant":
        return weight
    for axis, (size, scale) in enumerate(zip(roi, per_axis(sigma_scale, len(roi)), strict=True)):
        x = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
        bell = np.exp(x**2 / np.float32(-2 * (size * scale) ** 2))
        weight *= bell.reshape([-1 if index == axis else 1 for index in range(len(roi))])
    return np.maximum(weight, max(float(weight.min()), 1e-3), out=weight)


def per_axis(value: float | Sequence[float], axes: int) -> tuple[float, ...]:
    """One value an axis from one value for all or a sequence of the right length."""
    return tuple(value) if isinstance(value, Sequence) else (value,) * axes


def by(sizes: Iterable[int | None]) -> str:
    """Sizes as one reads them: ``96x96xany``."""
    return "x".join("any" if size is None else str(size) for size in sizes)


@dataclass(frozen=True)
class Windows:
    """The windows over one image, in the order they are visited: along the first axis slowest."""

    image: tuple[int, ...]
    roi: tuple[int, ...]
    before: tuple[int, ...]
    """Padding in front of each axis where the image is smaller than the window: half of what is missing, floored."""
    starts: list[tuple[int, ...]]
    """First voxel of each window as an index of the unpadded image, so negative where there is padding."""

    @classmethod
    def over(cls, image: tuple[int, ...], roi: tuple[int, ...], overlap: float | Sequence[float]) -> Windows:
        """Cover ``image`` with windows of size ``roi``."""
        before = tuple(max(want - size, 0) // 2 for want, size in zip(roi, image, strict=True))
        axes = [
            [start - pad for start in window_starts(max(size, want), want, share)]
            for size, want, share, pad in zip(image, roi, per_axis(overlap, len(image)), before, strict=True)
        ]
        return cls(image, roi, before, list(itertools.product(*axes)))


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

    Raises
    ------
    StudyRejected
        The image is too small to be padded by reflection or circularly.
    """

    def __init__(self, image: NDArray[Any], windows: Windows, padding_mode: str, cval: float) -> None:
        self._image = image
        self._roi = windows.roi
        self._inside = tuple(
            slice(pad, pad + min(size, want))
            for pad, size, want in zip(windows.before, windows.image, windows.roi, strict=True)
        )
        self._pads = any(size < want for size, want in zip(windows.image, windows.roi, strict=True))
        self._cval = cval
        self._fold: list[tuple[int, NDArray[np.intp]]] = []
        if padding_mode != "constant":
            self._fold = [
                (axis + 1, _padding_indices(size, want, pad, padding_mode))
                for axis, (size, want, pad) in enumerate(zip(windows.image, windows.roi, windows.before, strict=True))
                if size < want
            ]

    def prepare(self, buffer: NDArray[Any]) -> None:
        """Write the constant padding, once: it is the same for every window and :meth:`cut` leaves it alone."""
        if self._pads and not self._fold:
            buffer[...] = self._cval

    def cut(self, start: tuple[int, ...], out: NDArray[Any]) -> None:
        """Copy the window at ``start`` into ``out`` [C, window...]."""
        source = tuple(
            slice(max(first, 0), max(first, 0) + part.stop - part.start)
            for first, part in zip(start, self._inside, strict=True)
        )
        np.copyto(out[(slice(None), *self._inside)], self._image[(slice(None), *source)], casting="same_kind")
        for axis, indices in self._fold:
            out[...] = out.take(indices, axis=axis)


def _padding_indices(size: int, want: int, before: int, mode: str) -> NDArray[np.intp]:
    """For each place along a window axis, the place in the window whose value it takes."""
    after = want - size - before
    longest = {"reflect": size - 1, "circular": size, "replicate": want}[mode]
    if max(before, after) > longest:
        raise StudyRejected(
            f"the image is {size} voxels along one axis, too few to be padded to {want} by padding_mode '{mode}'",
            mend="give the bundle's inferer padding_mode 'replicate' or 'constant'",
        )
    inside = np.arange(before, before + size)
    return np.pad(inside, (before, after), mode=_NUMPY_PADDING[mode])  # type: ignore[call-overload, no-any-return]


class Blender:
    """Adds weighted windows up and hands finished planes on, keeping one window's depth of planes.

    Works in 3D; a 2D image has one plane. The slab is a ring: plane z of the image is kept at z modulo its depth.
    """

    def __init__(self, channels: int, image: tuple[int, ...], weight: Float, emit: Emit, threads: int) -> None:
        self._depth = min(image[0], weight.shape[0])
        self._planes = image[0]
        self._total = np.zeros((channels, self._depth, *image[1:]), np.float32)
        self._norm = np.zeros((self._depth, *image[1:]), np.float32)
        self._weight = weight
        self._emit = emit
        self._threads = threads
        self._first = 0  # planes before this one are handed on

    def add(self, start: tuple[int, int, int], window: Float) -> None:
        """Add a window [C, z, y, x]; ``start`` never goes back along z."""
        self._finish(start[0])
        z, y, x = start
        place = z % self._depth if z >= 0 else z
        self._accumulate(window, (place, y, x))
        if place > 0:  # the part that goes round the end of the ring
            self._accumulate(window, (place - self._depth, y, x))

    def close(self) -> None:
        """Hand on the planes that are left."""
        self._finish(self._planes)

    def _accumulate(self, window: Float, start: tuple[int, int, int]) -> None:
        kernels.accumulate(window, self._weight, self._total, self._norm, start, threads=self._threads)

    def _finish(self, until: int) -> None:
        while self._first < until:
            place = self._first % self._depth
            count = min(until - self._first, self._depth - place)
            part = slice(place, place + count)
            self._emit(self._first, self._first + count, self._total[:, part], self._norm[part])
            self._total[:, part] = 0
            self._norm[part] = 0
            self._first += count


def slab_bytes(channels: int, image: tuple[int, ...], roi: tuple[int, ...]) -> int:
    """Memory a Blender takes, in bytes."""
    depth = min(image[0], roi[0])
    return 4 * (channels + 1) * depth * int(np.prod(image[1:]))
