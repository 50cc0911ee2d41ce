"""Steps between slices: is a run of positions regular, regular with slices missing, or irregular?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REFUSED_SHARE = 0.05
"""A slice this share of the step away from its place on the grid, or a step that much off, makes a stack irregular. It
moves a finding by a twentieth of a slice, and lets positions pass that were rounded to 0.1 mm (steps of 1.25 mm then
read 1.2 and 1.3)."""
NOTED_SHARE = 0.01
"""From here on the jitter is at least noted."""
ROUNDING_MM = 0.01
"""Positions are decimal strings of at most 16 characters (DICOM PS3.5 6.2, DS), often written with two decimals: two
neighbours then err by 0.01 mm together, whatever the step. Never judged finer than this."""
COMMONEST_SHARE = 0.25
"""A step is believed to be the stack's own only if at least this share of the neighbours have it; else a small stray
step would explain any position as so many multiples of it."""


@dataclass(frozen=True)
class Steps:
    """How sorted positions lie on a grid of even steps."""

    step: float
    """mm; the stack's own step (of the fitted grid, or the median where no grid fits)."""
    counts: tuple[int, ...]
    """Grid steps from each slice to the next: 1, or more where slices are missing. All 1 where no grid fits."""
    regular: bool
    """A grid fits, missing slices aside."""
    worst: float
    """mm; the largest deviation from the grid, of a position or a step."""
    off: tuple[int, ...]
    """The neighbours (i, i+1) whose step is off."""

    @property
    def missing(self) -> int:
        return sum(self.counts) - len(self.counts)


def tolerance(step: float, share: float = REFUSED_SHARE) -> float:
    """mm by which a position may miss its place."""
    return max(share * step, ROUNDING_MM)


def measure_steps(positions: NDArray[np.float64]) -> Steps:
    """Fit a grid to at least two positions, mm, ascending and distinct.

    A step that is a whole multiple (2, 3, ...) of the stack's own step is a gap of so many missing slices; a step that
    is neither that nor the step itself makes the stack irregular. The stack's own step is the median, or, where so many
    slices are missing that the median is a multiple itself, the smallest that a quarter of the neighbours share.
    """
    steps = np.diff(positions)
    median = float(np.sort(steps)[(len(steps) - 1) // 2])
    smallest = steps[steps <= steps.min() * (1 + 2 * REFUSED_SHARE) + ROUNDING_MM]
    candidates = [median]
    if len(smallest) >= COMMONEST_SHARE * len(steps):
        candidates.append(float(np.median(smallest)))
    for candidate in candidates:
        counts = np.rint(steps / candidate).astype(np.int64)
        if counts.min() < 1:
            continue
        index = np.concatenate([[0], np.cumsum(counts)])
        step, origin = (float(value) for value in np.polyfit(index, positions, 1))
        worst = max(_largest(positions - (origin + step * index)), _largest(steps - step * counts))
        if worst <= tolerance(step):
            # The first slice is the affine's origin, so its step is what leads from there to the last.
            step = float(positions[-1] - positions[0]) / int(index[-1])
            return Steps(step, tuple(int(count) for count in counts), True, worst, ())
    off = tuple(int(i) for i in np.flatnonzero(np.abs(steps - median) > tolerance(median)))
    return Steps(median, (1,) * len(steps), False, _largest(steps - median), off)


def _largest(deviation: NDArray[np.float64]) -> float:
    return float(np.abs(deviation).max())
