"""What may be made of the network's output while it is still computed, so that it never exists as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from .state import Array, as_3d


@dataclass(frozen=True, slots=True)
class OnlineRule:
    """A discretisation that looks at one voxel only and compares logits, so it may run while windows are blended.

    ``argmax``: the channel with the largest blended value, the first of equals. ``threshold``: 1 + the first channel
    whose blended value is at least ``level``, 0 where there is none (kernels.argmax_blend, kernels.threshold_blend).
    """

    kind: Literal["argmax", "threshold"]
    level: float = 0.0
    """In the network's own units: the logit of the bundle's threshold where it has a sigmoid."""


class PlaneSink(Protocol):
    """Takes the network's output a few planes at a time, along the first spatial axis, in order, each once."""

    def take(self, first: int, values: NDArray[np.float32]) -> None:
        """Planes from ``first`` on: [C, planes, ...]. Not kept, not changed."""
        ...


def discretise(array: Array, rule: OnlineRule, threads: int = 0) -> NDArray[np.uint8]:
    """Apply a rule to float32 [C, spatial...]; uint8 [spatial...]."""
    out = np.empty(array.shape[1:], np.uint8)
    total = array if array.ndim == 4 else array[:, np.newaxis]
    norm = np.broadcast_to(np.float32(1.0), total.shape[1:])
    if rule.kind == "argmax":
        kernels.argmax_blend(total, norm, as_3d(out), threads=threads)
    else:
        kernels.threshold_blend(total, norm, as_3d(out), rule.level, threads=threads)
    return out
