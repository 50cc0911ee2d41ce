"""What the command line prints: one error line, tables, progress on a terminal, JSON where it was asked for."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from .errors import BedsideError, DeliveryError, StudyRejected
from .image import Cine, Image, Volume
from .select import NoSeries
from .stopwatch import Progress as Listener
from .study.header import printable

if TYPE_CHECKING:
    from bedside.backends.contract import Device

    from .doctor import Report
    from .overview import Overview
    from .pipeline import Result

_PLAIN_WIDTH = 200
"""Columns where the output is no terminal: a table in a log or a pipe is not folded at 80."""
_SHOWN = 20
"""Findings that are listed on the screen; result.json has all of them."""
_NAMED = 3
"""Skipped files that are named on the screen; result.json names all of them."""


class OutputLost(Exception):
    """Standard output cannot be written: a full disk, or a pipe whose reader has gone."""

    def __init__(self, error: OSError) -> None:
        super().__init__((error.strerror or "it is closed").lower())


class _Output(Console):
    """Standard output, the loss of which is one exception."""

    def on_broken_pipe(self) -> None:
        """Not rich's silent exit: the caller says what was lost, and that the results were not."""
        raise OutputLost(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich prints.

        Raises
        ------
        OutputLost
            It cannot be written.
        """
        try:
            super().print(*objects, **options)
        except OSError as error:
            raise OutputLost(error) from error


out = _Output(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PLAIN_WIDTH)
err = Console(stderr=True)

STAGE_TITLES = {
    "bundle": "Loading the bundle",
    "read": "Reading headers",
    "select": "Choosing the series",
    "choose": "Choosing the device",
    "open": "Loading the model",
    "geometry": "Checking the geometry",
    "decode": "Reading pixels",
    "prepare": "Preparing",
    "infer": "Running the network",
    "finish": "Back to the source grid",
    "measure": "Measuring",
    "report": "Writing and reading back",
}


def require_json_target(target: Path | None) -> None:
    """Refuse a file that could not be written, before any work is done for it.

    Raises
    ------
    DeliveryError
        ``target`` is a folder, or lies in no folder.
    """
    if target is None or str(target) == "-":
        return
    if target.is_dir():
        raise DeliveryError(f"{printable(target)} is a folder", mend="give a file for --json")
    if not target.absolute().parent.is_dir():
        raise DeliveryError(f"{printable(target)} cannot be written: no such folder", mend="choose another file")


def write_json(payload: Mapping[str, Any], target: Path | None) -> None:
    """Write ``payload`` to ``target``; ``-`` is standard output, None is nowhere.

    Raises
    ------
    DeliveryError
        The file cannot be written.
    OutputLost
        Standard output cannot be written.
    """
    if target is None:
        return
    if str(target) == "-":
        # Where standard output is not Unicode, JSON's own escapes keep every character.
        unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        try:
            sys.stdout.write(json.dumps(payload, ensure_ascii=not unicode, indent=2) + "\n")
            sys.stdout.flush()
        except OSError as error:
            raise OutputLost(error) from error
        return
    try:
        target.write_text(json.dumps(payload, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        name = printable(target)
        raise DeliveryError(f"{name} cannot be written: {error.strerror}", mend="choose another file") from error


def print_error(error: BedsideError) -> None:
    """An error as one line on standard error, however narrow the terminal."""
    line = " ".join(str(error).split())
    err.print(f"bedside: {line}", style="bold red", markup=False, highlight=False, soft_wrap=True)


def print_failure(line: str) -> None:
    """What is no refusal, as one line on standard error."""
    err.print(f"bedside: {line}", style="bold red", markup=False, highlight=False, soft_wrap=True)


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
    if isinstance(error, NoSeries):
        payload["selection"] = error.selection.to_json()
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
                tasks[stage] = bars.add_task(STAGE_TITLES.get(stage, stage), total=None, visible=False)
            # Frame by frame the stages take turns: the one that counts is the one to see.
            for name, task in tasks.items():
                bars.update(task, visible=name == stage)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield listen


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A plain table; cells are shown as they print, a column that is empty in every row is left out."""
    table = Table(show_edge=False, pad_edge=False)
    kept = [index for index in range(len(columns)) if not rows or any(row[index] not in (None, "") for row in rows)]
    for index in kept:
        # What a row is found by stays in one piece.
        table.add_column(columns[index], overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(_plain(row[index]) for index in kept))
    out.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
    out.print(table)
    out.print()


def _plain(cell: object) -> Text:
    """A cell as text and nothing else: a header may hold what looks like markup, or control characters."""
    text = "" if cell is None else str(cell)
    return Text("".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text))


def print_facts(title: str, facts: Mapping[str, Any]) -> None:
    """A title and one line a fact; a list of names is one line, a list of sentences one line each."""
    out.print(title, style="bold", markup=False, soft_wrap=True)
    for name, value in facts.items():
        items = list(value) if isinstance(value, list | tuple) else [value]
        if all(" " not in str(item) for item in items):
            items = [", ".join(str(item) for item in items)]
        for item in items:
            out.print(f"  {name.replace('_', ' ')}: {item}", markup=False, highlight=False, soft_wrap=True)


def print_made(report: Mapping[str, Any]) -> None:
    """A bundle that was made, and what its maker must still fill in."""
    facts = {name: value for name, value in report.items() if name not in ("bundle", "fill_in")}
    print_facts(f"{report['bundle']} was made", facts)
    if report["fill_in"]:
        out.print("Still to be filled in, then `bedside bundle check`:", style="bold", markup=False)
    for item in report["fill_in"]:
        out.print(f"  {item}", markup=False, highlight=False, soft_wrap=True)


def print_devices(devices: Sequence[Device]) -> None:
    """One row a device; what cannot be used says why and what to do."""
    rows = [
        (
            device.id,
            device.name,
            "yes" if device.available else "no",
            "" if device.available else f"{device.reason}: {device.mend}" if device.mend else device.reason,
        )
        for device in devices
    ]
    print_table("Devices", ("device", "name", "usable", "why not, and what to do"), rows)


def print_doctor(report: Report) -> None:
    """Host, packages, devices, decoders, and what is wrong."""
    host = {**report.host, "memory": f"{report.host['memory_bytes'] / 2**30:.1f} GiB"}
    print_facts("Host", {name: value for name, value in host.items() if name != "memory_bytes"})
    out.print()
    print_table("Packages", ("package", "version"), [(n, v or "not installed") for n, v in report.packages.items()])
    print_devices(report.devices)
    rows = [
        (row.uid, row.name, row.decoder, f"{row.ms:.2f}" if row.proved else "", "proved" if row.proved else row.reason)
        for row in report.decoders
    ]
    print_table("Transfer syntaxes, each proved by decoding an image", ("UID", "name", "decoder", "ms", "state"), rows)
    for problem in report.problems:
        out.print(f"! {problem}", style="bold red", markup=False, soft_wrap=True)
    if report.healthy:
        out.print("Nothing is wrong with this installation.", style="green")


def print_overview(shown: Overview) -> None:
    """The series of a study with their verdicts, and what the bundle takes."""
    chosen = shown.selection.chosen if shown.selection is not None else None
    reasons = {} if shown.selection is None else dict(shown.selection.reasons)
    if chosen is not None:
        reasons[chosen.uid] = "taken"
    rows = []
    for one in shown.series:
        series, first = one.series, one.series.frames[0]
        damaged = f"{series.damaged[0].name}: {series.damaged[0].reason}" if series.damaged else ""
        verdict = ""
        if one.verdict is not None:
            verdict = one.verdict.message if one.verdict.accepted else f"{one.verdict.message} ({one.verdict.mend})"
        rows.append(
            (
                series.number,
                series.modality,
                series.description,
                f"{len(series.frames)} x {first.rows} x {first.columns}",
                series.kind,
                damaged or verdict,
                reasons.get(series.uid, ""),
            )
        )
    columns = ("series", "modality", "description", "frames x rows x columns", "kind", "geometry", "selection")
    print_table(f"Study {shown.study.study_uid}", columns, rows)
    gate = [f"series {one.series.number}: {note}" for one in shown.series if one.verdict for note in one.verdict.notes]
    for note in (*shown.study.notes, *gate):
        out.print(f"note: {note}", markup=False, soft_wrap=True)
    for skipped in shown.study.skipped:
        out.print(f"skipped {skipped.name}: {skipped.reason}", markup=False, soft_wrap=True)
    if shown.bundle is not None and chosen is None:
        out.print(f"{shown.bundle.name} takes none of these series", style="bold red", markup=False, soft_wrap=True)


def print_result(result: Result) -> None:
    """What was found, how long each stage took, and where the files are."""
    findings = result.findings
    if findings.kind == "segmentation":
        place = "slice" if isinstance(result.source, Volume) else "frame" if isinstance(result.source, Cine) else ""
        lesions = [
            (
                lesion.number,
                lesion.name,
                "" if lesion.volume_mm3 is None else f"{lesion.volume_mm3:.0f}",
                "" if lesion.area_mm2 is None or lesion.volume_mm3 is not None else f"{lesion.area_mm2:.1f}",
                _length(lesion.longest_diameter_mm, lesion.longest_diameter_px),
                "" if lesion.mean is None else f"{lesion.mean:.0f} ± {lesion.std:.0f}",
                lesion.key_slice + 1 if place else "",
                _instance_number(result.source, lesion.key_slice),
            )
            for lesion in findings.lesions
        ]
        title = f"{len(lesions)} found by {result.bundle.name} {result.bundle.version} on {result.provenance.device}"
        columns = ("no.", "finding", "volume mm³", "area mm²", "longest diameter", "mean ± SD", place, "instance")
        if lesions:
            print_table(title, columns, lesions[:_SHOWN])
        else:
            out.print(title, style="bold", markup=False, soft_wrap=True)
        if len(lesions) > _SHOWN:
            out.print(f"and {len(lesions) - _SHOWN} more, all in result.json", markup=False)
    else:
        scores = [(s.name, f"{s.probability:.3f}", "positive" if s.positive else "negative") for s in findings.scores]
        title = f"{result.bundle.name} {result.bundle.version} on {result.provenance.device}"
        print_table(title, ("class", "probability", "against its threshold"), scores)
    for line in _decision(result.provenance.decision):
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    if result.provenance.proof.proved:
        out.print(f"{result.provenance.device}: {result.provenance.proof.text}", markup=False, soft_wrap=True)
    for note in (*findings.notes, *result.provenance.notes, *_skipped(result)):
        out.print(f"note: {note}", markup=False, soft_wrap=True)
    times = ", ".join(f"{name} {ms:.0f}" for name, ms in result.stage_ms.items())
    out.print(f"ms: {times}, in all {sum(result.stage_ms.values()):.0f}", markup=False, soft_wrap=True)
    for file in result.files:
        out.print(f"wrote {printable(file.path)}", markup=False, highlight=False, soft_wrap=True)
    out.print("Not for diagnosis.", style="bold")


def _decision(decision: Mapping[str, Any] | None) -> Iterator[str]:
    """Which device a policy chose, and why not another."""
    if decision is None:
        return
    for number, one in enumerate(decision["devices"]):
        yield f"{'policy ' + decision['policy'] if number == 0 else 'then'}: {one['device']}: {one['reason']}"
    for one in decision["left_out"]:
        yield f"left out: {one['device']}: {one['reason']}"


def _skipped(result: Result) -> list[str]:
    """One sentence on the files that were not read, if there are any."""
    skipped = [f"{name} ({reason})" for name, reason in result.provenance.skipped]
    if not skipped:
        return []
    were = "1 file was" if len(skipped) == 1 else f"{len(skipped)} files were"
    more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
    return [f"{were} skipped: {', '.join(skipped[:_NAMED])}{more}"]


def _instance_number(source: Volume | Image | Cine, index: int) -> int | None:
    """Of the slice of a volume that a viewer shows by it; None where the slice was resampled."""
    frame = source.frames[index] if isinstance(source, Volume) else None
    return None if frame is None else frame.instance_number


def _length(mm: float | None, px: float | None) -> str:
    if mm is not None:
        return f"{mm:.1f} mm"
    return "" if px is None else f"{px:.1f} pixels"
