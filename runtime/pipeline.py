"""The whole way of a study, from DICOM files to DICOM results; the only place that walks all of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from bedside.backends.contract import Array, Options, Program

from . import geometry
from .bundle.load import Bundle, load_bundle
from .dispatch import DEFAULT_DEVICE, Decision, choose, reprove
from .errors import BedsideError, DeliveryError, StudyRejected
from .failover import on, require_computing, require_proved
from .findings import Findings, find
from .image import Cine, Frame, Image, Volume
from .inferer import infer, infer_cine
from .instruction_set import require_instruction_set
from .int8_host import require_exact
from .measure import load_table
from .opening import open_tried
from .proof import stamp
from .quantize.card import precision_notes
from .report import Provenance, ReportInput, WrittenFile, require_own, require_writable, write_all
from .report.readable import readable
from .report.result_json import build
from .select import Selection, select_series
from .stopwatch import Progress, Stopwatch
from .study import Series, Study, load_study, read_cine, read_image, read_volume
from .study.instance import Instance
from .threads import beside, set_once

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


@dataclass(frozen=True)
class _Job:
    """What one run reads, how, and who watches."""

    study: Study
    bundle: Bundle
    series: Series
    selection: Selection
    instance: Instance | None
    """Of a series that is no volume, the image or cine that is read."""
    threads: int
    clock: Stopwatch
    progress: Progress | None


@dataclass(frozen=True)
class _Read:
    """The pixels of a job, and where they came from."""

    source: Volume | Image | Cine
    frames: tuple[Frame, ...]
    """The frames that were used, in order."""
    header: Dataset
    """Of the instance of the first of them."""


def run(
    study: Study | Path | str,
    bundle: Bundle | Path | str,
    device: str | Program | Decision | None = None,
    *,
    precision: str | None = None,
    policy: str | None = None,
    require_proof: bool | None = None,
    table: Path | None = None,
    timeout: float | None = None,
    out: Path | str | None = None,
    accept: Collection[str] = (),
    series_uid: str | None = None,
    study_uid: str | None = None,
    instance_uid: str | None = None,
    label_map: bool = False,
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
        Device string; nothing else runs in its place. Or the bundle's network as a program that is open already, for
        a caller that runs many studies; it is left open. Or what :func:`~.dispatch.choose` decided. Without it and
        without a policy it is openvino:CPU.
    precision
        ``f32``, or a variant that the bundle has, ``f16`` or ``int8``; a program that is open already must be of it.
        None is what the bundle was set to by :meth:`Bundle.at`, f32 else.
    policy
        In place of a device: ``fastest``, ``least-energy``, ``deadline:33ms`` or ``pin:DEVICE`` (:mod:`.dispatch`). The
        device that it chooses is replaced when it fails, and the result says so.
    require_proof
        Run only on a device that is proved on this host; None is yes for a policy, no for a device.
    table
        For the policy: a file of measurements (`bedside measure --json`) in place of those of this host.
    timeout
        Seconds that a device may take for one run of the network; None is ten minutes for a device, and for a policy
        a multiple of what was measured.
    out
        Folder for SEG, SR, key images and result.json; None writes nothing.
    accept
        Findings of the geometry gate to go on in spite of; :data:`bedside.runtime.geometry.ACCEPTABLE` lists them.
    series_uid, study_uid
        Which series or study, where the choice is not to be the runtime's.
    instance_uid
        SOP Instance UID of the image or cine to take, where the series has several and is no volume.
    label_map
        Write the SEG as LABELMAP and not as BINARY.
    threads
        Host threads; 0 is the process's thread budget.
    progress
        Called with (stage, done, total); total is 0 where it is not known yet.

    Raises
    ------
    StudyRejected
        The study cannot be read, has no series the bundle accepts, or its geometry is in doubt; or the series has
        several images or cines and none is named.
    BundleError
        The bundle is incomplete, altered, asks for what this version does not have, or has no model of the precision.
    DeviceUnavailable, DeviceFault
        The device is not there, computes INT8 wrongly on this host, or failed; with a policy, every device
        did; or BEDSIDE_KERNEL_ISA names what this CPU has not.
    ProofFailed
        The device is to be proved, and is not.
    DeliveryError
        The results could not be written or did not read back.
    """
    set_once()
    clock = Stopwatch(progress)
    require_instruction_set()
    if device is not None and policy is not None:
        raise BedsideError("both a device and a policy are given", mend="a policy chooses the device: leave that out")
    if table is not None and policy is None:
        raise BedsideError("a table of measurements is given and no policy to go by it", mend="--policy fastest")
    if out == "":
        raise DeliveryError("the path of the folder for the results is empty", mend="name a folder with -o")
    if out is not None:
        _require_deliverable(Path(out), device)
    if not isinstance(bundle, Bundle):
        with clock.stage("bundle"):
            bundle = load_bundle(bundle)
    if precision is not None:
        bundle = bundle.at(precision)
    if not isinstance(study, Study):
        with clock.stage("read"):
            study = load_study(study, study_uid=study_uid, progress=progress)
    with clock.stage("select"):
        series, selection = _select(study, bundle, series_uid or study.series_of(instance_uid))
        instance = _instance(series, bundle, instance_uid)
    if out is not None:
        require_own(Path(out), series.study_uid, series.uid, bundle.name)
    job = _Job(study, bundle, series, selection, instance, threads, clock, progress)
    verdict = _verdict(job, accept) if instance is None else None
    if policy is not None:
        with clock.stage("choose"):
            pinned = None if table is None else load_table(bundle, table)
            proved = require_proof is not False
            device = choose(bundle, policy, require_proof=proved, table=pinned, threads=threads, progress=progress)
    read: list[_Read] = []

    def work(program: Program) -> tuple[Array, Provenance]:
        if require_proof:
            require_proved(bundle, program)
        if not read:  # not before the device is open; one that takes over sees the same pixels
            read.append(_read_planes(job, instance) if instance is not None else _read_volume(job, verdict))
        return _infer(program, job, read[0].source), _provenance(program, job, verdict)

    device = device or DEFAULT_DEVICE
    again = partial(reprove, bundle, progress=progress)
    outcome, failures = on(device, partial(_open, job), work, reprove=again, clock=clock, timeout=timeout)
    output, provenance = outcome
    if out is not None:
        require_computing(provenance.device)
    with clock.stage("measure"):
        findings = find(output, read[0].source, bundle, threads=threads)
    header, unread = readable(read[0].header)
    notes = (*provenance.notes, *(failure.note for failure in failures), *unread)
    report = ReportInput(
        header=header,
        source=read[0].source,
        findings=findings,
        bundle=bundle,
        provenance=replace(
            provenance,
            stage_ms=dict(clock.ms),
            notes=notes,
            decision=device.to_json() if isinstance(device, Decision) else None,
            failures=tuple(failure.to_json() for failure in failures),
        ),
        software_version=version("bedside"),
        used=read[0].frames,
        multi_frame=frozenset(one.sop_instance_uid for one in series.instances if one.frames > 1),
        label_map=label_map,
        threads=threads,
    )
    files: list[WrittenFile] = []
    if out is not None:
        with clock.stage("report"):
            files = write_all(report, Path(out), progress)
    return Result(study, series, report, tuple(files), clock.ms)


def _require_deliverable(out: Path, device: str | Program | Decision | None) -> None:
    """Refuse what could not be written in the end, before any work is done for it."""
    if isinstance(device, str):
        require_computing(device)
    elif isinstance(device, Program):
        require_computing(device.device.id)
    require_writable(out)


def _open(job: _Job, device: str) -> Program:
    bundle = job.bundle
    if bundle.precision == "int8":
        require_exact(device, bundle.variant("int8"))
    several = bundle.inferer.kind == "sliding" or (job.instance is not None and job.instance.frames > 1)
    hint: Literal["latency", "throughput"] = "throughput" if several else "latency"
    options = Options(threads=job.threads, in_flight=2, hint=hint)
    return open_tried(bundle.model_path, bundle.sha256, device, options, progress=job.progress)


def _select(study: Study, bundle: Bundle, series_uid: str | None) -> tuple[Series, Selection]:
    selection = select_series(study, bundle.meta.accepts, kinds(bundle), series_uid=series_uid)
    series = selection.chosen
    assert series is not None  # a study without one was refused
    series.require_whole()
    return series, selection


def _instance(series: Series, bundle: Bundle, uid: str | None) -> Instance | None:
    """The image or cine to read; None where the bundle takes the series as a volume."""
    if bundle.meta.input.kind != "volume":
        return series.only_instance(uid)
    if uid is not None:
        raise StudyRejected(
            f"{bundle.name} takes a whole series as a volume, so no instance of it can be named",
            mend="leave out --instance",
        )
    return None


def _verdict(job: _Job, accept: Collection[str]) -> geometry.Verdict:
    with job.clock.stage("geometry"):
        verdict = geometry.check(job.series.frames, accept)
        verdict.require(job.selection.labels[job.series.uid])
    return verdict


def kinds(bundle: Bundle) -> frozenset[str]:
    """The kinds of series that a bundle runs on: a network that sees one plane takes an image and a cine alike."""
    kind = bundle.meta.input.kind
    return _PLANAR if kind in _PLANAR else frozenset({kind})


def _read_volume(job: _Job, verdict: geometry.Verdict | None) -> _Read:
    assert verdict is not None and verdict.affine is not None  # an accepted verdict has one
    series = job.series
    with job.clock.stage("decode"):
        header = series.dataset(verdict.order[0])
        frames = tuple(series.frames[index] for index in verdict.order)
        volume = read_volume(series, frames, verdict.affine, threads=job.threads, progress=job.progress)
    if verdict.resampling is not None:
        with job.clock.stage("geometry"):
            volume = geometry.regularise(volume, verdict, threads=job.threads)
    return _Read(volume, frames, header)


def _read_planes(job: _Job, instance: Instance) -> _Read:
    series, frames = job.series, job.series.frames_of(instance)
    with job.clock.stage("decode"):
        header = series.dataset(series.frames.index(frames[0]))
        source: Image | Cine
        if instance.frames == 1:
            source = read_image(series, frames[0])
        else:
            source = read_cine(series, instance, threads=job.threads, progress=job.progress)
    return _Read(source, frames, header)


def _infer(program: Program, job: _Job, source: Volume | Image | Cine) -> Array:
    """What the network says of ``source``, on its grid: the output that :func:`bedside.runtime.findings.find` takes."""
    if isinstance(source, Volume):
        return _infer_volume(program, job, source)
    return _infer_planes(program, job, source)


def _infer_volume(program: Program, job: _Job, volume: Volume) -> Array:
    """Labels [z, y, x] on the grid of ``volume``, or probabilities [1, classes]."""
    bundle, clock = job.bundle, job.clock
    with clock.stage("prepare"):
        prepared = bundle.plan.prepare(volume, threads=job.threads, progress=job.progress)
    with clock.stage("infer"):
        left = beside(program, job.threads) if bundle.inferer.kind == "sliding" else job.threads
        way = bundle.plan.way_back(prepared, threads=left)
        inferred = infer(
            program,
            prepared.array,
            bundle.inferer,
            online=bundle.plan.online,
            sink=way,
            output=bundle.output.name,
            threads=job.threads,
            progress=job.progress,
        )
        prepared.array = np.empty(0, prepared.array.dtype)  # the network's input is the largest array: free it
    with clock.stage("finish"):
        if way is not None:
            labels = bundle.plan.finish(way, prepared, threads=job.threads).labels
            assert labels is not None  # there is no way back for a classification
            return labels
        return _finish(bundle, inferred.labels, inferred.logits, prepared, job.threads)


def _infer_planes(program: Program, job: _Job, source: Image | Cine) -> Array:
    """Labels [y, x] or [t, y, x] on the grid of ``source``, or probabilities [frames, classes]."""
    bundle, clock = job.bundle, job.clock
    count = len(source.pixels) if isinstance(source, Cine) else 1
    left = beside(program, job.threads) if count > 1 else job.threads
    waiting = []

    def frames() -> Iterator[Array]:
        for index in range(count):
            with clock.stage("prepare"):
                frame = index if isinstance(source, Cine) else None
                waiting.append(bundle.plan.prepare(source, frame=frame, threads=left))
            yield waiting[-1].array

    outputs = []
    results = infer_cine(
        program,
        frames(),
        bundle.inferer,
        online=bundle.plan.online,
        output=bundle.output.name,
        total=count,
        progress=job.progress,
        threads=job.threads,
    )
    with clock.stage("infer"):
        for inferred in results:
            with clock.stage("finish"):
                outputs.append(_finish(bundle, inferred.labels, inferred.logits, waiting.pop(0), left))
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


def _provenance(program: Program, job: _Job, verdict: geometry.Verdict | None) -> Provenance:
    device, study, selection = program.device, job.study, job.selection
    gate = () if verdict is None else verdict.notes
    proof = stamp(job.bundle, device, job.bundle.precision)
    unproved = () if proof.proved else (f"the device {device.id} is {proof.text}, for this model",)
    return Provenance(
        device=device.id,
        device_name=device.name,
        placement=dict(program.placement()),
        versions=dict(device.versions),
        proof=proof,
        verdict=None if verdict is None else verdict.to_json(),
        selection={job.series.uid: "taken", **selection.reasons},
        notes=(*study.notes, *selection.notes, *gate, *precision_notes(job.bundle), *unproved),
        input_files=len(job.series.instances),
        skipped=tuple((skipped.name, skipped.reason) for skipped in study.skipped),
    )
