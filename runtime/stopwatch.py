"""Stage times of one run, and the progress that a caller may listen to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total); total is 0 where it is not known yet. Never from two threads at once."""


class Stopwatch:
    """Wall-clock milliseconds by stage, in the order in which the stages were first entered.

    Stages may nest; time is charged to the innermost one only, so that the stages add up to the whole.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.ms: dict[str, float] = {}
        self._progress = progress
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Charge the time of the block to ``name``."""
        self._charge()
        self._open.append(name)
        if name not in self.ms:
            self.ms[name] = 0.0
            if self._progress is not None:
                self._progress(name, 0, 0)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.ms[self._open[-1]] += (now - self._since) * 1e3
        self._since = now
