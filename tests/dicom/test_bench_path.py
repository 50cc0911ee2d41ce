"""The benchmark of the whole path walks it, with the results of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bedside.benchmarks import whole_path
from bedside.benchmarks.naive_path import Answer, Measured
from bedside.benchmarks.no_network import Above
from bedside.phantoms import chest_ct, write_chest_ct
from bedside.runtime.bundle.load import load_bundle
from bedside.runtime.cli import app
from bedside.runtime.pipeline import run
from bedside.runtime.stopwatch import Stopwatch


def test_it_finds_what_a_run_finds(tmp_path: Path) -> None:
    write_chest_ct(chest_ct(1, slices=40, size=128, pixel_mm=2.8, slice_mm=4.0), tmp_path / "ct")
    bundle, clock = load_bundle(whole_path.BUNDLE), Stopwatch()
    network = Above(bundle, whole_path.LEVEL)
    found = whole_path.ours(tmp_path / "ct", bundle, network, tmp_path / "ours.dcm", clock, 1)
    result = run(tmp_path / "ct", bundle, network, out=tmp_path / "results")
    assert list(clock.ms) == [stage for stage in whole_path.STAGES if stage != whole_path.TOTAL]
    assert network.seconds > 0
    np.testing.assert_array_equal(found.parts, result.findings.parts)
    assert found.lesions == result.findings.lesions
    assert result.provenance.device == "benchmark"


def test_bench_path_without_monai(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_path, "optional", lambda module: None)
    monkeypatch.setattr(whole_path, "peers_use", lambda threads: None)
    monkeypatch.setattr(whole_path, "WAYS", {"scores back": None})
    monkeypatch.setattr("bedside.benchmarks.limits.LARGE", 1 << 16)
    monkeypatch.setattr(
        whole_path, "chest_ct", lambda seed, **sizes: chest_ct(seed, size=128, **{**sizes, "pixel_mm": 2.8})
    )
    file = tmp_path / "path.json"
    options = ["--slices", "40", "--rounds", "1", "--json", str(file)]
    done = CliRunner().invoke(app, ["bench", "path", *options])
    assert done.exit_code == 0, done.output
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) == len(whole_path.STAGES) + 1
    total = next(row for row in rows if row.get("goal"))
    assert (total["met"], total["why"]) == (None, "not installed: pip install monai")
    assert total["ours"] > 0


def test_another_result_is_no_comparison() -> None:
    class Findings:
        parts, lesions = np.ones((2, 2, 2), np.uint8), (1,)

    measured = [Measured(8, 8.0, (0.5, 0.5, 0.5), 1.4, 0.0, 0.0)]
    same = Answer(Findings.parts, Findings.parts, measured)
    assert whole_path._agreement("x", Findings, same).ours == 0  # type: ignore[arg-type]
    with pytest.raises(SystemExit, match="differ"):
        whole_path._agreement("x", Findings, Answer(same.labels, same.parts * 0, measured))  # type: ignore[arg-type]
