"""Phantoms: seeded, true to what they say they hold, and valid DICOM."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from bedside.phantoms import (
    BreastPhantom,
    ChestPhantom,
    NoduleSpec,
    breast_us,
    chest_ct,
    write_breast_us,
    write_chest_ct,
    write_study,
)
from bedside.phantoms.nodules import insert

SPECS = (
    NoduleSpec(18.0, "solid", "parenchyma", 30.0),
    NoduleSpec(14.0, "part-solid", "parenchyma", 10.0),
    NoduleSpec(16.0, "solid", "pleura", 40.0),
    NoduleSpec(12.0, "solid", "vessel", 20.0),
)


@pytest.fixture(scope="module")
def chest() -> ChestPhantom:
    return chest_ct(7, slices=72, size=256, pixel_mm=1.4, slice_mm=3.0, specs=SPECS, noise_hu=15.0)


@pytest.fixture(scope="module", params=["benign", "malignant"])
def breast(request: pytest.FixtureRequest) -> BreastPhantom:
    return breast_us(5, request.param)


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def test_chest_is_the_same_for_the_same_seed() -> None:
    a, b, other = (
        chest_ct(s, slices=12, size=128, pixel_mm=2.8, slice_mm=8.0, threads=t) for s, t in ((3, 1), (3, 2), (4, 2))
    )
    assert digest(a.voxels) == digest(b.voxels)
    assert a.nodules == b.nodules
    assert digest(a.voxels) != digest(other.voxels)


def test_nodules_are_where_the_truth_says(chest: ChestPhantom) -> None:
    assert len(chest.nodules) == len(SPECS)
    cell = float(np.prod(chest.spacing))
    for nodule, spec in zip(chest.nodules, SPECS, strict=True):
        voxels = np.argwhere(chest.mask == nodule.number)
        assert nodule.volume_mm3 == pytest.approx(len(voxels) * cell)
        assert nodule.diameter_mm == pytest.approx((6 * nodule.volume_mm3 / np.pi) ** (1 / 3))
        center = chest.affine @ np.array([*voxels.mean(0), 1.0])
        np.testing.assert_allclose(center[:3], nodule.centroid_lps, atol=1e-6)
        # A nodule at the pleura is cut by it, the others keep their size but for the surface's waves.
        low = 0.6 if spec.site == "pleura" else 0.85
        assert low * spec.diameter_mm < nodule.diameter_mm < 1.15 * spec.diameter_mm


def test_solid_nodule_has_its_density(chest: ChestPhantom) -> None:
    inside = chest.voxels[chest.mask == 1].astype(float)
    assert abs(np.median(inside) - SPECS[0].hu) < 30


def test_chest_has_the_densities_of_a_chest(chest: ChestPhantom) -> None:
    hu = chest.voxels
    share = [
        float(((hu > low) & (hu < high)).mean()) for low, high in ((-950, -750), (-150, -60), (20, 90), (300, 3000))
    ]
    lung, fat, soft, bone = share
    assert 0.03 < lung < 0.3
    assert fat > 0.02
    assert soft > 0.02
    assert 0.002 < bone < 0.06
    assert hu.min() >= -1024
    assert hu.max() <= 3071


def test_size_must_fit_the_coarse_grid() -> None:
    with pytest.raises(ValueError, match="multiple"):
        chest_ct(0, slices=4, size=130)


def test_breast_lesion_has_the_shape_of_its_kind(breast: BreastPhantom) -> None:
    width, height = breast.size_mm
    assert (width > height) == (breast.lesion == "benign")
    x0, y0, x1, y1 = breast.region
    rows, columns = np.nonzero(breast.mask)
    assert y0 <= rows.min() <= rows.max() <= y1
    assert x0 <= columns.min() <= columns.max() <= x1
    center = (columns.mean() - x0) * breast.mm_per_pixel, (rows.mean() - y0) * breast.mm_per_pixel
    np.testing.assert_allclose(center, breast.center_mm, atol=1.5)


def test_breast_lesion_shadows_or_enhances() -> None:
    def behind(p: BreastPhantom) -> float:
        rows, columns = np.nonzero(p.mask)
        band = slice(int(np.quantile(columns, 0.3)), int(np.quantile(columns, 0.7)))
        below = slice(rows.max() + 12, rows.max() + 50)
        aside = np.r_[p.region[0] + 5 : columns.min() - 25, columns.max() + 25 : p.region[2] - 5]
        return float(p.pixels[below, band].mean()) - float(p.pixels[below][:, aside].mean())

    seeds = range(6)
    assert np.mean([behind(breast_us(s, "malignant")) for s in seeds]) < -20
    assert np.mean([behind(breast_us(s, "benign")) for s in seeds]) > 0


def test_breast_without_lesion_has_no_mask() -> None:
    p = breast_us(1, "none")
    assert not p.mask.any()
    assert digest(p.pixels) == digest(breast_us(1, "none").pixels)


@pytest.mark.parametrize("character_set", ["GB18030", "ISO_IR 192", "GBK"])
def test_written_files_read_back(tmp_path: Path, chest: ChestPhantom, character_set: str) -> None:
    small = ChestPhantom(chest.voxels[:3], chest.affine, chest.mask[:3], (), chest.seed)
    paths = write_chest_ct(small, tmp_path / "ct", character_set=character_set)
    again = write_chest_ct(small, tmp_path / "again", character_set=character_set)
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]
    for k, path in enumerate(paths):
        ds = pydicom.dcmread(path)
        assert str(ds.PatientName) == "Wang^Xiaohe=王^小荷"
        np.testing.assert_array_equal(
            ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept), small.voxels[k]
        )
        np.testing.assert_allclose(ds.ImagePositionPatient, (small.affine @ [k, 0, 0, 1.0])[:3], atol=1e-6)
    us = pydicom.dcmread(write_breast_us(breast_us(2), tmp_path / "us.dcm", character_set=character_set))
    assert us.StudyDescription.startswith("乳腺超声")
    assert us.SequenceOfUltrasoundRegions[0].PhysicalDeltaX == pytest.approx(0.0085)


@pytest.mark.parametrize("character_set", ["GB18030", "ISO_IR 192"])
def test_written_files_are_valid(
    tmp_path: Path, chest: ChestPhantom, character_set: str, tool: Callable[[str], str]
) -> None:
    small = ChestPhantom(chest.voxels[:1], chest.affine, chest.mask[:1], (), chest.seed)
    files = write_chest_ct(small, tmp_path / "ct", character_set=character_set)
    files.append(write_breast_us(breast_us(2), tmp_path / "us.dcm", character_set=character_set))
    for path in files:
        said = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, check=False)
        assert b"Error" not in said.stderr + said.stdout, said.stderr.decode("utf-8", "replace")


def test_description_writes_the_study_it_names(tmp_path: Path) -> None:
    phantom = write_study({"phantom": {"kind": "breast_us", "seed": 3, "lesion": "benign"}}, tmp_path)
    assert isinstance(phantom, BreastPhantom)
    assert (tmp_path / "US0001.dcm").is_file()
    with pytest.raises(ValueError, match="not known"):
        write_study({"phantom": {"kind": "knee"}}, tmp_path)
    with pytest.raises(ValueError, match="colour"):
        write_study({"phantom": {"kind": "breast_us", "colour": 1}}, tmp_path)


def test_spicules_stand_out_of_the_nodule() -> None:
    def surface(spikes: int) -> float:
        hu, mask = np.full((50, 50, 50), -860, np.int16), np.zeros((50, 50, 50), np.uint8)
        spec = NoduleSpec(24.0, "solid", "parenchyma", 20.0, spikes=spikes)
        insert(hu, (25.0, 25.0, 25.0), (1.0, 1.0, 1.0), spec, np.random.default_rng(1), mask)
        far = np.linalg.norm(np.argwhere(mask) - 25.0, axis=1)
        return float(far.max())

    assert surface(20) > 1.2 * surface(0)
