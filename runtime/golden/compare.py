"""How far what a device gave for a golden case is from what it must give."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError
from ..findings import Findings, Lesion
from .expected import Expectation, ExpectedLesion, Point
from .sampler import Sampler


@dataclass(frozen=True)
class Limits:
    """How far a device may be from what is expected and still be proved."""

    error: float | None
    """Of any sampled output, as a share of the largest of them; None for any."""
    cosine: float
    dice: float
    probability: float
    volume: float
    """Share."""
    place_mm: float
    """Also in pixels where there are no millimetres."""


EXACT = Limits(error=1e-3, cosine=0.9999, dice=0.999, probability=1e-3, volume=0.01, place_mm=0.2)
"""For float32: libraries add up in other orders, and a voxel at the threshold may fall to either side."""
REDUCED = Limits(error=None, cosine=0.99, dice=0.99, probability=0.02, volume=0.05, place_mm=1.0)
"""For f16 and int8: 99 % of the full precision's quality, as MLPerf asks of a quantised model."""


@dataclass(frozen=True)
class CaseResult:
    """What a device gave for one golden case, beside what it must give."""

    name: str
    """The golden study's path in the bundle."""
    passed: bool
    reason: str
    """Why it did not pass; empty if it did."""
    max_error: float | None
    """Largest absolute difference of a sampled output of the network; None where the case keeps no sample."""
    error_share: float | None
    """The same, as a share of the largest of the expected values."""
    cosine: float | None
    """Of the sampled outputs with the expected ones."""
    dice: float | None
    """Of the label map with the expected one; None for a classification, or where the case keeps no mask."""
    probability_change: float | None
    """Largest difference of a class's probability; None for a segmentation."""
    probabilities: tuple[tuple[str, float, float], ...]
    """Class, expected and found probability."""
    findings_equal: bool
    """Whether the findings are the same within the limits."""
    seconds: float


def compare(
    name: str, expected: Expectation, findings: Findings, sampler: Sampler, limits: Limits, seconds: float = 0.0
) -> CaseResult:
    """Hold what a device gave against what a golden case expects.

    Raises
    ------
    BundleError
        The expectation is of another study or another network.
    """
    reasons: list[str] = []
    error, share, cosine = _compare_output(name, expected, sampler)
    if share is not None and limits.error is not None and share > limits.error:
        reasons.append(f"the network's output is off by {share:.2g} of its range, {limits.error:g} is allowed")
    if cosine is not None and cosine < limits.cosine:
        reasons.append(f"the cosine of the network's output is {cosine:.6f}, below {limits.cosine:g}")
    dice = _compare_mask(name, expected, findings)
    if dice is not None and dice < limits.dice:
        reasons.append(f"Dice is {dice:.4f}, below {limits.dice:g}")
    found = {score.name: score.probability for score in findings.scores}
    pairs = tuple((score.name, score.probability, found.get(score.name, math.nan)) for score in expected.scores)
    missing = [pair[0] for pair in pairs if math.isnan(pair[2])]
    if missing:
        raise BundleError(f"{name}: there is no class '{missing[0]}' in the bundle")
    change = max((abs(pair[1] - pair[2]) for pair in pairs), default=None)
    different = _lesions_differ(expected.lesions, findings.lesions, limits)
    if change is not None and change > limits.probability:
        different = f"a probability differs by {change:.4f}, {limits.probability:g} is allowed"
    if different:
        reasons.append(different)
    return CaseResult(
        name=name,
        passed=not reasons,
        reason="; ".join(reasons),
        max_error=error,
        error_share=share,
        cosine=cosine,
        dice=dice,
        probability_change=change,
        probabilities=pairs,
        findings_equal=not different,
        seconds=seconds,
    )


def auc_change(cases: Sequence[CaseResult], thresholds: Mapping[str, float]) -> float | None:
    """By how much the area under the ROC curve falls when the found probabilities take the place of the expected ones.

    Truth is what the expected probability says against the class's threshold, over all cases and classes; None where
    all of it is of one kind. An area is the chance that a positive ranks above a negative (Hanley and McNeil 1982).
    """
    rows = [(want >= thresholds.get(name, 0.5), want, got) for case in cases for name, want, got in case.probabilities]
    positive, negative = [row for row in rows if row[0]], [row for row in rows if not row[0]]
    if not positive or not negative:
        return None

    def area(column: int) -> float:
        wins = [1.0 if p[column] > n[column] else 0.5 * (p[column] == n[column]) for p in positive for n in negative]
        return sum(wins) / len(wins)

    return area(1) - area(2)


def dice_of(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Dice of two label maps: twice what has the same label in both, over what has a label in either; 1 for nothing."""
    both = int(np.count_nonzero((a == b) & (a != 0)))
    each = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * both / each if each else 1.0


def _compare_output(
    name: str, expected: Expectation, sampler: Sampler
) -> tuple[float | None, float | None, float | None]:
    """Largest difference, that as a share of the largest expected value, and the cosine."""
    if expected.output is None:
        return None, None, None
    try:
        want = expected.output.read().astype(np.float64)
    except ValueError as unreadable:
        raise BundleError(f"{name}: what it expects of the network's output cannot be read: {unreadable}") from None
    got = sampler.values().astype(np.float64)
    if sampler.windows != expected.output.windows or got.shape != want.shape:
        raise BundleError(
            f"{name}: the network was run on {sampler.windows} windows, the case expects {expected.output.windows}",
            mend="make the golden cases again: bedside bundle golden",
        )
    error = float(np.abs(got - want).max())
    size = float(np.linalg.norm(got) * np.linalg.norm(want))
    largest = float(np.abs(want).max())
    same = 1.0 if error == 0 else 0.0
    return error, error / largest if largest else error, float(got @ want) / size if size else same


def _compare_mask(name: str, expected: Expectation, findings: Findings) -> float | None:
    if expected.mask is None:
        return None
    try:
        want = expected.mask.read()
    except (ValueError, zlib.error) as error:
        raise BundleError(f"{name}: what it expects as mask cannot be read: {error}") from None
    got = findings.mask
    if got is None or got.shape != want.shape:
        shape = None if got is None else got.shape
        raise BundleError(f"{name}: the study gives a mask of shape {shape}, the case expects {want.shape}")
    return dice_of(want, got)


def _lesions_differ(expected: Sequence[ExpectedLesion], found: Sequence[Lesion], limits: Limits) -> str:
    """In what the lesions differ, in words; empty where they do not."""
    if len(expected) != len(found):
        return f"{len(found)} findings, {len(expected)} are expected"
    left = list(found)
    for number, want in enumerate(expected, start=1):
        same = [lesion for lesion in left if lesion.label == want.label]
        if not same:
            return f"finding {number} of label {want.label} is not there"
        nearest = min(same, key=lambda lesion: _distance(want, lesion))
        left.remove(nearest)
        if _distance(want, nearest) > limits.place_mm:
            return f"finding {number} lies {_distance(want, nearest):.2f} mm beside its place"
        for what, size, of in (
            ("volume", want.volume_mm3, nearest.volume_mm3),
            ("number of voxels", want.voxels, nearest.voxels),
        ):
            if size is not None and of is not None and abs(size - of) > limits.volume * size:
                return f"the {what} of finding {number} is {of:.6g}, {size:.6g} is expected"
    return ""


def _distance(want: ExpectedLesion, lesion: Lesion) -> float:
    """Between the centroids, the largest along an axis: in mm, else in pixels."""
    a: Point | None = want.centroid_lps
    b: Point | None = lesion.centroid_lps
    if a is None or b is None:
        a, b = want.centroid, lesion.centroid
    if a is None or b is None:
        return 0.0
    return max(abs(p - q) for p, q in zip(a, b, strict=True))
