"""Which connected components of a label volume are lesions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bedside.kernels import Components

MAX_LESIONS = 255
"""More parts than this are no finding that a person could read (and a SEG label is a byte): the largest are kept, and
it is said.
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes a lesion of one label's components."""

    instances: bool
    """Whether each is a lesion; else all of them are one."""
    least_voxels: float
    """Smaller ones are left out."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The lesions of a label volume, in the order of the labels, each label's largest first."""

    lesions: Components
    """Lesion k + 1 is component k + 1."""
    dropped: Mapping[int, int]
    """How many parts of a label were left out, because they were too small or too many."""
    found: int
    """Lesions before the largest :data:`MAX_LESIONS` were taken."""


def choose(found: Components, rules: Mapping[int, Rule], *, threads: int = 0) -> Choice:
    """Make lesions of 26-connected components; ``rules`` has every label that occurs.

    Of components of one size that comes first whose box begins first, then the first in raster order.
    """
    numbers = np.zeros(len(found), np.uint32)
    sizes: list[NDArray[np.int64]] = []
    labels: list[NDArray[np.uint8]] = []
    dropped: dict[int, int] = {}
    z, y, x = found.box[:, :, 0].T
    order = np.lexsort((x, y, z, -found.voxels, found.label))
    count = 0
    for label, start, end in _stretches(found.label[order]):
        mine = order[start:end]
        large = mine[found.voxels[mine] >= rules[label].least_voxels]
        if len(large) < len(mine):
            dropped[label] = len(mine) - len(large)
        if not len(large):
            continue
        if rules[label].instances:
            numbers[large] = np.arange(count + 1, count + 1 + len(large))
            sizes.append(found.voxels[large])
        else:
            numbers[large] = count + 1
            sizes.append(found.voxels[large].sum(keepdims=True))
        labels.append(np.full(len(sizes[-1]), label, np.uint8))
        count += len(sizes[-1])
    if count > MAX_LESIONS:
        largest = np.sort(np.argsort(-np.concatenate(sizes), kind="stable")[:MAX_LESIONS])
        renumbered = np.zeros(count + 1, np.uint32)
        renumbered[largest + 1] = np.arange(1, MAX_LESIONS + 1)
        numbers = renumbered[numbers]
        left_out = np.delete(np.concatenate(labels), largest)
        for label, start, end in _stretches(left_out):
            dropped[label] = dropped.get(label, 0) + end - start
    return Choice(found.select(numbers, threads=threads), dropped, count)


def _stretches(ordered: NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    """Value, start and end of each stretch of one value."""
    edges = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(ordered)]
    return [(int(ordered[a]), a, b) for a, b in pairwise(edges) if b > a]
