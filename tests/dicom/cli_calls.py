"""The program called in this process, and what it answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from bedside.runtime.cli import app

USAGE, STUDY, BUNDLE, DEVICE, DELIVERY = 2, 3, 4, 5, 8


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: str | Path) -> dict[str, Any]:
    """The JSON on standard output, which holds nothing else."""
    result = call(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def refused(result: Result, code: int, *words: str) -> None:
    """One line on standard error that says the words; nothing on standard output."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if line.strip()]
    for word in words:
        assert word.lower() in line.lower(), line
