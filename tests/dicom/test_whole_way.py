"""From DICOM files to DICOM results and nothing lost on the way: voxels, places, names, and both backends agree."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from scipy import ndimage
from typer.testing import CliRunner

from bedside import kernels
from bedside.phantoms import chest_ct, write_chest_ct
from bedside.runtime import Result, StudyRejected, load_bundle, load_study, pipeline, run
from bedside.runtime.bundle.load import Bundle
from bedside.runtime.cli import app
from bedside.runtime.report import seg
from tests.dicom.make_bundles import make_bright
from tests.dicom.make_marked import (
    BOXES,
    EXTENT,
    ORIGIN,
    PIXEL,
    STEP,
    Stack,
    bright,
    centre_of,
    make_marked,
    upright_stacks,
    volume_of,
)
from tests.dicom.make_photograph import make_photograph
from tests.dicom.read_seg import read_seg

ORIENTATION = {"_target_": "Orientationd", "axcodes": "RAS"}
SPACING = {"_target_": "Spacingd", "pixdim": [0.8, 1.25, 1.5], "mode": "bilinear"}
OBLIQUE = (
    Stack((0.8, 0.6, 0.0), (-0.48, 0.64, 0.6)),
    Stack((0.0, 0.6, -0.8), (1.0, 0.0, 0.0), False),
    Stack((-0.6, 0.48, 0.64), (0.0, 0.8, -0.6)),
)
DEVICES = ("openvino:CPU", "ort:cpu")
CHINESE_NAME = "Wang^XiaoDong=王^小东"
CHINESE_STUDY = "胸部CT平扫"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``exact`` keeps the voxels, ``spaced`` has a voxel size of its own, ``whole`` is one segment in large windows."""
    root = tmp_path_factory.mktemp("bundles")
    ct: dict[str, Any] = {"rank": 3, "modality": "CT", "low": -1000, "high": 1000, "level": 200.5}
    small: dict[str, Any] = {"roi": (16, 16, 16), "instances": True}
    make_bright(root / "exact", spatial=[ORIENTATION], **small, **ct)
    make_bright(root / "spaced", spatial=[ORIENTATION, SPACING], **small, **ct)
    make_bright(root / "whole", spatial=[ORIENTATION], roi=(96, 96, 16), **ct)
    return root


@pytest.fixture(scope="module")
def exact(bundles: Path) -> Bundle:
    return load_bundle(bundles / "exact")


@pytest.fixture(scope="module")
def spaced(bundles: Path) -> Bundle:
    return load_bundle(bundles / "spaced")


@pytest.fixture(scope="module")
def whole(bundles: Path) -> Bundle:
    return load_bundle(bundles / "whole")


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small phantom chest, GB18030."""
    folder = tmp_path_factory.mktemp("chest") / "ct"
    write_chest_ct(chest_ct(3, slices=24, size=128, pixel_mm=3.0, slice_mm=5.0, nodule_count=2), folder)
    return folder


def mask_of(result: Result) -> NDArray[np.bool_]:
    assert result.findings.parts is not None
    mask: NDArray[np.bool_] = result.findings.parts > 0
    return mask


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def file_of(result: Result, kind: str) -> Path:
    return next(file.path for file in result.files if file.kind == kind)


def in_source_slices(path: Path, slices: list[Dataset]) -> dict[str, NDArray[np.bool_]]:
    """The SEG's pixels by the source slice they name, each checked to lie where that slice lies."""
    by_uid = {ds.SOPInstanceUID: ds for ds in slices}
    marked = {uid: np.zeros((ds.Rows, ds.Columns), bool) for uid, ds in by_uid.items()}
    for plane in read_seg(path):
        assert plane.source_uid is not None
        source = by_uid[plane.source_uid]
        assert np.allclose(plane.position, source.ImagePositionPatient, atol=1e-4)
        assert np.allclose(plane.orientation, source.ImageOrientationPatient, atol=1e-6)
        assert np.allclose(plane.spacing, source.PixelSpacing)
        assert not (marked[plane.source_uid] & plane.mask).any(), "two segments share a pixel"
        marked[plane.source_uid] |= plane.mask
    return marked


def write_seg(result: Result, path: Path) -> Path:
    """The SEG of a result alone: most of the time of a report goes into pictures."""
    segmentation = seg.build(result.report)
    assert segmentation is not None
    with path.open("wb") as file:
        segmentation.write(file)
    return path


def nearest(result: Result, place: NDArray[np.float64]) -> Any:
    """The lesion whose centre is nearest to a place in the patient, of as many as there are boxes."""
    assert len(result.findings.lesions) == len(BOXES)
    centres = np.array([lesion.centroid_lps for lesion in result.findings.lesions])
    return result.findings.lesions[int(np.linalg.norm(centres - place, axis=1).argmin())]


@pytest.mark.parametrize("stack", [*upright_stacks()], ids=str)
def test_boxes_come_back_in_place_in_every_orientation(stack: Stack, exact: Bundle, tmp_path: Path) -> None:
    slices = make_marked(tmp_path / "ct", stack)
    result = run(tmp_path / "ct", exact)
    marked = in_source_slices(write_seg(result, tmp_path / "seg.dcm"), slices)
    for ds in slices:
        assert np.array_equal(marked[ds.SOPInstanceUID], bright(ds)), ds.InstanceNumber
    for box in range(len(BOXES)):
        lesion = nearest(result, centre_of(box))
        assert lesion.volume_mm3 == pytest.approx(volume_of(box))
        assert np.allclose(lesion.centroid_lps, centre_of(box), atol=1e-3)


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Its network looks one voxel to the right (R), one to the front (A), one to the feet (-S) of what it marks."""
    root = tmp_path_factory.mktemp("looking") / "bundle"
    make_bright(
        root,
        rank=3,
        modality="CT",
        low=-1000,
        high=1000,
        level=200.5,
        spatial=[ORIENTATION],
        look=(1, 1, -1),
        instances=True,
    )
    return load_bundle(root)


@pytest.mark.parametrize("stack", [s for n, s in enumerate(upright_stacks()) if n % 4 in (0, 3)], ids=str)
def test_the_network_sees_every_stack_the_same_way_round(stack: Stack, looking: Bundle, tmp_path: Path) -> None:
    """MONAI's RAS: indices grow to the right, the front and the head. So the boxes come back moved to the left, the
    back and the head by one voxel, whatever the stack."""
    make_marked(tmp_path / "ct", stack)
    result = run(tmp_path / "ct", looking)
    voxel = np.where(np.isclose(np.abs(np.cross(stack.row, stack.column)), 1), STEP, PIXEL)
    for box in range(len(BOXES)):
        expected = centre_of(box) + voxel
        lesion = nearest(result, expected)
        assert np.allclose(lesion.centroid_lps, expected, atol=1e-3)
        assert lesion.volume_mm3 == pytest.approx(volume_of(box))


@pytest.mark.parametrize("axes", ["xyz", "zyx"])
def test_the_network_sees_a_picture_in_the_order_the_bundle_says(axes: str, tmp_path: Path) -> None:
    """It looks one index further along the array's first axis: columns for MONAI, rows for numpy."""
    picture = np.zeros((40, 56, 3), np.uint8)
    picture[10:16, 20:44] = 255
    make_photograph(tmp_path / "xc.dcm", picture, modality="XC")
    bundle = make_bright(
        tmp_path / "bundle", rank=2, modality="XC", low=0, high=255, level=100, channels=3, axes=axes, look=(1, 0)
    )
    mask = mask_of(run(tmp_path / "xc.dcm", bundle))[0]
    meant = np.roll(picture[..., 0] > 0, -1, axis=1 if axes == "xyz" else 0)
    assert np.array_equal(mask, meant)


@pytest.mark.parametrize("stack", OBLIQUE, ids=str)
def test_oblique_stacks(stack: Stack, exact: Bundle, tmp_path: Path) -> None:
    slices = make_marked(tmp_path / "ct", stack)
    result = run(tmp_path / "ct", exact, out=tmp_path / "out")
    marked = in_source_slices(file_of(result, "seg"), slices)
    for ds in slices:
        assert np.array_equal(marked[ds.SOPInstanceUID], bright(ds)), ds.InstanceNumber
    for box in range(len(BOXES)):
        lesion = nearest(result, centre_of(box))
        assert np.allclose(lesion.centroid_lps, centre_of(box), atol=0.5)


@pytest.mark.parametrize("stack", [*list(upright_stacks())[::5], OBLIQUE[0]], ids=str)
def test_boxes_come_back_in_place_through_another_voxel_size(stack: Stack, spaced: Bundle, tmp_path: Path) -> None:
    slices = make_marked(tmp_path / "ct", stack)
    result = run(tmp_path / "ct", spaced)
    marked = in_source_slices(write_seg(result, tmp_path / "seg.dcm"), slices)
    meant = np.stack([bright(ds) for ds in slices])
    found = np.stack([marked[ds.SOPInstanceUID] for ds in slices])
    neighbours = ndimage.generate_binary_structure(3, 3)
    wrong = found ^ meant
    border = ndimage.binary_dilation(meant, neighbours) & ~ndimage.binary_erosion(meant, neighbours)
    assert not (wrong & ~border).any(), "a voxel off the border is wrong"
    for box in range(len(BOXES)):
        lesion = nearest(result, centre_of(box))
        assert np.allclose(lesion.centroid_lps, centre_of(box), atol=0.5)
        assert lesion.volume_mm3 == pytest.approx(volume_of(box), rel=0.3)


def check_places(places: NDArray[np.float64], slack: NDArray[np.float64], whole: Iterable[int]) -> None:
    """Every place lies in a box, or within ``slack`` mm of one along L, P and S; the ``whole`` boxes are centred."""
    places = places - ORIGIN
    inside = [
        ((places > np.array(box)[:, 0] - slack) & (places < np.array(box)[:, 1] + slack)).all(axis=1) for box in BOXES
    ]
    assert np.logical_or.reduce(inside).all()
    for box in whole:
        assert np.allclose(places[inside[box]].mean(axis=0) + ORIGIN, centre_of(box), atol=0.75)


def test_a_missing_slice_that_was_accepted(exact: Bundle, tmp_path: Path) -> None:
    slices = make_marked(tmp_path / "ct")
    lost = slices[6]
    next(path for path in (tmp_path / "ct").iterdir() if dcmread(path).SOPInstanceUID == lost.SOPInstanceUID).unlink()
    with pytest.raises(StudyRejected, match="missing"):
        run(tmp_path / "ct", exact)
    result = run(tmp_path / "ct", exact, out=tmp_path / "out", accept=["gap"])
    planes = read_seg(file_of(result, "seg"))
    made_up = [plane for plane in planes if plane.source_uid is None]
    assert made_up
    for plane in made_up:
        assert np.allclose(plane.position, lost.ImagePositionPatient, atol=1e-3)
    kept = [ds for ds in slices if ds is not lost]
    there = {ds.SOPInstanceUID: np.zeros((ds.Rows, ds.Columns), bool) for ds in kept}
    for plane in planes:
        if plane.source_uid is not None:
            there[plane.source_uid] |= plane.mask
    assert all(np.array_equal(there[ds.SOPInstanceUID], bright(ds)) for ds in kept)
    assert any("missing" in note for note in result.provenance.notes)


@pytest.mark.parametrize(
    ("kind", "pixel", "tilt_mm"),
    [("non-square", (1.0, 2.0), 0.0), ("non-square", (2.0, 1.0), 0.0), ("tilt", (1.0, 1.0), 0.4)],
)
@pytest.mark.parametrize("stack", list(upright_stacks())[1::11], ids=str)
def test_what_was_accepted_is_resampled_in_place(
    kind: str, pixel: tuple[float, float], tilt_mm: float, stack: Stack, exact: Bundle, tmp_path: Path
) -> None:
    make_marked(tmp_path / "ct", stack, pixel=pixel, tilt_mm=tilt_mm)
    with pytest.raises(StudyRejected, match=kind if kind == "tilt" else "square"):
        run(tmp_path / "ct", exact)
    result = run(tmp_path / "ct", exact, accept=[kind])
    places = np.concatenate([plane.places() for plane in read_seg(write_seg(result, tmp_path / "seg.dcm"))])
    # Interpolation rounds the edges by less than a voxel.
    size = np.abs(np.stack([np.array(stack.row) * pixel[1], np.array(stack.column) * pixel[0]])).max(axis=0)
    # A tilted stack is no longer as wide as the region: the box in the corner is cut.
    check_places(places, np.maximum(size, 0.01) * 0.75, whole=(1, 2) if tilt_mm else range(len(BOXES)))


def test_places_of_the_segmentation_are_the_boxes(exact: Bundle, tmp_path: Path) -> None:
    """By the plane positions alone, without a look at the source."""
    make_marked(tmp_path / "ct", Stack((0.0, -1.0, 0.0), (0.0, 0.0, -1.0)))
    result = run(tmp_path / "ct", exact)
    places = np.concatenate([plane.places() for plane in read_seg(write_seg(result, tmp_path / "seg.dcm"))]) - ORIGIN
    assert ((places > 0) & (places < EXTENT)).all()
    inside = [((places > np.array(box)[:, 0]) & (places < np.array(box)[:, 1])).all(axis=1) for box in BOXES]
    assert np.logical_or.reduce(inside).all()
    # A voxel is 1 x 1 x 2 mm.
    assert [int(hits.sum()) for hits in inside] == [round(volume_of(box) / 2) for box in range(len(BOXES))]


def test_both_backends_give_the_same_result(chest: Path, whole: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    results = [run(chest, whole, device, out=tmp_path / device.replace(":", "-")) for device in DEVICES]
    first, second = (mask_of(result) for result in results)
    assert first.any()
    assert dice(first, second) > 0.999
    for result, device in zip(results, DEVICES, strict=True):
        assert result.provenance.device == device
        stored = np.zeros_like(first)
        heights = [frame.position[2] for frame in result.source.frames]  # type: ignore[union-attr,index]
        for plane in read_seg(file_of(result, "seg")):
            stored[int(np.argmin(np.abs(np.array(heights) - plane.position[2])))] |= plane.mask
        assert np.array_equal(stored, mask_of(result))


@pytest.mark.parametrize("label_map", [False, True])
def test_no_kernel_takes_more_threads_than_the_run_may(
    label_map: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_marked(tmp_path / "ct", OBLIQUE[0])
    more = [{"_target_": name, "keys": "pred"} for name in ("KeepLargestConnectedComponentd", "FillHolesd")]
    make_bright(
        tmp_path / "bundle",
        rank=3,
        modality="CT",
        low=-1000,
        high=1000,
        level=200.5,
        spatial=[ORIENTATION],
        roi=(16, 16, 16),
        instances=True,
    )
    configuration = tmp_path / "bundle" / "configs" / "inference.json"
    content = json.loads(configuration.read_text(encoding="utf-8"))
    content["postprocessing"]["transforms"] += more
    configuration.write_text(json.dumps(content), encoding="utf-8")
    asked: list[tuple[str, Any]] = []

    def watched(name: str, kernel: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            asked.append((name, options.get("threads")))
            return kernel(*arguments, **options)

        return call

    every = {getattr(kernels, name): name for name in kernels.__all__ if name not in ("active_isa", "Components")}
    for name in ("__init__", "select", "paint", "statistics", "longest_diameters"):
        monkeypatch.setattr(kernels.Components, name, watched(name, getattr(kernels.Components, name)))
    kind = type(kernels.pack_bits)
    for module in [module for name, module in sys.modules.items() if name.split(".")[0] == "bedside"]:
        for name, value in list(vars(module).items()):
            if type(value) is kind and value in every:
                monkeypatch.setattr(module, name, watched(every[value], value))
    run(tmp_path / "ct", tmp_path / "bundle", out=tmp_path / "out", label_map=label_map, threads=1)
    names = {name for name, _ in asked}
    assert names >= {"__init__", "keep_largest", "fill_holes", "statistics", "pack_bits", "draw_outline"}
    assert {name for name, threads in asked if threads != 1} == set()


def test_a_rerun_replaces_and_does_not_duplicate(exact: Bundle, tmp_path: Path) -> None:
    make_marked(tmp_path / "ct")
    first = run(tmp_path / "ct", exact, out=tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    series = dcmread(file_of(first, "seg")).SeriesInstanceUID
    assert {"segmentation.dcm", "report.dcm", "key-image-3.dcm", "result.json"} <= set(names)
    second = run(tmp_path / "ct", exact, out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    uids = [{file.path.name: file.uid for file in result.files} for result in (first, second)]
    assert uids[0] == uids[1]
    assert len({uid for uid in uids[0].values() if uid}) == len([uid for uid in uids[0].values() if uid])
    for name, uid in uids[1].items():
        if uid:
            assert dcmread(tmp_path / "out" / name).SOPInstanceUID == uid
    # Other voxels: other instances in the same series, and no file of the earlier result stays.
    make_marked(tmp_path / "ct", boxes=2)
    (tmp_path / "out" / "notes.txt").write_text("the user's own")
    third = run(tmp_path / "ct", exact, out=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *(name for name in names if not name.startswith("key-image-3")),
        "notes.txt",
    }
    assert dcmread(file_of(third, "seg")).SeriesInstanceUID == series
    changed = {file.path.name: file.uid for file in third.files}
    assert all(changed[name] != uid for name, uid in uids[0].items() if uid and name in changed)


def test_nothing_found_is_a_result_too(exact: Bundle, tmp_path: Path) -> None:
    make_marked(tmp_path / "ct", boxes=0)
    result = run(tmp_path / "ct", exact, out=tmp_path / "out")
    assert result.findings.lesions == ()
    assert {file.kind for file in result.files} == {"sr", "json"}


@pytest.mark.parametrize("character_set", ["GB18030", "GBK", "ISO_IR 192", "\\ISO 2022 IR 58"])
def test_chinese_name_survives(character_set: str, exact: Bundle, tmp_path: Path) -> None:
    def declare(ds: Dataset) -> None:
        ds.SpecificCharacterSet = character_set.split("\\")
        ds.PatientName, ds.StudyDescription = CHINESE_NAME, CHINESE_STUDY

    make_marked(tmp_path / "ct", boxes=1, edit=declare)
    result = run(tmp_path / "ct", exact, out=tmp_path / "out")
    assert result.study.notes == ()
    check_names(result)


@pytest.mark.parametrize("declared", [True, False])
def test_mislabelled_chinese_is_detected_said_and_mended(declared: bool, exact: Bundle, tmp_path: Path) -> None:
    def mislabel(ds: Dataset) -> None:
        # What pydicom writes of these letters under Latin-1 are the bytes of GBK.
        ds.SpecificCharacterSet = "ISO_IR 100"
        ds.PatientName = CHINESE_NAME.encode("gbk").decode("latin_1")
        ds.StudyDescription = CHINESE_STUDY.encode("gbk").decode("latin_1")

    make_marked(tmp_path / "ct", boxes=1, edit=mislabel)
    for path in (tmp_path / "ct").iterdir():
        content, term = path.read_bytes(), b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100"
        assert term in content
        assert CHINESE_NAME.encode("gbk") in content
        if not declared:
            path.write_bytes(content.replace(term, b""))
    result = run(tmp_path / "ct", exact, out=tmp_path / "out")
    check_names(result)
    notes = json.loads(file_of(result, "json").read_text(encoding="utf-8"))["notes"]
    assert any("GBK" in note for note in notes)
    assert not any("王" in note for note in notes)


def check_names(result: Result) -> None:
    """The patient's name and the study's description are right in what was read and in every DICOM file written."""
    assert (result.study.patient_name, result.study.description) == (CHINESE_NAME, CHINESE_STUDY)
    written = [dcmread(file.path) for file in result.files if file.path.suffix == ".dcm"]
    assert {ds.Modality for ds in written} == {"SEG", "SR", "OT"}
    for ds in written:
        assert (str(ds.PatientName), ds.StudyDescription) == (CHINESE_NAME, CHINESE_STUDY)
        assert ds.SpecificCharacterSet == "ISO_IR 192"


def test_finding_text_is_in_the_report(exact: Bundle, tmp_path: Path, tool: Callable[[str], str]) -> None:
    make_marked(tmp_path / "ct")
    result = run(tmp_path / "ct", exact, out=tmp_path / "out")
    text = subprocess.run(
        [tool("dcmdump"), "--convert-to-utf8", "+L", str(file_of(result, "sr"))], capture_output=True, check=True
    ).stdout.decode("utf-8")
    assert "高亮区" in text
    assert CHINESE_NAME in text


def test_python_and_command_line_give_the_same(bundles: Path, tmp_path: Path) -> None:
    make_marked(tmp_path / "ct", Stack((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)))
    bundle, study = load_bundle(bundles / "exact"), load_study(tmp_path / "ct")
    called = run(study, bundle, out=tmp_path / "python")
    command = ["run", str(bundles / "exact"), str(tmp_path / "ct"), "-o", str(tmp_path / "cli"), "--json", "-"]
    typed = CliRunner().invoke(app, command)
    assert typed.exit_code == 0, typed.output
    answer = json.loads(typed.stdout)
    ours = called.to_json()
    assert set(ours) == set(answer)
    same = set(ours) - {"created", "stage_ms", "files", "input"}
    assert {key: ours[key] for key in same} == {key: answer[key] for key in same}
    one, other = ({f["name"]: f["sop_instance_uid"] for f in content["files"]} for content in (ours, answer))
    assert one == other
    assert (tmp_path / "python" / "segmentation.dcm").stat().st_size > 0
    a, b = (read_seg(tmp_path / way / "segmentation.dcm") for way in ("python", "cli"))
    assert all(np.array_equal(x.mask, y.mask) for x, y in zip(a, b, strict=True))
    assert set(answer["stage_ms"]) >= {"bundle", "read", "decode", "prepare", "infer", "finish", "measure", "report"}


def test_scores_that_are_interpolated_back_never_exist_whole(chest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume of 600 slices and 4 classes has 2.5 GB of them (tests/unit/test_memory.py)."""
    seen = []

    def watched(*arguments: Any, **keywords: Any) -> Any:
        seen.append(pipeline_infer(*arguments, **keywords))
        return seen[-1]

    pipeline_infer = pipeline.infer
    monkeypatch.setattr(pipeline, "infer", watched)
    result = run(chest, "ct-lung-nodule", "null")
    assert [(inferred.logits, inferred.labels) for inferred in seen] == [(None, None)]
    assert result.findings.parts is not None and result.findings.parts.shape == (24, 128, 128)
