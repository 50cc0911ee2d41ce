"""The SEG against highdicom (an independent writer and reader), dciodvfy, and its own read-back check."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from bedside.runtime.errors import DeliveryError
from bedside.runtime.report import ReportInput, seg, seg_check

from .make_ct import AXIAL, CHINESE_NAME, OBLIQUE, make_ct
from .make_planar import cine, fundus, radiograph, ultrasound
from .report_input import NODULE, ct_input, dciodvfy_errors, planar_input, report_input, segmenter, two_nodules

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def write(data: ReportInput, path: Path) -> seg.Segmentation:
    segmentation = seg.build(data)
    assert segmentation is not None
    with path.open("wb") as file:
        segmentation.write(file)
    return segmentation


@pytest.mark.parametrize("label_map", [False, True], ids=["binary", "labelmap"])
@pytest.mark.parametrize("size", [64, 63], ids=["whole-bytes", "shared-bytes"])
@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
def test_highdicom_reads_the_mask_at_its_place(
    tmp_path: Path, orientation: tuple[float, ...], size: int, label_map: bool
) -> None:
    data = ct_input(orientation=orientation, size=size, spacing=(0.7, 0.9), label_map=label_map)
    path = tmp_path / "seg.dcm"
    write(data, path)
    seg_check.check(path, data)
    read = hd.seg.segread(path)
    parts = data.findings.parts
    assert parts is not None
    frames = data.source.frames
    pixels = read.get_pixels_by_source_instance(
        [frame.sop_instance_uid for frame in frames], combine_segments=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(pixels, parts)
    volume = read.get_volume(combine_segments=True)
    for lesion in data.findings.lesions:
        inside = np.argwhere(volume.array == lesion.number)
        place = volume.map_indices_to_reference(inside).mean(axis=0)
        assert place == pytest.approx(lesion.centroid_lps, abs=1e-3)


SAME = (
    "SOPClassUID",
    "ImageType",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "StudyDescription",
    "SeriesInstanceUID",
    "Modality",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "LossyImageCompression",
    "SegmentationType",
    "SegmentsOverlap",
    "ReferencedSeriesSequence",
    "PresentationLUTShape",
)


def oracle(data: ReportInput, datasets: list[Dataset]) -> hd.seg.Segmentation:
    """The same segmentation written by highdicom."""
    specs = {spec.label: spec for spec in data.bundle.meta.result.segments}
    algorithm = hd.AlgorithmIdentificationSequence(
        name=data.bundle.name,
        version=data.bundle.version,
        family=Code("123110", "DCM", "Artificial Intelligence"),
        source="bedside",
        parameters={"model SHA-256": data.bundle.sha256},
    )
    descriptions = []
    for lesion in data.findings.lesions:
        spec = specs[lesion.label]
        description = hd.seg.SegmentDescription(
            segment_number=lesion.number,
            segment_label=lesion.tracking_id,
            segmented_property_category=Code(spec.category.value, spec.category.scheme, spec.category.meaning),
            segmented_property_type=Code(spec.type.value, spec.type.scheme, spec.type.meaning),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            tracking_uid=lesion.tracking_uid,
            tracking_id=lesion.tracking_id,
            display_color=hd.color.CIELabColor.from_rgb(*spec.color),
            anatomic_regions=[Code(spec.anatomy.value, spec.anatomy.scheme, spec.anatomy.meaning)]
            if spec.anatomy
            else None,
        )
        descriptions.append(description)
    return hd.seg.Segmentation(
        source_images=datasets,
        pixel_array=data.findings.parts,
        segmentation_type="LABELMAP" if data.label_map else "BINARY",
        segment_descriptions=descriptions,
        series_instance_uid=data.series_uid("SEG"),
        series_number=seg.SERIES_NUMBER,
        sop_instance_uid="2.25.1",
        instance_number=1,
        manufacturer="bedside",
        manufacturer_model_name=data.bundle.name,
        software_versions="1",
        device_serial_number="1",
    )


@pytest.mark.parametrize("label_map", [False, True], ids=["binary", "labelmap"])
def test_every_attribute_of_place_and_meaning_equals_highdicoms(tmp_path: Path, label_map: bool) -> None:
    series = make_ct(orientation=OBLIQUE, size=63)
    data = report_input(series.datasets[0], series.volume, two_nodules((12, 63, 63)), segmenter(), label_map=label_map)
    write(data, tmp_path / "seg.dcm")
    ours, theirs = dcmread(tmp_path / "seg.dcm"), oracle(data, series.datasets)
    theirs.save_as(tmp_path / "theirs.dcm")
    theirs = dcmread(tmp_path / "theirs.dcm")
    assert ours.PixelData == theirs.PixelData
    for keyword in SAME:
        assert ours[keyword].value == theirs[keyword].value, keyword
    assert ours.get("PixelPaddingValue") == theirs.get("PixelPaddingValue")
    assert [_plain(item) for item in ours.SegmentSequence] == [_plain(item) for item in theirs.SegmentSequence]
    for a, b in zip(ours.DimensionIndexSequence, theirs.DimensionIndexSequence, strict=True):
        assert (a.DimensionIndexPointer, a.FunctionalGroupPointer) == (
            b.DimensionIndexPointer,
            b.FunctionalGroupPointer,
        )
    shared, expected = ours.SharedFunctionalGroupsSequence[0], theirs.SharedFunctionalGroupsSequence[0]
    assert shared.PlaneOrientationSequence == expected.PlaneOrientationSequence
    assert shared.PixelMeasuresSequence[0].PixelSpacing == expected.PixelMeasuresSequence[0].PixelSpacing
    assert shared.PixelMeasuresSequence[0].SliceThickness == expected.PixelMeasuresSequence[0].SliceThickness
    assert ours.PerFrameFunctionalGroupsSequence == theirs.PerFrameFunctionalGroupsSequence


def _plain(item: Dataset) -> Dataset:
    """A segment without what differs on purpose: the device in the algorithm's parameters."""
    copy = Dataset()
    copy.update({element.tag: element for element in item})
    copy.pop("SegmentationAlgorithmIdentificationSequence", None)
    return copy


CASES = {
    "ct": ct_input,
    "oblique": lambda: ct_input(orientation=OBLIQUE),
    "resampled": lambda: resampled(),
    "ultrasound": lambda: planar_input(ultrasound),
    "fundus": lambda: planar_input(fundus),
    "radiograph": lambda: planar_input(radiograph),
    "cine": lambda: planar_input(cine),
}


def resampled() -> ReportInput:
    data = ct_input(orientation=OBLIQUE)
    volume = replace(data.source, frames=(None,) * 12)
    return replace(data, source=volume, used=data.source.frames)


@pytest.mark.parametrize("case", CASES)
def test_dciodvfy_finds_no_error(tmp_path: Path, tool: Callable[[str], str], case: str) -> None:
    data = CASES[case]()
    write(data, tmp_path / "seg.dcm")
    seg_check.check(tmp_path / "seg.dcm", data)
    assert dciodvfy_errors(tool("dciodvfy"), tmp_path / "seg.dcm", "Segmentation") == []


@pytest.mark.parametrize("label_map", [False, True], ids=["binary", "labelmap"])
@pytest.mark.parametrize("make", [ultrasound, fundus, radiograph, cine])
def test_a_source_without_a_place_is_referenced_by_image_and_frame(
    tmp_path: Path, make: Callable[[], Any], label_map: bool
) -> None:
    data = planar_input(make, label_map=label_map)
    segmentation = write(data, tmp_path / "seg.dcm")
    seg_check.check(tmp_path / "seg.dcm", data)
    read = hd.seg.segread(tmp_path / "seg.dcm")
    assert "FrameOfReferenceUID" not in read
    assert (read.LossyImageCompression, read.LossyImageCompressionRatio) == ("01", 12)
    for item, frame in zip(read.PerFrameFunctionalGroupsSequence, segmentation.frames, strict=True):
        source = item.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == data.header.SOPInstanceUID
        assert source.get("ReferencedFrameNumber") == (frame.z + 1 if make is cine else None)
    parts = data.findings.parts
    assert parts is not None
    for frame, pixels in zip(segmentation.frames, np.atleast_3d(_frames(read)), strict=True):
        assert np.array_equal(pixels, parts[frame.z] if label_map else parts[frame.z] == frame.number)


def _frames(read: Any) -> Any:
    pixels = read.pixel_array
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels


def test_a_reversed_stack_is_written_along_the_normal(tmp_path: Path) -> None:
    series = make_ct()
    volume = series.volume
    affine = volume.affine.copy()
    affine[:3, 3] += 11 * affine[:3, 0]
    affine[:3, 0] *= -1
    flipped = replace(volume, voxels=volume.voxels[::-1], affine=affine, frames=volume.frames[::-1])
    labels = np.minimum(two_nodules(volume.voxels.shape), 1)
    straight = report_input(series.datasets[0], volume, labels, segmenter(NODULE))
    turned = report_input(series.datasets[0], flipped, labels[::-1], segmenter(NODULE))
    write(straight, tmp_path / "a.dcm")
    write(turned, tmp_path / "b.dcm")
    seg_check.check(tmp_path / "b.dcm", turned)
    a, b = dcmread(tmp_path / "a.dcm"), dcmread(tmp_path / "b.dcm")
    assert a.PerFrameFunctionalGroupsSequence == b.PerFrameFunctionalGroupsSequence
    assert a.PixelData == b.PixelData


def test_enhanced_multi_frame_source(tmp_path: Path, tool: Callable[[str], str]) -> None:
    series = make_ct()
    frames = tuple(
        replace(frame, number=12 - z, sop_class_uid="1.2.840.10008.5.1.4.1.1.2.1", sop_instance_uid="2.25.77")
        for z, frame in enumerate(series.volume.frames)
    )
    volume = replace(series.volume, frames=frames)
    labels = two_nodules((12, 64, 64))
    data = report_input(series.datasets[0], volume, labels, segmenter(), multi_frame=frozenset(["2.25.77"]))
    segmentation = write(data, tmp_path / "seg.dcm")
    seg_check.check(tmp_path / "seg.dcm", data)
    assert dciodvfy_errors(tool("dciodvfy"), tmp_path / "seg.dcm", "Segmentation") == []
    read = hd.seg.segread(tmp_path / "seg.dcm")
    for item, frame in zip(read.PerFrameFunctionalGroupsSequence, segmentation.frames, strict=True):
        source = item.DerivationImageSequence[0].SourceImageSequence[0]
        assert (source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber) == ("2.25.77", 12 - frame.z)
    pixels = read.get_pixels_by_source_frame(
        "2.25.77", list(range(12, 0, -1)), combine_segments=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(pixels, data.findings.parts)


def test_the_patient_is_the_sources_in_utf8(tmp_path: Path) -> None:
    write(ct_input(), tmp_path / "seg.dcm")
    read = dcmread(tmp_path / "seg.dcm")
    assert read.SpecificCharacterSet == "ISO_IR 192"
    assert read.PatientName == CHINESE_NAME
    assert "王^小东".encode() in (tmp_path / "seg.dcm").read_bytes()


def test_the_same_findings_have_the_same_uid_at_any_time() -> None:
    once, later = seg.build(ct_input()), seg.build(ct_input(time=None))
    assert once is not None and later is not None
    assert once.sop_instance_uid == later.sop_instance_uid
    other = seg.build(ct_input(size=66))
    assert other is not None and other.sop_instance_uid != once.sop_instance_uid


def test_an_empty_mask_gives_no_seg() -> None:
    data = ct_input()
    series = make_ct()
    empty = report_input(series.datasets[0], series.volume, np.zeros((12, 64, 64), np.uint8), segmenter())
    assert seg.build(empty) is None
    with pytest.raises(ValueError, match="classification"):
        seg.build(replace(data, findings=replace(data.findings, parts=None)))


def test_what_does_not_read_back_is_refused(tmp_path: Path) -> None:
    data = ct_input()
    good, bad = tmp_path / "good.dcm", tmp_path / "bad.dcm"
    write(data, good)
    content = good.read_bytes()

    def refused(spoiled: bytes, match: str = "read back") -> None:
        bad.write_bytes(spoiled)
        with pytest.raises(DeliveryError, match=match):
            seg_check.check(bad, data)

    flipped = bytearray(content)
    flipped[-100] ^= 4
    refused(bytes(flipped))
    refused(content[:-64])
    refused(b"")
    ds = dcmread(good)
    first, second = ds.PerFrameFunctionalGroupsSequence[:2]
    first.PlanePositionSequence, second.PlanePositionSequence = (
        second.PlanePositionSequence,
        first.PlanePositionSequence,
    )
    ds.save_as(bad)
    refused(bad.read_bytes())
    first.PlanePositionSequence[0].ImagePositionPatient[2] += 0.5
    ds.save_as(bad)
    refused(bad.read_bytes(), match="no source slice")
    ds = dcmread(good)
    ds.PerFrameFunctionalGroupsSequence.pop()
    ds.NumberOfFrames -= 1
    ds.PixelData = ds.PixelData[: -64 * 64 // 8]
    ds.save_as(bad)
    refused(bad.read_bytes())
    shutil.copy(good, bad)
    seg_check.check(bad, data)


def test_values_that_break_their_rules_pass_as_they_are(tmp_path: Path) -> None:
    data = ct_input()
    with pytest.warns(UserWarning):
        data.header.PatientBirthDate, data.header.PatientAge = "1958", "66"
        data.header.AccessionNumber = "A" * 30
    write(data, tmp_path / "seg.dcm")
    seg_check.check(tmp_path / "seg.dcm", data)
    assert dcmread(tmp_path / "seg.dcm").AccessionNumber == "A" * 30
