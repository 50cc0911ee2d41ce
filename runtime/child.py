"""A task in a child process: a crash, a hang or the kernel's out-of-memory killer ends the task, not the runtime.

Device libraries crash: in a driver's probe, while they compile a model they have not seen, in the first run. So what
nobody has tried on this host yet is tried in a child. The parent sends one JSON object on the child's standard input
and reads JSON lines from a pipe of their own, so whatever a library prints cannot be mistaken for an answer:

``{"progress": [stage, done, total]}``
    Also the sign of life: a child that gives none for ``timeout`` seconds is ended.
``{"note": ...}``
    Something that is worth knowing even if the child does not live to answer.
``{"result": ...}`` or ``{"error": {"kind", "message", "mend"}}``
    The answer; an error is raised in the parent again as the refusal it was.

The child dies with its parent, leaves no core file, and its temporary files are the parent's to remove.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from bedside.backends.library import one_line

from . import errors
from .errors import BedsideError, DeviceFault
from .stopwatch import Progress

Note = Callable[[Any], None]
Task = Callable[[Mapping[str, Any], Progress, Note], Any]
"""What runs in the child: its arguments, JSON values all, give a JSON value."""

TIMEOUT = 600.0
"""Seconds without a sign of life after which a child is ended."""
_MAIN = "from bedside.runtime.child import main; main()"
_LONGEST_LINE = 1 << 26
_TAIL = 4096
_POLL = 0.25
_EXIT_GRACE = 30.0
_PROGRESS_EVERY = 0.05
_PR_SET_PDEATHSIG = 1


class Crash(DeviceFault):
    """The child did not live to answer: a signal, an exit, the out-of-memory killer, or no sign of life."""


def call(
    task: str,
    arguments: Mapping[str, Any],
    *,
    what: str,
    progress: Progress | None = None,
    note: Note | None = None,
    timeout: float = TIMEOUT,
) -> Any:
    """Run a task in a child process and return what it returns.

    Parameters
    ----------
    task
        ``module:function`` of a :data:`Task` that can be imported.
    arguments
        JSON values.
    what
        What is tried, for the line that says how it ended, e.g. ``openvino:CPU``.
    progress, note
        Called with what the child tells on its way.
    timeout
        Seconds without a sign of life (the start, a progress call, a note) after which the child is ended.

    Raises
    ------
    Crash
        The child did not live to answer; one line says how it ended.
    BedsideError
        What the task raised.
    """
    if not sys.executable:
        raise BedsideError("no Python to start a child process with", mend="set sys.executable to the path of python3")
    read, write = os.pipe()
    with tempfile.TemporaryDirectory(prefix="bedside-child-") as scratch, tempfile.TemporaryFile() as said:
        # What this process could import the child can, however its path came about.
        path = os.pathsep.join(entry for entry in sys.path if entry)
        command = [sys.executable, "-P", "-c", _MAIN, str(write), str(os.getpid())]
        kills = _oom_kills()
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                pass_fds=(write,),
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": path, "TMPDIR": scratch},
            )
        except OSError as error:
            os.close(read)
            raise BedsideError(f"no child process can be started: {error.strerror}") from error
        finally:
            os.close(write)
        parent = _Parent(child, read, what, progress, note, timeout)
        try:
            parent.ask({"task": task, "arguments": arguments})
            answer = parent.listen()
        finally:
            _end(child)
            os.close(read)
        if answer is None:
            raise _verdict(what, child.returncode, _last_words(said), _oom_kills() > kills)
    if "error" in answer:
        raise _error(answer["error"])
    return answer["result"]


class _Parent:
    """The parent's end of the pipe."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        pipe: int,
        what: str,
        progress: Progress | None,
        note: Note | None,
        timeout: float,
    ) -> None:
        self._child = child
        self._pipe = pipe
        self._what = what
        self._progress = progress
        self._note = note
        self._timeout = timeout

    def ask(self, request: Mapping[str, Any]) -> None:
        assert self._child.stdin is not None
        with suppress(BrokenPipeError), self._child.stdin as stdin:  # it died at once: listen() finds that out
            stdin.write(json.dumps(request).encode() + b"\n")

    def listen(self) -> dict[str, Any] | None:
        """The answer; None when the child is gone without one."""
        for line in self._lines():
            try:
                message = json.loads(line)
            except ValueError:
                raise self._nonsense() from None
            if "progress" in message:
                if self._progress is not None:
                    stage, done, total = message["progress"]
                    self._progress(str(stage), int(done), int(total))
            elif "note" in message:
                if self._note is not None:
                    self._note(message["note"])
            else:
                answer: dict[str, Any] = message
                return answer
        return None

    def _lines(self) -> Iterator[bytes]:
        waiting = b""
        deadline = time.monotonic() + self._timeout
        with selectors.DefaultSelector() as ready:
            ready.register(self._pipe, selectors.EVENT_READ)
            while True:
                gone = _gone(self._child)
                # A process of its own may hold the child's end of the pipe open: its death is asked for too.
                if not ready.select(0 if gone else min(_POLL, max(0.0, deadline - time.monotonic()))):
                    if gone:
                        return
                    if time.monotonic() >= deadline:
                        raise Crash(
                            f"{self._what} hangs: no sign of life for {self._timeout:g} s, its process was ended",
                            mend="try again, restart the device's driver, or choose another device",
                            kind="timeout",
                        )
                    continue
                found = os.read(self._pipe, 1 << 16)
                if not found:
                    closed = time.monotonic()
                    while not _gone(self._child):
                        if time.monotonic() - closed > _EXIT_GRACE:
                            raise self._nonsense()
                        time.sleep(0.01)
                    return
                deadline = time.monotonic() + self._timeout
                *lines, waiting = (waiting + found).split(b"\n")
                yield from lines
                if len(waiting) > _LONGEST_LINE:
                    raise self._nonsense()

    def _nonsense(self) -> Crash:
        return Crash(f"{self._what} crashed: its process sent what is no answer", kind="crash")


def _gone(child: subprocess.Popen[bytes]) -> bool:
    """Whether the child has ended. It is not waited for: so its process group cannot become another's."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and whatever it started that still runs, and wait for it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _verdict(what: str, code: int, words: str, out_of_memory: bool) -> Crash:
    said = f": {words}" if words else ""
    if code == -signal.SIGKILL:
        why = "the host ran out of memory" if out_of_memory else "as the kernel does where memory runs out"
        return Crash(f"{what} crashed: its process was killed, {why}", mend="free memory", kind="memory")
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        words = f"{what} crashed: its process ended with {name} ({signal.strsignal(-code)}){said}"
        return Crash(words, kind="crash")
    return Crash(f"{what} crashed: its process ended with exit code {code} and no answer{said}", kind="crash")


def _last_words(said: IO[bytes]) -> str:
    """The last line that the child, or a library in it, wrote before it went."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _TAIL))
    lines = said.read().decode("utf-8", "replace").splitlines()
    text = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return one_line(RuntimeError(text)) if text else ""


def _oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since it started (proc_vmstat)."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _error(told: Mapping[str, Any]) -> Exception:
    kind, message, mend = str(told["kind"]), str(told["message"]), told.get("mend")
    found = getattr(errors, kind, None) if kind in errors.__all__ else None
    if found is None:
        return RuntimeError(message)
    refusal: BedsideError = found(message, mend=mend, **({"kind": told["fault"]} if "fault" in told else {}))
    return refusal


def main() -> None:
    """What runs in the child: one task, then the end, without the libraries' own clean-up, which may crash too."""
    pipe, parent = int(sys.argv[1]), int(sys.argv[2])
    _protect(parent)
    request = json.loads(sys.stdin.buffer.readline())
    with os.fdopen(pipe, "wb", buffering=0) as out:
        channel = _Channel(out)
        try:
            module, _, function = str(request["task"]).partition(":")
            task: Task = getattr(importlib.import_module(module), function)
            channel.send({"result": task(request["arguments"], channel.progress, channel.note)})
        except BedsideError as error:
            channel.send({"error": _told(error)})
        except MemoryError:
            channel.send({"error": _told(DeviceFault("out of memory", mend="close other programs", kind="memory"))})
        except Exception as error:
            channel.send({"error": {"kind": "", "message": f"{type(error).__name__}: {one_line(error)}"}})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class _Channel:
    """The child's end of the pipe."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._stage = ""
        self._told = 0.0

    def send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        with self._lock:
            while line:
                line = line[self._out.write(line) :]

    def progress(self, stage: str, done: int, total: int) -> None:
        """Pass progress on, at most every 50 ms but for a stage's beginning and end."""
        now = time.monotonic()
        if stage == self._stage and done != total and now - self._told < _PROGRESS_EVERY:
            return
        self._stage, self._told = stage, now
        self.send({"progress": [stage, done, total]})

    def note(self, value: Any) -> None:
        self.send({"note": value})


def _told(error: BedsideError) -> dict[str, Any]:
    """A refusal as the nearest class of :mod:`.errors`, which the parent can raise again."""
    kind = next(one.__name__ for one in type(error).__mro__ if one.__name__ in errors.__all__)
    told = {"kind": kind, "message": error.message, "mend": error.mend}
    return {**told, "fault": error.kind} if isinstance(error, DeviceFault) else told


def _protect(parent: int) -> None:
    """Die with the parent, go first when memory runs out, leave no core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800", encoding="ascii")
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before it could be asked for
        os._exit(1)
