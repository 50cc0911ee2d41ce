"""Arrays in the dtypes that the kernels have: casts and copies of whole images, done by them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

Array = NDArray[Any]

READ = frozenset(np.dtype(name) for name in ("uint8", "int8", "uint16", "int16", "int32", "float32"))
"""What the kernels read as numbers."""
with np.errstate(invalid="ignore"):  # signalling NaNs become quiet
    _HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    """Every float16, by its bits."""


def readable(array: Array, threads: int = 0) -> Array:
    """The array itself where the kernels read its dtype, else its values as float32."""
    return array if array.dtype in READ else as_float32(array, threads)


def as_float32(array: Array, threads: int = 0) -> NDArray[np.float32]:
    """The values as float32: the array itself, or a new one."""
    if array.dtype == np.float32:
        return array
    if array.dtype not in READ and array.dtype != np.float16:
        # uint32 and 64 bits, which hardly any image has: the kernels have no such type.
        with np.errstate(over="ignore"):  # beyond float32 is infinite
            return array.astype(np.float32)
    out = np.empty(array.shape, np.float32)
    for source, target in _volumes(array, out):
        if array.dtype == np.float16:
            kernels.look_up(source.view(np.uint16), target, _HALVES, threads=threads)
        else:
            kernels.rescale(source, target, slope=1.0, intercept=0.0, threads=threads)
    return out


def copy_into(array: Array, out: Array, threads: int = 0) -> None:
    """Copy values into an array of the same dtype that shares no memory with theirs."""
    if array.dtype.itemsize > 4:
        out[...] = array  # 64 bits, as above
        return
    if array.dtype not in READ:
        # Bits are copied, whatever they mean.
        unsigned = f"u{array.dtype.itemsize}" if array.dtype.itemsize < 4 else "i4"
        array, out = array.view(unsigned), out.view(unsigned)
    for source, target in _volumes(array, out):
        kernels.crop_pad(source, target, (0, 0, 0), threads=threads)


def fill(out: Array, value: float, threads: int = 0) -> None:
    """Set every element of an array of a dtype that the kernels read, or float16."""
    nothing = np.empty((1, 1, 1), out.dtype)
    for _, target in _volumes(out, out):
        kernels.crop_pad(nothing, target, (1, 1, 1), fill=value, threads=threads)


def _volumes(array: Array, out: Array) -> Iterator[tuple[Array, Array]]:
    """Both, three axes at a time: the kernels work on volumes."""
    if array.ndim > 3:
        for part, target in zip(array, out, strict=True):
            yield from _volumes(part, target)
    else:
        axes = (np.newaxis,) * (3 - array.ndim)
        yield array[axes], out[axes]
