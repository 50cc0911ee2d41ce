"""What measuring runs in a child process (:mod:`.measure`): models loaded for the first time, and rounds of runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bedside.backends.contract import BedsideError, Options, Pending, Program, Tensors

from . import child
from .devices import open_program
from .power.rapl import Rapl
from .stopwatch import Progress
from .threads import set_once

STAGE = "measure"
_PAUSE = 0.005
"""Seconds between two devices' turns: threads of the one before may still spin on the cores."""
_SEED = 20240229
_IN_FLIGHT = 2
_MOST_RUNS = 100
"""Of one turn."""


def first_result(arguments: Mapping[str, Any], progress: Progress, note: child.Note) -> dict[str, Any]:
    """From a process that has loaded no library of the device to its first result: milliseconds, and bytes taken."""
    before = _resident("VmRSS")
    progress(STAGE, 0, 0)
    start = time.perf_counter()
    program = _open(arguments)
    feeds = _feeds(program, arguments["shape"])  # some milliseconds for a large volume, and part of any first result
    program.run(feeds)
    cold = (time.perf_counter() - start) * 1e3
    progress(STAGE, 1, 1)
    start = time.perf_counter()
    program.run(feeds)
    warm = (time.perf_counter() - start) * 1e3
    device = asdict(program.device)
    program.close()
    peak = _resident("VmHWM")
    memory = None if before is None or peak is None else max(0, peak - before)
    return {
        "cold_ms": cold,
        "warm_ms": warm,
        "memory": memory,
        "device": {**device, "versions": dict(device["versions"])},
    }


def rounds(arguments: Mapping[str, Any], progress: Progress, note: child.Note) -> list[dict[str, Any]]:
    """Runs of several programs in turn, so that whatever else the host does meets all of them alike.

    ``entries`` are the programs, each with the ``warm_ms`` that one run took; a turn is as many runs as fit into
    ``turn_ms``. There are ``rounds`` of turns, fewer after ``budget_s`` but never under three.
    """
    taking_part = [_Entrant(entry) for entry in arguments["entries"]]
    count, budget = int(arguments["rounds"]), float(arguments["budget_s"])
    counter = Rapl()
    start = time.monotonic()
    for number in range(count):
        for one in taking_part if number % 2 == 0 else reversed(taking_part):
            time.sleep(_PAUSE)
            runs = max(1, min(_MOST_RUNS, int(arguments["turn_ms"] / max(one.one_run_ms, 1e-3))))
            one.take_turn(counter, runs, partial(progress, STAGE, number, count))
        progress(STAGE, number + 1, count)
        if number >= 2 and time.monotonic() - start > budget:
            break
    for one in taking_part:
        one.close()
    return [{"ms": one.ms, "joules": one.joules, "fault": one.fault} for one in taking_part]


class _Entrant:
    """One program, its times and its joules; one that fails has a fault and takes no further turns."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.one_run_ms = float(entry["warm_ms"])
        self._pipelined = entry["hint"] == "throughput"
        self._runs = 0
        self.ms: list[float] = []
        self.fault = ""
        self._spent = 0.0
        self._counted = True
        self._program: Program | None = None
        try:
            self._program = _open(entry)
            self._feeds = _feeds(self._program, entry["shape"])
            self._program.run(self._feeds)
        except BedsideError as error:
            self.fault = str(error)

    @property
    def joules(self) -> float | None:
        """Of one run; None where nothing counted them."""
        return self._spent / self._runs if self._counted and self._runs else None

    def take_turn(self, counter: Rapl, runs: int, alive: Callable[[], None]) -> None:
        if self._program is None or self.fault:
            return
        before = counter.read()
        runs = max(runs, 2 * _IN_FLIGHT) if self._pipelined else runs
        self._runs += runs
        try:
            if self._pipelined:
                self._run_pipelined(self._program, runs, alive)
            else:
                self._run(self._program, runs, alive)
        except BedsideError as error:
            self.fault = str(error)
        after = counter.read()
        spent = None if before is None or after is None else counter.joules(before, after)
        self._counted = self._counted and spent is not None
        self._spent += spent or 0.0

    def _run(self, program: Program, runs: int, alive: Callable[[], None]) -> None:
        for _ in range(runs):
            start = time.perf_counter()
            program.run(self._feeds)
            self.ms.append((time.perf_counter() - start) * 1e3)
            alive()

    def _run_pipelined(self, program: Program, runs: int, alive: Callable[[], None]) -> None:
        """As windows and frames are run: the next one is under way while one is waited for.

        Two that are computed at once are done at about the same time, so what is timed is two of them, halved.
        """
        waiting: deque[Pending] = deque(program.submit(self._feeds) for _ in range(_IN_FLIGHT))
        done = [time.perf_counter()]
        for number in range(runs):
            waiting.popleft().result()
            done.append(time.perf_counter())
            if number < runs - _IN_FLIGHT:
                waiting.append(program.submit(self._feeds))
            alive()
        spans = zip(done, done[_IN_FLIGHT:], strict=False)
        self.ms += [(end - start) * 1e3 / _IN_FLIGHT for start, end in spans]

    def close(self) -> None:
        if self._program is not None:
            with suppress(BedsideError):
                self._program.close()


def _open(entry: Mapping[str, Any]) -> Program:
    # As a run opens it: what is measured is what will be used.
    set_once()
    options = Options(threads=int(entry["threads"]), in_flight=_IN_FLIGHT, hint=entry["hint"])
    return open_program(Path(entry["model"]), entry["device"], options)


def _feeds(program: Program, shape: list[int]) -> Tensors:
    """Noise of mean 0 and deviation 1, the same every time: networks see standardised intensities, mostly."""
    (spec,) = program.inputs
    noise = np.random.default_rng(_SEED).standard_normal(shape, np.float32)
    return {spec.name: np.ascontiguousarray(noise, spec.dtype)}


def _resident(key: str) -> int | None:
    """Bytes in memory of this process, now (VmRSS) or at most so far (VmHWM); proc_pid_status(5)."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return None
