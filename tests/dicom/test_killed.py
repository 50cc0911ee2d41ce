"""Killed at any step a run leaves no result, the earlier one or the new one, and the next run puts everything right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dicom.make_bundles import make_bright
from tests.dicom.make_marked import make_marked

ROOT = Path(__file__).resolve().parents[2]


def points(tmp_path: Path, scenario: str, *more: str) -> list[dict[str, Any]]:
    """What was left and what came of it, for each point at which the process was killed."""
    command = [sys.executable, "-c", "from tests.dicom.kill_points import main; main()", scenario]
    done = subprocess.run(
        [*command, str(tmp_path / "work"), *more],
        env={**os.environ, "PYTHONPATH": str(ROOT), "BEDSIDE_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found[-1]["next"] is None and found[-1]["left"] == "new"  # the last one was not killed
    for one in found:
        assert one["again"] == "new" and one["beside"] == ["out"], one
    return found[:-1]


@pytest.mark.slow
def test_a_new_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    found = points(tmp_path, "new")
    assert {one["left"] for one in found} == {"absent"}


@pytest.mark.slow
def test_an_earlier_result_is_whole_until_the_new_one_is(tmp_path: Path) -> None:
    found = points(tmp_path, "old")
    assert {one["left"] for one in found} == {"old", "new"}


@pytest.mark.slow
def test_a_folder_with_files_of_others_is_put_right_by_the_next_run(tmp_path: Path) -> None:
    """There the files can only be moved one by one; without its result.json a folder holds no result."""
    found = points(tmp_path, "foreign")
    assert {one["left"] for one in found} == {"old", "none", "part", "new"}
    assert all(one["put right"] in ("old", "new") and one["mine"] for one in found)
    assert all(one["put right"] == "new" for one in found if one["left"] in ("none", "part"))


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_stage_is_done_again(tmp_path: Path) -> None:
    roi: tuple[int, ...] = (16, 16, 16)
    spatial = [{"_target_": "Orientationd", "axcodes": "RAS"}]
    bundle = make_bright(
        tmp_path / "bright", rank=3, modality="CT", low=-1000, high=1000, level=200.5, roi=roi, spatial=spatial
    )
    make_marked(tmp_path / "study")
    found = points(tmp_path, "run", str(bundle), str(tmp_path / "study"))
    stages = {one["next"].split()[0] for one in found}
    assert {"read", "select", "geometry", "open", "decode", "prepare", "infer", "finish", "measure", "report"} <= stages
    assert {one["left"] for one in found} <= {"absent", "new"}
