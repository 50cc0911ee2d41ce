"""`bedside bench`: this host beside the peers that are installed on it."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import console
from .options import JsonOption, one_line_errors
from .program import app

bench_app = typer.Typer(help="Measure this host beside the peers that are installed on it.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")


@bench_app.command("kernels")
def bench_kernels(
    threads: Annotated[int, typer.Option("--threads", min=0, help="Threads of every candidate; 0 is every core.")] = 0,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Timed rounds a candidate.")] = 5,
    only: Annotated[str, typer.Option("--only", metavar="TEXT", help="Only work whose name contains this.")] = "",
    json_file: JsonOption = None,
) -> None:
    """Time the kernels beside numpy, scipy, MONAI, OpenCV, SimpleITK and the machine's memcpy; takes some minutes."""
    from bedside.benchmarks import kernels, rows

    with one_line_errors(json_file):
        with console.progress_on_terminal() as progress:
            content = kernels.bench(threads, rounds, only, progress)
        console.write_json(content, json_file)
        if str(json_file) != "-":
            console.print_table(rows.headline(content), *rows.cells(content))


@bench_app.command("path")
def bench_path(
    threads: Annotated[int, typer.Option("--threads", min=0, help="Threads of every candidate; 0 is every core.")] = 0,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Timed rounds a candidate.")] = 3,
    slices: Annotated[int, typer.Option("--slices", min=40, help="Slices of the phantom CT, 1 mm each.")] = 300,
    json_file: JsonOption = None,
) -> None:
    """Time everything around the network, DICOM files to DICOM SEG, beside pydicom, MONAI, scipy and highdicom."""
    from bedside.benchmarks import rows, whole_path

    with one_line_errors(json_file):
        with console.progress_on_terminal() as progress:
            content = whole_path.bench(threads, rounds, slices, progress)
        console.write_json(content, json_file)
        if str(json_file) != "-":
            console.print_table(rows.headline(content), *rows.cells(content))


@bench_app.command("overhead")
def bench_overhead(
    threads: Annotated[int, typer.Option("--threads", min=0, help="Threads of both sides; 0 is every core.")] = 0,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Timed rounds of the largest network.")] = 7,
    only: Annotated[
        str, typer.Option("--only", metavar="TEXT", help="Only parts whose name contains this: run, cine, copy, cold.")
    ] = "",
    json_file: JsonOption = None,
) -> None:
    """Time the backends beside the libraries called directly, pipelined runs, and a cold start; takes some minutes."""
    from bedside.benchmarks import overhead, rows

    with one_line_errors(json_file):
        with console.progress_on_terminal() as progress:
            content = overhead.bench(threads, rounds, only, progress)
        console.write_json(content, json_file)
        if str(json_file) != "-":
            console.print_table(rows.headline(content), *rows.cells(content))
