"""The program as a user meets it: help, tables, JSON, exit codes, and silence where nobody watches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from rich.console import Console
from typer.testing import CliRunner, Result

from bedside.runtime import console
from bedside.runtime.cli import app
from tests.dicom.make_bundles import make_bright
from tests.dicom.make_marked import make_marked

USAGE, STUDY, BUNDLE, DEVICE, DELIVERY = 2, 3, 4, 5, 8
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("run",),
    ("devices",),
    ("doctor",),
    ("study", "show"),
    ("bundle", "check"),
    ("bundle", "new"),
    ("bundle", "import"),
)


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: str | Path) -> dict[str, Any]:
    """The JSON on standard output, which holds nothing else."""
    result = call(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def refused(result: Result, code: int, *words: str) -> None:
    """One line on standard error that says the words; nothing on standard output."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if line.strip()]
    for word in words:
        assert word.lower() in line.lower(), line


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    make_marked(tmp_path / "ct")
    return tmp_path / "ct"


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare 3D segmentation model, as training leaves it."""
    bundle = _bright(tmp_path_factory.mktemp("onnx") / "bundle")
    return Path(shutil.copyfile(bundle / "models" / "model.onnx", bundle.parent / "liver.onnx"))


def _bright(root: Path) -> Path:
    orientation = {"_target_": "Orientationd", "axcodes": "RAS"}
    return make_bright(
        root, rank=3, modality="CT", low=-1000, high=1000, level=200, roi=(16, 16, 16), spatial=[orientation]
    )


def test_help_of_every_command() -> None:
    overview = call("--help")
    assert overview.exit_code == 0
    for command in COMMANDS:
        assert command[0] in overview.stdout
        shown = call(*command, "--help")
        assert shown.exit_code == 0
        assert "--json" in shown.stdout
    assert call("run", "--help").stdout.count("gap") == 1


def test_without_a_command_the_help_is_shown() -> None:
    result = call()
    assert result.exit_code == USAGE
    assert "Usage" in result.stdout + result.stderr


def test_version() -> None:
    result = call("--version")
    assert (result.exit_code, result.stdout.strip()) == (0, f"bedside {version('bedside')}")


@pytest.mark.parametrize(
    "arguments",
    [("frob",), ("run",), ("run", "a", "b"), ("run", "a", "b", "-o", "c", "--threads", "-1"), ("bundle", "frob")],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.exit_code == USAGE
    assert "Traceback" not in result.output


def test_unknown_finding_to_accept(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    result = call("run", bright_bundle, marked, "-o", tmp_path / "out", "--accept", "gap,holes")
    assert result.exit_code == USAGE
    assert "holes" in result.stderr
    assert not (tmp_path / "out").exists()


def test_devices() -> None:
    found = {device["id"]: device for device in answer("devices")["devices"]}
    assert found["openvino:CPU"]["available"]
    assert all(device["available"] or (device["reason"] and device["mend"]) for device in found.values())
    shown = call("devices")
    assert shown.exit_code == 0
    assert all(device in shown.stdout for device in found)


def test_doctor(tmp_path: Path) -> None:
    shown = call("doctor", "--json", tmp_path / "doctor.json")
    content = json.loads((tmp_path / "doctor.json").read_text(encoding="utf-8"))
    assert shown.exit_code == (0 if content["healthy"] else 1)
    assert set(content) == {"healthy", "problems", "host", "packages", "devices", "decoders"}
    assert content["packages"]["bedside"] == version("bedside")
    assert all(row["proved"] and row["ms"] > 0 for row in content["decoders"])
    for row in content["decoders"]:
        assert row["uid"] in shown.stdout


def test_study_show(bright_bundle: Path, marked: Path) -> None:
    content = answer("study", "show", marked, "--bundle", bright_bundle)
    (series,) = content["series"]
    assert (series["modality"], series["kind"], series["frames"]) == ("CT", "volume", 10)
    assert series["geometry"]["accepted"]
    assert content["selection"]["chosen"] == series["series_instance_uid"]
    shown = call("study", "show", marked, "--bundle", bright_bundle)
    assert "regular" in shown.stdout
    assert "taken" in shown.stdout


def test_study_show_says_why_nothing_is_taken(marked: Path, tmp_path: Path) -> None:
    mr = make_bright(tmp_path / "mr", rank=3, modality="MR", low=0, high=1, level=0.5, roi=(8, 8, 8))
    content = answer("study", "show", marked, "--bundle", mr)
    assert content["selection"]["chosen"] is None
    assert "modality CT" in content["selection"]["not_taken"][0]["reason"]
    shown = call("study", "show", marked, "--bundle", mr)
    assert shown.exit_code == 0
    assert "takes none" in shown.stdout
    result = call("run", mr, marked, "-o", tmp_path / "out", "--json", tmp_path / "error.json")
    refused(result, STUDY, "modality CT", "--series")
    error = json.loads((tmp_path / "error.json").read_text())["error"]
    assert error["selection"]["not_taken"][0]["label"] == "series 2"


def test_study_show_of_a_series_with_a_gap(marked: Path) -> None:
    by_height = sorted(marked.iterdir(), key=lambda path: float(dcmread(path).ImagePositionPatient[2]))
    by_height[4].unlink()
    verdict = answer("study", "show", marked)["series"][0]["geometry"]
    assert not verdict["accepted"]
    gap = next(finding for finding in verdict["findings"] if finding["kind"] == "gap")
    assert {name["file"] for name in gap["slices"]} >= {by_height[3].name, by_height[5].name}
    shown = call("study", "show", marked).stdout
    assert "1 slice is missing" in shown
    assert "--accept gap" in shown
    accepted = answer("study", "show", marked, "--accept", "gap")["series"][0]["geometry"]
    assert accepted["accepted"]
    assert accepted["resampling"]["shape"][0] == len(by_height)


def test_run_writes_json_to_a_file_and_to_standard_output(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    shown = call("run", bright_bundle, marked, "-o", tmp_path / "out", "--json", file)
    assert shown.exit_code == 0, shown.output
    assert "3 found by bright" in shown.stdout
    assert "Not for diagnosis" in shown.stdout
    content = json.loads(file.read_text(encoding="utf-8"))
    printed = answer("run", bright_bundle, marked, "-o", tmp_path / "again")
    assert set(content) == set(printed)
    assert content["lesions"] == printed["lesions"]
    for entry in content["files"]:
        assert (tmp_path / "out" / entry["name"]).stat().st_size == entry["bytes"]


def test_errors_as_json(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    result = call("run", bright_bundle, marked, "-o", tmp_path / "out", "--device", "cuda:9", "--json", "-")
    assert result.exit_code == DEVICE
    error = json.loads(result.stdout)["error"]
    assert (error["kind"], error["exit_code"]) == ("DeviceUnavailable", DEVICE)
    assert "cuda:9" in error["message"]
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("target", ["nowhere/x.json", "."])
def test_json_file_that_cannot_be_written(target: str, bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    result = call("run", bright_bundle, marked, "-o", tmp_path / "out", "--json", tmp_path / target)
    refused(result, DELIVERY, "folder")
    assert not (tmp_path / "out").exists()
    refused(call("devices", "--json", tmp_path / target), DELIVERY, "folder")


def test_named_series_and_study(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    refused(call("run", bright_bundle, marked, "-o", tmp_path / "a", "--series", "1.2.3"), STUDY, "1.2.3", "2.25.1002")
    refused(call("run", bright_bundle, marked, "-o", tmp_path / "a", "--study", "1.2.3"), STUDY, "1.2.3", "2.25.1001")
    named = ("--series", "2.25.1002", "--study", "2.25.1001")
    assert call("run", bright_bundle, marked, "-o", tmp_path / "a", *named).exit_code == 0


def test_nothing_is_drawn_where_nobody_watches(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    """As a program of its own, its streams piped: no progress, no escape sequences, nothing on standard error."""
    command = [_program(), "run", str(bright_bundle), str(marked), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout
    assert "mm³" in done.stdout.decode("utf-8")


@pytest.mark.parametrize("encoding", ["ascii", "gbk"])
def test_a_terminal_without_unicode(encoding: str, tmp_path: Path) -> None:
    """What it cannot show becomes '?'; JSON loses nothing."""
    make_marked(tmp_path / "ct", edit=lambda ds: setattr(ds, "SeriesDescription", "肺窗 ³"))
    command = [_program(), "study", "show", str(tmp_path / "ct"), *(["--json", "-"] if encoding == "ascii" else [])]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, timeout=60, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode(encoding)
    if encoding == "ascii":
        assert json.loads(shown)["series"][0]["description"] == "肺窗 ³"
    else:
        assert "肺窗 ?" in shown


def _program() -> str:
    """The installed program, for what only a process of its own shows."""
    program = Path(sys.executable).parent / "bedside"
    if not program.exists():
        pytest.skip("the program 'bedside' is not beside this Python: pip install .")
    return str(program)


def test_progress_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = StringIO()
    monkeypatch.setattr(console, "err", Console(file=screen, force_terminal=True, width=100))
    with console.progress_on_terminal() as listen:
        assert listen is not None
        # Frame by frame, preparing and running take turns: the one that counts is shown.
        listen("infer", 0, 0)
        for frame in range(3):
            listen("prepare", 0, 0)
            listen("infer", frame + 1, 3)
    last = screen.getvalue().rpartition("\x1b[2K  ")[2]  # what the last erased line gave way to
    assert "Running the network" in last
    assert "3/3" in last
    assert "Preparing" not in last


def test_long_list_of_findings_is_cut(tmp_path: Path) -> None:
    def speckle(ds: Dataset) -> None:
        pixels = np.zeros((ds.Rows, ds.Columns), np.int16)
        if int(ds.InstanceNumber) == 3:
            pixels[::4, ::4] = 1024 + 900
        ds.PixelData = pixels.tobytes()

    make_marked(tmp_path / "ct", edit=speckle)
    many = make_bright(
        tmp_path / "many", rank=3, modality="CT", low=-1000, high=1000, level=200, roi=(16, 16, 16), instances=True
    )
    shown = call("run", many, tmp_path / "ct", "-o", tmp_path / "out")
    assert "48 found by" in shown.stdout
    assert "28 more" in shown.stdout


def test_bundle_check(bright_bundle: Path, tmp_path: Path) -> None:
    content = answer("bundle", "check", bright_bundle)
    assert (content["name"], content["version"]) == ("bright", "1.0.0")
    shown = call("bundle", "check", bright_bundle)
    assert "is sound" in shown.stdout
    assert content["sha256"] in shown.stdout
    refused(call("bundle", "check", tmp_path / "none"), BUNDLE, "none")
    refused(call("bundle", "check", tmp_path), BUNDLE, "metadata.json")


def test_new_bundle_is_usable_once_it_is_filled_in(onnx_file: Path, marked: Path, tmp_path: Path) -> None:
    content = answer("bundle", "new", onnx_file, tmp_path / "liver")
    assert (tmp_path / "liver" / "models" / "model.onnx").is_file()
    wanted = " ".join(content["fill_in"])
    for place in ("segments[0].name", "segments[0].type", "domain", "preprocessing"):
        assert place in wanted
    refused(call("bundle", "check", tmp_path / "liver"), BUNDLE, "segments[0]", "name")
    _fill_in(tmp_path / "liver")
    assert call("bundle", "check", tmp_path / "liver").exit_code == 0
    result = call("run", tmp_path / "liver", marked, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    refused(call("bundle", "new", onnx_file, tmp_path / "liver"), DELIVERY, "not empty")


def test_new_bundle_from_what_is_no_model(onnx_file: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("no model")
    refused(call("bundle", "new", tmp_path / "model.onnx", tmp_path / "a"), BUNDLE, "model.onnx")
    refused(call("bundle", "new", tmp_path / "none.onnx", tmp_path / "a"), BUNDLE, "none.onnx")
    refused(call("bundle", "new", onnx_file, tmp_path / "a", "--kind", "detection"), BUNDLE, "detection")
    assert not (tmp_path / "a").exists()


def test_new_bundle_says_what_is_open(onnx_file: Path, tmp_path: Path) -> None:
    shown = call("bundle", "new", onnx_file, tmp_path / "liver")
    assert shown.exit_code == 0
    assert "was made" in shown.stdout
    assert "Still to be filled in" in shown.stdout


def _fill_in(bundle: Path) -> None:
    """What only the maker of a model knows."""
    path = bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["bedside"]["domain"] = "Upper abdomen, portal-venous phase."
    for segment in metadata["bedside"]["result"]["segments"]:
        segment["name"] = segment["name"] or "Liver"
        segment["type"] = {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}
    path.write_text(json.dumps(metadata), encoding="utf-8")


def monai_bundle(root: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """A bundle as MONAI's tools leave it: no ``bedside`` object, references, steps that save files."""
    _bright(root)
    path = root / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    del metadata["bedside"]
    metadata["network_data_format"]["inputs"]["image"].update(format="hounsfield", modality="CT")
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "background", "1": "spleen"}
    path.write_text(json.dumps(metadata), encoding="utf-8")
    config = {
        "imports": ["$import glob"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "window": {"a_min": -1000, "a_max": 1000},
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "reader": "ITKReader"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": "@window::a_min",
                    "a_max": "@window::a_max",
                    "b_min": 0,
                    "b_max": 1,
                    "clip": True,
                },
                {"_target_": "EnsureTyped", "keys": "image"},
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 4, "overlap": 0.5},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"},
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
            ],
        },
    }
    if change:
        change(config)
    (root / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    return root


@pytest.mark.parametrize("zipped", [False, True])
def test_import_of_a_monai_bundle(zipped: bool, marked: Path, tmp_path: Path) -> None:
    source = monai_bundle(tmp_path / "spleen_ct")
    refused(call("bundle", "check", source), BUNDLE, "bedside", "import")
    if zipped:
        archive = tmp_path / "spleen_ct.zip"
        with zipfile.ZipFile(archive, "w") as writer:
            for path in source.rglob("*"):
                writer.write(path, path.relative_to(tmp_path))
        source = archive
    content = answer("bundle", "import", source, tmp_path / "ours")
    assert any("SaveImaged" in step for step in content["dropped"])
    assert any("segments[0].type" in place for place in content["fill_in"])
    assert not any("segments[0].name" in place for place in content["fill_in"]), "channel_def has it"
    refused(call("bundle", "check", tmp_path / "ours"), BUNDLE, "segments[0].type")
    _fill_in(tmp_path / "ours")
    checked = answer("bundle", "check", tmp_path / "ours")
    assert checked["accepts"] == "CT"
    result = answer("run", tmp_path / "ours", marked, "-o", tmp_path / "out")
    assert [lesion["name"] for lesion in result["lesions"]] == ["spleen"]


def test_import_keeps_and_names_what_is_not_supported(tmp_path: Path) -> None:
    def exotic(config: dict[str, Any]) -> None:
        config["preprocessing"]["transforms"].insert(3, {"_target_": "HistogramNormalized", "keys": "image"})

    source = monai_bundle(tmp_path / "exotic", exotic)
    content = answer("bundle", "import", source, tmp_path / "ours")
    assert any("HistogramNormalized" in place for place in content["fill_in"])
    kept = json.loads((tmp_path / "ours" / "configs" / "inference.json").read_text())
    assert any(step["_target_"] == "HistogramNormalized" for step in kept["preprocessing"]["transforms"])
    _fill_in(tmp_path / "ours")
    refused(call("bundle", "check", tmp_path / "ours"), BUNDLE, "HistogramNormalized")


def test_import_of_what_is_no_bundle(bright_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 no zip")
    refused(call("bundle", "import", tmp_path / "broken.zip", tmp_path / "a"), BUNDLE, "broken.zip")
    refused(call("bundle", "import", tmp_path / "none", tmp_path / "a"), BUNDLE, "none")
    (tmp_path / "empty").mkdir()
    refused(call("bundle", "import", tmp_path / "empty", tmp_path / "a"), BUNDLE, "metadata.json")
    bare = monai_bundle(tmp_path / "bare")
    (bare / "models" / "model.onnx").unlink()
    refused(call("bundle", "import", bare, tmp_path / "a"), BUNDLE, "ONNX", "export")
    assert not (tmp_path / "a").exists()


def _patched(patch: str, *arguments: str | Path, stdout: str | int | None = None) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, with something in it replaced."""
    script = f"import os, signal, sys\nfrom bedside.runtime import cli, pipeline, report\n{patch}\ncli.main()\n"
    command = [sys.executable, "-c", script, *(str(argument) for argument in arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "BEDSIDE_DEBUG"}
    if stdout is not None:
        with open(stdout, "w", closefd=isinstance(stdout, str)) as file:
            return subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


_FAIL = """
def fail(*_):
    raise ValueError("could not convert string to float: 'Wang^Secret'")
report.sr.build = fail
"""


def test_an_internal_error_is_one_line_without_values(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    arguments = ("run", bright_bundle, marked, "-o", tmp_path / "out")
    failed = _patched(_FAIL, *arguments)
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert line.startswith("bedside: internal error: ValueError in report/__init__.py:")
    assert "please report" in line and "Secret" not in line
    assert not (tmp_path / "out").exists()
    shown = _patched(_FAIL, "--debug", *arguments)
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr and "Secret" in shown.stderr


def test_a_terminated_run_leaves_no_work_folder(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    patch = "report.seg_check.check = lambda *_: os.kill(os.getpid(), signal.SIGTERM)"
    (tmp_path / "results").mkdir()
    ended = _patched(patch, "run", bright_bundle, marked, "-o", tmp_path / "results" / "out")
    assert (ended.returncode, ended.stderr) == (143, "")
    assert list((tmp_path / "results").iterdir()) == []


@pytest.mark.parametrize("more", [(), ("--json", "-")])
def test_standard_output_that_cannot_be_written(
    bright_bundle: Path, marked: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this host")
    ended = _patched("", "run", bright_bundle, marked, "-o", tmp_path / "out", *more, stdout="/dev/full")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "standard output cannot be written: no space left on device" in line
    assert (tmp_path / "out" / "result.json").is_file()
    for option in ("--help", "--version"):
        assert "Traceback" not in _patched("", option, stdout="/dev/full").stderr


def test_a_reader_that_has_gone(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = _patched("", "run", bright_bundle, marked, "-o", tmp_path / "out", stdout=writer)
    finally:
        os.close(writer)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "broken pipe" in line
    assert (tmp_path / "out" / "result.json").is_file()
