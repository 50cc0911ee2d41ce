"""Every group's comparisons in one run."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from bedside.runtime.stopwatch import Progress

from ..limits import measure
from ..rows import Row, document
from .cases import Comparison

NO_GROUP = frozenset({"cases", "run", "volumes"})


def comparisons() -> Iterator[Comparison]:
    """What every module of this folder lists, group by group."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name not in NO_GROUP:
            yield from import_module(f".{module.name}", __package__).CASES


def rows(threads: int = 0, rounds: int = 5, only: str = "", progress: Progress | None = None) -> Iterator[Row]:
    """The rows of the cases whose name contains ``only`` in any case of letters."""
    chosen = [case for case in comparisons() if only.lower() in case.name.lower()]
    for done, case in enumerate(chosen):
        if progress is not None:
            progress(case.name, done, len(chosen))
        yield from case.rows(threads, rounds)


def bench(threads: int = 0, rounds: int = 5, only: str = "", progress: Progress | None = None) -> dict[str, Any]:
    """Time the kernels beside their peers: the JSON object of the run, with the machine's own limits in it.

    Parameters
    ----------
    threads
        Threads of every candidate that has threads; 0 is every core.
    rounds
        Timed rounds a candidate; a row has the median.
    only
        Take the cases whose name contains this.
    progress
        Called with the name of each case, how many are done and how many there are.
    """
    limits = measure(threads)
    return document(rows(threads, rounds, only, progress), limits=limits)
