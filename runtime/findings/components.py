"""Connected components of a label volume, without a look at the parts of it that are empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Slices = tuple[slice, slice, slice]

_BLOCK = 8
_CONNECTED = np.ones((3, 3, 3), np.int8)
"""26-connectivity."""


@dataclass(slots=True)
class Part:
    """A set of voxels of one label: its box in the volume, and which voxels of the box belong to it."""

    label: int
    box: Slices
    labels: NDArray[Any]
    """Array of the box's shape."""
    value: int
    """What ``labels`` holds where a voxel belongs to the part."""
    voxels: int

    def inside(self) -> NDArray[np.bool_]:
        """Which voxels of the box belong to the part, [z, y, x]."""
        return np.asarray(self.labels == self.value)


def parts(labels: NDArray[np.uint8], split: Mapping[int, bool]) -> dict[int, list[Part]]:
    """The parts of each label that occurs, in the order of the labels, each label's largest part first.

    Parameters
    ----------
    labels
        [z, y, x], C-contiguous; 0 is background.
    split
        For a label, whether its parts must be its connected components. The parts of other labels are any pieces of it.
        A label that is not in ``split`` counts as not to be split.
    """
    found: dict[int, list[Part]] = {}
    for box, crop in _islands(labels):
        for label, place in enumerate(ndimage.find_objects(crop), start=1):
            if place is None:
                continue
            inside = crop[place] == label
            pieces = found.setdefault(label, [])
            if split.get(label):
                pieces += _components(label, inside, _shift(place, box))
            else:
                pieces.append(Part(label, _shift(place, box), inside, 1, int(np.count_nonzero(inside))))
    return {label: sorted(found[label], key=_largest_first) for label in sorted(found)}


def join(pieces: list[Part]) -> Part:
    """One part of all these parts of one label."""
    if len(pieces) == 1:
        return pieces[0]
    box = tuple(
        slice(min(piece.box[axis].start for piece in pieces), max(piece.box[axis].stop for piece in pieces))
        for axis in range(3)
    )
    whole = np.zeros([s.stop - s.start for s in box], bool)
    for piece in pieces:
        place = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(piece.box, box, strict=True))
        whole[place] |= piece.inside()
    return Part(pieces[0].label, (box[0], box[1], box[2]), whole, 1, sum(piece.voxels for piece in pieces))


def _largest_first(part: Part) -> tuple[int, list[int]]:
    return -part.voxels, [side.start for side in part.box]


def _shift(place: tuple[slice, ...], box: tuple[slice, ...]) -> Slices:
    z, y, x = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(place, box, strict=True))
    return z, y, x


def _components(label: int, inside: NDArray[np.bool_], box: Slices) -> Iterator[Part]:
    numbered, _ = ndimage.label(inside, structure=_CONNECTED)
    sizes = np.bincount(numbered.reshape(-1))
    for value, place in enumerate(ndimage.find_objects(numbered), start=1):
        yield Part(label, _shift(place, box), numbered[place], value, int(sizes[value]))


def _islands(labels: NDArray[np.uint8]) -> Iterator[tuple[Slices, NDArray[np.uint8]]]:
    """Groups of neighbouring blocks of 8x8x8 voxels with any label: the box, and its labels without those of others.

    Voxels that touch lie in blocks that touch or are the same, so no component lies in two groups.
    """
    shape = labels.shape
    if labels.size == 0:
        return
    blocks = _occupied(labels)
    named, _ = ndimage.label(blocks, structure=_CONNECTED)
    for number, place in enumerate(ndimage.find_objects(named), start=1):
        z, y, x = (slice(s.start * _BLOCK, min(s.stop * _BLOCK, n)) for s, n in zip(place, shape, strict=True))
        crop = labels[z, y, x]
        foreign = blocks[place] & (named[place] != number)
        if foreign.any():
            for axis in range(3):
                foreign = foreign.repeat(_BLOCK, axis)
            crop = np.where(foreign[: crop.shape[0], : crop.shape[1], : crop.shape[2]], np.uint8(0), crop)
        yield (z, y, x), crop


def _occupied(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which blocks of 8x8x8 voxels have any label."""
    z, y, x = (-size % _BLOCK for size in labels.shape)
    if x:
        labels = np.pad(labels, ((0, 0), (0, 0), (0, x)))
    eights: NDArray[np.bool_] = labels.view(np.uint64) != 0
    if y or z:
        eights = np.pad(eights, ((0, z), (0, y), (0, 0)))
    depth, height, width = eights.shape
    rows = eights.reshape(depth, height // _BLOCK, _BLOCK, width).any(axis=2)
    return np.asarray(rows.reshape(depth // _BLOCK, _BLOCK, height // _BLOCK, width).any(axis=1))
