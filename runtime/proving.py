"""What the child process of a proof does: every golden case of a bundle on one device, from DICOM to findings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bedside.backends.contract import Options, Program

from . import golden
from .bundle.load import Bundle, load_bundle
from .bundle.schema import GoldenCase
from .child import Note
from .devices import open_program, probe_families
from .errors import BundleError, DeviceFault, StudyRejected
from .findings import Findings
from .golden import CaseResult, Limits, Sampler
from .identity import F32
from .int8_host import require_exact
from .pipeline import run
from .stopwatch import Progress


def prove_in_child(arguments: Mapping[str, Any], progress: Progress, note: Note) -> dict[str, Any]:
    """Run the cases; a fault of the device is part of the answer.

    Notes the device as it was probed before it loads the model, and as it was opened after, so that a crash in between
    is known to be of it.
    """
    bundle = load_bundle(arguments["bundle"]).at(arguments["precision"])
    device = str(arguments["device"])
    limits = golden.EXACT if arguments["precision"] == F32 else golden.REDUCED
    if arguments["limits"] is not None:
        limits = Limits(**arguments["limits"])
    progress("open", 0, 0)
    for _, devices in probe_families([device.partition(":")[0]]):
        for found in devices or ():
            if found.id == device:
                note({"device": asdict(found), "opened": False})
    cases: list[CaseResult] = []
    fault = None
    try:
        if bundle.precision == "int8":
            require_exact(device, bundle.variant("int8"))
        program = open_program(bundle.model_path, device, Options(threads=arguments["threads"], in_flight=2))
        try:
            note({"device": asdict(program.device), "opened": True})
            for case in bundle.meta.golden:  # one by one: what is finished is told even if the next one fails
                cases.append(  # noqa: PERF401
                    run_case(bundle, case, program, limits, arguments["threads"], progress)
                )
        finally:
            program.close()
    except DeviceFault as error:
        fault = str(error)
    thresholds = {spec.name: spec.threshold for spec in bundle.meta.result.classes}
    return {
        "cases": [asdict(case) for case in cases],
        "auc_change": None if fault else golden.auc_change(cases, thresholds),
        "fault": fault,
    }


def run_case(
    bundle: Bundle, case: GoldenCase, program: Program, limits: Limits, threads: int, progress: Progress | None
) -> CaseResult:
    """One golden case on an open program, beside what it must give."""
    expected = golden.read_expectation(bundle, case)
    begun = time.perf_counter()
    findings, sampler = give(bundle, case, program, threads, progress)
    return golden.compare(case.study, expected, findings, sampler, limits, time.perf_counter() - begun)


def give(
    bundle: Bundle, case: GoldenCase, program: Program, threads: int, progress: Progress | None
) -> tuple[Findings, Sampler]:
    """The findings of a golden case's study and a sample of the network's output.

    Raises
    ------
    BundleError
        The study is refused.
    DeviceFault
        The device failed.
    """
    sampler = Sampler(program, bundle.output.name)
    with golden.study_of(bundle, case) as study:
        try:
            result = run(study, bundle, sampler, threads=threads, progress=progress)
        except StudyRejected as error:
            raise BundleError(f"bundle {bundle.name}: golden case {case.study}: {error.message}") from error
    return result.findings, sampler
