"""Frames of one open instance: from the file to an array, by the rules of its header."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from ..dtypes import copy_into
from . import decoders, luts
from .encapsulation import EncapsulationError, Extent, locate_frames, read_frame
from .errors import DecodeError
from .header import DOUBLE_PIXELS, FLOAT_PIXELS, HeaderError, dataset_offset, inflate, read_dataset, shown
from .instance import Instance, syntax_name
from .stored_bits import put, require_fit, settle_bits

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
        stored = out if out.dtype == dtype and out.flags.c_contiguous else np.empty(out.shape, dtype)
        if instance.encapsulated:
            samples, _ = self._decode(number, stored)
            if not np.may_share_memory(samples, stored):
                require_fit(samples, dtype)
                put(samples, stored)
        else:
            self._read_plain(number, stored.reshape(-1).view(np.uint8).data)
            self._to_host_order(stored)
        settle_bits(instance, stored)
        if stored is not out:
            put(stored, out)

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
            samples, photometric = self._plain_colour(number, out), instance.photometric
        if samples.itemsize > 1:
            shift = max(0, instance.bits_stored - 8)
            kernels.extract_bits(luts.as_volume(samples), out, shift=shift, bits=8, threads=1)
            samples = out
        if photometric != "RGB":
            kernels.ybr_to_rgb(samples[np.newaxis], out[np.newaxis], threads=1)
        elif not np.may_share_memory(samples, out):
            copy_into(samples, out, 1)

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

    def _plain_colour(self, number: int, out: NDArray[np.uint8]) -> Pixels:
        """Samples [y, x, 3] of uncompressed colour, by Planar Configuration (PS3.3 C.7.6.3.1.3), maybe in ``out``."""
        instance = self.instance
        rows, columns = instance.rows, instance.columns
        raw = np.empty(instance.frame_bytes // (instance.bits_allocated // 8), dtype=f"u{instance.bits_allocated // 8}")
        if raw.size == out.size and raw.itemsize == 1 and instance.planar != 1 and out.flags.c_contiguous:
            raw = out.reshape(-1)
        self._read_plain(number, raw.view(np.uint8).data)
        self._to_host_order(raw)
        if instance.photometric == "YBR_FULL_422":
            if columns % 2:
                raise DecodeError("YBR_FULL_422 with an odd number of columns")
            # Two pixels are Y Y Cb Cr.
            x = np.arange(columns, dtype=np.int32)
            places = np.stack([x // 2 * 4 + x % 2, x // 2 * 4 + 2, x // 2 * 4 + 3], axis=1).reshape(-1)
            samples = np.empty((rows, columns, 3), dtype=raw.dtype)
            index = (np.zeros(1, np.int32), np.arange(rows, dtype=np.int32), places)
            kernels.take(raw.reshape(1, rows, -1), samples.reshape(1, rows, -1), index, threads=1)
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
