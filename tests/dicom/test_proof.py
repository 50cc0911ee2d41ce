"""Proofs: golden cases on a device in a child process; the verdict is kept, goes stale, and is in every output."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from bedside.backends.contract import Device
from bedside.runtime import (
    BundleError,
    DeviceFault,
    DeviceUnavailable,
    ProofFailed,
    list_devices,
    load_bundle,
    opening,
    proof,
    prove,
    run,
)
from bedside.runtime.cli import app
from bedside.runtime.devices import open_program
from bedside.runtime.golden.make import make_golden
from tests.dicom.make_marked import make_marked

CPU = "openvino:CPU"

CRASHING = """
import os, time
from bedside.backends import null, openvino
from bedside.backends.contract import Device, DeviceFault

REQUIRES = ()
WHERE = {where!r}

def fail(where):
    if where != WHERE:
        return
    if {how!r} == "hang":
        time.sleep(60)
    os.write(2, b"acme: the board is on fire\\n")
    os.abort()

def probe():
    fail("probe")
    return [Device("acme:0", "Acme", True, versions={{"acme": "1.0"}})]

def open(model, device, options):
    fail("open")
    return Program(openvino.open(model, "openvino:CPU", options))

class Program:
    def __init__(self, inner):
        self.inner, self.inputs, self.outputs = inner, inner.inputs, inner.outputs
        self.device = Device("acme:0", "Acme", True, versions={{"acme": "1.0"}})
        self.placement, self.close = inner.placement, inner.close

    def run(self, feeds):
        fail("run")
        return self.inner.run(feeds)

    def submit(self, feeds):
        fail("run")
        return self.inner.submit(feeds)
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "ct"
    make_marked(folder)
    return folder


@pytest.fixture(scope="module")
def made(bright_bundle: Path, study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bright bundle with one golden case."""
    root = Path(shutil.copytree(bright_bundle, tmp_path_factory.mktemp("golden") / "bright"))
    report = make_golden(root, [study], devices=[CPU, "reference"])
    assert [case["study"] for case in report["cases"]] == ["golden/case-1"]
    return root


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "bright"))


def device() -> Device:
    return next(found for found in list_devices() if found.id == CPU)


def texts(path: Path) -> str:
    """What is written in a DICOM file, its pixels aside."""
    ds = dcmread(path)
    ds.pop("PixelData", None)
    return json.dumps(ds.to_json_dict(), ensure_ascii=False)


def test_a_device_is_proved_and_every_output_says_so(
    bundle: Path, study: Path, tmp_path: Path, own_cache: Path
) -> None:
    seen: list[str] = []
    verdict = prove(bundle, CPU, progress=lambda stage, done, total: seen.append(stage))
    assert verdict.status == "proved", verdict.reason
    assert (verdict.dice, verdict.reason) == (1.0, "")
    assert verdict.max_error is not None and verdict.max_error < 1e-5
    assert verdict.cosine == pytest.approx(1.0)
    assert {"open", "infer"} <= set(seen)
    assert proof.stored(load_bundle(bundle), device()) == verdict
    (kept,) = (own_cache / "proofs").iterdir()
    content = json.loads(kept.read_text(encoding="utf-8"))
    assert content["identity"]["versions"]["openvino"] and content["dice"] == 1.0

    result = run(study, bundle, CPU, out=tmp_path / "out")
    line = f"proved {verdict.made_at[:10]}, Dice 1.000"
    assert result.provenance.proof.text == line
    assert not any("proved" in note for note in result.provenance.notes)
    written = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert written["device"]["proof"]["proved"] and written["device"]["proof"]["text"] == line
    assert written["device"]["proof"]["key"] == verdict.identity.key
    for name in ("report.dcm", "segmentation.dcm"):
        assert f"{CPU}, {line}" in texts(tmp_path / "out" / name)
    assert "Comment" in texts(tmp_path / "out" / "report.dcm")


def test_without_a_proof_it_runs_and_every_output_says_so(
    bundle: Path, study: Path, tmp_path: Path, own_cache: Path
) -> None:
    shown = CliRunner().invoke(app, ["run", str(bundle), str(study), "-o", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    line = f"the device {CPU} is not proved on this host, for this model"
    assert f"note: {line}" in shown.stdout
    written = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert line in written["notes"]
    assert written["device"]["proof"] == {"proved": False, "text": "not proved on this host"}
    report = texts(tmp_path / "out" / "report.dcm")
    assert line in report and f"device {CPU}, not proved on this host" in report
    assert f"{CPU}, not proved on this host" in texts(tmp_path / "out" / "segmentation.dcm")


def test_a_proof_changes_the_uids_of_what_says_it(bundle: Path, study: Path, tmp_path: Path, own_cache: Path) -> None:
    """What stands in a DICOM object is another with it than without: then so must be its UID."""
    before = run(study, bundle, CPU, out=tmp_path / "before")
    prove(bundle, CPU)
    after = run(study, bundle, CPU, out=tmp_path / "after")
    uids = [{file.path.name: file.uid for file in result.files if file.uid} for result in (before, after)]
    assert uids[0].keys() == uids[1].keys()
    assert not set(uids[0].values()) & set(uids[1].values())
    again = run(study, bundle, CPU, out=tmp_path / "again")
    assert {file.path.name: file.uid for file in again.files if file.uid} == uids[1]


def test_a_device_that_computes_something_else_fails(bundle: Path, own_cache: Path) -> None:
    verdict = prove(bundle, "null")
    assert verdict.status == "failed"
    assert verdict.dice is not None and verdict.dice < 0.5
    assert "Dice" in verdict.reason and "golden/case-1" in verdict.reason
    with pytest.raises(ProofFailed, match="null is not proved"):
        verdict.require()
    assert not proof.stamp(load_bundle(bundle), verdict_device(verdict)).proved


def verdict_device(verdict: proof.Proof) -> Device:
    told = verdict.identity
    return Device(told.device, told.device_name, True, versions=dict(told.versions))


def test_a_change_makes_the_proof_void_and_is_named(bundle: Path, own_cache: Path) -> None:
    loaded, found = load_bundle(bundle), device()
    verdict = prove(bundle, CPU)
    newer = replace(found, versions={**found.versions, "openvino": "9999.1"})
    assert proof.stored(loaded, newer) is None
    text = proof.stamp(loaded, newer).text
    was = found.versions["openvino"]
    assert text == f"not proved on this host since openvino went from {was} to 9999.1"
    assert proof.stored(loaded, found, "f32") == verdict

    path = bundle / "golden" / "case-1.expect.json"
    content = json.loads(path.read_text())
    content["lesions"][0]["voxels"] += 1000
    path.write_text(json.dumps(content))
    changed = load_bundle(bundle)
    assert proof.stored(changed, found) is None
    assert proof.stamp(changed, found).text == "not proved on this host since the bundle changed"
    assert prove(changed, CPU).status == "failed"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 1, "status": "proved"}', "\x00\x01"])
def test_a_file_of_something_else_proves_nothing(bundle: Path, own_cache: Path, content: str) -> None:
    verdict = prove(bundle, CPU)
    (own_cache / "proofs" / f"{verdict.identity.key}.json").write_text(content)
    assert proof.stored(load_bundle(bundle), device()) is None
    assert proof.stamp(load_bundle(bundle), device()).text == "not proved on this host"


def test_another_ones_proof_under_this_name_proves_nothing(bundle: Path, own_cache: Path) -> None:
    verdict = prove(bundle, CPU)
    path = own_cache / "proofs" / f"{verdict.identity.key}.json"
    path.write_text(path.read_text().replace(verdict.identity.host, "another host"))
    assert proof.stored(load_bundle(bundle), device()) is None


def test_nothing_to_prove_and_nothing_to_prove_it_on(bright_bundle: Path, bundle: Path) -> None:
    with pytest.raises(BundleError, match="no golden cases"):
        prove(bright_bundle, CPU)
    with pytest.raises(DeviceUnavailable, match="openvino:XPU"):
        prove(bundle, "openvino:XPU")
    (bundle / "golden" / "case-1.expect.json").write_text('{"lesions": 3}')
    with pytest.raises(BundleError, match=r"case-1.expect.json: 'lesions'"):
        prove(bundle, CPU)


@pytest.mark.parametrize("where", ["open", "run"])
def test_a_crash_is_a_verdict(
    where: str, bundle: Path, study: Path, own_cache: Path, install: Callable[[str, str], None]
) -> None:
    install("acme", CRASHING.format(where=where, how="abort"))
    verdict = prove(bundle, "acme:0")
    assert verdict.status == "crashed"
    assert verdict.reason == ("acme:0 crashed: its process ended with SIGABRT (Aborted): acme: the board is on fire")
    found = next(one for one in list_devices() if one.id == "acme:0")
    assert proof.stored(load_bundle(bundle), found) == verdict
    assert "crashed in its proof on this host" in proof.stamp(load_bundle(bundle), found).text
    # The runtime lives, and has other devices.
    assert prove(bundle, CPU).status == "proved"


def test_a_hang_is_a_verdict(bundle: Path, own_cache: Path, install: Callable[[str, str], None]) -> None:
    install("acme", CRASHING.format(where="run", how="hang"))
    verdict = prove(bundle, "acme:0", timeout=6)
    assert verdict.status == "crashed"
    assert "acme:0 hangs: no sign of life for 6 s" in verdict.reason


def test_a_crash_while_it_is_loaded_for_the_first_time_is_an_error(
    bundle: Path, study: Path, own_cache: Path, tmp_path: Path, install: Callable[[str, str], None]
) -> None:
    install("acme", CRASHING.format(where="open", how="abort"))
    with pytest.raises(DeviceFault, match=r"acme:0, loading model.onnx, crashed: .*SIGABRT"):
        run(study, bundle, "acme:0", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_crash_in_a_probe_hides_no_other_device(install: Callable[[str, str], None]) -> None:
    install("acme", CRASHING.format(where="probe", how="abort"))
    listed = {found.id: found for found in list_devices()}
    assert listed[CPU].available and listed["null"].available
    assert not listed["acme"].available
    assert "SIGABRT" in listed["acme"].reason and listed["acme"].mend


def test_a_model_is_tried_once(bundle: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_bundle(bundle)
    tried: list[str] = []
    call = opening.child.call

    def counted(task: str, *arguments: Any, **more: Any) -> Any:
        tried.append(task)
        return call(task, *arguments, **more)

    monkeypatch.setattr(opening.child, "call", counted)
    for _ in range(2):
        opening.open_tried(loaded.model_path, loaded.sha256, CPU).close()
    assert len(tried) == 1
    assert opening.was_opened(loaded.sha256, CPU)
    assert not opening.was_opened("0" * 64, CPU)
    opening.open_tried(loaded.model_path, loaded.sha256, "reference").close()
    assert len(tried) == 1
    monkeypatch.setattr(opening, "fingerprint", lambda: "another processor")
    assert not opening.was_opened(loaded.sha256, CPU)


def test_the_device_of_a_program_is_the_one_that_was_probed(bundle: Path) -> None:
    """A proof is found by what the probe says and by what the program says."""
    loaded = load_bundle(bundle)
    for found in list_devices():
        if found.available:
            program = open_program(loaded.model_path, found.id)
            assert program.device == found
            program.close()


def test_prove_at_the_command_line(bundle: Path, tmp_path: Path, own_cache: Path) -> None:
    done = CliRunner().invoke(app, ["prove", str(bundle), "--device", CPU, "--json", str(tmp_path / "proof.json")])
    assert done.exit_code == 0, done.output
    assert "proved" in done.stdout and CPU in done.stdout
    content = json.loads((tmp_path / "proof.json").read_text(encoding="utf-8"))
    assert set(content) == {"environment", "rows", "proofs"}
    assert {"name", "ours", "unit", "goal", "met"} <= set(content["rows"][-1])
    assert content["rows"][-1]["met"] is True
    failed = CliRunner().invoke(app, ["prove", str(bundle), "--device", "null"])
    assert failed.exit_code == 6
    (line,) = [line for line in failed.stderr.splitlines() if line.strip()]
    assert "null is not proved for bright 1.0.0" in line


def test_golden_cases_are_made_where_the_devices_agree(bright_bundle: Path, study: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(bright_bundle, tmp_path / "bright"))
    before = sorted(path for path in root.rglob("*"))
    with pytest.raises(ProofFailed, match="null and openvino:CPU disagree on golden/case-1"):
        make_golden(root, [study], devices=[CPU, "null"])
    assert sorted(path for path in root.rglob("*") if path.name != "golden") == before
    with pytest.raises(BundleError, match="has no golden cases"):
        make_golden(root)
    made = CliRunner().invoke(
        app, ["bundle", "golden", str(root), "--study", str(study), "--device", CPU, "--json", "-"]
    )
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["cases"][0]["expect"] == "golden/case-1.expect.json"
    assert [case.study for case in load_bundle(root).meta.golden] == ["golden/case-1"]
    assert make_golden(root, devices=[CPU])["cases"][0]["windows"] > 1
