"""What several test folders share: where real data lies, and how a missing peer is said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = Path(os.environ.get("BEDSIDE_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))

APT_PACKAGE = {"dciodvfy": "dicom3tools", "dcmdump": "dcmtk", "dcm2xml": "dcmtk", "Orthanc": "orthanc"}


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """``shared_data("ct-chest-60")`` is that folder of real data, or the test is skipped and says so."""

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"real data '{name}' is not in {SHARED_DATA}; set BEDSIDE_SHARED_DATA")
        return path

    return find


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """``tool("dciodvfy")`` is the program's path, or the test is skipped with the apt line that installs it."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"'{name}' is not installed: apt-get install {APT_PACKAGE.get(name, name)}")
        return path

    return find
