"""What flows through a preprocessing chain: the array as a view, its affine, its pending value map and the way back.

Inside a chain everything is in MONAI's terms: arrays are [C, spatial...] in the bundle's own axis order, the affine
maps that index order to RAS millimetres. :mod:`.plan` converts from and to our [z, y, x] and LPS.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypedDict

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bedside import kernels

from .. import memory
from ..dtypes import READ, copy_into, readable
from ..image import UltrasoundRegion

Array = NDArray[Any]
Affine = NDArray[np.floating[Any]]

_LARGE = 1 << 28
"""Bytes from which an array is worth asking for memory: the question takes about as long as filling a megabyte."""


class MapKeywords(TypedDict):
    """Keywords of a value map, the same in every kernel that has one."""

    slope: float
    intercept: float
    low: float
    high: float
    scale: float
    offset: float


@dataclass(frozen=True, slots=True)
class ValueMap:
    """A value map that has not been carried out yet: ``clip(x * slope + intercept, low, high) * scale + offset``."""

    slope: float = 1.0
    intercept: float = 0.0
    low: float = -np.inf
    high: float = np.inf
    scale: float = 1.0
    offset: float = 0.0

    @property
    def keywords(self) -> MapKeywords:
        """The map as the kernels take it."""
        return {
            "slope": self.slope,
            "intercept": self.intercept,
            "low": self.low,
            "high": self.high,
            "scale": self.scale,
            "offset": self.offset,
        }

    @property
    def clips(self) -> bool:
        return self.low != -np.inf or self.high != np.inf

    @property
    def is_identity(self) -> bool:
        return self == ValueMap()

    def linear(self, slope: float, intercept: float) -> ValueMap:
        """This map, then ``v * slope + intercept``."""
        if self.clips or (self.scale, self.offset) != (1.0, 0.0):
            return ValueMap(
                self.slope, self.intercept, self.low, self.high, self.scale * slope, self.offset * slope + intercept
            )
        return ValueMap(self.slope * slope, self.intercept * slope + intercept)

    def clip(self, low: float, high: float) -> ValueMap:
        """This map, then a clip; only where it has none yet."""
        assert not self.clips
        return ValueMap(self.slope * self.scale, self.intercept * self.scale + self.offset, low, high)

    def less_mean(self, mean: float, divisor: float) -> ValueMap:
        """This map, then ``(v - mean) / divisor``; the difference is taken before it is scaled where that can be."""
        if self.clips or (self.scale, self.offset) != (1.0, 0.0):
            return self.linear(1.0 / divisor, -mean / divisor)
        return ValueMap(self.slope, self.intercept - mean, scale=1.0 / divisor)


class Inverse(Protocol):
    """One spatial step's way back, applied to the prediction."""

    @property
    def resamples(self) -> bool:
        """Whether voxels are interpolated; if not, the step only moves, drops or adds voxels."""
        ...

    @property
    def pads(self) -> bool:
        """Whether going back adds zeros around the prediction."""
        ...

    def invert(self, array: Array, *, nearest: bool, threads: int, fill: Array | None = None) -> Array:
        """[C, spatial...] after the step -> [C, spatial...] before it; may be a view.

        Where going back adds voxels they get ``fill``, one value a channel, or 0.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Resampling:
    """A linear interpolation that has not been carried out yet: see :func:`resample`."""

    source: Array
    matrix: Affine
    shape: tuple[int, ...]
    border: bool


@dataclass(slots=True)
class State:
    """The image on its way to the network."""

    held: Array | Resampling
    """[C, spatial...], usually a view of the source; or what is still to be interpolated."""
    affine: Affine
    """(rank + 1) square, index in array order to RAS mm."""
    values: ValueMap = field(default_factory=ValueMap)
    """Pending map from ``array`` to the values that the next transform sees."""
    trace: list[Inverse] = field(default_factory=list)
    owned: bool = False
    """Whether ``array`` belongs to the chain, so that a float32 one may be changed in place."""
    threads: int = 0
    has_spacing: bool = True
    """Whether the affine holds millimetres; a photograph has none."""
    regions: tuple[UltrasoundRegion, ...] = ()
    """Calibrated regions in source pixels; valid until the first spatial step."""
    row_axis: int = 0
    """For 2D: which spatial axis is the image's y."""

    @property
    def array(self) -> Array:
        """[C, spatial...]; carries out a pending interpolation, not the value map that follows it."""
        if isinstance(self.held, Resampling):
            self.replace(self._interpolated(self.held, None, ValueMap()))
        assert not isinstance(self.held, Resampling)
        return self.held

    @array.setter
    def array(self, array: Array) -> None:
        self.held = array

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape."""
        return self.held.shape if isinstance(self.held, Resampling) else self.held.shape[1:]

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def channels(self) -> int:
        return len(self.held.source if isinstance(self.held, Resampling) else self.held)

    def interpolate(self, matrix: Affine, shape: tuple[int, ...], *, border: bool) -> None:
        """Sample linearly, as :func:`resample`; a value map that joins ``values`` later is part of the same pass."""
        require_memory((len(self.array), *shape), np.float32)
        self.held = Resampling(self.array, matrix, shape, border)

    def settle(self) -> Array:
        """Carry out what is pending; ``array`` is float32 afterwards."""
        if isinstance(self.held, Resampling):
            self.replace(self.rendered())
            self.values = ValueMap()
        elif not self.values.is_identity or self.array.dtype != np.float32:
            in_place = self.owned and self.array.dtype == np.float32
            self.array = self.rendered(self.array if in_place else None)
            self.owned = True
            self.values = ValueMap()
        return self.array

    def replace(self, array: Array) -> None:
        """Go on with a new array that nobody else holds."""
        self.array = array
        self.owned = True

    def rendered(self, out: Array | None = None) -> Array:
        """The current values as float32, or written into ``out`` (float32 or float16, any strides) where given."""
        if isinstance(self.held, Resampling):
            return self._interpolated(self.held, out, self.values)
        if out is None:
            out = allocate(self.array.shape, np.float32)
        source = readable(self.array, self.threads)
        v = self.values
        if v.is_identity and source.dtype == out.dtype == np.float32:
            if out is not source:
                copy_into(source, out, self.threads)
            return out
        for channel, target in zip(source, out, strict=True):
            kernels.rescale(
                as_3d(channel),
                as_3d(target),
                **v.keywords,
                threads=self.threads,
            )
        return out

    def _interpolated(self, pending: Resampling, out: Array | None, values: ValueMap) -> Array:
        return resample(
            pending.source,
            pending.matrix,
            pending.shape,
            nearest=False,
            border=pending.border,
            threads=self.threads,
            values=values,
            out=out,
        )


def require_memory(shape: tuple[int, ...], dtype: DTypeLike) -> None:
    """Refuse an array [C, spatial...] that does not fit into memory.

    Raises
    ------
    StudyRejected
        A voxel size far below the image's, or a huge box, asks for any amount.
    """
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    if needed < _LARGE:
        return
    by = " x ".join(str(size) for size in shape[1:])
    made = f"what the bundle's transforms make of this image, {by} voxels (channels: {shape[0]}),"
    memory.require_memory(needed, made)


def allocate(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """An uninitialised array [C, spatial...]; StudyRejected where it does not fit into memory."""
    require_memory(shape, dtype)
    return np.empty(shape, dtype)


def slabs(shape: Sequence[int], voxels: int = 1 << 24) -> Iterator[slice]:
    """Slices of the first axis, each of at most so many voxels (or one row): what bounds temporaries."""
    rows = max(1, voxels // max(1, int(np.prod(shape[1:]))))
    return (slice(at, min(at + rows, shape[0])) for at in range(0, shape[0], rows))


def contiguous(array: Array, threads: int) -> Array:
    """A C-contiguous copy of [spatial...], or the array itself where it is that already.

    A transposed volume goes through the resample kernel, which moves tiles on all cores; numpy walks with a stride.
    """
    if array.flags.c_contiguous:
        return array
    out = np.empty(array.shape, array.dtype)
    if array.ndim != 3 or array.dtype not in READ:
        copy_into(array, out, threads)
        return out
    kernels.resample(array, out, np.eye(4)[:3], mode="nearest", threads=threads)
    return out


def as_3d(array: Array) -> Array:
    """A view with three axes: the kernels work on volumes."""
    return array if array.ndim == 3 else array[np.newaxis]


def _in_three_axes(matrix: Affine, rank: int) -> NDArray[np.float64]:
    """The 3 x 4 matrix that the kernels take."""
    full = np.eye(4)[:3]
    full[3 - rank :, 3 - rank : 3] = matrix[:rank, :rank]
    full[3 - rank :, 3] = matrix[:rank, rank]
    return full


def resample_cubic(array: Array, matrix: Affine, shape: tuple[int, ...], *, border: bool, threads: int) -> Array:
    """Sample [C, spatial...] as :func:`resample`, on the cubic B-spline through its voxels; float32.

    The numbers are those of scipy.ndimage.map_coordinates of order 3, with mode "nearest" for ``border`` and else
    "constant" with 0: then, unlike the linear one, whatever is outside of the outermost voxels' centres is 0.
    """
    array = readable(array, threads)
    padding: Literal["border", "constant"] = "border" if border else "constant"
    full = _in_three_axes(matrix, len(shape))
    out = allocate((array.shape[0], *shape), np.float32)
    coefficients = as_3d(allocate((1, *array.shape[1:]), np.float32)[0])
    for channel, target in zip(array, out, strict=True):
        kernels.spline_coefficients(as_3d(channel), coefficients, padding=padding, threads=threads)
        kernels.resample(coefficients, as_3d(target), full, mode="cubic", padding=padding, threads=threads)
    return out


def resample(
    array: Array,
    matrix: Affine,
    shape: tuple[int, ...],
    *,
    nearest: bool,
    border: bool,
    threads: int,
    values: ValueMap | None = None,
    out: Array | None = None,
) -> Array:
    """Sample [C, spatial...] at ``matrix @ (index, 1)`` for every index of ``shape``.

    ``border`` repeats the outermost voxels outside the source, otherwise there is 0 (torch.nn.functional.grid_sample's
    padding modes). Linear gives float32, nearest keeps the dtype. ``values`` (linear only) is what follows. ``out``
    (any strides) is written where it is given.
    """
    array = readable(array, threads)
    full = _in_three_axes(matrix, len(shape))
    if out is None:
        out = allocate((array.shape[0], *shape), array.dtype if nearest else np.float32)
    v = values or ValueMap()
    for channel, target in zip(array, out, strict=True):
        kernels.resample(
            as_3d(channel),
            as_3d(target),
            full,
            mode="nearest" if nearest else "linear",
            padding="border" if border else "constant",
            fill=0.0,
            **v.keywords,
            threads=threads,
        )
    return out
