"""`bedside bundle`: check, make and import model bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import console
from .options import BundleArgument, JsonOption, one_line_errors
from .program import app

bundle_app = typer.Typer(help="Check, make and import model bundles.", no_args_is_help=True)
app.add_typer(bundle_app, name="bundle")


@bundle_app.command("check")
def bundle_check(bundle: BundleArgument, json_file: JsonOption = None) -> None:
    """Check a bundle: schema, transforms, files and their SHA-256, and that the model can be read."""
    from ..bundle.check import check_bundle

    with one_line_errors(json_file):
        report = check_bundle(bundle)
        console.write_json(report, json_file)
        if str(json_file) != "-":
            console.print_facts(f"{report['name']} {report['version']}: the bundle is sound", report)


@bundle_app.command("new")
def bundle_new(
    model: Annotated[Path, typer.Argument(help="The ONNX model.")],
    out: Annotated[Path, typer.Argument(help="The bundle folder to make.")],
    kind: Annotated[str, typer.Option("--kind", help="segmentation or classification.")] = "segmentation",
    modality: Annotated[str, typer.Option("--modality", help="DICOM modality that the model takes.")] = "CT",
    json_file: JsonOption = None,
) -> None:
    """Make a bundle around an ONNX model, with everything that the model file says filled in."""
    from ..bundle.make import new_bundle

    with one_line_errors(json_file):
        report = new_bundle(model, out, kind=kind, modality=modality)
        console.write_json(report, json_file)
        if str(json_file) != "-":
            console.print_made(report)


@bundle_app.command("import")
def bundle_import(
    source: Annotated[Path, typer.Argument(help="A MONAI bundle: a folder or a zip with models/model.onnx in it.")],
    out: Annotated[Path, typer.Argument(help="The bundle folder to make.")],
    json_file: JsonOption = None,
) -> None:
    """Turn a MONAI bundle into a bedside bundle and say what must still be filled in."""
    from ..bundle.make import import_bundle

    with one_line_errors(json_file):
        report = import_bundle(source, out)
        console.write_json(report, json_file)
        if str(json_file) != "-":
            console.print_made(report)


@bundle_app.command("golden")
def bundle_golden(
    bundle: Annotated[Path, typer.Argument(help="The bundle folder.")],
    study: Annotated[
        list[str] | None, typer.Option("--study", help="Copy this de-identified DICOM study into it as a new case.")
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", help="A device that must give it; default openvino:CPU and ort:cpu."),
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Host threads; 0 is every core.")] = 0,
    json_file: JsonOption = None,
) -> None:
    """Write what a bundle's golden cases must give, where several devices agree on it."""
    from ..golden.make import DEVICES, make_golden

    with one_line_errors(json_file):
        with console.progress_on_terminal() as progress:
            report = make_golden(bundle, study or (), devices=device or DEVICES, threads=threads, progress=progress)
        console.write_json(report, json_file)
        if str(json_file) != "-":
            rows = [tuple(case.values()) for case in report["cases"]]
            console.print_table(f"Golden cases of {report['bundle']}", ("study", "expect", "findings", "windows"), rows)
