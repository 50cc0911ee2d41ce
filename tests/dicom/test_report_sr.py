"""The SR as highdicom and dcmtk read it, and as dciodvfy judges it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from bedside.runtime.quiet import lenient
from bedside.runtime.report import ReportInput, seg, sr

from .make_ct import CHINESE_NAME, OBLIQUE, SERIES_UID, STUDY_UID, make_ct
from .make_planar import cine, fundus, radiograph, ultrasound
from .report_input import (
    classifier,
    ct_input,
    dciodvfy_errors,
    planar_input,
    report_input,
    segmenter,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def write(data: ReportInput, path: Path) -> Dataset:
    with lenient():
        document = sr.build(data, seg.build(data) if data.findings.parts is not None else None)
        document.save_as(path, enforce_file_format=True)
    return document


def classified(make: Callable[[], Any], **more: Any) -> ReportInput:
    header, source = make()
    frames = len(source.pixels) if make is cine else 1
    return report_input(header, source, np.array([[0.2, 0.8]] * frames), classifier(), **more)


def empty(**more: Any) -> ReportInput:
    series = make_ct()
    return report_input(series.datasets[0], series.volume, np.zeros((12, 64, 64), np.uint8), segmenter(), **more)


def ct_classified() -> ReportInput:
    series = make_ct()
    return report_input(series.datasets[0], series.volume, np.array([[0.9, 0.1]]), classifier())


CASES = {
    "ct": ct_input,
    "oblique": lambda: ct_input(orientation=OBLIQUE),
    "empty": empty,
    "ct-classified": ct_classified,
    "ultrasound": lambda: planar_input(ultrasound),
    "fundus": lambda: planar_input(fundus),
    "radiograph": lambda: planar_input(radiograph),
    "cine": lambda: planar_input(cine),
    "ultrasound-classified": lambda: classified(ultrasound),
    "cine-classified": lambda: classified(cine),
}


@pytest.mark.parametrize("case", CASES)
def test_dciodvfy_finds_no_error_and_the_readers_read_it(tmp_path: Path, tool: Callable[[str], str], case: str) -> None:
    path = tmp_path / "report.dcm"
    written = write(CASES[case](), path)
    assert dcmread(path) == written
    assert dciodvfy_errors(tool("dciodvfy"), path, "Comprehensive3DSR") == []
    assert isinstance(hd.sr.srread(path), hd.sr.Comprehensive3DSR)
    run = subprocess.run([tool("dsrdump"), "-Ec", path], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0 and not [line for line in run.stderr.splitlines() if line.startswith("E:")]
    assert "Not for diagnosis." in run.stdout


def values(group: Any) -> dict[tuple[str, str | None], tuple[float, str]]:
    """Measurements by name and derivation: value and unit."""
    return {
        (m.name.meaning, m.derivation.meaning if m.derivation else None): (m.value, m.unit.value)
        for m in group.get_measurements()
    }


def test_a_lesion_is_a_volumetric_roi_of_its_segment(tmp_path: Path) -> None:
    data = ct_input()
    write(data, tmp_path / "report.dcm")
    report = hd.sr.srread(tmp_path / "report.dcm").content
    groups = report.get_volumetric_roi_measurement_groups()
    assert len(groups) == 3
    segmentation = seg.build(data)
    assert segmentation is not None
    for group, lesion in zip(groups, data.findings.lesions, strict=True):
        assert (group.tracking_uid, group.tracking_identifier) == (lesion.tracking_uid, lesion.tracking_id)
        assert group.referenced_segment.referenced_sop_instance_uid == segmentation.sop_instance_uid
        assert int(group.referenced_segment.referenced_segment_numbers[0]) == lesion.number
        found = values(group)
        assert found["Volume", None] == (pytest.approx(lesion.volume_mm3, rel=1e-5), "mm3")
        assert found["Long axis", None] == (pytest.approx(lesion.longest_diameter_mm, rel=1e-5), "mm")
        for derivation, value in (
            ("Mean", lesion.mean),
            ("Standard Deviation", lesion.std),
            ("Minimum", lesion.minimum),
            ("Maximum", lesion.maximum),
        ):
            assert found["Attenuation Coefficient", derivation] == (pytest.approx(value, rel=1e-5), "[hnsf'U]")
    assert groups[0].finding_type.value == "27925004"
    assert groups[0].finding_sites[0].value.value == "39607008"


@pytest.mark.parametrize("make", [ultrasound, fundus, radiograph, cine])
def test_a_lesion_without_a_volume_is_a_planar_roi_of_its_frame(tmp_path: Path, make: Callable[[], Any]) -> None:
    data = planar_input(make)
    write(data, tmp_path / "report.dcm")
    groups = hd.sr.srread(tmp_path / "report.dcm").content.get_planar_roi_measurement_groups()
    segmentation = seg.build(data)
    assert segmentation is not None
    for group, lesion in zip(groups, data.findings.lesions, strict=True):
        found = values(group)
        assert ("Volume", None) not in found
        if make in (fundus, cine):
            assert found == {("Long axis", None): (pytest.approx(lesion.longest_diameter_px, rel=1e-5), "{pixels}")}
        else:
            assert found["Long axis", None] == (pytest.approx(lesion.longest_diameter_mm, rel=1e-5), "mm")
            assert found["Area", None] == (pytest.approx(lesion.area_mm2, rel=1e-5), "mm2")
        items = {item.name.meaning: item for item in group[0].ContentSequence}
        reference = items["Referenced Segmentation Frame"].ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == segmentation.sop_instance_uid
        frame = segmentation.frames[reference.ReferencedFrameNumber - 1]
        assert (frame.number, frame.z) == (lesion.number, lesion.key_slice)
        assert "ReferencedSegmentNumber" not in reference
        source = items["Source Image for Segmentation"].ReferencedSOPSequence[0]
        assert source.get("ReferencedFrameNumber") == (lesion.key_slice + 1 if make is cine else None)


def test_the_document_around_the_content_is_as_highdicom_writes_it() -> None:
    series = make_ct()
    data = ct_input()
    document = write(data, Path("/dev/null"))
    segmentation = seg.build(data)
    assert segmentation is not None
    report = hd.sr.Comprehensive3DSR(
        evidence=[*series.datasets, segmentation.head],
        content=hd.sr.Comprehensive3DSR.from_dataset(document).content[0],
        series_instance_uid=data.series_uid("SR"),
        series_number=sr.SERIES_NUMBER,
        sop_instance_uid=document.SOPInstanceUID,
        instance_number=1,
        manufacturer="bedside",
        is_complete=True,
        specific_character_set="ISO_IR 192",
    )
    times = {"ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime"}
    ours_differ = {"ContributingEquipmentSequence", "CurrentRequestedProcedureEvidenceSequence", *times}
    for element in report:
        if element.keyword not in ours_differ:
            assert document[element.tag].value == element.value, element.keyword


def test_a_class_has_its_probability_and_whether_it_is_reached(tmp_path: Path) -> None:
    write(classified(ultrasound), tmp_path / "report.dcm")
    report = hd.sr.srread(tmp_path / "report.dcm").content
    benign, malignant = report.get_image_measurement_groups()
    assert malignant.finding_type.value == "21594007"
    assert values(malignant) == {("Certainty of Finding", None): (pytest.approx(80), "%")}
    assert [e.value for e in malignant.get_qualitative_evaluations()] == [codes.SCT.Present]
    assert [e.value for e in benign.get_qualitative_evaluations()] == [codes.SCT.Absent]
    assert malignant.source_images[0].referenced_sop_instance_uid == "2.25.3001"


def test_nothing_found_is_said_in_code_and_in_words(tmp_path: Path) -> None:
    write(empty(), tmp_path / "report.dcm")
    document = hd.sr.srread(tmp_path / "report.dcm")
    groups = document.content.get_image_measurement_groups()
    assert [group.finding_type.meaning for group in groups] == ["Nodule", "Lung"]
    assert all(group.get_qualitative_evaluations()[-1].value == codes.SCT.Absent for group in groups)
    assert any("No finding" in text for text in texts(document, "Conclusion"))


def texts(document: Dataset, name: str) -> list[str]:
    return [
        item.TextValue
        for item in document.ContentSequence
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeMeaning == name
    ]


def test_chinese_survives_and_is_said_to_be_chinese(tmp_path: Path, tool: Callable[[str], str]) -> None:
    write(ct_input(), tmp_path / "report.dcm")
    document = dcmread(tmp_path / "report.dcm")
    assert document.SpecificCharacterSet == "ISO_IR 192"
    assert document.PatientName == CHINESE_NAME
    assert document.StudyDescription == "胸部CT平扫"
    assert texts(document, "Conclusion") == ["发现 3 个结节，最大长径 14.7 mm。"]
    assert document.ContentSequence[0].ConceptCodeSequence[0].CodeValue == "zh"
    run = subprocess.run(
        [tool("dsrdump"), "+U8", "+Pl", tmp_path / "report.dcm"], capture_output=True, timeout=60, check=True
    )
    assert "王^小东" in run.stdout.decode() and "发现 3 个结节" in run.stdout.decode()


def test_the_whole_source_series_is_referenced_once(tmp_path: Path) -> None:
    data = ct_input()
    write(data, tmp_path / "report.dcm")
    document = dcmread(tmp_path / "report.dcm")
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == STUDY_UID == document.StudyInstanceUID
    source, result = study.ReferencedSeriesSequence
    wanted = [frame.sop_instance_uid for frame in data.frames]
    assert source.SeriesInstanceUID == SERIES_UID
    assert [item.ReferencedSOPInstanceUID for item in source.ReferencedSOPSequence] == wanted
    assert result.SeriesInstanceUID == data.series_uid("SEG")
    library = next(
        item
        for item in document.ContentSequence
        if item.ValueType == "CONTAINER" and item.ConceptNameCodeSequence[0].CodeMeaning == "Image Library"
    )
    theirs = hd.sr.ImageLibraryEntryDescriptors(make_ct().datasets[0])
    shared = [item for item in theirs if "Position" not in item.name.meaning]
    assert list(library.ContentSequence[0].ContentSequence)[: len(shared)] == shared
    images = [item for item in library.ContentSequence[0].ContentSequence if item.ValueType == "IMAGE"]
    assert [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in images] == wanted


def test_the_same_findings_have_the_same_uid_at_any_time(tmp_path: Path) -> None:
    first, later = (write(ct_input(time=time), tmp_path / "r.dcm") for time in (None, ct_input().time))
    assert first.SOPInstanceUID == later.SOPInstanceUID
    assert first.ContentTime != later.ContentTime
    data = ct_input()
    other = write(replace(data, provenance=replace(data.provenance, device="ort:cpu")), tmp_path / "r.dcm")
    assert other.SOPInstanceUID != first.SOPInstanceUID and other.SeriesInstanceUID == first.SeriesInstanceUID


def test_what_was_left_out_is_said(tmp_path: Path) -> None:
    document = write(ct_input(), tmp_path / "r.dcm")
    assert any("1 part(s) of 'Nodule'" in text for text in texts(document, "Comment"))
