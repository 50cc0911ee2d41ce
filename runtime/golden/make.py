"""Making a bundle's golden cases: what `bedside bundle golden` does."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bedside.backends.contract import Options

from ..bundle.config import read_json
from ..bundle.load import METADATA, Bundle, bundle_root, load_bundle
from ..bundle.schema import GoldenCase
from ..errors import BundleError, DeliveryError, ProofFailed
from ..opening import open_tried
from ..stopwatch import Progress
from .compare import EXACT, compare
from .expected import Expectation, expectation

DEVICES = ("openvino:CPU", "ort:cpu")


def make_golden(
    bundle: Path | str,
    studies: Sequence[Path | str] = (),
    *,
    devices: Sequence[str] = DEVICES,
    threads: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write what the golden cases of a bundle must give, as every device named gives it.

    Parameters
    ----------
    bundle
        The bundle's folder.
    studies
        Studies to add as new cases, which are copied into the bundle: a DICOM file, a folder of them, or a phantom's
        description in JSON. They carry what their headers say: take de-identified ones.
    devices
        The expectation is the first one's; the others must agree with it.
    threads
        Host threads; 0 is every core of the process's affinity mask.

    Returns
    -------
    ``bundle`` and ``cases``, each with ``study``, ``expect``, ``findings`` and ``windows``.

    Raises
    ------
    BundleError
        The bundle cannot be loaded, or a study cannot be run.
    DeviceUnavailable, DeviceFault
        A device is not there, or failed.
    ProofFailed
        The devices disagree; nothing is written.
    DeliveryError
        The bundle cannot be written to.
    """
    root = bundle_root(Path(bundle)) if Path(bundle).is_dir() else None
    if root is None:
        raise BundleError(f"{bundle} is no folder", mend="unpack the bundle to add golden cases to it")
    loaded = load_bundle(root)
    added: list[Path] = []
    try:
        cases = list(loaded.meta.golden)
        for study in studies:
            cases.append(_copied(loaded, Path(study), len(cases) + 1))
            added.append(root / cases[-1].study)
        if not cases:
            raise BundleError(f"bundle {loaded.name} has no golden cases", mend="add one: --study DICOM")
        found = _give(loaded, cases, devices, threads, progress)
        for case, expected in zip(cases, found, strict=True):
            text = json.dumps(expected.model_dump(mode="json", exclude_none=True), indent=1)
            _write(root / case.expect, text)
        if added:
            content = read_json(root / METADATA, METADATA)
            content["bedside"]["golden"] = [case.model_dump(mode="json") for case in cases]
            _write(root / METADATA, json.dumps(content, indent=2, ensure_ascii=False))
        added = []
    except OSError as error:
        raise DeliveryError(f"bundle {root} cannot be written: {error.strerror}") from error
    finally:
        for path in added:
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    rows = [
        {
            "study": case.study,
            "expect": case.expect,
            "findings": len(expected.lesions) or {s.name: s.probability for s in expected.scores},
            "windows": expected.output.windows if expected.output else 0,
        }
        for case, expected in zip(cases, found, strict=True)
    ]
    return {"bundle": str(root), "cases": rows}


def _write(path: Path, text: str) -> None:
    """Write a file of the bundle whole, with the mode that files get here."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_text(text + "\n", encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _copied(bundle: Bundle, study: Path, number: int) -> GoldenCase:
    """A study's copy in the bundle, as a case that has no expectation yet."""
    if not study.exists():
        raise BundleError(f"study {study} does not exist")
    folder = bundle.root / "golden"
    folder.mkdir(exist_ok=True)
    while any(folder.glob(f"case-{number}*")):
        number += 1
    name = f"case-{number}" if study.is_dir() else f"case-{number}{study.suffix or '.dcm'}"
    if study.is_dir():
        shutil.copytree(study, folder / name)
    else:
        shutil.copyfile(study, folder / name)
    return GoldenCase(study=f"golden/{name}", expect=f"golden/case-{number}.expect.json")


def _give(
    bundle: Bundle, cases: Sequence[GoldenCase], devices: Sequence[str], threads: int, progress: Progress | None
) -> list[Expectation]:
    """What the first device gives for each case, once the others have agreed."""
    from ..proving import give

    first: list[Expectation] = []
    for device in devices:
        options = Options(threads=threads, in_flight=2)
        program = open_tried(bundle.model_path, bundle.sha256, device, options, progress=progress)
        try:
            given = [give(bundle, case, program, threads, progress) for case in cases]
        finally:
            program.close()
        if not first:
            first = [expectation(*one) for one in given]
            continue
        for case, expected, one in zip(cases, first, given, strict=True):
            result = compare(case.study, expected, *one, EXACT)
            if not result.passed:
                raise ProofFailed(f"{device} and {devices[0]} disagree on {case.study}: {result.reason}")
    return first
