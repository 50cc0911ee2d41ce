"""Frames of one open instance: from the file to an array, by the rules of its header."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from . import decoders, luts
from .encapsulation import EncapsulationError, Extent, locate_frames, read_frame
from .header import DOUBLE_PIXELS, FLOAT_PIXELS, HeaderError, dataset_offset, inflate, read_dataset, shown
from .instance import Instance, syntax_name

RLE = "1.2.840.10008.1.2.5"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
DIRECT = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
"""Plain pixels in little-endian order."""
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")

Pixels = NDArray[Any]

_DTYPES = {
    (signed, bits): np.dtype(f"{'i' if signed else 'u'}{bits // 8}") for signed in (0, 1) for bits in (8, 16, 32)
}


SEND_AGAIN = "send the file again from its source"


class DecodeError(Exception):
    """Why a frame cannot be read: one line; the caller adds the file's name."""

    def __init__(self, reason: str, *, mend: str = SEND_AGAIN) -> None:
        super().__init__(reason)
        self.mend = mend


def is_direct(instance: Instance, dtype: np.dtype[Any]) -> bool:
    """Are the gray frames in the file as an array of ``dtype`` holds them, so that they need only be read?"""
    return (
        instance.transfer_syntax in DIRECT
        and sys.byteorder == "little"
        and instance.samples == 1
        and dtype.kind in "iu"
        and frame_dtype(instance) == dtype
        and instance.bits_allocated == 8 * dtype.itemsize
    )


def frame_dtype(instance: Instance) -> np.dtype[Any]:
    """The array type of an instance's gray values: as wide as Bits Allocated, signed as Pixel Representation says."""
    if instance.pixels[0] == FLOAT_PIXELS:
        return np.dtype(np.float32)
    return _DTYPES[instance.signed, max(8, min(instance.bits_allocated, 32))]


class Source:
    """One instance with its file open.

    Several threads may read its frames at once.

    Raises
    ------
    HeaderError
        The palette cannot be used.
    DecodeError
        The transfer syntax or the pixel description is not supported, or bytes that the header promises are missing.
    """

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._descriptor = -1
        refuse_unsupported(instance)
        try:
            self._descriptor = os.open(instance.path, os.O_RDONLY | os.O_CLOEXEC)
            self._size = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise DecodeError(f"cannot be opened: {error.strerror}") from error
        self._inflated = b""
        try:
            if instance.transfer_syntax == DEFLATED:
                self._inflate()
            if instance.encapsulated:
                self._frames = self._locate()
            else:
                require_bytes(instance, self._size)
            if instance.photometric == "PALETTE COLOR":
                self._palette = luts.palette(read_dataset(instance.path))
        except (DecodeError, HeaderError):
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read_gray(self, number: int, out: Pixels) -> None:
        """Stored values of frame ``number`` (from 1) into ``out`` [y, x], unused bits settled (PS3.5 8.1.1)."""
        instance = self.instance
        dtype = frame_dtype(instance)
        if instance.encapsulated:
            samples, _ = self._decode(number, out if out.dtype == dtype else None)
            stored = samples if samples.dtype == dtype else _as_stored(samples, dtype)
            if out.dtype == dtype:
                if not np.may_share_memory(stored, out):
                    out[...] = stored
                settle_bits(instance, out)
                return
            stored = np.ascontiguousarray(stored)
        elif out.dtype == dtype and out.flags.c_contiguous:
            self._read_plain(number, out.reshape(-1).view(np.uint8).data)
            self._to_host_order(out)
            settle_bits(instance, out)
            return
        else:
            stored = np.empty(out.shape, dtype=dtype)
            self._read_plain(number, stored.reshape(-1).view(np.uint8).data)
            self._to_host_order(stored)
        if not stored.flags.writeable:
            stored = stored.copy()
        settle_bits(instance, stored)
        out[...] = stored

    def read_rgb(self, number: int, out: NDArray[np.uint8]) -> None:
        """RGB of frame ``number`` into ``out`` [y, x, 3] uint8; deeper colour is reduced to its high 8 bits."""
        instance = self.instance
        if instance.photometric == "PALETTE COLOR":
            index = np.empty((instance.rows, instance.columns), dtype=frame_dtype(instance))
            self.read_gray(number, index)
            first, table = self._palette
            kernels.look_up(luts.as_volume(index), out[np.newaxis], table, first=first, threads=1)
            return
        if instance.encapsulated:
            samples, photometric = self._decode(number, out)
        else:
            samples, photometric = self._plain_colour(number), instance.photometric
        if samples.itemsize > 1:
            shift = max(0, instance.bits_stored - 8)
            kernels.extract_bits(luts.as_volume(samples), out, shift=shift, bits=8, threads=1)
            samples = out
        if photometric != "RGB":
            kernels.ybr_to_rgb(samples[np.newaxis], out[np.newaxis], threads=1)
        elif not np.may_share_memory(samples, out):
            out[...] = samples

    def _locate(self) -> list[list[Extent]]:
        instance = self.instance
        one_fragment = instance.transfer_syntax == RLE
        try:
            return locate_frames(
                self._descriptor, instance.pixels[1], self._size, instance.frames, one_fragment=one_fragment
            )
        except EncapsulationError as error:
            raise DecodeError(str(error)) from error

    def _inflate(self) -> None:
        content = os.pread(self._descriptor, self._size, 0)
        try:
            self._inflated = inflate(content, dataset_offset(content))
        except HeaderError as error:
            raise DecodeError(str(error)) from error
        self._size = len(self._inflated)

    def _read_plain(self, number: int, buffer: memoryview) -> None:
        """The bytes of a frame as the file has them, bytes in big-endian words put in order."""
        start = (number - 1) * self.instance.frame_bytes
        if (
            self.instance.transfer_syntax == BIG_ENDIAN
            and self.instance.pixels[3] == "OW"
            and self.instance.bits_allocated == 8
        ):
            skip = start % 2
            words = np.zeros((skip + len(buffer) + 1) // 2, dtype=">u2")
            self._read_bytes(self.instance.pixels[1] + start - skip, words.view(np.uint8).data)
            buffer[:] = words.astype("<u2").view(np.uint8).data[skip : skip + len(buffer)]
        else:
            self._read_bytes(self.instance.pixels[1] + start, buffer)

    def _read_bytes(self, place: int, buffer: memoryview) -> None:
        if self._inflated:
            buffer[:] = self._inflated[place : place + len(buffer)]
            return
        done = 0
        while done < len(buffer):
            got = os.preadv(self._descriptor, [buffer[done:]], place + done)
            if got == 0:
                raise DecodeError("the file became shorter while it was read")
            done += got

    def _to_host_order(self, stored: Pixels) -> None:
        big = self.instance.transfer_syntax == BIG_ENDIAN
        if stored.dtype.itemsize > 1 and big != (sys.byteorder == "big"):
            stored.byteswap(inplace=True)

    def _decode(self, number: int, out: Pixels | None) -> tuple[Pixels, str]:
        instance = self.instance
        layout = decoders.Layout(
            instance.rows, instance.columns, instance.samples, instance.bits_allocated, instance.photometric
        )
        try:
            stream = read_frame(self._descriptor, self._frames[number - 1])
            return decoders.decode(stream, instance.transfer_syntax, layout, out)
        except EncapsulationError as error:
            raise DecodeError(str(error)) from error
        except decoders.CodecError as error:
            where = f"frame {number}: " if instance.frames > 1 else ""
            raise DecodeError(f"{where}{syntax_name(instance.transfer_syntax)}: {error}") from error

    def _plain_colour(self, number: int) -> Pixels:
        """Samples [y, x, 3] of uncompressed colour, by Planar Configuration (PS3.3 C.7.6.3.1.3)."""
        instance = self.instance
        rows, columns = instance.rows, instance.columns
        raw = np.empty(instance.frame_bytes // (instance.bits_allocated // 8), dtype=f"u{instance.bits_allocated // 8}")
        self._read_plain(number, raw.view(np.uint8).data)
        self._to_host_order(raw)
        if instance.photometric == "YBR_FULL_422":
            if columns % 2:
                raise DecodeError("YBR_FULL_422 with an odd number of columns")
            quads = raw.reshape(rows, columns // 2, 4)
            samples = np.empty((rows, columns, 3), dtype=raw.dtype)
            samples[:, 0::2, 0], samples[:, 1::2, 0] = quads[..., 0], quads[..., 1]
            samples[..., 1] = np.repeat(quads[..., 2], 2, axis=1)
            samples[..., 2] = np.repeat(quads[..., 3], 2, axis=1)
            return samples
        if instance.planar == 1:
            return np.moveaxis(raw.reshape(3, rows, columns), 0, 2)
        return raw.reshape(rows, columns, 3)


def refuse_unsupported(instance: Instance) -> None:
    """Refuse, by name, a transfer syntax or pixel description that nothing here reads.

    Raises
    ------
    DecodeError
        It is not supported.
    """
    syntax = instance.transfer_syntax
    if syntax not in decoders.PLAIN and syntax not in decoders.CODECS:
        raise DecodeError(f"the transfer syntax {syntax_name(syntax)} is not supported")
    if instance.encapsulated != (syntax not in decoders.PLAIN):
        raise DecodeError(f"the pixel data does not have the form of its transfer syntax {syntax_name(syntax)}")
    if instance.pixels[0] == DOUBLE_PIXELS:
        raise DecodeError("Double Float Pixel Data is not supported")
    if instance.bits_allocated not in (8, 16, 32):
        raise DecodeError(f"{instance.bits_allocated} Bits Allocated are not supported")
    known = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", *COLOURS)
    if instance.photometric not in known:
        raise DecodeError(f"the photometric interpretation {shown(instance.photometric)} is not supported")


def require_bytes(instance: Instance, size: int) -> None:
    """Compare the header's frames with the bytes that are there, before anything is read or set aside.

    ``size`` is that of the file, or of the inflated data set.

    Raises
    ------
    DecodeError
        Bytes are missing.
    """
    _, offset, length, _ = instance.pixels
    need = instance.frames * instance.frame_bytes
    if length < need:
        raise DecodeError(f"the pixel data has {length} bytes, its header asks for {need}")
    if offset + need > size:
        raise DecodeError(f"the file is truncated: {max(0, size - offset)} of {need} bytes of pixel data are there")


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
    beyond = (stored < bottom) | (stored > top) if instance.signed else stored > top
    if instance.padding_value is not None and bool((stored[beyond] == instance.padding_value).all()):
        return
    margin = (top - bottom) // 8
    if instance.transfer_syntax in decoders.LOSSY and low >= bottom - margin and high <= top + margin:
        np.clip(stored, bottom, top, out=stored)
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


def _as_stored(samples: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """A decoder's samples in the header's type: the bits where only the sign differs, else the values."""
    if samples.dtype.itemsize == dtype.itemsize:
        return samples.view(dtype)
    if samples.dtype.itemsize > dtype.itemsize and samples.size:
        low, high = _extremes(samples)
        if low < np.iinfo(dtype).min or high >= 1 << (8 * dtype.itemsize):
            raise DecodeError(f"decoded values do not fit the {8 * dtype.itemsize} Bits Allocated of the header")
    return samples.astype(dtype)


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
    volume = luts.as_volume(stored)
    kernels.extract_bits(volume, volume, shift=shift, bits=bits, threads=1)
