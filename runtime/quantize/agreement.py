"""How far findings of one network agree with those of another, on the metric of the bundle.

The one is f32, and its findings are the truth here: its own score is 1, so the score of the other is also the share
of f32's accuracy that MLPerf's gates of 99 % and 99.9 % ask for (MLPerf Inference rules, "accuracy target").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..findings import Findings

GATES = {"99 %": 0.99, "99.9 %": 0.999}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """Of one case."""

    dice: float | None = None
    """Mean over the segments that either has; None where neither found anything, which tells nothing."""
    lesions: tuple[int, int] | None = None
    """How many f32 and the other report."""
    reference: Floats | None = None
    other: Floats | None = None
    """Probabilities [frames, classes]."""
    decided: NDArray[np.bool_] | None = None
    """What f32 decides [frames, classes]."""
    same: NDArray[np.bool_] | None = None
    """Where the other decides alike [frames, classes]."""

    def to_json(self) -> dict[str, Any]:
        if self.reference is None or self.other is None or self.same is None:
            return {"dice": self.dice, "lesions": None if self.lesions is None else list(self.lesions)}
        apart = float(np.abs(self.reference - self.other).max())
        return {"probability_apart": apart, "decisions_alike": bool(self.same.all())}


@dataclass(frozen=True)
class Score:
    """Of all cases."""

    name: str
    value: float | None
    """At most 1; None where the cases do not tell."""
    cases: int
    """That tell something."""

    @property
    def gates(self) -> dict[str, bool | None]:
        """Which of MLPerf's gates it passes; null where the cases do not tell."""
        return {gate: None if self.value is None else self.value >= least for gate, least in GATES.items()}

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name}: not known, nothing was found in any case"
        passed = [gate for gate, yes in self.gates.items() if yes]
        said = f"passes {' and '.join(passed)}" if passed else "fails 99 %"
        return f"{self.name} {self.value:.5f} in {self.cases} case{'s' * (self.cases != 1)}, {said}"


def compare(reference: Findings, other: Findings) -> Agreement:
    """How the findings of one study agree; both are of the same bundle and series."""
    if reference.kind == "segmentation":
        first, second = reference.mask, other.mask
        assert first is not None and second is not None  # a segmentation has one
        lesions = len(reference.lesions), len(other.lesions)
        return Agreement(dice=_dice(first, second), lesions=lesions)
    thresholds = np.array([score.threshold for score in reference.scores])
    p, q = _probabilities(reference), _probabilities(other)
    decided = p >= thresholds
    return Agreement(reference=p, other=q, decided=decided, same=decided == (q >= thresholds))


def score(cases: Sequence[Agreement], kind: str) -> Score:
    """The metric over all cases: mean Dice; or of decisions alike and the AUC against f32's decisions, the lower."""
    if kind == "segmentation":
        told = [case.dice for case in cases if case.dice is not None]
        return Score("mean Dice against f32", float(np.mean(told)) if told else None, len(told))
    same = [case.same for case in cases if case.same is not None]
    if not same:
        return Score("decisions as f32", None, 0)
    alike = float(np.concatenate(same).mean())
    decided = np.concatenate([case.decided for case in cases if case.decided is not None])
    q = np.concatenate([case.other for case in cases if case.other is not None])
    areas = [auc(decided[:, c], q[:, c]) for c in range(q.shape[1]) if 0 < decided[:, c].mean() < 1]
    if not areas:
        return Score("decisions as f32", alike, len(same))
    return Score("decisions as f32 and AUC against them, the lower", min(alike, *areas), len(same))


def auc(truth: NDArray[np.bool_], values: Floats) -> float:
    """Area under the ROC curve, as the Mann-Whitney U statistic, ties counted half; both classes must occur."""
    yes, no = values[truth], values[~truth]
    above = (yes[:, None] > no).sum() + 0.5 * (yes[:, None] == no).sum()
    return float(above / (len(yes) * len(no)))


def _dice(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float | None:
    # Counts of each pair of labels in one pass over the voxels.
    pairs = np.bincount(a.ravel().astype(np.uint16) << 8 | b.ravel(), minlength=1 << 16).reshape(256, 256)
    in_a, in_b, both = pairs.sum(axis=1), pairs.sum(axis=0), np.diagonal(pairs)
    found = [2 * both[label] / (in_a[label] + in_b[label]) for label in range(1, 256) if in_a[label] + in_b[label]]
    return float(np.mean(found)) if found else None


def _probabilities(findings: Findings) -> Floats:
    if findings.frame_probabilities is not None:
        indices = [score.index for score in findings.scores]
        return np.asarray(findings.frame_probabilities[:, indices], np.float64)
    return np.array([[score.probability for score in findings.scores]])
