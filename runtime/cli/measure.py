"""`bedside measure`: the table that a policy of `bedside run` chooses a device by."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import console
from ..measure import Table, milliseconds
from .options import BundleArgument, JsonOption, one_line_errors
from .program import app

_COLUMNS = (
    "device",
    "precision",
    "cold p50 ms",
    "cold p99",
    "warm p50 ms",
    "warm p99",
    "runs",
    "memory MB",
    "J a run",
    "proof",
    "why not",
)


@app.command()
def measure(
    bundle: BundleArgument,
    device: Annotated[
        list[str] | None, typer.Option("--device", help="Measure this device; may be repeated. Default: all of them.")
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option("--precision", help="Measure this model of the bundle; may be repeated. Default: f32."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Some seconds a device, as a first run does it.")] = False,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Host threads; 0 is every core.")] = 0,
    json_file: JsonOption = None,
) -> None:
    """Measure a bundle's network on the devices of this host, in turns, and keep the table for `run --policy`.

    The file of --json is such a table too: keep it, edit it, give it to `run --policy ... --table FILE`.
    """
    from ..measure import measure as measure_devices

    with one_line_errors(json_file):
        with console.progress_on_terminal() as progress:
            table = measure_devices(
                bundle, device, precisions=precision or ("f32",), quick=quick, threads=threads, progress=progress
            )
        console.write_json(table.to_json(), json_file)
        if str(json_file) != "-":
            _print(table)


def _print(table: Table) -> None:
    rows = [
        (
            row.device,
            row.precision,
            _ms(row.cold_p50),
            _ms(row.cold_p99),
            _ms(row.warm_p50),
            _ms(row.warm_p99),
            row.runs,
            "" if row.memory is None else f"{row.memory / 1e6:.0f}",
            "not measured" if row.joules is None else f"{row.joules:.3g} ({row.joules_source})",
            row.proof,
            row.fault,
        )
        for row in table.rows
    ]
    by = "x".join(str(size) for size in table.rows[0].shape)
    console.print_table(f"{table.bundle}, one run of the network on {by}", _COLUMNS, rows)
    for reason in dict.fromkeys(row.joules_source for row in table.rows if row.joules is None):
        console.out.print(f"energy {reason}", markup=False, highlight=False, soft_wrap=True)
    console.out.print(f"kept in {table.place}", markup=False, highlight=False, soft_wrap=True)


def _ms(value: float | None) -> str:
    return "" if value is None else milliseconds(value)
