"""MONAI's post-processing transforms: names and arguments of monai.transforms (1.6).

Label maps are uint8 [1, spatial...]; a one-hot result is kept as the label map it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy import ndimage, special

from .arguments import PerKey, Sizes
from .online import OnlineRule
from .registry import Transform, register
from .state import Array, slabs


class Pointwise(Transform):
    """A transform that looks at one voxel's channels only."""

    def apply(self, array: Array) -> Array:
        """[C, ...] to [C', ...]; the argument may be changed in place if it is float32."""
        raise NotImplementedError


class Morphology(Transform):
    """A transform of a label map, or of channels of 0 and 1, that looks at neighbours."""

    def apply(self, array: Array) -> Array:
        """uint8 [C, spatial...], changed in place."""
        raise NotImplementedError


@register("postprocessing")
class Activationsd(Pointwise):
    """Sigmoid, or softmax over the channels (monai.transforms.Activationsd)."""

    sigmoid: Annotated[bool, PerKey] = False
    softmax: Annotated[bool, PerKey] = False
    other: Annotated[None, PerKey] = None
    dim: Literal[0] = 0

    @model_validator(mode="after")
    def _check(self) -> Activationsd:
        if self.sigmoid and self.softmax:
            raise ValueError("sigmoid and softmax exclude each other")
        return self

    def apply(self, array: Array) -> Array:
        if self.sigmoid:
            special.expit(array, out=array)
        if self.softmax:
            array -= array.max(axis=0)
            np.exp(array, out=array)
            array /= array.sum(axis=0)
        return array


@register("postprocessing")
class AsDiscreted(Pointwise):
    """Scores to labels: argmax over the channels, or a threshold (monai.transforms.AsDiscreted)."""

    IGNORED: ClassVar[frozenset[str]] = frozenset({"dtype"})

    argmax: Annotated[bool, PerKey] = False
    to_onehot: Annotated[Annotated[int, Field(ge=1)] | None, PerKey] = None
    threshold: Annotated[float | None, PerKey] = None
    rounding: Annotated[Literal["torchrounding"] | None, PerKey] = None
    dim: Literal[0] = 0
    keepdim: Literal[True] = True

    @model_validator(mode="after")
    def _check(self) -> AsDiscreted:
        if self.to_onehot is not None and self.threshold is not None and not 0 < self.threshold <= 1:
            raise ValueError(f"threshold {self.threshold} of a one-hot result must be above 0 and at most 1")
        return self

    @property
    def discretises(self) -> bool:
        return self.argmax or self.threshold is not None

    def apply(self, array: Array) -> Array:
        if self.argmax:
            array = array.argmax(axis=0)[np.newaxis].astype(np.uint8)
        if self.threshold is not None and self.to_onehot is None:
            array = (array >= self.threshold).astype(np.uint8)
        return array


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


@register("postprocessing")
class Invertd(Transform):
    """Take the prediction back through the preprocessing's spatial transforms (monai.transforms.Invertd).

    ``nearest_interp`` (MONAI's default) takes the nearest voxel on the way; without it each transform's own mode.
    """

    IGNORED: ClassVar[frozenset[str]] = frozenset(
        {"meta_keys", "orig_meta_keys", "meta_key_postfix", "to_tensor", "device"}
    )
    RAW: ClassVar[frozenset[str]] = frozenset({"transform"})

    transform: Literal["@preprocessing"]
    orig_keys: Annotated[str | None, PerKey] = None
    nearest_interp: Annotated[bool, PerKey] = True
    post_func: Annotated[None, PerKey] = None


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


def online_rule(steps: Sequence[Pointwise]) -> OnlineRule | None:
    """The rule that equals a run of pointwise steps on the network's output, or None where there is none."""
    if not steps or not isinstance(steps[-1], AsDiscreted):
        return None
    last, before = steps[-1], [step for step in steps[:-1] if isinstance(step, Activationsd)]
    if len(before) != len(steps) - 1:
        return None
    if last.argmax:
        return OnlineRule("argmax") if last.threshold is None or last.to_onehot is not None else None
    active = [step for step in before if step.sigmoid or step.softmax]
    level = last.threshold
    if level is None or len(active) > 1 or any(step.softmax for step in active):
        return None
    if not active:
        return OnlineRule("threshold", level)
    return OnlineRule("threshold", float(special.logit(level))) if 0 < level < 1 else None
