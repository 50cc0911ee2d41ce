"""`bedside quantize`: a bundle's network in INT8 or FP16, with what it was measured to give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import console
from .options import BundleArgument, JsonOption, one_line_errors
from .program import app

if TYPE_CHECKING:
    from ..quantize.make import Made


@app.command()
def quantize(
    bundle: BundleArgument,
    calib: Annotated[
        list[str] | None,
        typer.Option(
            "--calib",
            metavar="STUDIES",
            help="Studies to calibrate INT8 with: one, a folder of them, or a .json of phantoms; may be repeated.",
        ),
    ] = None,
    precision: Annotated[str, typer.Option("--precision", help="int8 or f16.")] = "int8",
    measure: Annotated[
        list[str] | None,
        typer.Option("--measure", metavar="STUDIES", help="Studies to compare with f32 on, beside the golden cases."),
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option("--device", help="Measure on this device; may be repeated. First: runs f32.")
    ] = None,
    windows: Annotated[int, typer.Option("--windows", min=1, help="Most windows or images to calibrate with.")] = 128,
    reduced_range: Annotated[
        bool, typer.Option("--reduced-range", help="INT8 weights of 7 bits, exact on processors without VNNI.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FOLDER", help="Leave the bundle alone and write a copy here.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Host threads; 0 is every core.")] = 0,
    json_file: JsonOption = None,
) -> None:
    """Make a bundle's network in INT8 or FP16, measure it beside f32 here, and keep an accuracy card with it."""
    from ..quantize.make import quantize as make

    with one_line_errors(json_file):
        with console.progress_on_terminal() as progress:
            made = make(
                bundle,
                precision,
                calibrate=calib or (),
                measure=measure or (),
                devices=device or (),
                windows=windows,
                reduced_range=reduced_range,
                out=out,
                threads=threads,
                progress=progress,
            )
        console.write_json(made.to_json(), json_file)
        if str(json_file) != "-":
            _print(made)


def _print(made: Made) -> None:
    model, method = made.content["model"], made.content["method"]
    facts = {
        "model": f"{model['bytes'] / 1e6:.2f} MB, f32 {model['f32_bytes'] / 1e6:.2f} MB",
        "made by": method["tool"],
        "accuracy": made.content["summary"],
        "card": made.card.name,
    }
    if method["calibration_studies"]:
        facts["calibrated"] = f"{method['calibration_windows']} windows of {method['calibration_studies']} studies"
    console.print_facts(
        f"{made.content['precision']} is now in {made.root}: run --precision {made.content['precision']}", facts
    )
    rows: list[tuple[str | None, ...]] = []
    for row in made.rows:
        if row.score is None:
            rows.append((row.device, "refused", None, None, None, None, None, None))
            continue
        gates = [{True: "passes", False: "fails", None: "not known"}[row.score.gates[gate]] for gate in row.score.gates]
        value = None if row.score.value is None else f"{row.score.value:.5f}"
        shown = f"{row.f32_ms:.2f}", f"{row.ms:.2f}", f"{row.speedup:.2f}x" if row.speedup else None
        rows.append((row.device, value, *gates, f"{row.max_error:.3g} of {row.largest:.3g}", *shown))
    metric = next((row.score.name for row in made.rows if row.score), "")
    columns = (
        "device",
        metric,
        "99 % gate",
        "99.9 % gate",
        "raw output off by",
        "f32 ms",
        "ms",
        "speed, measured here",
    )
    console.print_table("Beside f32 on this host, in turns", columns, rows)
    for sentence in made.advice:
        console.out.print(f"! {sentence}", markup=False, highlight=False, soft_wrap=True)
