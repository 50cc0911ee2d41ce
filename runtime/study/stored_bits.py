"""Stored values as the header's Bits Allocated, Bits Stored and High Bit say (DICOM PS3.5 8.1.1)."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from ..dtypes import copy_into, fill
from . import decoders
from .errors import DecodeError
from .header import HeaderError, read_dataset
from .instance import Instance
from .luts import as_volume

Pixels = NDArray[Any]


def settle_bits(instance: Instance, stored: Pixels, extremes: tuple[int, int] | None = None) -> None:
    """Make the bits above High Bit those of the sign, or zero (PS3.5 8.1.1), in place.

    Values that use bits the header says are unused are refused, unless it declares overlays there (retired,
    PS3.5-2004 8.1.2) or they are all the padding value: the header is wrong, and masking would wrap values around.
    What a lossy code stream overshoots by is cut off. ``extremes`` are the least and the largest value, if known.

    Raises
    ------
    DecodeError
        Values do not fit, or are no numbers (NaN or infinite, in Float Pixel Data).
    """
    bits = instance.bits_stored
    if stored.dtype.kind == "f":
        _, _, nan, infinite = kernels.minmax(stored, threads=1)
        if nan or infinite:
            raise DecodeError("the pixel data has values that are no numbers", mend="give every pixel a finite value")
        return
    if bits >= stored.dtype.itemsize * 8:
        return
    shift = instance.high_bit + 1 - bits
    if shift:
        _extract_bits(stored, shift, 8 * stored.dtype.itemsize - shift)
        extremes = None
    bottom, top = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if instance.signed else (0, (1 << bits) - 1)
    low, high = extremes or _extremes(stored)
    if low >= bottom and high <= top:
        return
    if instance.signed and low >= 0 and high < 1 << bits:
        _extract_bits(stored, 0, bits)
        return
    if instance.padding_value is not None and _fits_but_for(stored, instance.padding_value, bottom, top):
        return
    margin = (top - bottom) // 8
    if instance.transfer_syntax in decoders.LOSSY and low >= bottom - margin and high <= top + margin:
        _clip(stored, bottom, top)
    elif not _has_overlay_in_unused_bits(instance):
        raise DecodeError(f"pixel values from {low} to {high} do not fit the {bits} Bits Stored of the header")
    else:
        _extract_bits(stored, 0, bits)


def _has_overlay_in_unused_bits(instance: Instance) -> bool:
    try:
        dataset = read_dataset(instance.path)
    except HeaderError:
        return False
    planes = (0x60000000 + (group << 16) for group in range(0, 32, 2))
    return any((base | 0x0102) in dataset and (base | 0x3000) not in dataset for base in planes)


def require_fit(samples: Pixels, dtype: np.dtype[Any]) -> None:
    """Refuse what a decoder gave where it does not fit the header's type.

    Raises
    ------
    DecodeError
        Values have more bits.
    """
    if samples.dtype.itemsize > dtype.itemsize and samples.size:
        low, high = _extremes(samples)
        if low < np.iinfo(dtype).min or high >= 1 << (8 * dtype.itemsize):
            raise DecodeError(f"decoded values do not fit the {8 * dtype.itemsize} Bits Allocated of the header")


def put(values: Pixels, out: Pixels) -> None:
    """Write stored values into an array of another type: the bits where only the sign differs, else the values."""
    if values.itemsize == out.itemsize:
        copy_into(values.view(out.dtype), out, 1)
    elif out.itemsize > 4:
        out[...] = values  # the kernels have no such type
    elif out.dtype == np.float32:
        kernels.rescale(as_volume(values), as_volume(out), slope=1.0, intercept=0.0, threads=1)
    else:
        target = out.view(f"{values.dtype.kind}{out.itemsize}")  # as signed as what it is made of
        if target.dtype == np.uint32:  # for the kernels it is an int32, in which they would extend the sign
            fill(out.view(np.int32), 0, 1)
            target = out.view(np.uint16).reshape(*out.shape, 2)[..., 0 if sys.byteorder == "little" else 1]
        bits = 8 * min(values.itemsize, target.itemsize)
        kernels.extract_bits(as_volume(values), as_volume(target), shift=0, bits=bits, threads=1)


def _fits_but_for(stored: Pixels, padding: int, bottom: int, top: int) -> bool:
    """Whether every value but the padding is ``bottom`` to ``top``; of more than 24 bits, as float32 has it."""
    if stored.dtype == np.uint32:
        if padding < 0:
            return False
        padding -= 1 << 32 if padding >> 31 else 0  # as the kernels see it
    values = np.empty(stored.shape, np.float32)
    kernels.rescale(
        as_volume(stored),
        as_volume(values),
        slope=1.0,
        intercept=0.0,
        padding_value=padding,
        padding_out=np.nan,
        threads=1,
    )
    low, high, none, _ = kernels.minmax(values, threads=1)
    return none == values.size or (low >= float(np.float32(bottom)) and high <= float(np.float32(top)))


def _clip(stored: Pixels, bottom: int, top: int) -> None:
    """Cut off what is beyond, in place."""
    if stored.itemsize > 2:
        np.clip(stored, bottom, top, out=stored)  # more bits than the kernels' float32 has
        return
    clipped = np.empty_like(stored)
    volume = as_volume(clipped)
    kernels.rescale(as_volume(stored), volume, slope=1.0, intercept=0.0, low=bottom, high=top, threads=1)
    copy_into(clipped, stored, 1)


def _extremes(stored: Pixels) -> tuple[int, int]:
    if stored.dtype == np.uint32:  # which the kernels have no type for
        return int(stored.min()), int(stored.max())
    low, high, _, _ = kernels.minmax(stored, threads=1)
    return int(low), int(high)


def _extract_bits(stored: Pixels, shift: int, bits: int) -> None:
    """Bits from ``shift`` on, ``bits`` of them, sign-extended where the type is signed, in place."""
    if stored.dtype == np.uint32:
        np.right_shift(stored, shift, out=stored)
        np.bitwise_and(stored, (1 << bits) - 1, out=stored)
        return
    volume = as_volume(stored)
    kernels.extract_bits(volume, volume, shift=shift, bits=bits, threads=1)
