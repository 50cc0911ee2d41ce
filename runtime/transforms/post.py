"""MONAI's post-processing transforms voxel by voxel: names and arguments of monai.transforms (1.6).

Label maps are uint8 [1, spatial...]; a one-hot result is kept as the label map it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy import special

from bedside import kernels

from ..dtypes import copy_into, fill
from .arguments import PerKey
from .online import OnlineRule, as_4d
from .registry import Transform, register
from .state import Array


class Pointwise(Transform):
    """A transform that looks at one voxel's channels only."""

    def apply(self, array: Array, *, out: Array | None = None, owned: bool = False, threads: int = 0) -> Array:
        """[C, ...] to [C', ...], up to three axes behind the channels.

        Parameters
        ----------
        array : float32, or the uint8 of an AsDiscreted
        out : where the result is to be written; its dtype fits
        owned : whether a float32 argument may be changed in place
        threads : at most so many; 0 is every core
        """
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

    def apply(self, array: Array, *, out: Array | None = None, owned: bool = False, threads: int = 0) -> Array:
        if not (self.sigmoid or self.softmax):
            return copied(array, out, threads)
        if out is None:
            out = array if owned else np.empty(array.shape, np.float32)
        kernel = kernels.sigmoid if self.sigmoid else kernels.softmax
        kernel(as_4d(array), as_4d(out), threads=threads)
        return out


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

    def apply(self, array: Array, *, out: Array | None = None, owned: bool = False, threads: int = 0) -> Array:
        level = self.threshold if self.to_onehot is None else None
        if self.argmax:
            labels = out if out is not None and level is None else np.empty((1, *array.shape[1:]), np.uint8)
            if array.dtype == np.uint8:  # channels of 0 and 1: the first that is set, or the first
                kernels.threshold(as_4d(array), as_4d(labels)[0], 1, first_label=0, threads=threads)
            else:
                kernels.argmax(as_4d(array), as_4d(labels)[0], threads=threads)
            array = labels
        if level is None:
            return array if self.argmax else copied(array, out, threads)
        if out is None:
            out = np.empty(array.shape, np.uint8)
        if array.dtype == np.uint8:
            level = max(math.ceil(level), 0)
        if array.dtype == np.uint8 and level > 255:  # which no voxel reaches
            fill(out, 0, threads)
            return out
        for channel, mask in zip(as_4d(array), as_4d(out), strict=True):
            kernels.threshold(channel[np.newaxis], mask, level, threads=threads)
        return out


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


def copied(array: Array, out: Array | None, threads: int = 0) -> Array:
    """The array, or ``out`` with its values."""
    if out is None:
        return array
    copy_into(array, out, threads)
    return out


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
