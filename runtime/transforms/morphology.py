"""MONAI's post-processing transforms that look at neighbours: names and arguments of monai.transforms (1.6)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import ndimage

from .arguments import Sizes
from .registry import Transform, register
from .state import Array, slabs


class Morphology(Transform):
    """A transform of a label map, or of channels of 0 and 1, that looks at neighbours."""

    def apply(self, array: Array) -> Array:
        """uint8 [C, spatial...], changed in place."""
        raise NotImplementedError


@register("postprocessing")
class KeepLargestConnectedComponentd(Morphology):
    """Keep the largest connected components of each label (monai.transforms.KeepLargestConnectedComponentd)."""

    applied_labels: Sizes | None = None
    is_onehot: bool | None = None
    independent: bool = True
    connectivity: Annotated[int, Field(ge=1)] | None = None
    num_components: Annotated[int, Field(ge=1)] = 1

    def apply(self, array: Array) -> Array:
        channels = len(array) > 1
        labels = applied(self.applied_labels, array)
        if self.independent:
            for label in labels:
                plane = array[label] if channels else array[0]
                foreground = plane > 0 if channels else plane == label
                self._keep(plane, foreground)
            return array
        if channels:
            foreground = (array[list(labels)] == 1).any(axis=0)
            for label in labels:
                self._keep(array[label], foreground)
        else:
            self._keep(array[0], np.isin(array[0], labels))
        return array

    def _keep(self, plane: Array, foreground: Array) -> None:
        """Set ``plane`` to 0 where ``foreground`` is not in its largest components."""
        box = bounding_box(foreground)
        if box is None:
            return
        found, count = ndimage.label(foreground[box], structure_of(plane.ndim, self.connectivity))
        if count <= self.num_components:
            return
        sizes = histogram(found)
        sizes[0] = 0
        drop = np.ones(count + 1, dtype=bool)
        drop[np.argsort(sizes)[::-1][: self.num_components]] = False
        drop[0] = False
        for part in slabs(found.shape):
            plane[box][part][drop[found[part]]] = 0


@register("postprocessing")
class FillHolesd(Morphology):
    """Give everything that a label encloses that label (monai.transforms.FillHolesd)."""

    applied_labels: Sizes | None = None
    connectivity: Annotated[int, Field(ge=1)] | None = None

    def apply(self, array: Array) -> Array:
        channels = len(array) > 1
        for label in applied(self.applied_labels or None, array):
            plane = array[label] if channels else array[0]
            inside = plane > 0 if channels else plane == label
            box = bounding_box(inside)
            if box is None:
                continue
            open_air, count = ndimage.label(~inside[box], structure_of(plane.ndim, self.connectivity))
            enclosed = np.ones(count + 1, dtype=bool)
            enclosed[0] = False
            for axis in range(plane.ndim):
                for end in (0, -1):
                    enclosed[np.unique(open_air.take(end, axis=axis))] = False
            for part in slabs(open_air.shape):
                plane[box][part][enclosed[open_air[part]]] = 1 if channels else label
        return array


def applied(labels: Sizes | None, array: Array) -> tuple[int, ...]:
    """The labels to work on: those given, or every one that occurs except 0."""
    if labels is None:
        present = array.any(axis=tuple(range(1, array.ndim))) if len(array) > 1 else histogram(array[0])
        return tuple(int(label) for label in np.flatnonzero(present) if label)
    return labels if isinstance(labels, tuple) else (labels,)


def histogram(labels: Array) -> Array:
    """How often each label occurs (numpy.bincount without its full-size int64 copy)."""
    top = int(labels.max(initial=0)) + 1
    total = np.zeros(top, np.int64)
    for part in slabs(labels.shape):
        total += np.bincount(labels[part].ravel(), minlength=top)
    return total


def structure_of(rank: int, connectivity: int | None) -> Array:
    """Neighbours of a voxel; None connects across corners."""
    structure: Array = ndimage.generate_binary_structure(rank, rank if connectivity is None else connectivity)
    return structure


def bounding_box(mask: Array) -> tuple[slice, ...] | None:
    """The smallest box around what is true; None where nothing is."""
    box = []
    for axis in range(mask.ndim):
        hit = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not hit.size:
            return None
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(box)
