"""DICOMDIR: what its records list, and what they cannot lead to."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.fileset import FileSet

from bedside.runtime.errors import StudyRejected
from bedside.runtime.study import load_study

from .dicom_files import (
    WHEEL,
    write_series,
    write_slice,
)
from .study_readers import rejected


@pytest.mark.parametrize(
    "name",
    [
        "DICOMDIR",
        "DICOMDIR-bigEnd",
        "DICOMDIR-implicit",
        "DICOMDIR-nooffset",
        "DICOMDIR-reordered",
        "DICOMDIR-nopatient",
    ],
)
def test_a_dicomdir_is_read_as_its_records_say(name: str) -> None:
    path = WHEEL / "dicomdirtests" / name
    message = rejected(path)
    assert "6 studies of 2 patients" in message
    study = load_study(path, study_uid="1.3.6.1.4.1.5962.1.1.0.0.0.1194734704.16302.0.1")
    assert sum(len(series.frames) for series in study.series) == 7


def _dicomdir(tmp_path: Path) -> Path:
    write_series(tmp_path / "in", 4)
    fileset = FileSet()
    for path in sorted((tmp_path / "in").iterdir()):
        fileset.add(path)
    fileset.write(tmp_path / "media")
    return tmp_path / "media" / "DICOMDIR"


def test_a_file_that_the_dicomdir_lists_and_is_not_there_damages_its_series(tmp_path: Path) -> None:
    path = _dicomdir(tmp_path)
    assert len(load_study(path).series[0].frames) == 4
    assert any("DICOMDIR" in skipped.reason for skipped in load_study(path.parent).skipped)
    images = sorted(file for file in path.parent.rglob("*") if file.is_file() and file != path)
    images[1].unlink()
    series = load_study(path).series[0]
    assert len(series.frames) == 3
    with pytest.raises(StudyRejected, match="listed in the DICOMDIR, but not there"):
        series.require_whole()


def test_a_dicomdir_whose_records_make_a_circle_ends(tmp_path: Path) -> None:
    path = _dicomdir(tmp_path)
    ds = dcmread(path)
    first = ds.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity
    for record in ds.DirectoryRecordSequence:
        record.OffsetOfTheNextDirectoryRecord = first
        record.OffsetOfReferencedLowerLevelDirectoryEntity = first
    ds.save_as(path)
    assert len(load_study(path).series[0].frames) == 4


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_dicomdir_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    path = _dicomdir(tmp_path)
    write_slice(tmp_path / "secret", SOPInstanceUID="2.25.66")
    ds = dcmread(path)
    ds.DirectoryRecordSequence[-1].ReferencedFileID = ["..", "secret"]
    ds.save_as(path)
    study = load_study(path)
    assert all("secret" not in frame.path.parts for series in study.series for frame in series.frames)
