"""What a result says of its source is true of the instances that were used, and of no others of their series."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from typer.testing import CliRunner

from bedside.runtime import StudyRejected, load_bundle, run
from bedside.runtime.bundle.load import Bundle
from bedside.runtime.cli import app
from bedside.runtime.report.context import file_meta
from tests.dicom import make_planar
from tests.dicom.make_bundles import make_bright
from tests.dicom.make_ct import FRAME_OF_REFERENCE_UID
from tests.dicom.make_marked import make_marked
from tests.dicom.read_seg import read_seg

STILL, CINE = "2.25.3101", "2.25.3102"
LOCALIZER, OTHER_FRAME = "2.25.3201", "2.25.99"


def results(folder: Path) -> dict[str, Dataset]:
    return {path.stem: dcmread(path) for path in sorted(folder.glob("*.dcm"))}


def items(dataset: Dataset) -> Iterator[Dataset]:
    """The data set and all items nested in it."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from items(item)


def add_localizer(folder: Path, slices: list[Dataset]) -> None:
    """A coronal scout in a frame of reference and of a size of its own; its file is the first."""
    scout = deepcopy(slices[0])
    scout.SOPInstanceUID, scout.FrameOfReferenceUID = LOCALIZER, OTHER_FRAME
    scout.file_meta = file_meta(scout.SOPClassUID, LOCALIZER)
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.Rows, scout.Columns, scout.PixelSpacing = 9, 11, [3, 3]
    scout.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    scout.InstanceNumber = 900
    scout.PixelData = bytes(2 * 9 * 11)
    scout.save_as(folder / "0.dcm", enforce_file_format=True)


def test_a_localizer_that_was_left_out_leaves_no_trace_in_the_results(bright_bundle: Path, tmp_path: Path) -> None:
    slices = make_marked(tmp_path / "ct")
    add_localizer(tmp_path / "ct", slices)
    with pytest.raises(StudyRejected, match="localizer"):
        run(tmp_path / "ct", bright_bundle)
    run(tmp_path / "ct", bright_bundle, out=tmp_path / "out", accept=["localizer"])
    written = results(tmp_path / "out")
    assert {"segmentation", "report", "key-image-1"} <= set(written)
    segmentation = written["segmentation"]
    assert segmentation.FrameOfReferenceUID == FRAME_OF_REFERENCE_UID
    referenced = segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {item.ReferencedSOPInstanceUID for item in referenced} == {ds.SOPInstanceUID for ds in slices}
    numbers = {}
    for item in items(written["report"]):
        assert item.get("UID") != OTHER_FRAME
        if item.get("ValueType") == "NUM":
            value = item.MeasuredValueSequence[0].NumericValue
            numbers.setdefault(item.ConceptNameCodeSequence[0].CodeMeaning, float(value))
    assert (numbers["Pixel Data Rows"], numbers["Pixel Data Columns"]) == (slices[0].Rows, slices[0].Columns)
    for dataset in written.values():
        for item in items(dataset):
            assert item.get("ReferencedSOPInstanceUID") != LOCALIZER


def test_a_resampled_volume_names_the_slices_it_was_made_of(bright_bundle: Path, tmp_path: Path) -> None:
    slices = make_marked(tmp_path / "ct", tilt_mm=0.4)
    add_localizer(tmp_path / "ct", slices)
    run(tmp_path / "ct", bright_bundle, out=tmp_path / "out", accept=["localizer", "tilt"])
    segmentation = results(tmp_path / "out")["segmentation"]
    assert segmentation.FrameOfReferenceUID == FRAME_OF_REFERENCE_UID
    sources = [item.ReferencedSOPInstanceUID for item in segmentation.SourceImageSequence]
    assert sorted(sources) == sorted(ds.SOPInstanceUID for ds in slices)


@pytest.fixture(scope="module")
def ultrasound_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("us") / "bundle"
    make_bright(root, rank=2, modality="US", low=0, high=255, level=150, instances=True)
    return load_bundle(root)


@pytest.fixture
def ultrasound(tmp_path: Path) -> Path:
    """A still, then a cine of one moving spot, in one series."""
    folder = tmp_path / "us"
    folder.mkdir()
    for uid, sop_class, number in (
        (STILL, make_planar.ULTRASOUND, 1),
        (CINE, make_planar.ULTRASOUND_CINE, 2),
    ):
        ds = make_planar.header(sop_class, "US", 40, 50)
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.SOPInstanceUID, ds.InstanceNumber, ds.SeriesNumber = uid, number, 1
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
        frames = 5 if uid == CINE else 1
        pixels = np.full((frames, 40, 50), 20, np.uint8)
        for n in range(frames):
            pixels[n, 10 : 14 + n, 20:25] = 200
        if uid == CINE:
            pixels[0] = 20
            ds.NumberOfFrames, ds.FrameTime = frames, 40
        ds.PixelData = pixels.tobytes()
        ds["PixelData"].VR = "OB"
        ds.file_meta = file_meta(sop_class, uid)
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def test_of_a_still_and_a_cine_one_is_named(ultrasound: Path, ultrasound_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(StudyRejected, match="name one with --instance UID"):
        run(ultrasound, ultrasound_bundle)
    for uid, frames in ((CINE, {2, 3, 4, 5}), (STILL, {None})):
        out = tmp_path / uid
        command = ["run", str(ultrasound_bundle.root), str(ultrasound), "-o", str(out), "--instance", uid]
        typed = CliRunner().invoke(app, command)
        assert typed.exit_code == 0, typed.output
        written = results(out)
        assert set(written) == {"segmentation", "report", "key-image-1"}
        numbers = set()
        for item in written["segmentation"].PerFrameFunctionalGroupsSequence:
            source = item.DerivationImageSequence[0].SourceImageSequence[0]
            assert source.ReferencedSOPInstanceUID == uid
            numbers.add(source.get("ReferencedFrameNumber"))
        assert numbers == frames
        shown = written["key-image-1"].SourceImageSequence[0]
        assert (shown.ReferencedSOPInstanceUID, shown.get("ReferencedFrameNumber")) == (uid, max(frames, key=str))
        named = [
            item.ReferencedSOPInstanceUID for item in items(written["report"]) if "ReferencedSOPInstanceUID" in item
        ]
        assert uid in named and ({STILL, CINE} - {uid}).isdisjoint(named)


def test_a_named_instance_names_its_series(ultrasound: Path, ultrasound_bundle: Bundle) -> None:
    """The series that would be chosen has more frames, but not the image that the user wants."""
    other = dcmread(ultrasound / "1.dcm")
    other.SOPInstanceUID, other.SeriesInstanceUID, other.SeriesNumber = "2.25.3103", "2.25.3104", 2
    other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
    other.save_as(ultrasound / "3.dcm")
    result = run(ultrasound, ultrasound_bundle, instance_uid="2.25.3103")
    assert result.series.uid == "2.25.3104" and len(result.findings.lesions) == 1
    with pytest.raises(StudyRejected, match="is not in series"):
        run(ultrasound, ultrasound_bundle, instance_uid="2.25.7")


def test_a_volume_has_no_instance_to_name(bright_bundle: Path, tmp_path: Path) -> None:
    slices = make_marked(tmp_path / "ct")
    with pytest.raises(StudyRejected, match=r"whole series .*leave out --instance"):
        run(tmp_path / "ct", bright_bundle, instance_uid=slices[0].SOPInstanceUID)


def test_a_label_map_on_request(bright_bundle: Path, tmp_path: Path) -> None:
    make_marked(tmp_path / "ct")
    written = []
    for name, more in (("binary", ()), ("labels", ("--label-map",))):
        out = tmp_path / name
        typed = CliRunner().invoke(app, ["run", str(bright_bundle), str(tmp_path / "ct"), "-o", str(out), *more])
        assert typed.exit_code == 0, typed.output
        written.append(dcmread(out / "segmentation.dcm"))
    binary, labels = written
    assert (binary.SegmentationType, labels.SegmentationType) == ("BINARY", "LABELMAP")
    marked = sum(np.count_nonzero(plane.mask) for plane in read_seg(tmp_path / "binary" / "segmentation.dcm"))
    assert np.count_nonzero(np.frombuffer(labels.PixelData, np.uint8)) == marked


GBK_NAME = os.fsdecode("报告.txt".encode("gbk"))


def test_a_file_name_in_gbk_stops_nothing(bright_bundle: Path, tmp_path: Path) -> None:
    make_marked(tmp_path / "ct")
    (tmp_path / "ct" / GBK_NAME).write_text("no image")
    first = min((tmp_path / "ct").glob("im*"))
    lost = os.fsdecode("图像.dcm".encode("gbk"))
    first.rename(first.with_name(lost))
    (tmp_path / "ct" / "copy").write_bytes((tmp_path / "ct" / lost).read_bytes())
    out = tmp_path / os.fsdecode("结果".encode("gbk"))

    def call(*arguments: str) -> str:
        typed = CliRunner().invoke(app, list(arguments))
        assert typed.exit_code == 0, typed.output
        return typed.stdout

    shown = json.loads(call("study", "show", str(tmp_path / "ct"), "--json", "-"))
    assert [entry["file"] for entry in shown["skipped"]] == ["报告.txt"]
    named = [name["file"] for finding in shown["series"][0]["geometry"]["findings"] for name in finding["slices"]]
    assert "图像.dcm" in named
    assert "skipped 报告.txt" in call("study", "show", str(tmp_path / "ct"))
    (tmp_path / "ct" / "copy").unlink()
    said = call("run", str(bright_bundle), str(tmp_path / "ct"), "-o", str(out))
    assert "结果/report.dcm" in said
    refusal = CliRunner().invoke(app, ["study", "show", str(tmp_path / "ct"), "--json", str(out)])
    assert "结果 is a folder" in refusal.stderr
    content = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert [entry["file"] for entry in content["input"]["skipped"]] == ["报告.txt"]
