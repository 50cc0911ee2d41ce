"""What a variant gives beside f32 on this host: findings, raw outputs and speed, device by device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bedside.backends.contract import Array, Options, Program

from ..bundle.load import Bundle, Variant
from ..devices import open_program
from ..errors import BedsideError, DeviceFault, DeviceUnavailable
from ..int8_host import require_exact
from ..pipeline import run
from ..stopwatch import Progress
from ..study import load_study
from .agreement import Agreement, Score, compare, score
from .record import Recorder
from .studies import Case

STAGE = "evaluate"
_WINDOWS = 4
"""Windows of each case whose raw outputs are compared."""
_TIMED_S = 3.0
_TIMED_RUNS = (5, 200)


@dataclass
class Row:
    """What a variant gives on one device."""

    device: str
    name: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    refused: str = ""
    """Why it cannot be used there; nothing else is known then."""
    score: Score | None = None
    cases: dict[str, Agreement] = field(default_factory=dict)
    max_error: float = 0.0
    """Largest difference of a raw output."""
    largest: float = 0.0
    """Largest raw output of f32, which ``max_error`` is to be seen beside."""
    cosine: float = 1.0
    """Lowest cosine similarity of a window's raw output."""
    f32_ms: float = 0.0
    ms: float = 0.0
    """Medians of one window, the two run in turns."""
    runs: int = 0

    @property
    def speedup(self) -> float | None:
        return self.f32_ms / self.ms if self.ms else None

    def to_json(self) -> dict[str, Any]:
        if self.refused or self.score is None:
            return {"device": self.device, "refused": self.refused}
        return {
            "device": self.device,
            "name": self.name,
            "versions": self.versions,
            "metric": self.score.name,
            "value": self.score.value,
            "gates": self.score.gates,
            "cases": [{"name": name, **case.to_json()} for name, case in self.cases.items()],
            "raw_output": {"max_error": self.max_error, "largest": self.largest, "lowest_cosine": self.cosine},
            "speed": {"f32_ms": self.f32_ms, "ms": self.ms, "speedup": self.speedup, "runs_each": self.runs},
        }


@dataclass
class _Pair:
    """One device with both networks open."""

    row: Row
    f32: Program
    other: Program


def evaluate(
    bundle: Bundle,
    variant: Variant,
    devices: Sequence[str],
    cases: Sequence[Case],
    refused: Mapping[str, str],
    *,
    threads: int = 0,
    progress: Progress | None = None,
) -> list[Row]:
    """Run f32 and a variant on every case, the variant on every device, and time the two beside each other.

    Parameters
    ----------
    variant
        It need not be in the bundle yet.
    devices
        The first runs f32 for the comparison.
    refused
        Devices that are not to be tried with the variant, and why.
    threads
        Host threads; 0 is every core.

    Raises
    ------
    BedsideError
        A study, or f32 on the first device, cannot be run. A device that refuses the variant is a row that says so.
    """
    options = Options(threads=threads, in_flight=2)
    rows: list[Row] = []
    pairs: list[_Pair] = []
    with ExitStack() as stack:
        reference = _opened(stack, bundle.variant("f32").path, devices[0], options)
        for device in devices:
            row = Row(device, refused=refused.get(device, ""))
            rows.append(row)
            if row.refused:
                continue
            try:
                if variant.precision == "int8":
                    require_exact(device, variant)
                f32 = reference if device == devices[0] else _opened(stack, bundle.variant("f32").path, device, options)
                other = _opened(stack, variant.path, device, options)
            except (DeviceUnavailable, DeviceFault) as error:
                row.refused = str(error)
                continue
            row.name, row.versions = other.device.name, dict(other.device.versions)
            pairs.append(_Pair(row, f32, other))
        windows: list[Array] = []
        for number, case in enumerate(cases):
            if progress:
                progress(STAGE, number, len(cases))
            windows += _case(bundle, reference, pairs, case, number, threads)
        for pair in pairs:
            pair.row.score = score(list(pair.row.cases.values()), bundle.meta.result.kind)
            if windows:
                _time(pair, windows[0])
    if progress:
        progress(STAGE, len(cases), len(cases))
    return rows


def _opened(stack: ExitStack, path: Path, device: str, options: Options) -> Program:
    program = open_program(path, device, options)
    stack.callback(program.close)
    return program


def _case(
    bundle: Bundle, reference: Program, pairs: Sequence[_Pair], case: Case, number: int, threads: int
) -> list[Array]:
    """One case on f32 and on every device; returns some of the windows that the network was fed."""
    recorder = Recorder(reference, _WINDOWS, seed=number)
    try:
        with case.files() as path:
            study = load_study(path)
            right = run(study, bundle, recorder, threads=threads).findings
            for pair in pairs:
                found = run(study, bundle, pair.other, threads=threads).findings
                pair.row.cases[case.name] = compare(right, found)
    except BedsideError as error:
        raise type(error)(f"{case.name}: {error.message}", mend=error.mend) from error
    for pair in pairs:
        for window in recorder.windows:
            _raw(pair, bundle.output.name, reference, window)
    return recorder.windows


def _raw(pair: _Pair, output: str, reference: Program, window: Array) -> None:
    """Compare what the two networks give before anything is made of it."""
    right, given = (
        program.run({program.inputs[0].name: window})[output].astype(np.float64).ravel()
        for program in (reference, pair.other)
    )
    row, lengths = pair.row, float(np.linalg.norm(right) * np.linalg.norm(given))
    row.max_error = max(row.max_error, float(np.abs(right - given).max()))
    row.largest = max(row.largest, float(np.abs(right).max()))
    row.cosine = min(row.cosine, float(right @ given) / lengths if lengths else 1.0)


def _time(pair: _Pair, window: Array) -> None:
    """Run the two in turns, so that what else the machine does hits both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    feeds = [{program.inputs[0].name: window} for program in (pair.f32, pair.other)]
    for program, feed in zip((pair.f32, pair.other), feeds, strict=True):
        program.run(feed)
    begin = time.perf_counter()
    least, most = _TIMED_RUNS
    while len(times[0]) < least or (time.perf_counter() - begin < _TIMED_S and len(times[0]) < most):
        for program, feed, taken in zip((pair.f32, pair.other), feeds, times, strict=True):
            since = time.perf_counter()
            program.run(feed)
            taken.append((time.perf_counter() - since) * 1e3)
    pair.row.f32_ms, pair.row.ms = (statistics.median(taken) for taken in times)
    pair.row.runs = len(times[0])
