"""The third party's backend of docs/backends.md: what stands on that page keeps the contract."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bedside.runtime import list_devices

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "backends.md"


def example() -> str:
    """The code block of the page."""
    found = re.search(
        r"<!-- example:bedside_acme.py -->\n```python\n(.*?)```\n<!-- /example -->", PAGE.read_text(), re.S
    )
    assert found is not None
    return found.group(1)


def test_the_example_passes_the_contract_suite(install: Callable[[str, str], None]) -> None:
    install("acme", example())
    devices = {device.id: device for device in list_devices()}
    assert devices["acme:0"].available
    environment = {
        **os.environ,
        "BEDSIDE_TEST_DEVICES": "acme:0",
        "PYTHONPATH": os.pathsep.join([entry for entry in sys.path if entry]),
    }
    suite = Path(__file__).with_name("test_contract.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "acme", str(suite)]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout.splitlines()[-1]


def test_the_example_is_about_sixty_lines() -> None:
    lines = [line for line in example().splitlines() if line.strip()]
    assert len(lines) < 65


@pytest.mark.parametrize("name", ["REQUIRES", "def probe(", "def open("])
def test_the_example_has_the_three_names(name: str) -> None:
    assert name in example()
