"""Look-up tables of a header: palette, modality LUT, VOI LUT (DICOM PS3.3 C.7.6.3.1.5/6, C.11.1, C.11.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from bedside import kernels

from ..image import VoiLut, Window
from .header import HeaderError, parsing

COLOURS = ("Red", "Green", "Blue")


@dataclass(frozen=True)
class Lut:
    """One table: input ``first + i`` gives ``table[i]``; inputs beyond its ends take the end's entry."""

    first: int
    table: NDArray[np.uint16]
    bits: int

    def apply(self, values: NDArray[Any], out: NDArray[np.uint16], threads: int = 0) -> None:
        """Look every value up, into ``out``."""
        table = np.ascontiguousarray(self.table, np.uint16)
        kernels.look_up(as_volume(values), as_volume(out), table, first=self.first, threads=threads)


def as_volume(values: NDArray[Any]) -> NDArray[Any]:
    """A view [z, y, x] for the kernels, which take uint32 as int32: integers wrap around."""
    view = values[(np.newaxis,) * (3 - values.ndim)]
    return view.view(np.int32) if view.dtype == np.uint32 else view


def palette(dataset: Dataset) -> tuple[int, NDArray[np.uint8]]:
    """The palette as one RGB table [n, 3] of 8 bits, and the stored value its first row stands for.

    Tables of 16 bits give their high byte; those that say 16 bits and hold 8 (a common fault) are taken as they are.

    Raises
    ------
    HeaderError
        A table is missing, short, or the three differ in length.
    """
    with parsing("the palette"):
        tables = [_palette_table(dataset, colour) for colour in COLOURS]
    first, size, bits = tables[0].first, len(tables[0].table), tables[0].bits
    if any((table.first, len(table.table)) != (first, size) for table in tables):
        raise HeaderError("the palette's red, green and blue tables differ in length")
    rgb = np.stack([table.table for table in tables], axis=1)
    if bits > 8 and rgb.max(initial=0) > 255:
        rgb >>= 8
    return first, rgb.astype(np.uint8)


def modality_lut(dataset: Dataset) -> Lut | None:
    """The Modality LUT Sequence's table, or None if there is none or an empty one."""
    with parsing("the Modality LUT"):
        items = dataset.get("ModalityLUTSequence") or []
        return _sequence_table(dataset, items[0]) if items else None


def voi_lut(dataset: Dataset, *, signed_input: bool) -> VoiLut | None:
    """The first table of the VOI LUT Sequence, or None.

    ``signed_input`` says whether the values that go in can be negative (PS3.3 C.11.2.1.1).
    """
    with parsing("the VOI LUT"):
        items = dataset.get("VOILUTSequence") or []
        if not items:
            return None
        lut = _sequence_table(dataset, items[0])
    first = lut.first - 65536 if signed_input and lut.first > 32767 else lut.first
    return VoiLut(first, lut.table, lut.bits)


def invert(values: NDArray[Any], low: int, high: int, padding: int | None, threads: int = 0) -> int | None:
    """Mirror MONOCHROME1 values within ``low`` to ``high``, the least and largest value they can have, in place.

    Returns
    -------
    int or None
        The padding value of the mirrored array. One beyond ``low`` to ``high`` is no gray: it stays, and so do the
        pixels that have it.
    """
    if padding is None or low <= padding <= high:
        kernels.mirror(as_volume(values), low + high, threads=threads)
        return None if padding is None else low + high - padding
    stays = int(np.uint32(padding).view(np.int32)) if values.dtype == np.uint32 else padding
    kernels.mirror(as_volume(values), low + high, padding_value=stays, threads=threads)
    return padding


def mirror_window(window: Window, axis: float) -> Window:
    """The window for values mirrored by ``axis - value`` (an inverted MONOCHROME1 image)."""
    # LINEAR is not symmetric about its centre: it spans centre - 0.5 +- (width - 1) / 2 (PS3.3 C.11.2.1.2.1).
    shift = 0.0 if window.function in ("LINEAR_EXACT", "SIGMOID") or window.width < 1 else 1.0
    return Window(axis - window.center + shift, window.width, window.function)


def mirror_voi(lut: VoiLut, axis: int) -> VoiLut:
    """The table for values mirrored by ``axis - value``, brightness inverted with them."""
    top = np.uint16((1 << lut.bits) - 1)
    return VoiLut(axis - (lut.first + len(lut.table) - 1), (top - np.minimum(lut.table, top))[::-1].copy(), lut.bits)


def _palette_table(dataset: Dataset, colour: str) -> Lut:
    entries, first, bits = _descriptor(dataset.get(f"{colour}PaletteColorLookupTableDescriptor"))
    little = bool(dataset.original_encoding[1])
    plain = dataset.get(f"{colour}PaletteColorLookupTableData")
    segmented = dataset.get(f"Segmented{colour}PaletteColorLookupTableData")
    if plain:
        table = _words(plain, entries, bits, little)
    elif segmented:
        table = _expand(segmented, entries, bits, little)
    else:
        raise HeaderError(f"the {colour.lower()} palette is missing")
    if len(table) < entries:
        raise HeaderError(f"the {colour.lower()} palette has {len(table)} of {entries} entries")
    return Lut(first, table[:entries], bits)


def _sequence_table(dataset: Dataset, item: Dataset) -> Lut:
    entries, first, bits = _descriptor(item.get("LUTDescriptor"))
    table = _words(item.get("LUTData"), entries, bits, bool(dataset.original_encoding[1]))
    if len(table) < entries:
        raise HeaderError(f"a look-up table has {len(table)} of {entries} entries")
    table = table[:entries]
    # A descriptor that says fewer bits than its entries have is wrong: the entries are what an image is made of.
    return Lut(first, table, max(bits, int(table.max()).bit_length()))


def _descriptor(value: Any) -> tuple[int, int, int]:
    """Entries (0 stands for 65536), first input value, bits of an entry (PS3.3 C.7.6.3.1.5)."""
    if value is None or isinstance(value, bytes | str | int) or len(value) != 3:
        raise HeaderError("a look-up table has no descriptor")
    entries, first, bits = (int(part) for part in value)
    if not 1 <= bits <= 16:
        raise HeaderError(f"a look-up table has entries of {bits} bits")
    return entries % 65536 or 65536, first, bits


def _words(value: Any, entries: int, bits: int, little: bool) -> NDArray[np.uint16]:
    """Table data as pydicom gives it: bytes (OW), a list (US, SS) or one number."""
    if isinstance(value, bytes):
        if bits <= 8 and len(value) < 2 * entries:
            return np.frombuffer(value, dtype=np.uint8).astype(np.uint16)
        return np.frombuffer(value[: len(value) // 2 * 2], dtype="<u2" if little else ">u2").astype(np.uint16)
    if value is None:
        raise HeaderError("a look-up table has no data")
    values = [value] if isinstance(value, int) else list(value)
    return np.array([int(part) & 0xFFFF for part in values], dtype=np.uint16)


def _expand(data: bytes, entries: int, bits: int, little: bool) -> NDArray[np.uint16]:
    """Segmented palette data (PS3.3 C.7.9.2): discrete (0), linear (1) and indirect (2) segments."""
    size = 1 if bits <= 8 else 2
    code = ("B" if size == 1 else "H") * 1
    order = "<" if little else ">"
    words = struct.unpack(f"{order}{len(data) // size}{code}", data[: len(data) // size * size])
    out: list[int] = []
    _segments(words, 0, None, entries, size, order, out, indirect=True)
    return np.array(out[:entries], dtype=np.uint16)


def _segments(
    words: tuple[int, ...],
    at: int,
    limit: int | None,
    entries: int,
    size: int,
    order: str,
    out: list[int],
    *,
    indirect: bool,
) -> None:
    """Append segments from word ``at``, ``limit`` of them or to the end, until ``entries`` are there."""
    done = 0
    while at + 1 < len(words) and len(out) < entries and (limit is None or done < limit):
        opcode, length = words[at], words[at + 1]
        if opcode == 0:
            out.extend(words[at + 2 : at + 2 + length])
            at += 2 + length
        elif opcode == 1:
            if not out or at + 2 >= len(words):
                raise HeaderError("a palette begins with a linear segment")
            start, stop = out[-1], words[at + 2]
            out.extend(round(start + (stop - start) * (i + 1) / length) for i in range(length))
            at += 3
        elif opcode == 2 and indirect:
            # The offset is in bytes, in two words of 16 bits or four of 8, least significant first.
            count = 4 // size
            parts = words[at + 2 : at + 2 + count]
            if len(parts) < count:
                raise HeaderError("an indirect palette segment is cut short")
            offset = sum(part << (8 * size * i) for i, part in enumerate(parts))
            _segments(words, offset // size, length, entries, size, order, out, indirect=False)
            at += 2 + count
        elif size == 1 or opcode > 2 or not indirect:
            raise HeaderError(f"a palette segment has the type {opcode}")
        done += 1
