"""A network that others trained finds the vessels in a fundus photograph, through a bundle and DICOM and back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from scipy import ndimage

from bedside.runtime import Result, StudyRejected, load_bundle, prove, run
from bedside.runtime.image import Image as Source
from tests.bundles.make_lwnet import KEPT, make_lwnet
from tests.dicom.make_photograph import CHINESE_NAME, encode_jpeg, make_photograph

SIZE = 512
THRESHOLD = 0.4196


@pytest.fixture(scope="module")
def lwnet(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle with its weights and its golden study in place."""
    shared_data("fundus-ihc-skimage")
    return make_lwnet(shared_data("lwnet").parent, tmp_path_factory.mktemp("lwnet") / "lwnet")


@pytest.fixture(scope="module")
def jpeg(shared_data: Callable[[str], Path]) -> Path:
    return shared_data("fundus-ihc-skimage") / "retina.jpg"


@pytest.fixture(scope="module")
def pixels(jpeg: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(jpeg).convert("RGB"))


@pytest.fixture(scope="module")
def expected(lwnet: Path, pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The authors' way, without this project: crop, Pillow, ONNX Runtime, Pillow, threshold."""
    session: Any = pytest.importorskip("onnxruntime").InferenceSession(
        lwnet / "models" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    brightest = pixels.max(axis=2)
    lit = brightest > 0.1 * np.percentile(brightest, 99)
    rows, columns = (np.flatnonzero(lit.any(axis=axis)) for axis in (1, 0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    crop = Image.fromarray(pixels).crop(box)
    small = np.asarray(crop.resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float32) / 255
    (logits,) = session.run(None, {"image": small.transpose(2, 0, 1)[np.newaxis]})
    probability = Image.fromarray(1 / (1 + np.exp(-logits[0, 0]))).resize(crop.size, Image.Resampling.BILINEAR)
    mask = np.zeros(pixels.shape[:2], bool)
    mask[box[1] : box[3], box[0] : box[2]] = np.asarray(probability) > THRESHOLD
    return mask


@pytest.fixture(scope="module")
def result(lwnet: Path, pixels: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("fundus")
    make_photograph(folder / "study" / "op.dcm", pixels)
    return run(folder / "study", lwnet, out=folder / "out")


def found(result: Result) -> NDArray[np.bool_]:
    assert result.findings.parts is not None
    mask: NDArray[np.bool_] = result.findings.parts[0] > 0
    return mask


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def test_vessels_are_where_the_authors_find_them(result: Result, expected: NDArray[np.bool_]) -> None:
    mask = found(result)
    assert dice(mask, expected) > 0.99
    # No shift by a pixel fits better: the way back ends on the photograph's own grid.
    shifted = [np.roll(mask, step, axis) for axis in (0, 1) for step in (-1, 1)]
    assert max(dice(one, expected) for one in shifted) < dice(mask, expected)


def test_both_backends_find_the_same(result: Result, lwnet: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert dice(found(result), found(run(result.study, lwnet, "ort:cpu"))) > 0.999


@pytest.mark.parametrize("device", ["openvino:CPU", "ort:cpu"])
def test_it_is_proved_on_both_backends(device: str, lwnet: Path) -> None:
    if device == "ort:cpu":
        pytest.importorskip("onnxruntime")
    proof = prove(lwnet, device)
    assert proof.proved, proof.reason
    assert proof.dice is not None and proof.dice > 0.9999


@pytest.mark.parametrize("modality", ["OP", "XC"])
def test_compressed_photograph_as_the_camera_stored_it(
    modality: str,
    lwnet: Path,
    jpeg: Path,
    pixels: NDArray[np.uint8],
    expected: NDArray[np.bool_],
    tmp_path: Path,
) -> None:
    path = make_photograph(tmp_path / "photo.dcm", pixels, modality=modality, jpeg=jpeg.read_bytes())
    assert dcmread(path).PhotometricInterpretation == "YBR_FULL_422"
    again = run(path, lwnet)
    assert isinstance(again.source, Source)
    assert again.source.pixels.shape == pixels.shape
    assert np.abs(again.source.pixels.astype(int) - pixels).mean() < 0.5
    assert dice(found(again), expected) > 0.99


def test_segmentation_says_what_it_is(result: Result) -> None:
    ds = dcmread(next(file.path for file in result.files if file.kind == "seg"))
    segment = ds.SegmentSequence[0]
    type_code, anatomy = segment.SegmentedPropertyTypeCodeSequence[0], segment.AnatomicRegionSequence[0]
    assert (type_code.CodeValue, type_code.CodingSchemeDesignator) == ("59820001", "SCT")
    assert (anatomy.CodeValue, anatomy.CodeMeaning) == ("5665001", "Retina")
    assert str(ds.PatientName) == CHINESE_NAME
    bits = np.unpackbits(np.frombuffer(ds.PixelData, np.uint8), bitorder="little")
    mask = found(result)
    assert np.array_equal(bits[: mask.size].reshape(mask.shape), mask)
    source = ds.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == result.series.frames[0].sop_instance_uid


def test_key_image_shows_the_photograph_with_its_vessels(result: Result, pixels: NDArray[np.uint8]) -> None:
    picture = np.asarray(Image.open(next(file.path for file in result.files if file.kind == "png")).convert("RGB"))
    # Where the photograph stands in the picture: below a few lines of text.
    plain = pixels[::8, ::8].astype(int)
    height, width = pixels.shape[:2]
    assert picture.shape[1] == width
    tops = range(picture.shape[0] - height + 1)
    top = min(tops, key=lambda y: float(np.abs(picture[y : y + height : 8, ::8].astype(int) - plain).mean()))
    shown = picture[top : top + height]
    drawn = np.abs(shown.astype(int) - pixels).max(axis=2) > 8
    mask = found(result)
    border = mask & ~ndimage.binary_erosion(mask)
    assert np.count_nonzero(border & ndimage.binary_dilation(drawn, iterations=6)) > 0.99 * np.count_nonzero(border)
    away = drawn & ~ndimage.binary_dilation(mask, iterations=12)
    assert np.count_nonzero(away) < 0.01 * np.count_nonzero(drawn), "something is drawn away from the vessels"


def test_results_are_sound_dicom(result: Result, tool: Callable[[str], str]) -> None:
    for file in result.files:
        if file.path.suffix == ".dcm":
            done = subprocess.run([tool("dciodvfy"), "-new", str(file.path)], capture_output=True, text=True)
            errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
            assert errors == [], file.path.name


@pytest.mark.parametrize(("modality", "compressed"), [("OP", False), ("OP", True), ("XC", False), ("XC", True)])
def test_the_photographs_are_sound_dicom(
    modality: str, compressed: bool, tool: Callable[[str], str], tmp_path: Path
) -> None:
    picture = np.random.default_rng(3).integers(0, 255, (40, 50, 3), np.uint8)
    jpeg = encode_jpeg(picture) if compressed else None
    path = make_photograph(tmp_path / "photo.dcm", picture, modality=modality, jpeg=jpeg)
    done = subprocess.run([tool("dciodvfy"), "-new", str(path)], capture_output=True, text=True)
    assert "Error" not in done.stdout + done.stderr


def test_a_photograph_without_a_dark_surround_is_refused(lwnet: Path, tmp_path: Path) -> None:
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[30:33, 40:43] = 200
    path = make_photograph(tmp_path / "photo.dcm", picture)
    with pytest.raises(StudyRejected, match="field of view"):
        run(path, lwnet)


def test_the_bundle_is_what_the_card_says(lwnet: Path) -> None:
    bundle = load_bundle(lwnet)
    metadata = json.loads((KEPT / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert bundle.sha256 == metadata["bedside"]["files"]["models/model.onnx"]
    assert (bundle.input.shape, bundle.output.shape) == ((None, 3, None, None), (None, 1, None, None))
    assert bundle.plan.online is None  # probabilities are interpolated before the threshold
