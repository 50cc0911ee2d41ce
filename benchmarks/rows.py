"""Rows of a benchmark: interleaved timing, the JSON object every benchmark writes, and the table made from it.

A file is ``{"environment": {...}, "rows": [...]}``; a row has ``name``, ``ours``, ``unit``, and where they apply
``peer``, ``peer_name``, ``ratio`` (above 1 is better), ``limit_share``, ``goal``, ``met`` (null with ``why``), ``n``.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
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
    reasons: Mapping[str, str] | None = None,
) -> list[Row]:
    """A row a peer, from the medians of one interleaved run.

    ``per`` divides (slices, images); ``goals`` are ratios; ``reasons`` say, by peer, why a goal is not reached.
    """
    mine = times[ours] / per
    rows = []
    for peer, ms in times.items():
        if peer == ours:
            continue
        ratio = ms / times[ours]
        goal = (goals or {}).get(peer)
        met = None if goal is None else ratio >= goal
        why = (reasons or {}).get(peer) if met is False else None
        rows.append(Row(name, mine, "ms", ms / per, peer, ratio, limit_share, goal, met, why, rounds))
    return rows


def absent(name: str, peer: str, why: str, ours: float = float("nan"), goal: float | None = None) -> Row:
    """The row of a peer that is not installed here."""
    return Row(name, ours, "ms", None, peer, goal=goal, why=why)


def document(rows: Iterable[Row], **environment_too: Any) -> dict[str, Any]:
    """The JSON object of a run; further facts of the environment by name."""
    facts = []
    for row in rows:
        content = {key: value for key, value in asdict(row).items() if value is not None and value == value}
        facts.append(content if row.goal is None and row.why is None else {**content, "met": row.met})
    environment = {**describe_host(), "packages": versions(), "when": datetime.now().isoformat(timespec="seconds")}
    return {"environment": {**environment, **environment_too}, "rows": facts}


def write(path: Path | None, content: Mapping[str, Any]) -> None:
    """Write the JSON object of a run; None writes nothing."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def cells(content: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Titles and cells of the table of a run's JSON object; columns that no row fills are left out."""
    rows = [[cell(row) for cell in COLUMNS.values()] for row in content["rows"]]
    keep = [n for n, title in enumerate(COLUMNS) if title not in OPTIONAL or any(row[n] for row in rows)]
    return [list(COLUMNS)[n] for n in keep], [[row[n] for n in keep] for row in rows]


def markdown(content: Mapping[str, Any]) -> str:
    """The table as Markdown."""
    titles, rows = cells(content)
    return "".join(f"| {' | '.join(line)} |\n" for line in (titles, ["---"] * len(titles), *rows))


def headline(content: Mapping[str, Any]) -> str:
    """The machine that the figures hold for."""
    host = content["environment"]
    facts = [host["processor"], f"{host['cores']} cores", f"kernels for {host['kernels']}"]
    if limits := host.get("limits"):
        facts.append(
            f"memcpy {limits['memcpy_gb_per_s']:.1f} GB/s (read and written), read {limits['read_gb_per_s']:.1f} GB/s"
        )
    return f"{', '.join(facts)}; {host['when'][:10]}"


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _quantity(row: Mapping[str, Any], key: str) -> str:
    return f"{_figure(row[key])} {row['unit']}" if key in row else ""


def _goal(row: Mapping[str, Any]) -> str:
    goal = f"{row['goal']:g}x" if "goal" in row else ""
    met = {True: "met", False: "not met", None: ""}[row.get("met")] if goal else ""
    return ", ".join(filter(None, (f"{goal} {met}".strip(), row.get("why", ""))))


COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "what": lambda row: str(row["name"]),
    "ours": lambda row: _quantity(row, "ours"),
    "peer": lambda row: str(row.get("peer_name", "")),
    "its time": lambda row: _quantity(row, "peer"),
    "ratio": lambda row: f"{_figure(row['ratio'])}x" if "ratio" in row else "",
    "goal": _goal,
    "memcpy": lambda row: f"{_figure(row['ours'] * row['limit_share'])} {row['unit']}" if "limit_share" in row else "",
    "share": lambda row: f"{row['limit_share']:.0%}" if "limit_share" in row else "",
    "n": lambda row: str(row.get("n", "")),
}
"""What the table shows of a row, by title; memcpy is the time of moving the same bytes in the same run."""
OPTIONAL = frozenset({"goal", "memcpy", "share", "n"})
