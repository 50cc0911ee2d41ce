"""Real studies through the whole way: a result that pydicom alone confirms, or a refusal that is right."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array
from scipy import special

from bedside.runtime import Result, StudyRejected, load_study, run
from tests.dicom.make_bundles import make_bright
from tests.dicom.read_seg import read_seg

LEVEL_HU = 200.5
VOLUME_STAGES = {
    "bundle",
    "read",
    "select",
    "open",
    "geometry",
    "decode",
    "prepare",
    "infer",
    "finish",
    "measure",
    "report",
}
ORIENTATION = {"_target_": "Orientationd", "axcodes": "RAS"}


@pytest.fixture(scope="module")
def ct_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ct") / "bundle"
    return make_bright(
        root, rank=3, modality="CT", low=-1000, high=1000, level=LEVEL_HU, roi=(192, 192, 32), spatial=[ORIENTATION]
    )


@pytest.fixture(scope="module")
def us_bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("us")
    us: dict[str, Any] = {"rank": 2, "modality": "US", "low": 0, "high": 255, "channels": 3}
    make_bright(root / "classes", level=40, classes=True, **us)
    make_bright(root / "segments", level=120, **us)
    return root


def check(result: Result, tool: Callable[[str], str]) -> dict[str, Any]:
    """The DICOM files are clean and name the source's study; result.json is complete. Returns result.json."""
    assert result.files
    for file in result.files:
        assert file.path.stat().st_size == file.size
        if file.path.suffix == ".dcm":
            done = subprocess.run([tool("dciodvfy"), "-new", str(file.path)], capture_output=True, text=True)
            assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []
            ds = dcmread(file.path)
            assert ds.StudyInstanceUID == result.study.study_uid
            assert str(ds.PatientName) == result.study.patient_name
    content: dict[str, Any] = json.loads(result.files[-1].path.read_text(encoding="utf-8"))
    assert result.files[-1].path.name == "result.json"
    assert content["device"]["id"] == "openvino:CPU"
    assert all(ms >= 0 for ms in result.stage_ms.values())
    assert result.stage_ms["report"] > 0
    return content


@pytest.mark.slow
def test_chest_ct(
    ct_bundle: Path, shared_data: Callable[[str], Path], tool: Callable[[str], str], tmp_path: Path
) -> None:
    study = load_study(shared_data("ct-chest-60"))
    result = run(study, ct_bundle, out=tmp_path / "out")
    content = check(result, tool)
    assert set(result.stage_ms) == VOLUME_STAGES - {"read"}
    assert content["geometry"]["accepted"]
    assert content["source"]["shape"] == [60, 512, 512]
    marked = {plane.source_uid: plane for plane in read_seg(tmp_path / "out" / "segmentation.dcm")}
    for path in shared_data("ct-chest-60").glob("*.dcm"):
        ds = dcmread(path)
        hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        plane = marked[ds.SOPInstanceUID]
        assert np.array_equal(plane.mask, hu > LEVEL_HU), path.name
        assert np.allclose(plane.position, ds.ImagePositionPatient, atol=1e-4)
    other = run(study, ct_bundle, "ort:cpu")
    first, second = (one.findings.parts for one in (result, other))
    assert first is not None
    assert second is not None
    assert 2 * np.count_nonzero(first & second) > 0.999 * (np.count_nonzero(first) + np.count_nonzero(second))


def test_chest_radiograph(shared_data: Callable[[str], Path], tool: Callable[[str], str], tmp_path: Path) -> None:
    """MONOCHROME1, JPEG 2000, a Pixel Spacing of zero."""
    path = shared_data("cr-ct-mr-dicom") / "RG1_J2KR.dcm"
    ds = dcmread(path)
    stored = ds.pixel_array
    assert ds.PhotometricInterpretation == "MONOCHROME1"
    top = (1 << ds.BitsStored) - 1
    level = float(np.percentile(stored, 25))  # bright is what is stored as little
    bundle = make_bright(tmp_path / "bundle", rank=2, modality="CR", low=0, high=top, level=top - level + 0.5)
    result = run(path, bundle, out=tmp_path / "out")
    check(result, tool)
    assert result.findings.parts is not None
    assert np.array_equal(result.findings.parts[0] > 0, top - stored.astype(int) > top - level + 0.5)
    (lesion,) = result.findings.lesions
    assert lesion.longest_diameter_mm is None
    assert lesion.longest_diameter_px is not None
    assert set(result.stage_ms) == VOLUME_STAGES - {"geometry"}


@pytest.mark.parametrize("name", ["examples_ybr_color.dcm", "color3d_jpeg_baseline.dcm"])
def test_cine_is_classified_frame_by_frame(
    name: str, us_bundles: Path, shared_data: Callable[[str], Path], tool: Callable[[str], str], tmp_path: Path
) -> None:
    path = shared_data("us-cine-dicom") / name
    result = run(path, us_bundles / "classes", out=tmp_path / "out")
    content = check(result, tool)
    probabilities = result.findings.frame_probabilities
    assert probabilities is not None
    count = int(dcmread(path, stop_before_pixels=True).NumberOfFrames)
    assert probabilities.shape == (count, 2)
    for index in range(0, count, 13):
        mean = pixel_array(path, index=index).mean() / 255 - 40 / 255  # RGB
        # Decoders round colours differently, by less than one part in 255.
        assert np.allclose(probabilities[index], special.softmax([-mean, mean]), atol=0.003)
    assert [score.probability for score in result.findings.scores] == pytest.approx(
        probabilities.mean(axis=0), abs=1e-5
    )
    assert any(f"{count} frames" in note for note in content["notes"])
    assert set(result.stage_ms) == VOLUME_STAGES - {"geometry"}


def test_cine_is_segmented_frame_by_frame(
    us_bundles: Path, shared_data: Callable[[str], Path], tool: Callable[[str], str], tmp_path: Path
) -> None:
    path = shared_data("us-cine-dicom") / "examples_ybr_color.dcm"
    result = run(path, us_bundles / "segments", out=tmp_path / "out")
    check(result, tool)
    frames: NDArray[Any] = pixel_array(path)
    brightness = frames.mean(axis=3)
    assert result.findings.parts is not None
    wrong = (result.findings.parts > 0) ^ (brightness > 120)
    assert not (wrong & (np.abs(brightness - 120) > 1)).any()
    ds = dcmread(tmp_path / "out" / "segmentation.dcm")
    bits = np.unpackbits(np.frombuffer(ds.PixelData, np.uint8), bitorder="little")
    stored = bits[: ds.NumberOfFrames * ds.Rows * ds.Columns].reshape(-1, ds.Rows, ds.Columns)
    for mask, item in zip(stored, ds.PerFrameFunctionalGroupsSequence, strict=True):
        source = item.DerivationImageSequence[0].SourceImageSequence[0]
        assert np.array_equal(mask, result.findings.parts[int(source.ReferencedFrameNumber) - 1] > 0)


def test_enhanced_ct(
    ct_bundle: Path, shared_data: Callable[[str], Path], tool: Callable[[str], str], tmp_path: Path
) -> None:
    path = shared_data("cr-ct-mr-dicom") / "eCT_Supplemental.dcm"
    result = run(path, ct_bundle, out=tmp_path / "out")
    content = check(result, tool)
    assert content["source"]["shape"] == [2, 512, 512]
    ds = dcmread(path)
    groups = ds.PerFrameFunctionalGroupsSequence
    heights = [float(item.PlanePositionSequence[0].ImagePositionPatient[2]) for item in groups]
    assert abs(heights[1] - heights[0]) == pytest.approx(content["source"]["spacing_mm"][0], abs=1e-3)
    picky = make_bright(
        tmp_path / "bundle", rank=3, modality="CT", low=-1000, high=1000, level=200, roi=(64, 64, 8), min_frames=8
    )
    with pytest.raises(StudyRejected, match=r"2 .*8"):
        run(path, picky)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("emri_small.dcm", "modality MR"),
        ("MR2_J2KR.dcm", "modality MR"),
        ("RG1_J2KR.dcm", "modality CR"),
        ("693_J2KR.dcm", "an image, the bundle takes a volume"),
    ],
)
def test_what_is_no_ct_volume_is_refused(
    name: str, words: str, ct_bundle: Path, shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(StudyRejected, match=words):
        run(shared_data("cr-ct-mr-dicom") / name, ct_bundle, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
