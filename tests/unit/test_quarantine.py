"""Devices that failed wait longer each time, and what is known of them survives the process."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bedside.backends.contract import DeviceFault, DeviceUnavailable
from bedside.runtime import quarantine
from bedside.runtime.quarantine import FIRST_WAIT, LONGEST_WAIT, held, lift, note, proved


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1.7e9]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def test_nothing_is_held_at_first() -> None:
    assert held("openvino:CPU") is None
    proved("openvino:CPU")
    lift("openvino:CPU")
    assert held("openvino:CPU") is None


def test_the_wait_grows_and_ends(clock: list[float]) -> None:
    waits = []
    for _ in range(8):
        entry = note("cuda:0", DeviceFault("cuda:0: the device is lost", kind="lost"))
        waits.append(entry.until - entry.since)
        assert entry.waiting and held("cuda:0") == entry
        clock[0] = entry.until
        assert not entry.waiting and held("cuda:0") is not None
        proved("cuda:0")
        assert held("cuda:0") is None
    assert waits[:3] == [FIRST_WAIT, 4 * FIRST_WAIT, 16 * FIRST_WAIT] and waits[-1] == LONGEST_WAIT
    clock[0] += quarantine.REMEMBERED + 1
    assert note("cuda:0", DeviceUnavailable("gone")).faults == 1


def test_a_clock_that_was_set_back_makes_the_wait_no_longer(clock: list[float]) -> None:
    entry = note("cuda:0", DeviceFault("lost"))
    clock[0] -= 1e6
    assert not entry.waiting


def test_devices_do_not_mix_and_their_files_can_be_read(cache: Path) -> None:
    note("cuda:0", DeviceFault("cuda:0: out of memory", kind="memory"))
    note("cuda_0", DeviceUnavailable("another"))
    found = held("cuda:0")
    assert found is not None and (found.kind, found.message) == ("memory", "cuda:0: out of memory")
    assert "in quarantine: it failed, last at" in found.reason
    files = sorted((cache / "quarantine").iterdir())
    assert len(files) == 2 and all(path.name.startswith("cuda_0-") for path in files)
    lift("cuda:0")
    assert held("cuda:0") is None and held("cuda_0") is not None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"device": "cuda:0"}', '{"until": "soon"}'])
def test_a_damaged_file_holds_nothing(cache: Path, content: str) -> None:
    note("cuda:0", DeviceFault("lost"))
    (path,) = (cache / "quarantine").iterdir()
    path.write_text(content)
    assert held("cuda:0") is None


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "file" / "cache"))
    assert note("cuda:0", DeviceFault("lost")).faults == 1
    assert held("cuda:0") is None
    lift("cuda:0")
