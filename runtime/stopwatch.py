"""Stage times of one run, and the progress that a caller may listen to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total); total is 0 where it is not known yet. Never from two threads at once."""


class Stopwatch:
    """Wall-clock time by stage, in the order in which the stages were first entered; milliseconds."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.ms: dict[str, float] = {}
        self._progress = progress

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Time a stage; yields ``report(done, total)`` for the stage's own progress."""

        def report(done: int, total: int) -> None:
            if self._progress is not None:
                self._progress(name, done, total)

        report(0, 0)
        start = time.perf_counter()
        try:
            yield report
        finally:
            self.ms[name] = self.ms.get(name, 0.0) + (time.perf_counter() - start) * 1e3
