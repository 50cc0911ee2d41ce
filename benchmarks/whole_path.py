"""Everything around the network, from DICOM files to a DICOM SEG, beside pydicom, MONAI, scipy and highdicom.

``bedside bench path`` writes a phantom CT of 300 slices, runs the shipped CT bundle's own transforms, inferer and
result over it, ours and the usual way, and prints both stage by stage from one interleaved run. In place of the network
stands a threshold (:mod:`.no_network`), the same for both, whose time is not counted. Files are in the page cache.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bedside.phantoms import chest_ct, write_chest_ct
from bedside.runtime import geometry
from bedside.runtime.bundle.load import INFERENCE, Bundle, load_bundle
from bedside.runtime.findings import Findings, find
from bedside.runtime.inferer import infer
from bedside.runtime.pipeline import run
from bedside.runtime.report import Provenance, ReportInput, seg
from bedside.runtime.stopwatch import Progress, Stopwatch
from bedside.runtime.study import load_study, read_volume

from .kernels.cases import not_installed, optional, peers_use
from .limits import measure
from .naive_path import Answer, naive
from .no_network import Above
from .rows import Row, absent, compare, document

BUNDLE = "ct-lung-nodule"
SLICES, PIXEL_MM, SLICE_MM = 300, 0.7, 1.0
LEVEL = 1300 / 1400
"""300 HU in the bundle's window: bones."""
GOAL = 10.0
OURS, PEER = "ours", "pydicom + MONAI + highdicom"
TOTAL = "total"
STAGES = {
    "read": "read the files",
    "prepare": "orientation, spacing, window",
    "blend": "cut windows, blend",
    "back": "back to the source grid",
    "measure": "parts and measurements",
    "write": "write the SEG",
    TOTAL: "the whole path outside the network",
}
WAYS: dict[str, list[dict[str, Any]] | None] = {
    "scores back": None,
    "labels back": [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
        {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"},
    ],
}
"""Postprocessing. None is the bundle's own, which takes probabilities back to the source grid by interpolation and then
decides; the other decides first and takes labels back to the nearest voxel, which costs the usual way much less.
"""


def bench(threads: int = 0, rounds: int = 3, slices: int = SLICES, progress: Progress | None = None) -> dict[str, Any]:
    """Time the whole path beside the usual one: the JSON object of the run.

    Parameters
    ----------
    threads
        Threads of ours, of torch and of the others that have threads; 0 is every core.
    rounds
        Timed rounds of each; a row has the median. One round more warms up.
    slices
        Slices of the phantom, 1 mm each.
    progress
        Called with what is being run, how many rounds are done and how many there are.
    """
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        phantom = chest_ct(2026, slices=slices, slice_mm=SLICE_MM, pixel_mm=PIXEL_MM, contrast=False)
        write_chest_ct(phantom, folder / "ct")
        del phantom
        peers_use(threads)
        for way, steps in WAYS.items():
            title = f"CT {slices}x512x512, {way}"
            rows += _compared(title, folder, _bundle(folder / way, steps), threads, rounds, progress)
    return document(rows, limits=measure(threads))


def ours(folder: Path, bundle: Bundle, network: Above, out: Path, clock: Stopwatch, threads: int) -> Findings:
    """The steps of :func:`bedside.runtime.run` from the files in ``folder`` to the SEG ``out``."""
    plan = bundle.plan
    with clock.stage("read"):
        series = load_study(folder).series[0]
        verdict = geometry.check(series.frames)
        assert verdict.affine is not None  # the phantom's geometry is sound
        header = series.dataset(verdict.order[0])
        frames = tuple(series.frames[index] for index in verdict.order)
        volume = read_volume(series, frames, verdict.affine, threads=threads)
    with clock.stage("prepare"):
        prepared = plan.prepare(volume, threads=threads)
    with clock.stage("blend"):
        way = plan.way_back(prepared, threads=threads)
        inferred = infer(network, prepared.array, bundle.inferer, online=plan.online, sink=way, threads=threads)
        prepared.array = np.empty(0, prepared.array.dtype)
    with clock.stage("back"):
        raw = inferred.labels if way is None else way
        assert raw is not None  # a rule or a way back took the scores
        labels = plan.finish(raw, prepared, threads=threads).labels
        assert labels is not None  # the bundle's result is a segmentation
    with clock.stage("measure"):
        findings = find(labels, volume, bundle)
    with clock.stage("write"):
        data = ReportInput(header, volume, findings, bundle, Provenance("benchmark"), used=frames)
        segmentation = seg.build(data)
        assert segmentation is not None  # the phantom has bones
        with out.open("wb") as file:
            segmentation.write(file)
    return findings


def _bundle(folder: Path, postprocessing: list[dict[str, Any]] | None) -> Bundle:
    """The shipped bundle, or a copy of it in ``folder`` with another postprocessing."""
    shipped = load_bundle(BUNDLE)
    if postprocessing is None:
        return shipped
    shutil.copytree(shipped.root, folder / BUNDLE)
    file = folder / BUNDLE / INFERENCE
    config = json.loads(file.read_text(encoding="utf-8"))
    config["postprocessing"]["transforms"] = postprocessing
    file.write_text(json.dumps(config), encoding="utf-8")
    return load_bundle(folder / BUNDLE)


def _compared(
    title: str, folder: Path, bundle: Bundle, threads: int, rounds: int, progress: Progress | None
) -> Iterator[Row]:
    study, network = folder / "ct", Above(bundle, LEVEL)
    walks: dict[str, Callable[[Stopwatch], Any]] = {
        OURS: lambda clock: ours(study, bundle, network, folder / "ours.dcm", clock, threads)
    }
    if optional("monai"):
        walks[PEER] = lambda clock: naive(study, bundle, network, folder / "naive.dcm", clock)
    stages: dict[str, list[dict[str, float]]] = {name: [] for name in walks}
    everything: list[float] = []
    answers: dict[str, Any] = {}
    for number in range(rounds + 1):
        if progress is not None:
            progress(title, number, rounds + 1)
        for name, walk in walks.items():
            clock, network.seconds = Stopwatch(), 0.0
            answers[name] = walk(clock)
            clock.ms["blend"] -= network.seconds * 1e3
            stages[name].append({**clock.ms, TOTAL: sum(clock.ms.values())})
        start, network.seconds = time.perf_counter(), 0.0
        run(study, bundle, network, out=folder / "results" / bundle.root.parent.name, threads=threads)
        everything.append((time.perf_counter() - start - network.seconds) * 1e3)
    for stage, what in STAGES.items():
        times = {name: statistics.median(one[stage] for one in taken[1:]) for name, taken in stages.items()}
        name, goals = f"{title}: {what}", {PEER: GOAL} if stage == TOTAL else {}
        if PEER in times:
            yield from compare(name, times, rounds, goals=goals)
        else:
            yield absent(name, PEER, not_installed("MONAI"), times[OURS], goals.get(PEER))
    if PEER in answers:
        yield _agreement(title, answers[OURS], answers[PEER])
    yield Row(
        f"{title}: all of `bedside run`, with SR and key images, read back",
        statistics.median(everything[1:]),
        "ms",
        n=rounds,
    )


def _agreement(title: str, mine: Findings, theirs: Answer) -> Row:
    """How many voxels of the masks differ, and that the parts are the same ones."""
    assert mine.parts is not None
    differing = int(np.count_nonzero((mine.parts != 0) != (theirs.parts != 0)))
    marked = int(np.count_nonzero(theirs.parts))
    if len(mine.lesions) != len(theirs.measured) or differing > marked // 1000:
        counts = f"{len(mine.lesions)} parts, the other way {len(theirs.measured)}"
        raise SystemExit(f"{title}: ours has {counts}; {differing} of {marked} voxels differ")
    return Row(f"{title}: voxels of {marked} that differ, {len(mine.lesions)} parts", differing, "voxels")
