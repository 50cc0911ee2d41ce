"""What a comparison of a kernel is, and how it is run.

A group's module (``elementwise.py``, ``window.py``, ...) has ``CASES``, a tuple of :class:`Case` and :class:`Figure`.
All candidates of a case and a memcpy of as many bytes as the work must move are timed in one interleaved run, so that
ratio and share of the limit hold on a busy machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from ..limits import cores, moving
from ..rows import Row, absent, compare, interleaved

OURS, MEMCPY = "ours", "memcpy"

Candidates = dict[str, Callable[[], Any]]

INSTALL = {
    "MONAI": "pip install monai",
    "torch": "pip install torch",
    "OpenCV": "pip install 'bedside[bench]'",
    "SimpleITK": "pip install 'bedside[bench]'",
    "cc3d": "pip install 'bedside[bench]'",
}
"""The command that brings a peer, by the first word of its name."""


class Comparison(Protocol):
    """What a group lists."""

    @property
    def name(self) -> str: ...

    def rows(self, threads: int, rounds: int) -> Iterator[Row]:
        """Measure; ``threads`` 0 is every core."""
        ...


@dataclass(frozen=True)
class Case:
    """One work, ours beside its peers."""

    name: str
    """What is done to what, with sizes and types."""
    make: Callable[[int], Candidates]
    """Takes the number of threads (0 is every core), makes the arrays, compares every peer's result with ours, and
    returns the calls: "ours" first, then each peer that :func:`optional` finds, each on so many threads."""
    goals: Mapping[str, float] = field(default_factory=dict)
    """Ratio to reach, by peer. "memcpy" may stand here too: the share of its speed that is wanted."""
    traffic: int = 0
    """Bytes that must move, read plus written, however the work is done; 0 where no such limit is meant. The limit is
    the time of a memcpy that moves as many."""
    read_only: int = 0
    """Bytes that must be read besides: work that reads much and writes little is not held against a copy."""
    peers: tuple[str, ...] = ()
    """Peers that the row wants beyond those in ``goals``; one that ``make`` leaves out is shown as not installed."""
    why: Mapping[str, str] = field(default_factory=dict)
    """Reason, by peer, for a goal that is not reached; shown only then. Where the memcpy of the same run would not
    reach the goal either, that is the reason."""
    per: int = 1
    """Times are divided by this: images or slices of one call."""

    def rows(self, threads: int, rounds: int) -> Iterator[Row]:
        """A row a peer, from one interleaved run."""
        peers_use(threads)
        candidates = self.make(threads)
        limited = self.traffic + self.read_only > 0
        if limited:
            candidates[MEMCPY] = moving(self.traffic, self.read_only, threads)
        times = interleaved(candidates, rounds)
        share = times[MEMCPY] / times[OURS] if limited else None
        reasons = dict(self.why)
        for peer, goal in self.goals.items():
            if limited and peer in times and peer != MEMCPY and (bound := times[peer] / times[MEMCPY]) < goal:
                reasons[peer] = f"memcpy of as many bytes would be {bound:.2g}x"
        if MEMCPY not in self.goals:
            times.pop(MEMCPY, None)
        yield from compare(self.name, times, rounds, per=self.per, goals=self.goals, limit_share=share, reasons=reasons)
        if len(times) == 1:
            yield Row(self.name, times[OURS] / self.per, "ms", limit_share=share, n=rounds)
        for peer in dict.fromkeys((*self.goals, *self.peers)):
            if peer not in times:
                yield absent(self.name, peer, not_installed(peer), times[OURS] / self.per, self.goals.get(peer))


@dataclass(frozen=True)
class Figure:
    """A row that is not a comparison of times: peak memory, a count."""

    name: str
    make: Callable[[int], Row]

    def rows(self, threads: int, rounds: int) -> Iterator[Row]:
        """The row, measured once."""
        peers_use(threads)
        yield self.make(threads)


def optional(module: str) -> Any:
    """A peer's module, None where it cannot be imported."""
    try:
        return import_module(module)
    except ImportError:
        return None


def not_installed(peer: str) -> str:
    """What the row of an absent peer says."""
    command = INSTALL.get(peer.split()[0].split(".")[0], "pip install 'bedside[bench]'")
    return f"not installed: {command}"


def peers_use(threads: int) -> None:
    """Give the peers that have a setting for the whole process the same number of threads; 0 is every core."""
    count = threads or cores()
    if torch := optional("torch"):
        torch.set_num_threads(count)
    if cv2 := optional("cv2"):
        cv2.setNumThreads(count)
    if SimpleITK := optional("SimpleITK"):
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(count)


def nbytes(*arrays: Any) -> int:
    """Bytes of arrays, or of ``(shape, itemsize)`` pairs: what a pass over each of them once moves."""
    total = 0
    for array in arrays:
        total += math.prod(array[0]) * array[1] if isinstance(array, tuple) else int(array.nbytes)
    return total
