"""Tasks in a child process: answers, progress and refusals come back; a crash, a hang or a kill is one line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedside.runtime import child
from bedside.runtime.errors import BundleError, DeviceFault, DeviceUnavailable

TASKS = """
import ctypes, os, signal, subprocess, sys, tempfile, time
from bedside.runtime.errors import DeviceUnavailable

def fine(arguments, progress, note):
    progress("open", 0, 0)
    progress("infer", 1, 2)
    progress("infer", 2, 2)
    note({"seen": arguments["x"]})
    print("a library says hello")
    return {"twice": 2 * arguments["x"], "temporary": tempfile.mkdtemp()}

def shout(arguments, progress, note):
    for _ in range(20):
        print("noise " * 20000)
    return "heard"

def refuse(arguments, progress, note):
    raise DeviceUnavailable("acme:0 is not plugged in", mend="plug it in")

def mistake(arguments, progress, note):
    return {}["key"]

def memory(arguments, progress, note):
    raise MemoryError

def abort(arguments, progress, note):
    print("acme: assertion failed", file=sys.stderr, flush=True)
    os.abort()

def fault(arguments, progress, note):
    ctypes.string_at(0)

def leave(arguments, progress, note):
    os._exit(3)

def killed(arguments, progress, note):
    os.kill(os.getpid(), signal.SIGKILL)

def hang(arguments, progress, note):
    progress("infer", 1, 9)
    time.sleep(60)

def slow(arguments, progress, note):
    for step in range(8):
        time.sleep(0.1)
        progress("infer", step, 9)
    return "done"

def orphan(arguments, progress, note):
    subprocess.Popen(["sleep", "60"], close_fds=False)
    os.abort()

def whose(arguments, progress, note):
    note(os.getpid())
    time.sleep(60)
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``call("fine", x=1)`` runs that task; what it needs is on this process's path alone."""
    (tmp_path / "child_tasks.py").write_text(TASKS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def run(task: str, timeout: float = 60, progress: Any = None, note: Any = None, **arguments: Any) -> Any:
        name = f"child_tasks:{task}"
        return child.call(name, arguments, what="acme:0", progress=progress, note=note, timeout=timeout)

    return run


def test_answer_progress_and_notes_come_back(call: Callable[..., Any]) -> None:
    heard: list[Any] = []
    notes: list[Any] = []
    answer = call("fine", x=21, progress=lambda *told: heard.append(told), note=notes.append)
    assert answer["twice"] == 42
    assert heard == [("open", 0, 0), ("infer", 1, 2), ("infer", 2, 2)]
    assert notes == [{"seen": 21}]
    assert not Path(answer["temporary"]).exists()


def test_what_a_library_prints_is_no_answer(call: Callable[..., Any], capfd: pytest.CaptureFixture[str]) -> None:
    assert call("shout") == "heard"
    assert capfd.readouterr() == ("", "")


def test_refusals_are_raised_again(call: Callable[..., Any]) -> None:
    with pytest.raises(DeviceUnavailable) as caught:
        call("refuse")
    assert (caught.value.message, caught.value.mend) == ("acme:0 is not plugged in", "plug it in")
    with pytest.raises(DeviceFault, match="out of memory"):
        call("memory")
    with pytest.raises(RuntimeError, match="KeyError"):
        call("mistake")


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("abort", "SIGABRT (Aborted): acme: assertion failed"),
        ("fault", "SIGSEGV (Segmentation fault)"),
        ("leave", "exit code 3"),
        ("killed", "memory"),
    ],
)
def test_a_crash_is_one_line(call: Callable[..., Any], task: str, words: str) -> None:
    with pytest.raises(child.Crash, match=r"^acme:0 crashed: its process") as caught:
        call(task)
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert not any(Path.cwd().glob("core*"))


def test_a_hang_is_ended(call: Callable[..., Any]) -> None:
    begun = time.monotonic()
    with pytest.raises(child.Crash, match=r"acme:0 hangs: no sign of life for 3 s"):
        call("hang", timeout=3)
    assert time.monotonic() - begun < 30


def test_progress_is_a_sign_of_life(call: Callable[..., Any]) -> None:
    call("fine", x=1)  # now the start is quick
    assert call("slow", timeout=5) == "done"


def test_a_process_that_the_child_started_does_not_keep_it_alive(call: Callable[..., Any]) -> None:
    begun = time.monotonic()
    with pytest.raises(child.Crash, match="SIGABRT"):
        call("orphan")
    assert time.monotonic() - begun < 30


def test_an_interrupt_takes_the_child_along(call: Callable[..., Any]) -> None:
    pids: list[int] = []

    def interrupt(pid: int) -> None:
        pids.append(pid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call("whose", note=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_the_child_dies_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "child_tasks.py").write_text(TASKS, encoding="utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from bedside.runtime import child\n"
        "child.call('child_tasks:whose', {}, what='x', note=lambda pid: print(pid, flush=True))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 20
    while _lives(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet has ended."""
    try:
        state = re.search(r"\) (\w)", Path(f"/proc/{pid}/stat").read_text(encoding="ascii"))
    except OSError:
        return False
    return state is not None and state.group(1) != "Z"


def test_a_refusal_of_a_kind_of_its_own_is_the_nearest_known_one() -> None:
    class Special(BundleError):
        pass

    assert child._told(Special("x")) == {"kind": "BundleError", "message": "x", "mend": None}
    assert child._told(child.Crash("x", kind="lost"))["kind"] == "DeviceFault"
    assert child._told(child.Crash("x", kind="lost"))["fault"] == "lost"
