"""A process killed at any point of a run: what it leaves in the result folder, tried in forks of one process.

``python -c 'from tests.dicom.kill_points import main; main()' SCENARIO FOLDER [BUNDLE STUDY]`` prints a JSON object a
point: what was to happen next when the fork was killed, and what the folder held after that.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bedside.runtime import run
from bedside.runtime.report import require_own, write_all
from tests.dicom.report_input import ct_input

_STEPS = ("os.rename", "os.mkdir", "os.chmod", "os.rmdir", "os.remove", "ctypes.dlsym", "tempfile.mkdtemp")
_MOST = 200


class _Points:
    """Counts the points of a run, and kills the process at one of them."""

    def __init__(self, fatal: int) -> None:
        self._fatal = fatal
        self._passed = 0

    def passes(self, what: str) -> None:
        if self._passed == self._fatal:
            sys.stdout.write(what)
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        self._passed += 1


def killed_at(point: int, work: Callable[[_Points], object]) -> str | None:
    """Do ``work`` in a fork that is killed at a point; what was next there. None where there are fewer points."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        code = 1
        try:
            work(_Points(point))
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        next_step = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return next_step
    assert os.WEXITSTATUS(status) == 0, f"the fork failed at point {point}"
    return None


def unharmed(work: Callable[[_Points], object]) -> None:
    """Do ``work`` in a fork of its own: threads that it starts would be missing in the forks that come after."""
    assert killed_at(-1, work) is None


def state(out: Path) -> str:
    """``absent``, ``none`` (a folder without a result or a part of one), ``part``, or the whole result's SEG type."""
    if not out.exists():
        return "absent"
    own = {path.name for path in out.iterdir() if not path.name.startswith((".", "mine"))}
    if "result.json" not in own:
        return "part" if own else "none"
    result = json.loads((out / "result.json").read_bytes())
    listed = {file["name"]: file["sha256"] for file in result["files"]}
    if own != {*listed, "result.json"}:
        return "part"
    if any(hashlib.sha256((out / name).read_bytes()).hexdigest() != digest for name, digest in listed.items()):
        return "part"
    return "old" if "OLD" in result["notes"] else "new"


def main() -> None:
    scenario, folder = sys.argv[1], Path(sys.argv[2])
    out = folder / "results" / "out"
    data = ct_input()
    origin = (data.study_uid, str(data.header.SeriesInstanceUID), data.bundle.name)
    old = replace(data, provenance=replace(data.provenance, notes=("OLD",)))

    def write(points: _Points) -> None:
        sys.addaudithook(lambda event, arguments: points.passes(event) if event in _STEPS else None)
        write_all(data, out)

    def run_all(points: _Points) -> None:
        run(sys.argv[4], sys.argv[3], out=out, progress=lambda stage, done, total: points.passes(f"{stage} {done}"))

    work = run_all if scenario == "run" else write
    for point in range(_MOST):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if scenario in ("old", "foreign"):
            unharmed(lambda points: write_all(old, out))
        if scenario == "foreign":
            (out / "mine.txt").write_text("mine")
        next_step = killed_at(point, work)
        found: dict[str, Any] = {"point": point, "next": next_step, "left": state(out)}
        if next_step is not None:
            unharmed(lambda points: require_own(out, *origin) if scenario != "run" else None)
            found["put right"] = state(out)
            unharmed(work)
        found["again"] = state(out)
        found["beside"] = sorted(path.name for path in out.parent.iterdir())
        found["mine"] = (out / "mine.txt").exists()
        print(json.dumps(found), flush=True)
        if next_step is None:
            return
    raise SystemExit(f"more than {_MOST} points")
