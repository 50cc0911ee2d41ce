"""What the checks of the geometry gate share: which frames are still in use, and what was found so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from ..image import Frame
from .verdict import ACCEPTABLE, NEVER, Finding, Severity, SliceName

NAMED = 3
"""How many slices a message names; the finding lists all."""


@dataclass
class Gate:
    frames: Sequence[Frame]
    accept: frozenset[str]
    findings: list[Finding] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    stopped: bool = False
    """What follows would compute with values that are not there."""
    along: dict[int, float] = field(default_factory=dict)
    """mm along the normal, by frame index, once known."""

    def add(
        self, kind: str, message: str, indices: Iterable[int] = (), *, acceptable: bool = True, then: str = ""
    ) -> None:
        """Record a doubt, and what is done (``then``, or what :data:`ACCEPTABLE` says) if the user accepts it."""
        acceptable = acceptable and kind in ACCEPTABLE
        accepted = acceptable and kind in self.accept
        severity: Severity = "accepted" if accepted else "refuse"
        if accepted:
            message = f"{message}: {then or ACCEPTABLE[kind]}"
        elif kind in NEVER:
            message = f"{message}: {NEVER[kind]}"
        self.findings.append(Finding(kind, severity, message, self.names(indices), acceptable))

    def note(self, kind: str, message: str, indices: Iterable[int] = ()) -> None:
        self.findings.append(Finding(kind, "note", message, self.names(indices)))

    def names(self, indices: Iterable[int]) -> tuple[SliceName, ...]:
        return tuple(SliceName.of(self.frames[i], self.along.get(i)) for i in indices)

    def listing(self, indices: Sequence[int]) -> str:
        """``a, b, c and 4 more``."""
        names = [str(name) for name in self.names(indices[:NAMED])]
        return ", ".join(names) + (f" and {len(indices) - NAMED} more" if len(indices) > NAMED else "")

    def split(self, key: Callable[[Frame], Hashable]) -> list[list[int]]:
        """The used frames by key, the commonest group first; of equals the one with the lowest instance number."""
        groups: dict[Hashable, list[int]] = {}
        for i in self.used:
            groups.setdefault(key(self.frames[i]), []).append(i)
        return sorted(groups.values(), key=lambda group: (-len(group), min(rank(self.frames[i]) for i in group)))


def rank(frame: Frame) -> tuple[float, int, str]:
    number = math.inf if frame.instance_number is None else frame.instance_number
    return number, frame.number, str(frame.path)


def count(n: int, noun: str = "slice") -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
