"""The command line: a thin face over the Python API. Exit codes 3 to 8 are those of :mod:`bedside.runtime.errors`."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from . import console
from .errors import BedsideError, DeliveryError
from .geometry import ACCEPTABLE

app = typer.Typer(
    name="bedside",
    help="A trained model on a DICOM study: findings as DICOM SEG, SR and key images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bundle_app = typer.Typer(help="Check, make and import model bundles.", no_args_is_help=True)
study_app = typer.Typer(help="Look at a study before anything runs on it.", no_args_is_help=True)
bench_app = typer.Typer(help="Measure this host beside the peers that are installed on it.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")
app.add_typer(bundle_app, name="bundle")
app.add_typer(study_app, name="study")

JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the answer as JSON; - is standard output.")
]
AcceptOption = Annotated[
    str,
    typer.Option(
        "--accept",
        metavar="KIND,...",
        help="Go on in spite of these findings of the geometry gate: " + ", ".join(sorted(ACCEPTABLE)) + ".",
    ),
]
# Not Path, which makes the current folder of an empty text, as an unset variable of the shell gives it.
StudyArgument = Annotated[str, typer.Argument(help="A DICOM file, a folder of them, or a DICOMDIR.")]
BundleArgument = Annotated[str, typer.Argument(help="A bundle folder, or the name of one that ships with bedside.")]
StudyOption = Annotated[str | None, typer.Option("--study", metavar="UID", help="Which study, if there are several.")]


@contextmanager
def _one_line_errors(json_file: Path | None = None) -> Iterator[None]:
    """Turn a refusal into one line on standard error, an object where JSON was asked for, and an exit code."""
    try:
        console.require_json_target(json_file)
        yield
    except BedsideError as error:
        console.print_error(error)
        with suppress(DeliveryError):
            console.require_json_target(json_file)
            console.write_json(console.describe_error(error), json_file)
        raise typer.Exit(error.exit_code) from None


@dataclass
class _Settings:
    debug: bool = False


_settings = _Settings()


def _accepted(kinds: str) -> frozenset[str]:
    accepted = frozenset(kind.strip() for kind in kinds.split(",") if kind.strip())
    unknown = sorted(accepted - set(ACCEPTABLE))
    if unknown:
        raise typer.BadParameter(f"'{unknown[0]}' is none of: {', '.join(sorted(ACCEPTABLE))}", param_hint="--accept")
    return accepted


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bedside {version('bedside')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an internal error; it may quote the patient's data.")
    ] = False,
) -> None:
    _settings.debug = debug or os.environ.get("BEDSIDE_DEBUG", "") not in ("", "0")


@app.command()
def run(
    bundle: BundleArgument,
    study: StudyArgument,
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="FOLDER", help="Folder for the results; made if it is not there.")
    ],
    device: Annotated[str, typer.Option("--device", help="Which device; see `bedside devices`.")] = "openvino:CPU",
    accept: AcceptOption = "",
    series: Annotated[str | None, typer.Option("--series", metavar="UID", help="Take this series.")] = None,
    study_uid: StudyOption = None,
    instance: Annotated[
        str | None, typer.Option("--instance", metavar="UID", help="Take this image or cine of the series.")
    ] = None,
    label_map: Annotated[bool, typer.Option("--label-map", help="Write the SEG as LABELMAP, not BINARY.")] = False,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Host threads; 0 is every core.")] = 0,
    json_file: JsonOption = None,
) -> None:
    """Run a bundle on a study and write DICOM SEG, SR, key images and result.json."""
    from .pipeline import run as run_study

    accepted = _accepted(accept)
    with _one_line_errors(json_file):
        with console.progress_on_terminal() as progress:
            result = run_study(
                study,
                bundle,
                device,
                out=out,
                accept=accepted,
                series_uid=series,
                study_uid=study_uid,
                instance_uid=instance,
                label_map=label_map,
                threads=threads,
                progress=progress,
            )
        console.write_json(result.to_json(), json_file)
        if str(json_file) != "-":
            console.print_result(result)


@app.command()
def devices(json_file: JsonOption = None) -> None:
    """List the devices of this host: which can be used, and what would make the others usable."""
    from .devices import list_devices

    with _one_line_errors(json_file):
        found = list_devices()
        console.write_json({"devices": [asdict(device) for device in found]}, json_file)
        if str(json_file) != "-":
            console.print_devices(found)


@app.command()
def doctor(json_file: JsonOption = None) -> None:
    """Examine this installation: host, kernels, devices, and every DICOM transfer syntax by decoding an image."""
    from .doctor import examine

    with _one_line_errors(json_file):
        report = examine()
        console.write_json(report.to_json(), json_file)
        if str(json_file) != "-":
            console.print_doctor(report)
    if not report.healthy:
        raise typer.Exit(1)


@study_app.command("show")
def study_show(
    study: StudyArgument,
    bundle: Annotated[str | None, typer.Option("--bundle", help="Say which series this bundle takes.")] = None,
    accept: AcceptOption = "",
    study_uid: StudyOption = None,
    json_file: JsonOption = None,
) -> None:
    """Show the series of a study, the geometry verdict on each, and what a bundle would select."""
    from .overview import overview

    accepted = _accepted(accept)
    with _one_line_errors(json_file):
        shown = overview(study, bundle, accept=accepted, study_uid=study_uid)
        console.write_json(shown.to_json(), json_file)
        if str(json_file) != "-":
            console.print_overview(shown)


@bundle_app.command("check")
def bundle_check(bundle: BundleArgument, json_file: JsonOption = None) -> None:
    """Check a bundle: schema, transforms, files and their SHA-256, and that the model can be read."""
    from .bundle_tools import check_bundle

    with _one_line_errors(json_file):
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
    from .bundle_tools import new_bundle

    with _one_line_errors(json_file):
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
    from .bundle_tools import import_bundle

    with _one_line_errors(json_file):
        report = import_bundle(source, out)
        console.write_json(report, json_file)
        if str(json_file) != "-":
            console.print_made(report)


@bench_app.command("kernels")
def bench_kernels(
    threads: Annotated[int, typer.Option("--threads", min=0, help="Threads of every candidate; 0 is every core.")] = 0,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Timed rounds a candidate.")] = 5,
    only: Annotated[str, typer.Option("--only", metavar="TEXT", help="Only work whose name contains this.")] = "",
    json_file: JsonOption = None,
) -> None:
    """Time the kernels beside numpy, scipy, MONAI, OpenCV, SimpleITK and the machine's memcpy; takes some minutes."""
    from bedside.benchmarks import kernels, rows

    with _one_line_errors(json_file):
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

    with _one_line_errors(json_file):
        with console.progress_on_terminal() as progress:
            content = whole_path.bench(threads, rounds, slices, progress)
        console.write_json(content, json_file)
        if str(json_file) != "-":
            console.print_table(rows.headline(content), *rows.cells(content))


def main() -> None:
    """Entry point of the ``bedside`` program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal in GBK or plain ASCII cannot show every character: it shows '?' and the run goes on.
            stream.reconfigure(errors="replace")
    # Work folders with a patient's images must go when the program is told to.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except console.OutputLost as lost:
        _output_lost(str(lost))
    except Exception as error:  # the last net: a message may quote a patient's data, so it is shown on request only
        place = _place(error)
        if isinstance(error, OSError) and place.startswith("cli.py:"):
            # This module writes nothing itself but help and version.
            _output_lost((error.strerror or "it is closed").lower())
        if _settings.debug:
            raise
        name = type(error).__name__
        console.print_failure(f"internal error: {name} in {place}; please report it (bedside --debug ... shows more)")
        sys.exit(1)


def _output_lost(reason: str) -> NoReturn:
    # What is still buffered is lost too: it must not be tried again when the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    console.print_failure(f"standard output cannot be written: {reason}; files that were asked for are complete")
    sys.exit(1)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: a second one would stop the cleaning up
    raise SystemExit(128 + number)


def _place(error: BaseException) -> str:
    """File and line of this package where an exception came from."""
    place = "bedside"
    for frame, line in traceback.walk_tb(error.__traceback__):
        package = str(frame.f_globals.get("__package__") or "")
        if package.split(".")[0] == "bedside":
            folder = package.removeprefix("bedside").removeprefix(".runtime").strip(".").replace(".", "/")
            name = Path(frame.f_code.co_filename).name
            place = f"{folder}/{name}:{line}" if folder else f"{name}:{line}"
    return place
