"""MONAI's post-processing transforms voxel by voxel: names and arguments of monai.transforms (1.6).

Label maps are uint8 [1, spatial...]; a one-hot result is kept as the label map it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy import special

from .arguments import PerKey
from .online import OnlineRule
from .registry import Transform, register
from .state import Array


class Pointwise(Transform):
    """A transform that looks at one voxel's channels only."""

    def apply(self, array: Array) -> Array:
        """[C, ...] to [C', ...]; the argument may be changed in place if it is float32."""
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
