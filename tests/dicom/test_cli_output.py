"""What the program writes where: terminals, pipes, closed outputs, and silence where nobody watches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from rich.console import Console

from bedside.runtime import console
from tests.dicom.make_bundles import make_bright
from tests.dicom.make_marked import make_marked

from .cli_calls import call


def test_nothing_is_drawn_where_nobody_watches(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    """As a program of its own, its streams piped: no progress, no escape sequences, nothing on standard error."""
    command = [_program(), "run", str(bright_bundle), str(marked), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout
    assert "mm³" in done.stdout.decode("utf-8")


@pytest.mark.parametrize("encoding", ["ascii", "gbk"])
def test_a_terminal_without_unicode(encoding: str, tmp_path: Path) -> None:
    """What it cannot show becomes '?'; JSON loses nothing."""
    make_marked(tmp_path / "ct", edit=lambda ds: setattr(ds, "SeriesDescription", "肺窗 ³"))
    command = [_program(), "study", "show", str(tmp_path / "ct"), *(["--json", "-"] if encoding == "ascii" else [])]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, timeout=60, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode(encoding)
    if encoding == "ascii":
        assert json.loads(shown)["series"][0]["description"] == "肺窗 ³"
    else:
        assert "肺窗 ?" in shown


def test_an_unknown_instruction_set_is_one_line(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    command = [_program(), "run", str(bright_bundle), str(marked), "-o", str(tmp_path / "out"), "--json", "-"]
    environment = {**os.environ, "BEDSIDE_KERNEL_ISA": "mmx"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 5
    (line,) = done.stderr.splitlines()
    assert "BEDSIDE_KERNEL_ISA is 'mmx'; this CPU has: " in line and "unset BEDSIDE_KERNEL_ISA" in line
    assert json.loads(done.stdout)["error"]["kind"] == "DeviceUnavailable"
    assert not (tmp_path / "out").exists()


def _program() -> str:
    """The installed program, for what only a process of its own shows."""
    program = Path(sys.executable).parent / "bedside"
    if not program.exists():
        pytest.skip("the program 'bedside' is not beside this Python: pip install .")
    return str(program)


def test_progress_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = StringIO()
    monkeypatch.setattr(console, "err", Console(file=screen, force_terminal=True, width=100))
    with console.progress_on_terminal() as listen:
        assert listen is not None
        # Frame by frame, preparing and running take turns: the one that counts is shown.
        listen("infer", 0, 0)
        for frame in range(3):
            listen("prepare", 0, 0)
            listen("infer", frame + 1, 3)
    last = screen.getvalue().rpartition("\x1b[2K  ")[2]  # what the last erased line gave way to
    assert "Running the network" in last
    assert "3/3" in last
    assert "Preparing" not in last


def test_long_list_of_findings_is_cut(tmp_path: Path) -> None:
    def speckle(ds: Dataset) -> None:
        pixels = np.zeros((ds.Rows, ds.Columns), np.int16)
        if int(ds.InstanceNumber) == 3:
            pixels[::4, ::4] = 1024 + 900
        ds.PixelData = pixels.tobytes()

    make_marked(tmp_path / "ct", edit=speckle)
    many = make_bright(
        tmp_path / "many", rank=3, modality="CT", low=-1000, high=1000, level=200, roi=(16, 16, 16), instances=True
    )
    shown = call("run", many, tmp_path / "ct", "-o", tmp_path / "out")
    assert "48 found by" in shown.stdout
    assert "28 more" in shown.stdout


def _patched(patch: str, *arguments: str | Path, stdout: str | int | None = None) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, with something in it replaced."""
    script = f"import os, signal, sys\nfrom bedside.runtime import cli, pipeline, report\n{patch}\ncli.main()\n"
    command = [sys.executable, "-c", script, *(str(argument) for argument in arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "BEDSIDE_DEBUG"}
    if stdout is not None:
        with open(stdout, "w", closefd=isinstance(stdout, str)) as file:
            return subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


_FAIL = """
def fail(*_):
    raise ValueError("could not convert string to float: 'Wang^Secret'")
report.sr.build = fail
"""


def test_an_internal_error_is_one_line_without_values(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    arguments = ("run", bright_bundle, marked, "-o", tmp_path / "out")
    failed = _patched(_FAIL, *arguments)
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert line.startswith("bedside: internal error: ValueError in report/__init__.py:")
    assert "please report" in line and "Secret" not in line
    assert not (tmp_path / "out").exists()
    shown = _patched(_FAIL, "--debug", *arguments)
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr and "Secret" in shown.stderr


def test_a_terminated_run_leaves_no_work_folder(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    patch = "report.seg_check.check = lambda *_: os.kill(os.getpid(), signal.SIGTERM)"
    (tmp_path / "results").mkdir()
    ended = _patched(patch, "run", bright_bundle, marked, "-o", tmp_path / "results" / "out")
    assert (ended.returncode, ended.stderr) == (143, "")
    assert list((tmp_path / "results").iterdir()) == []


@pytest.mark.parametrize("more", [(), ("--json", "-")])
def test_standard_output_that_cannot_be_written(
    bright_bundle: Path, marked: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this host")
    ended = _patched("", "run", bright_bundle, marked, "-o", tmp_path / "out", *more, stdout="/dev/full")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "standard output cannot be written: no space left on device" in line
    assert (tmp_path / "out" / "result.json").is_file()
    for option in ("--help", "--version"):
        assert "Traceback" not in _patched("", option, stdout="/dev/full").stderr


def test_a_reader_that_has_gone(bright_bundle: Path, marked: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = _patched("", "run", bright_bundle, marked, "-o", tmp_path / "out", stdout=writer)
    finally:
        os.close(writer)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "broken pipe" in line
    assert (tmp_path / "out" / "result.json").is_file()
