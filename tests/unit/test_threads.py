"""The one thread budget: what bounds it, that it is set once, and that every kernel and backend keeps to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bedside import kernels
from bedside.runtime import threads
from bedside.runtime.errors import BedsideError

CORES = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def budget_as_before() -> Iterator[None]:
    yield
    kernels.set_thread_budget(threads.set_once().threads)


def process(folder: Path, groups: str, mounts: str, **limits: str) -> Path:
    """A /proc/self of its own, and control groups in ``folder/cg``: file name -> content, ``__`` for a slash."""
    proc = folder / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(groups)
    (proc / "mountinfo").write_text(mounts.replace("CG", str(folder / "cg")))
    for name, content in limits.items():
        file = folder / "cg" / name.replace("__", "/").replace("cpu_", "cpu.")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n")
    return proc


UNIFIED = "30 23 0:26 / CG rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
OLD = "33 32 0:28 / CG rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n35 32 0:29 / CG rw - cgroup cgroup rw,memory\n"


def test_no_limit(tmp_path: Path) -> None:
    assert threads.cpu_quota(tmp_path / "not there") is None
    proc = process(tmp_path, "0::/a/b\n", UNIFIED, a__b__cpu_max="max 100000", a__cpu_max="max 100000")
    assert threads.cpu_quota(proc) is None


def test_the_unified_hierarchy_counts_every_level(tmp_path: Path) -> None:
    proc = process(tmp_path, "0::/a/b\n", UNIFIED, a__b__cpu_max="400000 100000", a__cpu_max="150000 100000")
    assert threads.cpu_quota(proc) == 1.5
    assert threads.find(proc).threads == 1


def test_the_path_of_another_namespace_is_the_mount(tmp_path: Path) -> None:
    proc = process(tmp_path, "0::/../../host/only\n", UNIFIED, cpu_max="50000 100000")
    assert threads.cpu_quota(proc) == 0.5
    assert threads.find(proc).threads == 1


def test_the_old_hierarchy(tmp_path: Path) -> None:
    groups = "5:memory:/m\n4:cpu,cpuacct:/docker/x\n"
    proc = process(tmp_path, groups, OLD, docker__x__cpu_cfs_quota_us="250000", docker__x__cpu_cfs_period_us="100000")
    assert threads.cpu_quota(proc) == 2.5
    assert threads.find(proc).threads == min(2, CORES)


def test_the_old_hierarchy_without_a_limit(tmp_path: Path) -> None:
    proc = process(tmp_path, "4:cpu:/\n", OLD, cpu_cfs_quota_us="-1", cpu_cfs_period_us="100000")
    assert threads.cpu_quota(proc) is None
    assert threads.find(proc) == threads.Budget(CORES, CORES, None, None)


def test_the_setting_can_only_lower_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BEDSIDE_THREADS", "1")
    assert threads.find(tmp_path) == threads.Budget(1, CORES, None, 1)
    monkeypatch.setenv("BEDSIDE_THREADS", "4000")
    assert threads.find(tmp_path).threads == CORES
    assert threads.find(tmp_path).bounds == f"{CORES} cores, BEDSIDE_THREADS=4000"


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_wrong_setting_is_one_line(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BEDSIDE_THREADS", text)
    with pytest.raises(BedsideError, match=rf"BEDSIDE_THREADS is '{text}'.*unset"):
        threads.find()
    ran = subprocess.run(
        [sys.executable, "-c", "from bedside.runtime.cli import main; main()", "devices"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"bedside: BEDSIDE_THREADS is '{text}'") and ran.stderr.count("\n") == 1


def test_kernels_take_it_for_0() -> None:
    kernels.set_thread_budget(3)
    assert kernels.thread_budget() == 3
    kernels.set_thread_budget(0)
    assert kernels.thread_budget() == CORES
    with pytest.raises(ValueError, match="threads"):
        kernels.set_thread_budget(-1)


@pytest.mark.parametrize("budget", [1, 2])
def test_a_kernel_starts_no_more_threads_than_that(budget: int) -> None:
    """Counted in a process of its own, whose pool is empty at first."""
    program = (
        "import os, sys, numpy as np\n"
        "from bedside import kernels\n"
        f"kernels.set_thread_budget({budget})\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "src = np.zeros((64, 256, 256), np.int16)\n"
        "kernels.rescale(src, np.empty(src.shape, np.float32), slope=1.0, intercept=0.0)\n"
        "print(len(os.listdir('/proc/self/task')) - before)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert int(ran.stdout) == budget - 1


def test_what_is_left_beside_a_network() -> None:
    def program(threads: int) -> Any:
        return SimpleNamespace(host_threads=threads)

    kernels.set_thread_budget(8)
    assert [threads.beside(program(busy)) for busy in (0, 4, 8)] == [8, 4, 1]
    assert threads.beside(program(1), threads=2) == 1
    assert threads.beside(cast(Any, SimpleNamespace())) == 8
