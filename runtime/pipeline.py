"""The whole way of a study, from DICOM files to DICOM results; the only place that walks all of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.backends.contract import Array, Options, Program

from . import geometry
from .bundle import Bundle, load_bundle
from .devices import open_program
from .errors import DeviceUnavailable
from .findings import Findings, find
from .image import Cine, Image, Volume
from .inferer import infer, infer_cine
from .report import Provenance, ReportInput, WrittenFile, require_writable, write_all
from .report.result_json import build
from .select import Selection, select_series
from .stopwatch import Progress, Stopwatch
from .study import Series, Study, load_study, read_cine, read_image, read_volume

DEFAULT_DEVICE = "openvino:CPU"
_PLANAR = frozenset({"image", "cine"})


@dataclass(frozen=True)
class Result:
    """What one run found, in what, by what, and which files say so."""

    study: Study
    series: Series
    report: ReportInput
    files: tuple[WrittenFile, ...]
    stage_ms: dict[str, float]
    """Wall-clock milliseconds by stage, in the order of the way; writing included."""

    @property
    def bundle(self) -> Bundle:
        return self.report.bundle

    @property
    def source(self) -> Volume | Image | Cine:
        """The pixels that the network saw, before its transforms."""
        return self.report.source

    @property
    def findings(self) -> Findings:
        return self.report.findings

    @property
    def provenance(self) -> Provenance:
        return self.report.provenance

    def to_json(self) -> dict[str, Any]:
        """As result.json, with the time that writing took."""
        return {**build(self.report, list(self.files)), "stage_ms": self.stage_ms}


def run(
    study: Study | Path | str,
    bundle: Bundle | Path | str,
    device: str = DEFAULT_DEVICE,
    *,
    out: Path | str | None = None,
    accept: Collection[str] = (),
    series_uid: str | None = None,
    study_uid: str | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Result:
    """Run a bundle on a study.

    Parameters
    ----------
    study
        A loaded study, or where it lies: a DICOM file, a folder of them, or a DICOMDIR.
    bundle
        A loaded bundle, its folder or zip, or the name of one that ships with bedside.
    device
        Device string; nothing else runs in its place.
    out
        Folder for SEG, SR, key images and result.json; None writes nothing.
    accept
        Findings of the geometry gate to go on in spite of; :data:`bedside.runtime.geometry.ACCEPTABLE` lists them.
    series_uid, study_uid
        Which series or study, where the choice is not to be the runtime's.
    threads
        Host threads; 0 is every core of the process's affinity mask.
    progress
        Called with (stage, done, total); total is 0 where it is not known yet.

    Raises
    ------
    StudyRejected
        The study cannot be read, has no series the bundle accepts, or its geometry is in doubt.
    BundleError
        The bundle is incomplete, altered or asks for what this version does not have.
    DeviceUnavailable, DeviceFault
        The device is not there, or failed.
    DeliveryError
        The results could not be written or did not read back.
    """
    clock = Stopwatch(progress)
    if out is not None:
        if device == "null":
            raise DeviceUnavailable(
                "device null computes nothing, so its results may not be written into a patient's study",
                mend="choose another device, or call run() without out to measure",
            )
        require_writable(Path(out))
    if not isinstance(bundle, Bundle):
        with clock.stage("bundle"):
            bundle = load_bundle(bundle)
    if not isinstance(study, Study):
        with clock.stage("read"):
            study = load_study(study, study_uid=study_uid, progress=progress)
    with clock.stage("select"):
        selection = select_series(study, bundle.meta.accepts, kinds(bundle), series_uid=series_uid)
        series = selection.chosen
        assert series is not None  # a study without one was refused
        series.require_whole()
    verdict: geometry.Verdict | None = None
    if bundle.meta.input.kind == "volume":
        with clock.stage("geometry"):
            verdict = geometry.check(series.frames, accept)
            verdict.require(selection.labels[series.uid])
    with clock.stage("open"):
        program = open_program(bundle.model_path, device, Options(threads=threads, in_flight=2))
    try:
        source: Volume | Image | Cine
        if verdict is not None:
            source = volume = _read_volume(series, verdict, threads, clock, progress)
            output = _volume(program, bundle, volume, threads, clock, progress)
        else:
            with clock.stage("decode"):
                source = planes = _read_planes(series, threads, progress)
            output = _planes(program, bundle, planes, threads, clock, progress)
        provenance = _provenance(program, study, series, selection, verdict)
    finally:
        program.close()
    with clock.stage("measure"):
        findings = find(output, source, bundle)

    report = ReportInput(
        header=series.dataset(),
        source=source,
        findings=findings,
        bundle=bundle,
        provenance=replace(provenance, stage_ms=dict(clock.ms)),
        software_version=version("bedside"),
        instances=tuple(series.frames),
    )
    files: list[WrittenFile] = []
    if out is not None:
        with clock.stage("report"):
            files = write_all(report, Path(out), progress)
    return Result(study, series, report, tuple(files), clock.ms)


def kinds(bundle: Bundle) -> frozenset[str]:
    """The kinds of series that a bundle runs on: a network that sees one plane takes an image and a cine alike."""
    kind = bundle.meta.input.kind
    return _PLANAR if kind in _PLANAR else frozenset({kind})


def _read_volume(
    series: Series, verdict: geometry.Verdict, threads: int, clock: Stopwatch, progress: Progress | None
) -> Volume:
    assert verdict.affine is not None  # an accepted verdict has one
    with clock.stage("decode"):
        frames = [series.frames[index] for index in verdict.order]
        volume = read_volume(series, frames, verdict.affine, threads=threads, progress=progress)
    if verdict.resampling is not None:
        with clock.stage("geometry"):
            volume = geometry.regularise(volume, verdict, threads=threads)
    return volume


def _volume(
    program: Program, bundle: Bundle, volume: Volume, threads: int, clock: Stopwatch, progress: Progress | None
) -> Array:
    """Labels [z, y, x] on the grid of ``volume``, or probabilities [1, classes]."""
    with clock.stage("prepare"):
        prepared = bundle.plan.prepare(volume, threads=threads, progress=progress)
    with clock.stage("infer"):
        inferred = infer(
            program,
            prepared.array,
            bundle.inferer,
            online=bundle.plan.online,
            output=bundle.output.name,
            threads=threads,
            progress=progress,
        )
        prepared.array = np.empty(0, prepared.array.dtype)  # the network's input is the largest array: free it
    with clock.stage("finish"):
        return _finish(bundle, inferred.labels, inferred.logits, prepared, threads)


def _read_planes(series: Series, threads: int, progress: Progress | None) -> Image | Cine:
    if len(series.frames) == 1:
        return read_image(series)
    return read_cine(series, threads=threads, progress=progress)


def _planes(
    program: Program, bundle: Bundle, source: Image | Cine, threads: int, clock: Stopwatch, progress: Progress | None
) -> Array:
    """Labels [y, x] or [t, y, x] on the grid of ``source``, or probabilities [frames, classes]."""
    count = len(source.pixels) if isinstance(source, Cine) else 1
    waiting = []

    def frames() -> Iterator[Array]:
        for index in range(count):
            with clock.stage("prepare"):
                waiting.append(
                    bundle.plan.prepare(source, frame=index if isinstance(source, Cine) else None, threads=threads)
                )
            yield waiting[-1].array

    outputs = []
    results = infer_cine(
        program,
        frames(),
        bundle.inferer,
        online=bundle.plan.online,
        output=bundle.output.name,
        total=count,
        progress=progress,
        threads=threads,
    )
    with clock.stage("infer"):
        for inferred in results:
            with clock.stage("finish"):
                outputs.append(_finish(bundle, inferred.labels, inferred.logits, waiting.pop(0), threads))
    if bundle.meta.result.kind == "classification":
        return np.concatenate(outputs)
    return np.stack(outputs) if isinstance(source, Cine) else outputs[0]


def _finish(
    bundle: Bundle, labels: NDArray[np.uint8] | None, logits: Array | None, prepared: Any, threads: int
) -> Array:
    raw = labels if labels is not None else logits
    assert raw is not None  # the inferer gives one of the two
    finished = bundle.plan.finish(raw, prepared, threads=threads)
    if finished.probabilities is not None:
        return finished.probabilities[np.newaxis]
    assert finished.labels is not None
    return finished.labels


def _provenance(
    program: Program, study: Study, series: Series, selection: Selection, verdict: geometry.Verdict | None
) -> Provenance:
    device = program.device
    accepted = (verdict.message,) if verdict is not None and verdict.message != "regular" else ()
    return Provenance(
        device=device.id,
        device_name=device.name,
        placement=dict(program.placement()),
        versions=dict(device.versions),
        verdict=None if verdict is None else verdict.to_json(),
        selection={series.uid: "taken", **selection.reasons},
        notes=(*study.notes, *selection.notes, *accepted),
        input_files=len(series.instances),
        skipped=tuple((skipped.path.name, skipped.reason) for skipped in study.skipped),
    )
