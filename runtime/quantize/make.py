"""`bedside quantize`: calibrate, quantise, measure beside f32, and put the variant with its card into the bundle."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bedside.backends.contract import Options

from .. import child
from ..bundle.load import Bundle, Variant, load_bundle, sha256_of
from ..bundle.schema import Precision
from ..devices import list_devices, open_program
from ..dispatch import DEFAULT_DEVICE
from ..errors import BedsideError, BundleError, DeviceUnavailable, StudyRejected
from ..host import processor
from ..int8_host import dot_product
from ..onnx_header import read_onnx_header
from ..pipeline import run
from ..report.result_json import jsonable
from ..stopwatch import Progress
from . import tools
from .card import SCHEMA
from .evaluate import Row, evaluate
from .install import install, writable_copy
from .record import Recorder
from .studies import Case, given_cases, golden_cases

MEASURED_ON = (DEFAULT_DEVICE, "ort:cpu")
"""Devices that a variant is measured on where none is named, as far as the host has them."""
WINDOWS = 128
"""Windows or images that the ranges of the activations are taken from."""


@dataclass(frozen=True)
class Made:
    """A variant that is in its bundle."""

    root: Path
    card: Path
    content: dict[str, Any]
    """Of the card."""
    rows: tuple[Row, ...]
    advice: tuple[str, ...]
    """Sentences for whoever decides whether to use it."""

    def to_json(self) -> dict[str, Any]:
        return {"bundle": str(self.root), "card": self.card.name, "advice": list(self.advice), **self.content}


def quantize(
    bundle: Bundle | Path | str,
    precision: str = "int8",
    *,
    calibrate: Sequence[Path | str] = (),
    measure: Sequence[Path | str] = (),
    devices: Sequence[str] = (),
    windows: int = WINDOWS,
    reduced_range: bool = False,
    out: Path | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Made:
    """Make a bundle's network in another precision, and measure it.

    Parameters
    ----------
    bundle
        A bundle, its folder or zip, or the name of one that ships with bedside.
    precision
        ``int8`` or ``f16``.
    calibrate
        Studies, see :func:`.studies.given_cases`, that INT8's ranges come from: the network sees what a run of the
        bundle shows it of them. They should be such as the model is made for, of several scanners.
    measure
        Studies to compare it with f32 on, beside the bundle's golden cases; better not those of ``calibrate``.
    devices
        To measure on; the first runs f32. None named: openvino:CPU, and ort:cpu where it is installed.
    windows
        Most windows to calibrate with; as many of each study as of the others.
    reduced_range
        INT8 weights of 7 bits, exact on processors without VNNI whatever the library does.
    out
        Folder for a copy of the bundle with the variant; None changes the bundle itself.
    threads
        Host threads; 0 is every core.

    Raises
    ------
    BundleError
        The bundle is unsound, or its model cannot be quantised.
    StudyRejected
        A study cannot be read or is not for the bundle; or there is none to calibrate or to measure with.
    DeviceUnavailable
        No device of this host can run the variant; the bundle is as it was.
    DeliveryError
        The bundle cannot be written; it is as it was.
    """
    if precision not in tools.NEEDED:
        raise BundleError(f"precision '{precision}' cannot be made", mend=f"one of {', '.join(tools.NEEDED)}")
    wanted: Precision = "int8" if precision == "int8" else "f16"
    if not isinstance(bundle, Bundle):
        bundle = load_bundle(bundle)
    bundle = bundle.at("f32")
    tools.require_tools(precision)
    learning = given_cases(calibrate, "calibration study")
    if wanted == "int8" and not learning:
        raise StudyRejected("INT8 needs studies to calibrate with", mend="name a folder of studies with --calib")
    cases = [*golden_cases(bundle), *given_cases(measure, "study")]
    if not cases and not learning:
        raise StudyRejected(
            f"{bundle.root.name} has no golden case to measure with", mend="name studies with --measure"
        )
    devices = devices or [one.id for one in list_devices() if one.id in MEASURED_ON and one.available]
    options = Options(threads=threads, in_flight=2)
    with writable_copy(bundle, out) as root, tempfile.TemporaryDirectory(prefix="bedside-quantize-") as scratch:
        folder = Path(scratch)
        kept = _calibration(bundle, learning, devices[0], options, windows, folder, progress) if learning else []
        made = folder / "model.onnx"
        arguments = {
            "model": str(bundle.model_path),
            "input": bundle.input.name,
            "windows": kept,
            "made": str(made),
            "reduced_range": reduced_range,
        }
        told = child.call(
            f"bedside.runtime.quantize.tools:{wanted}", arguments, what="the quantiser", progress=progress
        )
        _require_same_tensors(bundle, made)
        variant = Variant(wanted, made, sha256_of(made), None, reduced_range)
        refused = _crashes(made, devices, kept[0]) if kept else {}
        rows = evaluate(bundle, variant, devices, cases or learning, refused, threads=threads, progress=progress)
        content = jsonable(
            {
                "schema": SCHEMA,
                "summary": _summary(rows, wanted),
                "bundle": {"name": bundle.name, "version": bundle.version},
                "precision": wanted,
                "model": {
                    "sha256": variant.sha256,
                    "bytes": made.stat().st_size,
                    "f32_sha256": bundle.sha256,
                    "f32_bytes": bundle.model_path.stat().st_size,
                },
                "method": {
                    **told,
                    "reduced_range": reduced_range,
                    "calibration_studies": len(learning),
                    "calibration_windows": len(kept),
                    "measured_on_calibration_studies": not cases,
                },
                "devices": [row.to_json() for row in rows],
                "host": {"processor": processor(), "int8_dot_product": dot_product() or None},
                "made": datetime.now().isoformat(timespec="seconds"),
            }
        )
        card = install(root, made, content, {"reduced_range": reduced_range}, wanted, bundle.sha256)
        load_bundle(root).variant(wanted)
    place = out or root
    return Made(place, place / card.relative_to(root), content, tuple(rows), _advice(rows, wanted))


def _calibration(
    bundle: Bundle,
    cases: Sequence[Case],
    device: str,
    options: Options,
    most: int,
    folder: Path,
    progress: Progress | None,
) -> list[str]:
    """What the network is fed on the studies, as .npy files."""
    kept: list[str] = []
    program = open_program(bundle.model_path, device, options)
    try:
        for number, case in enumerate(cases):
            if progress:
                progress("calibrate", number, len(cases))
            share = -(-(most - len(kept)) // (len(cases) - number))
            recorder = Recorder(program, share, seed=number)
            try:
                with case.files() as path:
                    run(path, bundle, recorder, threads=options.threads)
            except BedsideError as error:
                raise type(error)(f"{case.name}: {error.message}", mend=error.mend) from error
            for window in recorder.windows:
                kept.append(str(folder / f"{len(kept)}.npy"))
                np.save(kept[-1], window)
    finally:
        program.close()
    return kept


def _crashes(made: Path, devices: Sequence[str], window: str) -> dict[str, str]:
    """Devices that do not survive the new model, with how they ended; what merely fails is found out by evaluate."""
    ended = {}
    for device in devices:
        try:
            arguments = {"model": str(made), "device": device, "window": window}
            child.call("bedside.runtime.quantize.tools:attempt", arguments, what=device)
        except child.Crash as error:
            ended[device] = error.message
        except BedsideError:
            continue
    return ended


def _require_same_tensors(bundle: Bundle, made: Path) -> None:
    header = read_onnx_header(made)
    if header.inputs != [bundle.input] or bundle.output not in header.outputs:
        raise BundleError("the quantised model takes or gives other tensors than the f32 one")


def _summary(rows: Sequence[Row], precision: str) -> str:
    """One line: the worst of the devices.

    Raises
    ------
    DeviceUnavailable
        There is none.
    """
    scores = [row.score for row in rows if row.score is not None]
    if not scores:
        raise DeviceUnavailable(
            f"no device of this host runs the {precision} model: " + "; ".join(row.refused for row in rows),
            mend="the bundle is as it was",
        )
    return str(min(scores, key=lambda one: 2.0 if one.value is None else one.value))


def _advice(rows: Sequence[Row], precision: str) -> tuple[str, ...]:
    said = [f"{row.device} refuses it: {row.refused}" for row in rows if row.refused]
    gains = {row.device: row.speedup for row in rows if row.speedup is not None}
    if precision == "int8" and not dot_product():
        said.append(
            "this processor has no 8-bit dot product (VNNI): INT8 gains next to nothing here, whatever the model"
        )
    slow = [device for device, gain in gains.items() if gain < 1.05]
    if slow:
        said.append(f"no faster than f32 on {', '.join(slow)}: only its file is smaller")
    failed = [row.device for row in rows if row.score and row.score.gates["99 %"] is False]
    if failed:
        said.append(f"fails the 99 % gate on {', '.join(failed)}: do not use it there without a reason")
    return tuple(said)
