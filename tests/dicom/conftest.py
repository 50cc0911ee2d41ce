"""Studies and bundles that several files of tests use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bedside.phantoms import chest_ct, write_chest_ct
from bedside.runtime import Bundle, load_bundle
from tests.dicom.make_bundles import make_bright
from tests.dicom.make_marked import make_marked
from tests.dicom.whole_way import ORIENTATION

SPACING = {"_target_": "Spacingd", "pixdim": [0.8, 1.25, 1.5], "mode": "bilinear"}


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """A CT series with bright boxes."""
    make_marked(tmp_path / "ct")
    return tmp_path / "ct"


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``exact`` keeps the voxels, ``spaced`` has a voxel size of its own, ``whole`` is one segment in large windows."""
    root = tmp_path_factory.mktemp("bundles")
    ct: dict[str, Any] = {"rank": 3, "modality": "CT", "low": -1000, "high": 1000, "level": 200.5}
    small: dict[str, Any] = {"roi": (16, 16, 16), "instances": True}
    make_bright(root / "exact", spatial=[ORIENTATION], **small, **ct)
    make_bright(root / "spaced", spatial=[ORIENTATION, SPACING], **small, **ct)
    make_bright(root / "whole", spatial=[ORIENTATION], roi=(96, 96, 16), **ct)
    return root


@pytest.fixture(scope="session")
def exact(bundles: Path) -> Bundle:
    return load_bundle(bundles / "exact")


@pytest.fixture(scope="session")
def spaced(bundles: Path) -> Bundle:
    return load_bundle(bundles / "spaced")


@pytest.fixture(scope="session")
def whole(bundles: Path) -> Bundle:
    return load_bundle(bundles / "whole")


@pytest.fixture(scope="session")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small phantom chest, GB18030."""
    folder = tmp_path_factory.mktemp("chest") / "ct"
    write_chest_ct(chest_ct(3, slices=24, size=128, pixel_mm=3.0, slice_mm=5.0, nodule_count=2), folder)
    return folder
