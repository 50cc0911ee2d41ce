"""The program ``bedside``: its options, and the last net under every command."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from .. import console
from ..threads import set_once
from ..watchdog import overdue
from .options import one_line_errors

app = typer.Typer(
    name="bedside",
    help="A trained model on a DICOM study: findings as DICOM SEG, SR and key images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@dataclass
class _Settings:
    debug: bool = False


_settings = _Settings()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bedside {version('bedside')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an internal error; it may quote the patient's data.")
    ] = False,
) -> None:
    with one_line_errors(computes=False):
        set_once()
    _settings.debug = debug or os.environ.get("BEDSIDE_DEBUG", "") not in ("", "0")


def main() -> None:
    """Entry point of the ``bedside`` program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal in GBK or plain ASCII cannot show every character: it shows '?' and the run goes on.
            stream.reconfigure(errors="replace")
    # Work folders with a patient's images must go when the program is told to.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        _run()
    except SystemExit as end:
        if overdue():
            _leave(end.code)
        raise


def _run() -> None:
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except console.OutputLost as lost:
        _output_lost(str(lost))
    except Exception as error:  # the last net: a message may quote a patient's data, so it is shown on request only
        place = _place(error)
        if isinstance(error, OSError) and place.startswith("cli/"):
            # These modules write nothing themselves but help and version.
            _output_lost((error.strerror or "it is closed").lower())
        if _settings.debug:
            raise
        name = type(error).__name__
        console.print_failure(f"internal error: {name} in {place}; please report it (bedside --debug ... shows more)")
        sys.exit(1)


def _leave(code: object) -> NoReturn:
    """End at once: a library whose thread hangs in a driver would wait for it when it is unloaded."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _output_lost(reason: str) -> NoReturn:
    # What is still buffered is lost too: it must not be tried again when the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    console.print_failure(f"standard output cannot be written: {reason}; files that were asked for are complete")
    sys.exit(1)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: a second one would stop the cleaning up
    raise SystemExit(128 + number)


def _place(error: BaseException) -> str:
    """File and line of this package where an exception came from."""
    place = "bedside"
    for frame, line in traceback.walk_tb(error.__traceback__):
        package = str(frame.f_globals.get("__package__") or "")
        if package.split(".")[0] == "bedside":
            folder = package.removeprefix("bedside").removeprefix(".runtime").strip(".").replace(".", "/")
            name = Path(frame.f_code.co_filename).name
            place = f"{folder}/{name}:{line}" if folder else f"{name}:{line}"
    return place
