"""What a benchmark says of a comparison: goals, peers that are missing, the machine's limit, and the table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bedside.benchmarks.all import filled
from bedside.benchmarks.kernels import cases, comparisons
from bedside.benchmarks.kernels.cases import Case, Figure
from bedside.benchmarks.limits import memcpy, reading
from bedside.benchmarks.rows import Row, cells, compare, document, markdown
from bedside.runtime.cli import app


@pytest.fixture(autouse=True)
def _small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bedside.benchmarks.limits.LARGE", 1 << 16)
    monkeypatch.setattr(cases, "peers_use", lambda threads: None)


def test_a_goal_is_met_or_not_and_says_why() -> None:
    times = {"ours": 2.0, "fast": 3.0, "slow": 20.0}
    fast, slow = compare("work", times, 5, goals={"fast": 2.0, "slow": 8.0}, reasons={"fast": "a reason", "slow": "?"})
    assert (fast.ratio, fast.met, fast.why) == (1.5, False, "a reason")
    assert (slow.ratio, slow.met, slow.why) == (10.0, True, None)


def test_the_peers_that_a_case_wants_have_a_row_each() -> None:
    case = Case(
        "add",
        lambda threads: {"ours": lambda: None, "numpy": lambda: None},
        goals={"numpy": 0.0, "MONAI": 40.0, "memcpy": 0.0},
        peers=("OpenCV resize",),
        traffic=1 << 12,
        read_only=1 << 10,
    )
    rows = {row.peer_name: row for row in case.rows(threads=1, rounds=3)}
    assert set(rows) == {"numpy", "memcpy", "MONAI", "OpenCV resize"}
    assert rows["numpy"].met is True
    assert rows["numpy"].n == 3
    assert rows["memcpy"].limit_share == rows["memcpy"].ratio
    assert (rows["MONAI"].met, rows["MONAI"].why) == (None, "not installed: pip install monai")
    assert rows["OpenCV resize"].why == "not installed: pip install 'bedside[bench]'"


def test_work_without_a_peer_has_its_row() -> None:
    (row,) = Case("alone", lambda threads: {"ours": lambda: None}).rows(1, 1)
    assert (row.name, row.peer_name, row.limit_share) == ("alone", None, None)


def test_the_table_shows_what_the_file_says() -> None:
    figure = Figure("peak", lambda threads: Row("peak", 80.0, "MB", goal=100.0, met=True))
    content = document(
        [Row("work", 2.0, "ms", 30.0, "peer", 15.0, 0.5, 20.0, False, "a reason", 5), *figure.rows(1, 1)], limits={}
    )
    titles, (work, peak) = cells(content)
    assert dict(zip(titles, work, strict=True)) == {
        "what": "work",
        "ours": "2 ms",
        "peer": "peer",
        "its time": "30 ms",
        "ratio": "15x",
        "goal": "20x not met, a reason",
        "memcpy": "1 ms",
        "share": "50%",
        "n": "5",
    }
    assert peak[:2] == ["peak", "80 MB"]
    assert len(markdown(content).splitlines()) == 4
    assert content["rows"][0]["met"] is False


def test_the_limits_move_the_bytes_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = np.arange(256, dtype=np.uint8), np.zeros(256, np.uint8)
    monkeypatch.setattr("bedside.benchmarks.limits._pair", lambda size: pair)
    memcpy(200, threads=2)()
    np.testing.assert_array_equal(pair[1], np.r_[np.arange(100), np.zeros(156)])
    assert max(reading(256, threads=2)()) == pair[0].view(np.int64).max()  # type: ignore[call-overload]


def test_every_comparison_has_a_name_of_its_own() -> None:
    names = [case.name for case in comparisons()]
    assert len(names) > 4
    assert len(set(names)) == len(names)


def test_bench_kernels_writes_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("add", lambda threads: {"ours": lambda: None, "numpy": lambda: None}, goals={"numpy": 0.0})
    other = Case("another", lambda threads: pytest.fail("not asked for"))
    monkeypatch.setattr("bedside.benchmarks.kernels.run.comparisons", lambda: iter((case, other)))
    file = tmp_path / "kernels.json"
    done = CliRunner().invoke(app, ["bench", "kernels", "--only", "ADD", "--rounds", "2", "--json", str(file)])
    assert done.exit_code == 0, done.output
    content = json.loads(file.read_text())
    assert [(row["name"], row["met"], row["n"]) for row in content["rows"]] == [("add", True, 2)]
    assert set(content["environment"]["limits"]) == {"memcpy_gb_per_s", "read_gb_per_s", "threads"}
    assert "memcpy" in done.output


def test_tables_of_a_document_are_made_from_the_files() -> None:
    contents = {
        "read": document([Row("read it", 1.0, "ms"), Row("read all", 2.0, "ms")]),
        "path": document([Row("whole", 3.0, "ms")]),
    }
    text = "a\n<!-- bench:read,path -->\nold\n<!-- /bench -->\nb\n<!-- bench:read:all -->\n<!-- /bench -->\nc\n"
    text += "<!-- bench:kernels -->\nkept\n<!-- /bench -->\n"
    made = filled(text, contents)
    assert "old" not in made
    assert made.count("| read all |") == 2
    assert made.count("| read it |") == made.count("| whole |") == 1
    assert made.endswith("c\n<!-- bench:kernels -->\nkept\n<!-- /bench -->\n")
    assert filled(made, contents) == made
