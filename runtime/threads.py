"""One budget of threads for the whole process: decoding, kernels and network together.

It is the least of the cores in the process's affinity mask, the CPU quota of its control groups (a container's
``--cpus`` stops every thread once the quota of a period is used up: more threads are slower then, not faster) and
``$BEDSIDE_THREADS``. It is handed to :func:`bedside.kernels.set_thread_budget`, which the backends ask too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bedside.backends.contract import Program
from bedside.kernels import set_thread_budget, thread_budget

from .errors import BedsideError

ENVIRONMENT = "BEDSIDE_THREADS"


@dataclass(frozen=True)
class Budget:
    """How many threads may compute at once, and what bounds them."""

    threads: int
    cores: int
    """In the process's affinity mask."""
    quota: float | None
    """Processors that the control groups allow on average; None where there is no limit."""
    wanted: int | None
    """``$BEDSIDE_THREADS``; None where it is not set."""

    @property
    def bounds(self) -> str:
        """What bounds it, in words."""
        found = [f"{self.cores} cores"]
        if self.quota is not None:
            found.append(f"a CPU quota of {self.quota:g}")
        if self.wanted is not None:
            found.append(f"{ENVIRONMENT}={self.wanted}")
        return ", ".join(found)


@cache
def set_once() -> Budget:
    """Find the budget and hand it to kernels and backends; every later call returns what the first one found.

    Raises
    ------
    BedsideError
        ``$BEDSIDE_THREADS`` is no positive number.
    """
    budget = find()
    set_thread_budget(budget.threads)
    return budget


def find(proc: Path = Path("/proc/self")) -> Budget:
    """The budget of this process as things are now, whatever was set; errors as of :func:`set_once`."""
    cores, quota, wanted = len(os.sched_getaffinity(0)), cpu_quota(proc), _wanted()
    bounds = [cores]
    if quota is not None:
        bounds.append(max(1, math.floor(quota)))  # half a thread more would be stopped half of the time
    if wanted is not None:
        bounds.append(wanted)
    return Budget(min(bounds), cores, quota, wanted)


def beside(program: Program, threads: int = 0) -> int:
    """Threads for what runs while one inference of a program is computed, of a budget of ``threads``; at least one.

    A program says in ``host_threads`` how many of the host's threads an inference keeps busy; one on a device of its
    own, or that does not say, leaves all of them. 0 is the process's budget.
    """
    busy: int = getattr(program, "host_threads", 0)
    return max(1, (threads or thread_budget()) - busy)


def cpu_quota(proc: Path = Path("/proc/self")) -> float | None:
    """Processors that the control groups of a process allow on average, each level up counted; None without a limit.

    Both versions are read: ``cpu.max`` of the unified hierarchy, ``cpu.cfs_quota_us`` of the ``cpu`` controller (Linux,
    Documentation/admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst).
    """
    limits = [limit for folder in _groups(proc) if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _wanted() -> int | None:
    text = os.environ.get(ENVIRONMENT, "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) == 0:
        raise BedsideError(f"{ENVIRONMENT} is '{text}'", mend=f"unset {ENVIRONMENT}, or make it a number from 1 on")
    return int(text)


def _groups(proc: Path) -> Iterator[Path]:
    """The folders of the control groups that bound this process's CPU time, from its own to the topmost one seen."""
    try:
        groups = (proc / "cgroup").read_text(encoding="utf-8").splitlines()
        mounts = (proc / "mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    of_controllers = {controllers: path for _, controllers, path in (line.split(":", 2) for line in groups)}
    for line in mounts:
        before, _, after = line.partition(" - ")
        root, mounted = before.split()[3:5]
        kind, _, options = after.split()[:3]
        for controllers, path in of_controllers.items():
            unified = kind == "cgroup2" and not controllers
            if unified or (kind == "cgroup" and "cpu" in controllers.split(",") and "cpu" in options.split(",")):
                yield from _upwards(Path(mounted), Path(root), Path(path))


def _upwards(mounted: Path, root: Path, group: Path) -> Iterator[Path]:
    """The group's folder and those above it; the mount itself where the group's path is another namespace's."""
    below = group.relative_to(root) if group.is_relative_to(root) else Path()
    if not (mounted / below).is_dir():
        below = Path()
    yield mounted / below
    for parent in below.parents:
        yield mounted / parent


def _limit(group: Path) -> float | None:
    with suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError):
        allowed = int((group / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        return None if allowed <= 0 else allowed / int((group / "cpu.cfs_period_us").read_text(encoding="ascii"))
    return None
