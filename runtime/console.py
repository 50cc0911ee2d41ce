"""What the command line prints: one error line, tables, progress on a terminal, JSON where it was asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from .errors import BedsideError, StudyRejected
from .stopwatch import Progress as Listener

out = Console()
err = Console(stderr=True)

STAGE_TITLES = {
    "read": "Reading headers",
    "select": "Choosing the series",
    "geometry": "Checking the geometry",
    "open": "Loading the model",
    "decode": "Reading pixels",
    "prepare": "Preparing",
    "compute": "Running the network",
    "finish": "Back to the source grid",
    "measure": "Measuring",
    "write": "Writing and reading back",
}


def write_json(payload: Mapping[str, Any], target: Path | None) -> None:
    """Write ``payload`` to ``target``; ``-`` is standard output, None is nowhere."""
    if target is None:
        return
    text = json.dumps(payload, ensure_ascii=False, indent=2)
    if str(target) == "-":
        sys.stdout.write(text + "\n")
    else:
        target.write_text(text + "\n", encoding="utf-8")


def describe_error(error: BedsideError) -> dict[str, Any]:
    """The object that stands for an error in JSON."""
    payload: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": error.message,
        "mend": error.mend,
        "exit_code": error.exit_code,
    }
    if isinstance(error, StudyRejected) and error.verdict is not None:
        payload["verdict"] = error.verdict.to_json()
    return {"error": payload}


@contextmanager
def progress_on_terminal() -> Iterator[Listener | None]:
    """A progress bar a stage on standard error, or None where nobody is watching."""
    if not err.is_terminal:
        yield None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<26}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def listen(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                for earlier in tasks.values():
                    bars.update(earlier, visible=False)
                tasks[stage] = bars.add_task(STAGE_TITLES.get(stage, stage), total=None)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield listen


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A plain table; cells are shown as they print."""
    table = Table(title=title, title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    out.print(table)
    out.print()
