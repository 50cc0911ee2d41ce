"""The program as a user meets it: help, tables, JSON and exit codes."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.dicom.make_bundles import make_bright

from .cli_calls import DELIVERY, DEVICE, STUDY, USAGE, answer, call, refused

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("run",),
    ("devices",),
    ("doctor",),
    ("study", "show"),
    ("bundle", "check"),
    ("bundle", "new"),
    ("bundle", "import"),
    ("bundle", "golden"),
    ("prove",),
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
