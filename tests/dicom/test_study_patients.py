"""Whose study it is: several studies or patients under one path, and names in their character sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedside.runtime.body_parts import body_part_matches
from bedside.runtime.study import load_study

from .dicom_files import (
    STUDY,
    patch,
    write_series,
    write_slice,
)
from .study_readers import rejected


def test_two_studies_are_named_and_one_can_be_picked(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 2)
    write_series(tmp_path / "b", 3, StudyInstanceUID="2.25.77", SeriesInstanceUID="2.25.78", PatientID="P-17b")
    message = rejected(tmp_path)
    assert "2 studies of 2 patients" in message
    assert STUDY in message and "2.25.77" in message and "CT, 3 files" in message
    assert len(load_study(tmp_path, study_uid="2.25.77").series[0].frames) == 3
    assert "2.25.99 is not in" in rejected(tmp_path, study_uid="2.25.99")


def test_two_patients_in_one_study_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 2)
    write_slice(tmp_path / "other.dcm", PatientID="P-17b", PatientName="Wang^Other")
    message = rejected(tmp_path)
    assert "two patients" in message and "other.dcm" in message


CHINESE_NAME = "Wang^Xiaodong=王^小东"


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"PatientName": "Li^Na"}, "Patient's Name"),
        ({"PatientName": "Wang^Xiaodong=李^娜"}, "Patient's Name"),
        ({"PatientBirthDate": "19700102"}, "Patient's Birth Date"),
        ({"PatientID": "P-18"}, "Patient ID"),
        ({"PatientID": "", "PatientName": "Li^Na"}, "Patient's Name"),
        ({"PatientID": "", "PatientName": ""}, "Patient ID"),
    ],
)
def test_two_patients_under_one_id_are_refused(tmp_path: Path, changes: dict[str, str], differs: str) -> None:
    write_slice(tmp_path / "a.dcm", PatientName=CHINESE_NAME)
    write_slice(tmp_path / "b.dcm", SOPInstanceUID="2.25.101", **{"PatientName": CHINESE_NAME, **changes})
    message = rejected(tmp_path)
    assert f"a.dcm and b.dcm differ in {differs}" in message
    assert not any(value and value in message for value in (*changes.values(), "Wang", "王", "P-17"))


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientName": "WANG^XIAODONG^^"},
        {"PatientName": "Wang^Xiaodong "},
        {"PatientName": "Ｗａｎｇ Xiao Dong=王小东=ワン"},
        {"PatientName": "王^小东"},
        {"PatientName": ""},
        {"PatientName": "", "PatientBirthDate": "", "PatientSex": ""},
        {"PatientID": ""},
        {"PatientID": " P-17 "},
    ],
)
def test_one_patient_written_in_different_ways_is_one(tmp_path: Path, changes: dict[str, str]) -> None:
    write_slice(tmp_path / "a.dcm", PatientName=CHINESE_NAME)
    write_slice(tmp_path / "b.dcm", SOPInstanceUID="2.25.101", **changes)
    assert len(load_study(tmp_path).series[0].frames) == 2


def test_one_patient_in_two_character_sets_is_one(tmp_path: Path) -> None:
    write_slice(tmp_path / "utf8.dcm", PatientName=CHINESE_NAME)
    write_slice(tmp_path / "gb18030.dcm", PatientName=CHINESE_NAME, SOPInstanceUID="2.25.101",
                SpecificCharacterSet="GB18030")  # fmt: skip
    assert (tmp_path / "gb18030.dcm").read_bytes().find("王".encode("gb18030")) > 0
    assert len(load_study(tmp_path).series[0].frames) == 2


@pytest.mark.parametrize("declared", [b"ISO_IR 100", b"GB18030   "])
def test_a_chinese_body_part_is_read_and_matches(tmp_path: Path, declared: bytes) -> None:
    path = write_slice(tmp_path / "a.dcm", SpecificCharacterSet="ISO_IR 100", BodyPartExamined="XXXX",
                       StudyDescription="", SeriesDescription="", PatientName="Wang^Xiaodong")  # fmt: skip
    patch(path, 0x00180015, b"XXXX", "胸部".encode("gbk"))
    patch(path, 0x00080005, b"ISO_IR 100", declared)
    series = load_study(path).series[0]
    assert series.body_part == "胸部"
    assert body_part_matches(series.body_part, "CHEST") and not body_part_matches(series.body_part, "HEAD")
