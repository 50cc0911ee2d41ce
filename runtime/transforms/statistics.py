"""What the values of a chain's array are, seen through its pending map, without carrying the map out.

The kernels read the stored values once. A map that only scales is applied to their answer; one that clips is applied to
the few values that a stored type of 8 or 16 bits has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from ..dtypes import READ
from ..errors import StudyRejected
from .state import Array, State, ValueMap

_COUNTED = frozenset(np.dtype(name) for name in ("uint8", "int8", "uint16", "int16"))


def finite(transform: str, *values: float) -> tuple[float, ...]:
    """What was found out about an image's values, where a transform can go on with it.

    Raises
    ------
    StudyRejected
        One is NaN or infinite, because a value of the image is.
    """
    if not all(math.isfinite(value) for value in values):
        raise StudyRejected(f"{transform}: the image has values that are NaN or infinite")
    return values


def minmax(array: Array, threads: int) -> tuple[float, float]:
    """Least and greatest stored value; NaN where one is NaN, as in numpy."""
    low, high, nan, _ = kernels.minmax(array, threads=threads)
    return (np.nan, np.nan) if nan else (low, high)


def moments(state: State, array: Array) -> tuple[float, float]:
    """Mean and population standard deviation of ``array``, a part of the state's, through the state's map."""
    values = state.values
    if values.clips:
        counts = kernels.histogram(array, threads=state.threads)
        mapped = _mapped(_all_values(array.dtype), values).astype(np.float64)
        mean = float(np.average(mapped, weights=counts))
        return mean, float(np.sqrt(np.average((mapped - mean) ** 2, weights=counts)))
    _, mean, deviation = kernels.moments(array, threads=state.threads)
    slope = values.slope * values.scale
    return mean * slope + values.intercept * values.scale + values.offset, deviation * abs(slope)


def percentiles(state: State, array: Array, percents: Sequence[float]) -> list[float]:
    """Percentiles of ``array``, a part of the state's, through the state's map, which must rise.

    Interpolated between order statistics of the mapped values, as ``numpy.percentile`` does.
    """
    values = state.values
    if array.dtype not in _COUNTED:
        found = kernels.percentiles(array, percents, threads=state.threads)
        slope = values.slope * values.scale
        return [float(v) * slope + values.intercept * values.scale + values.offset for v in found]
    ends = np.cumsum(kernels.histogram(array, threads=state.threads))
    at = (array.size - 1) * (np.array(percents) / 100)
    below = np.floor(at).astype(np.int64)
    places = np.searchsorted(ends, [below, np.minimum(below + 1, array.size - 1)], side="right")
    low, high = _mapped(_all_values(array.dtype)[places], values)
    # As numpy does it: from the nearer end, the difference in float32.
    share, step = at - below, high - low
    return [float(v) for v in np.where(share >= 0.5, high - step * (1 - share), low + step * share)]


def countable(state: State) -> bool:
    """Whether the map can stay pending for :func:`moments` and, where it rises, for :func:`percentiles`."""
    return state.array.dtype in READ and (not state.values.clips or state.array.dtype in _COUNTED)


def rises(values: ValueMap) -> bool:
    """Whether a greater stored value never has a smaller mapped one, and some have a greater."""
    return values.slope * values.scale > 0


def greatest_not_above(level: float, state: State) -> float | None:
    """The greatest value of the stored type that the map does not take above ``level``: what is above is foreground.

    -inf where all are taken above it. None where the map does not rise, or the type is none of the kernels'.
    """
    if not rises(state.values) or state.array.dtype not in READ:
        return None
    if state.array.dtype == np.float32:
        # Floats in their order, as the whole numbers that their bits are: NaNs left out, 0 is -0 and +0.
        first, last = -0x7F800000, 0x7F800000
    else:
        info = np.iinfo(state.array.dtype)
        first, last = int(info.min), int(info.max)

    def stored(place: int) -> NDArray[np.generic]:
        if state.array.dtype != np.float32:
            return np.array([place], state.array.dtype)
        return np.array([abs(place)], np.uint32).view(np.float32) * np.float32(-1 if place < 0 else 1)

    if _mapped(stored(first), state.values)[0] > level:
        return -np.inf
    while first < last:
        middle = (first + last + 1) // 2
        if _mapped(stored(middle), state.values)[0] > level:
            last = middle - 1
        else:
            first = middle
    return float(stored(first)[0])


def _all_values(dtype: np.dtype[np.generic]) -> Array:
    info = np.iinfo(dtype)  # type: ignore[type-var]
    return np.arange(int(info.min), int(info.max) + 1).astype(dtype)


def _mapped(stored: Array, values: ValueMap) -> NDArray[np.float32]:
    """Any array of stored values through a map, with the kernel's own arithmetic."""
    rows = stored.reshape(1, 1, 1, -1)
    return State(rows, np.eye(4), values, threads=1).rendered().reshape(stored.shape)
