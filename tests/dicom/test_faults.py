"""A device that fails in the middle of a study: the next one does the study, its result is right, and says so."""

from __future__ import annotations

import itertools
import json
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.backends import openvino
from bedside.backends.contract import Device, DeviceFault, Options, Program
from bedside.runtime import DeviceUnavailable, Result, StudyRejected, devices, load_bundle, opening, quarantine, run
from bedside.runtime.bundle.load import Bundle
from bedside.runtime.dispatch import Choice, Decision
from bedside.runtime.watchdog import Limits
from tests.dicom.make_bundles import make_bright
from tests.dicom.make_marked import AXIAL, make_marked, upright_stacks
from tests.dicom.make_photograph import make_photograph

GOOD = "openvino:CPU"
SHORT = Limits(open=0.3, run=0.3, close=0.3)
"""For devices that hang on purpose; the good one has all the time it may need."""
FAULTS = (
    *(f"null:fault={fault},at=open" for fault in ("hang", "lost", "oom")),
    *(f"null:fault={fault},after={after}" for fault in ("hang", "lost", "oom", "nan", "shape") for after in (0, 1, 4)),
    "null:fault=timeout,hang_ms=20",
    "null:fault=timeout,hang_ms=20,after=2",
    "null:latency_ms=400",
)
STUDIES = 200


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Bundle, Path]]:
    """Bundles with studies: CT in sliding windows that is segmented, photographs whole that are and are classified."""
    root = tmp_path_factory.mktemp("faults")
    ct = {"rank": 3, "modality": "CT", "low": -1000, "high": 1000, "level": 200.5, "roi": (16, 16, 16)}
    photo = {"rank": 2, "modality": "XC", "low": 0, "high": 255, "level": 127.5, "channels": 3}
    right = [{"_target_": "Orientationd", "axcodes": "RAS"}]
    volumes = load_bundle(make_bright(root / "ct", spatial=right, instances=True, **ct))  # type: ignore[arg-type]
    marks = load_bundle(make_bright(root / "marks", instances=True, **photo))  # type: ignore[arg-type]
    classes = load_bundle(make_bright(root / "classes", classes=True, **photo))  # type: ignore[arg-type]
    found: list[tuple[Bundle, Path]] = []
    for number, stack in enumerate(itertools.islice(upright_stacks(), 0, 48, 8)):
        make_marked(root / f"ct-{number}", stack, boxes=number % 4)
        found.append((volumes, root / f"ct-{number}"))
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 90, (40, 50, 3), np.uint8)
        pixels[5 : 10 + 5 * number, 8:30] = 250
        path = make_photograph(root / f"photo-{number}" / "im", pixels, modality="XC")
        found += [(marks, path.parent), (classes, path.parent)]
    return found


def decided(*faulty: str) -> Decision:
    """The faulty devices first, then the good one."""
    return Decision("test", (*(Choice(one, "faulty", SHORT) for one in faulty), Choice(GOOD, "good")))


def told(result: Result) -> Any:
    """Everything that a result says of the patient."""
    content = result.to_json()
    same = ("lesions", "scores", "frame_probabilities", "kind", "dropped", "study_instance_uid", "source")
    return json.dumps({name: content[name] for name in same})


def complete(out: Path, result: Result) -> bool:
    """Whether the folder holds just the files of this result."""
    content = json.loads((out / "result.json").read_bytes())
    names = {file["name"] for file in content["files"]} | {"result.json"}
    return {path.name for path in out.iterdir()} == names == {file.path.name for file in result.files}


@pytest.mark.slow
def test_200_studies_none_lost_none_wrong(cases: list[tuple[Bundle, Path]], tmp_path: Path) -> None:
    right = [told(run(study, bundle, GOOD)) for bundle, study in cases]
    assert len(set(right)) > 6
    # An image is one run of the network: there a fault that shows after some runs shows never.
    pairs = [
        (fault, case)
        for case, (bundle, _) in enumerate(cases)
        for fault in FAULTS
        if bundle.meta.input.kind == "volume" or "after" not in fault or "after=0" in fault
    ]
    for number in range(STUDIES):
        fault, case = pairs[number * 7 % len(pairs)]
        second = FAULTS[number % 3]
        faulty = (fault, second) if number % 5 == 0 and second != fault else (fault,)
        bundle, study = cases[case]
        out = tmp_path / f"out-{number}"
        result = run(study, bundle, decided(*faulty), out=out)
        assert told(result) == right[case], (faulty, case)
        assert complete(out, result) and result.provenance.device == GOOD
        assert [one["device"] for one in result.provenance.failures] == list(faulty)
        assert all(any(one in note for note in result.provenance.notes) for one in faulty)
        for one in faulty:
            assert quarantine.held(one) is not None
            quarantine.lift(one)
    assert len(list(tmp_path.glob("out-*/result.json"))) == STUDIES


def test_what_the_result_says_of_a_device_that_failed(cases: list[tuple[Bundle, Path]], tmp_path: Path) -> None:
    bundle, study = cases[1]
    result = run(study, bundle, decided("null:fault=nan,after=2"), out=tmp_path / "out")
    content = json.loads((tmp_path / "out" / "result.json").read_bytes())
    assert content["device"]["id"] == GOOD
    assert [(one["device"], one["step"], one["kind"]) for one in content["device_failures"]] == [
        ("null:fault=nan,after=2", "run", "nan")
    ]
    assert content["decision"]["devices"][0] == {"device": "null:fault=nan,after=2", "reason": "faulty"}
    assert any("another device took over after null" in note for note in content["notes"])
    assert result.findings.lesions


def test_a_device_in_quarantine_is_not_asked_again(cases: list[tuple[Bundle, Path]]) -> None:
    bundle, study = cases[1]
    for expected in (1, 0):
        result = run(study, bundle, decided("null:fault=lost"))
        assert len(result.provenance.failures) == expected


def test_a_device_that_is_named_is_that_device_or_an_error(cases: list[tuple[Bundle, Path]], tmp_path: Path) -> None:
    bundle, study = cases[1]
    with pytest.raises(DeviceFault, match="lost"):
        run(study, bundle, "null:fault=lost,after=2")
    with pytest.raises(DeviceFault, match=r"no answer within 0\.2 s"):
        run(study, bundle, "null:fault=hang", timeout=0.2)
    assert quarantine.held("null:fault=lost,after=2") is None
    with pytest.raises(DeviceUnavailable, match="computes nothing"):
        run(study, bundle, "null:fault=lost", out=tmp_path / "out")


def test_a_device_that_computes_nothing_gives_no_result(cases: list[tuple[Bundle, Path]], tmp_path: Path) -> None:
    bundle, study = cases[1]
    with pytest.raises(DeviceUnavailable, match="computes nothing"):
        run(study, bundle, decided("null:latency_ms=0"), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_every_device_fails_nothing_is_written(cases: list[tuple[Bundle, Path]], tmp_path: Path) -> None:
    bundle, study = cases[1]
    both = (Choice("null:fault=lost", ""), Choice("null:fault=oom", ""))
    with pytest.raises(DeviceFault, match=r"every device failed: null\S* the device is lost; null\S* out of memory"):
        run(study, bundle, Decision("test", both), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert quarantine.held("null:fault=lost") is not None


def test_a_study_that_fails_alike_on_every_device_is_no_devices_fault(cases: list[tuple[Bundle, Path]]) -> None:
    bundle, study = cases[1]
    with pytest.raises(DeviceFault, match="not-a-number"):
        run(study, bundle, Decision("test", (Choice("null:fault=nan", ""), Choice("null:fault=nan,after=1", ""))))
    assert quarantine.held("null:fault=nan") is None and quarantine.held("null:fault=nan,after=1") is None


def test_what_is_wrong_with_the_study_blames_no_device(cases: list[tuple[Bundle, Path]], tmp_path: Path) -> None:
    bundle, _ = cases[0]
    slices = make_marked(tmp_path / "gap", AXIAL)
    for path in sorted((tmp_path / "gap").iterdir())[4:6]:
        path.unlink()
    assert len(slices) > 6
    with pytest.raises(StudyRejected):
        run(tmp_path / "gap", bundle, decided("null:fault=lost"))
    assert quarantine.held("null:fault=lost") is None


class _BadClose:
    """A program that computes as it should and fails when it is closed."""

    def __init__(self, program: Program, act: Callable[[], None]) -> None:
        self.device = Device("bad:0", "bad", True)
        self.inputs, self.outputs = program.inputs, program.outputs
        self.run, self.submit, self.placement, self.close = program.run, program.submit, program.placement, act


def _fail() -> None:
    raise RuntimeError("the driver is gone")


@pytest.mark.parametrize(
    ("act", "said"), [(lambda: threading.Event().wait(), "did not close within"), (_fail, "the driver is gone")]
)
def test_a_device_that_fails_as_it_is_closed_has_given_its_result(
    cases: list[tuple[Bundle, Path]], monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], said: str
) -> None:
    def load(model: Path, device: str, options: Options) -> Any:
        return _BadClose(openvino.open(model, GOOD, options), act)

    module = types.SimpleNamespace(REQUIRES=(), probe=list, open=load)
    entry = types.SimpleNamespace(name="bad", load=lambda: module)
    monkeypatch.setattr(devices, "entry_points", lambda group: [entry])
    monkeypatch.setattr(opening, "was_opened", lambda *asked: True)  # a child process would not know this backend
    bundle, study = cases[1]
    result = run(study, bundle, Decision("test", (Choice("bad:0", "", Limits(close=0.2)), Choice(GOOD, ""))))
    (failure,) = result.provenance.failures
    assert (result.provenance.device, failure["step"]) == ("bad:0", "close") and said in failure["message"]
    assert any("after it had given this result" in note for note in result.provenance.notes)
    assert told(result) == told(run(study, bundle, GOOD))
    assert quarantine.held("bad:0") is not None
