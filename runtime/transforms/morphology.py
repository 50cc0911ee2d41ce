"""MONAI's post-processing transforms that look at neighbours: names and arguments of monai.transforms (1.6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bedside.kernels import Components, fill_holes, keep_largest

from ..dtypes import copy_into
from .arguments import Sizes
from .registry import Transform, register
from .state import Array

_FOREGROUND = (np.arange(256) > 0).astype(np.uint8)
"""Groups of labels that make one of all but the background."""

_NEIGHBOURS = {2: (4, 8), 3: (6, 18, 26)}
"""Of a voxel, by the number of spatial axes, for MONAI's connectivity 1, 2 (and 3)."""


class Morphology(Transform):
    """A transform of a label map, or of channels of 0 and 1, that looks at neighbours."""

    def apply(self, array: Array, threads: int = 0) -> Array:
        """uint8 [C, spatial...] of any strides, changed in place, by at most so many threads (0: every core)."""
        raise NotImplementedError


@register("postprocessing")
class KeepLargestConnectedComponentd(Morphology):
    """Keep the largest connected components of each label (monai.transforms.KeepLargestConnectedComponentd).

    Of components of one size the last is kept. (MONAI leaves that to an unstable sort.)
    """

    applied_labels: Sizes | None = None
    is_onehot: bool | None = None
    independent: bool = True
    connectivity: Annotated[int, Field(ge=1)] | None = None
    num_components: Annotated[int, Field(ge=1)] = 1

    def apply(self, array: Array, threads: int = 0) -> Array:
        neighbours = _neighbours(array, self.connectivity)
        labels = _given(self.applied_labels)
        if len(array) == 1:
            groups = _groups(labels)
            if not self.independent:
                groups = (groups > 0).astype(np.uint8)
                groups[0] = labels is not None and 0 in labels
            keep_largest(array[0], connectivity=neighbours, groups=groups, count=self.num_components, threads=threads)
            return array
        channels = range(1, len(array)) if labels is None else labels
        if self.independent:
            for channel in channels:
                keep_largest(
                    array[channel],
                    connectivity=neighbours,
                    groups=_FOREGROUND,
                    count=self.num_components,
                    threads=threads,
                )
        else:
            self._keep_together(array, channels, neighbours, threads)
        return array

    def _keep_together(self, array: Array, channels: Sequence[int], neighbours: int, threads: int) -> None:
        """Keep in each channel what lies in the largest components of all of them."""
        if not channels:
            return
        first, last = min(channels), max(channels)
        chosen = array[first : last + 1]
        if len(set(channels)) < last + 1 - first:
            chosen = np.empty((len(channels), *array.shape[1:]), np.uint8)
            for channel, target in zip(channels, chosen, strict=True):
                copy_into(array[channel], target, threads)
        found = Components(chosen, connectivity=neighbours, groups=_FOREGROUND, channels=True, threads=threads)
        order = np.argsort(found.voxels, kind="stable")
        dropped = np.zeros(len(found), np.uint32)
        dropped[order[: max(0, len(found) - self.num_components)]] = 1
        small = found.select(dropped, threads=threads)
        for channel in channels:
            small.paint(array[channel], np.zeros(len(small), np.uint32), clear=False, threads=threads)


@register("postprocessing")
class FillHolesd(Morphology):
    """Give everything that a label encloses that label (monai.transforms.FillHolesd)."""

    applied_labels: Sizes | None = None
    connectivity: Annotated[int, Field(ge=1)] | None = None

    def apply(self, array: Array, threads: int = 0) -> Array:
        neighbours = _neighbours(array, self.connectivity)
        labels = _given(self.applied_labels or None)
        if len(array) == 1:
            of = np.arange(1, 256, dtype=np.uint8) if labels is None else _in_a_byte(labels)
            fill_holes(array[0], of, connectivity=neighbours, threads=threads)
            return array
        for channel in range(1, len(array)) if labels is None else labels:
            if channel:
                fill_holes(array[channel], np.ones(1, np.uint8), connectivity=neighbours, threads=threads)
        return array


def _neighbours(array: Array, connectivity: int | None) -> int:
    """Neighbours of a voxel; None connects across corners."""
    kinds = _NEIGHBOURS[array.ndim - 1]
    return kinds[-1 if connectivity is None else connectivity - 1]


def _given(labels: Sizes | None) -> tuple[int, ...] | None:
    return (labels,) if isinstance(labels, int) else labels


def _in_a_byte(labels: Iterable[int]) -> NDArray[np.uint8]:
    """Without those that no voxel of a label map can have."""
    return np.array([label for label in labels if 0 <= label < 256], np.uint8)


def _groups(labels: tuple[int, ...] | None) -> NDArray[np.uint8]:
    """Each of these labels, or every one, on its own, and nothing else."""
    groups = np.zeros(256, np.uint8)
    chosen = np.arange(256, dtype=np.uint8) if labels is None else _in_a_byte(labels)
    groups[chosen] = chosen
    return groups
