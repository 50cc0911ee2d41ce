"""The processor's energy counters, on a copy of what Linux shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedside.runtime.power.rapl import Rapl


def zone(root: Path, name: str, label: str, energy: int, span: int = 1000) -> Path:
    folder = root / name
    folder.mkdir(exist_ok=True)
    for file, content in (("name", label), ("energy_uj", energy), ("max_energy_range_uj", span)):
        (folder / file).write_text(f"{content}\n")
    return folder


def test_packages_are_added_and_what_is_in_them_is_not(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 100)
    zone(tmp_path, "intel-rapl:0:0", "core", 50)
    zone(tmp_path, "intel-rapl:1", "package-1", 200)
    zone(tmp_path, "intel-rapl:2", "psys", 999)
    counter = Rapl(tmp_path)
    before = counter.read()
    assert before is not None and counter.why_not == ""
    zone(tmp_path, "intel-rapl:0", "package-0", 400)
    zone(tmp_path, "intel-rapl:1", "package-1", 250)
    after = counter.read()
    assert after is not None
    assert counter.joules(before, after) == pytest.approx(350e-6)


def test_a_counter_that_wraps_around(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 990)
    counter = Rapl(tmp_path)
    before = counter.read()
    zone(tmp_path, "intel-rapl:0", "package-0", 9)
    after = counter.read()
    assert before is not None and after is not None
    assert counter.joules(before, after) == pytest.approx(20e-6)  # 991..1000, then 0..9


def test_no_counter_and_one_that_may_not_be_read(tmp_path: Path) -> None:
    assert Rapl(tmp_path).read() is None and "no energy counter" in Rapl(tmp_path).why_not
    (zone(tmp_path, "intel-rapl:0", "package-0", 1) / "energy_uj").unlink()
    assert Rapl(tmp_path).read() is None and "may not be read" in Rapl(tmp_path).why_not
