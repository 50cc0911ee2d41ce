"""What may be made of the network's output while it is still computed, so that it never exists as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from .state import Array


@dataclass(frozen=True, slots=True)
class OnlineRule:
    """A discretisation that looks at one voxel only and compares logits, so it may run while windows are blended.

    ``argmax``: the channel with the largest blended value, the first of equals. ``threshold``: 1 + the first channel
    whose blended value is at least ``level``, 0 where there is none (kernels.argmax, kernels.threshold).
    """

    kind: Literal["argmax", "threshold"]
    level: float = 0.0
    """In the network's own units: the logit of the bundle's threshold where it has a sigmoid."""


class PlaneSink(Protocol):
    """Takes the network's output a few planes at a time, along the first spatial axis, in order, each once."""

    def take(self, first: int, values: NDArray[np.float32]) -> None:
        """Planes from ``first`` on: [C, planes, ...]. Not kept, not changed."""
        ...


def discretise(
    array: Array, rule: OnlineRule, threads: int = 0, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Apply a rule to float32 [C, spatial...]; uint8 [spatial...], written into ``out`` where given."""
    if out is None:
        out = np.empty(array.shape[1:], np.uint8)
    if rule.kind == "argmax":
        kernels.argmax(as_4d(array), as_4d(out[np.newaxis])[0], threads=threads)
    else:
        kernels.threshold(as_4d(array), as_4d(out[np.newaxis])[0], rule.level, threads=threads)
    return out


def as_4d(array: Array) -> Array:
    """A view of [C, up to three axes] with three: the kernels work on volumes."""
    return array[(slice(None), *[np.newaxis] * (4 - array.ndim))]
