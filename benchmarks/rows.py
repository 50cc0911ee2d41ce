"""Rows of a benchmark: interleaved timing, the JSON object every benchmark writes, and the table made from it.

A file is ``{"environment": {...}, "rows": [...]}``; a row has ``name``, ``ours``, ``unit``, and where they apply
``peer``, ``peer_name``, ``ratio`` (above 1 is better), ``limit_share``, ``goal``, ``met`` (null with ``why``), ``n``.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bedside.runtime.doctor import describe_host, versions


@dataclass(frozen=True)
class Row:
    """One line of a comparison."""

    name: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str | None = None
    ratio: float | None = None
    """How many times better ours is than the peer, from one interleaved run."""
    limit_share: float | None = None
    """Share of the machine's limit that ours reaches, 0 to 1."""
    goal: float | None = None
    """The ratio to reach."""
    met: bool | None = None
    why: str | None = None
    n: int | None = None
    """Rounds of the run."""


def interleaved(candidates: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1) -> dict[str, float]:
    """Median milliseconds of each candidate, timed in turn in every round: a busy machine is fair to all."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(warm_up + rounds):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            if number >= warm_up:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def compare(
    name: str,
    times: Mapping[str, float],
    rounds: int,
    *,
    ours: str = "ours",
    per: int = 1,
    goals: Mapping[str, float] | None = None,
    limit_share: float | None = None,
) -> list[Row]:
    """A row a peer, from the medians of one interleaved run; ``per`` divides (slices, images); ``goals`` are ratios."""
    mine = times[ours] / per
    rows = []
    for peer, ms in times.items():
        if peer == ours:
            continue
        ratio = ms / times[ours]
        goal = (goals or {}).get(peer)
        met = None if goal is None else ratio >= goal
        rows.append(Row(name, mine, "ms", ms / per, peer, ratio, limit_share, goal, met, None, rounds))
    return rows


def absent(name: str, peer: str, why: str) -> Row:
    """The row of a peer that is not installed here."""
    return Row(name, float("nan"), "ms", None, peer, why=why)


def document(rows: Iterable[Row]) -> dict[str, Any]:
    """The JSON object of a run."""
    facts = []
    for row in rows:
        content = {key: value for key, value in asdict(row).items() if value is not None and value == value}
        facts.append(content if row.goal is None and row.why is None else {**content, "met": row.met})
    environment = {**describe_host(), "packages": versions(), "when": datetime.now().isoformat(timespec="seconds")}
    return {"environment": environment, "rows": facts}


def write(path: Path | None, rows: Sequence[Row]) -> None:
    """Write the JSON object; None writes nothing."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document(rows), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def markdown(content: Mapping[str, Any]) -> str:
    """The table of a run's JSON object."""
    lines = ["| what | ours | peer | | ratio |", "|---|---|---|---|---|"]
    for row in content["rows"]:
        if row.get("why"):
            lines.append(f"| {row['name']} | | {row['peer_name']} | {row['why']} | |")
            continue
        peer = "" if row.get("peer") is None else f"{_figure(row['peer'])} {row['unit']}"
        ratio = "" if row.get("ratio") is None else f"{_figure(row['ratio'])}x"
        goal = "" if row.get("goal") is None else f" (goal {row['goal']:g}x: {'met' if row['met'] else 'not met'})"
        ours = f"{_figure(row['ours'])} {row['unit']}"
        lines.append(f"| {row['name']} | {ours} | {row.get('peer_name', '')} | {peer} | {ratio}{goal} |")
    return "\n".join(lines) + "\n"


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
