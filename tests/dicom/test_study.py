"""Finding, reading and grouping: what load_study says of good and of bad input."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid
from pydicom.sequence import Sequence

from bedside.runtime.errors import StudyRejected
from bedside.runtime.study import load_study
from bedside.runtime.study.pixels import read_cine, read_image, read_volume

from .dicom_files import (
    SERIES,
    STUDY,
    WHEEL,
    enhanced,
    header,
    item,
    save,
    with_pixels,
    write_series,
    write_slice,
)
from .study_readers import reasons, rejected


def test_series_and_study_attributes(tmp_path: Path) -> None:
    write_series(tmp_path / "deep" / "er", 5)
    study = load_study(tmp_path)
    (series,) = study.series
    assert (study.study_uid, study.patient_id, study.patient_name) == (STUDY, "P-17", "Wang^Xiaodong=王^小东")
    assert (study.patient_birth_date, study.patient_sex, study.accession) == ("19700101", "M", "A1")
    assert (study.study_date, study.study_time, study.study_id) == ("20260102", "030405", "S1")
    assert study.description == "胸部平扫"
    assert (series.uid, series.study_uid, series.modality, series.number) == (SERIES, STUDY, "CT", 3)
    assert (series.body_part, series.description, series.kind) == ("CHEST", "肺窗 1.0", "volume")
    assert series.transfer_syntaxes == (uid.ExplicitVRLittleEndian,)
    assert study.skipped == () and study.notes == ()
    frame = next(frame for frame in series.frames if frame.instance_number == 2)
    assert frame.position == (-10.0, -20.0, 32.5)
    assert frame.orientation == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    assert (frame.spacing, frame.thickness, frame.rows, frame.columns) == ((0.7, 0.8), 2.5, 6, 8)
    assert (frame.slope, frame.intercept, frame.sop_class_uid) == (1.0, -1024.0, uid.CTImageStorage)
    assert frame.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    window = series.instance(frame).window
    assert window is not None and (window.center, window.width, window.function) == (40.0, 400.0, "LINEAR")


def test_missing_geometry_is_none_and_not_guessed(tmp_path: Path) -> None:
    path = write_slice(
        tmp_path / "a", ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None, SliceThickness=None
    )
    (frame,) = load_study(path).series[0].frames
    assert (frame.position, frame.orientation, frame.spacing, frame.thickness) == (None, None, None, None)


def test_one_file_and_a_folder_of_it_give_the_same(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "one.dcm")
    assert load_study(path).series[0].frames == load_study(tmp_path).series[0].frames


def test_series_are_apart_and_ordered_by_number(tmp_path: Path) -> None:
    write_series(tmp_path / "b", 2, SeriesInstanceUID="2.25.2", SeriesNumber=9)
    write_series(tmp_path / "a", 3, SeriesInstanceUID="2.25.1", SeriesNumber=2)
    study = load_study(tmp_path)
    assert [(series.uid, len(series.frames)) for series in study.series] == [("2.25.1", 3), ("2.25.2", 2)]


def test_what_is_no_image_is_skipped_with_the_reason(tmp_path: Path) -> None:
    write_series(tmp_path, 3)
    (tmp_path / "notes.txt").write_text("read me")
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "half").write_bytes(b"\0" * 128 + b"DICM")
    for name in ("liver_1frame.dcm", "test-SR.dcm", "rtstruct.dcm", "rtdose.dcm", "waveform_ecg.dcm", "rtplan.dcm"):
        shutil.copy(WHEEL / name, tmp_path)
    pdf = header(SOPClassUID=uid.EncapsulatedPDFStorage, Modality="DOC")
    save(pdf, tmp_path / "report.dcm")
    said = reasons(load_study(tmp_path))
    assert said["notes.txt"] == said["noise"] == "not a DICOM file"
    assert said["empty.dcm"] == "empty file"
    assert "half" in said
    assert "Segmentation" in said["liver_1frame.dcm"]
    assert "SR" in said["test-SR.dcm"]
    assert "RT Structure Set" in said["rtstruct.dcm"]
    assert "RT Dose" in said["rtdose.dcm"]
    assert "ECG" in said["waveform_ecg.dcm"]
    assert "RT Plan" in said["rtplan.dcm"]
    assert "Encapsulated PDF" in said["report.dcm"]


def test_only_a_segmentation_says_what_to_give(tmp_path: Path) -> None:
    shutil.copy(WHEEL / "liver_1frame.dcm", tmp_path)
    message = rejected(tmp_path)
    assert "Segmentation" in message and "liver_1frame.dcm" in message
    assert "give the study of images it was made from" in message
    assert "SR" in rejected(Path(shutil.copy(WHEEL / "test-SR.dcm", tmp_path / "sr.dcm")))


def test_nothing_there(tmp_path: Path) -> None:
    assert "does not exist" in rejected(tmp_path / "nowhere")
    assert "no files" in rejected(tmp_path)
    (tmp_path / "a.txt").write_text("no")
    assert "a.txt" in rejected(tmp_path) and "not a DICOM file" in rejected(tmp_path)


def test_a_file_with_several_names_counts_once(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write_series(folder, 3)
    (folder / "again").symlink_to(".")
    first = sorted(folder.glob("*"))[0]
    (folder / "zz-soft").symlink_to(first.name)
    (folder / "zz-hard").hardlink_to(folder / first.name)
    study = load_study(folder)
    assert len(study.series[0].frames) == 3
    assert not any(frame.path.name.startswith("zz") for frame in study.series[0].frames)


def test_what_bedside_wrote_is_no_source(tmp_path: Path) -> None:
    write_series(tmp_path, 3)
    key = {"SOPClassUID": uid.SecondaryCaptureImageStorage, "Modality": "OT", "SeriesInstanceUID": "2.25.77"}
    write_slice(tmp_path / "key.dcm", SOPInstanceUID="2.25.78", Manufacturer="bedside", PatientID="X", **key)
    write_slice(tmp_path / "photo.dcm", SOPInstanceUID="2.25.79", **key)
    study = load_study(tmp_path)
    assert reasons(study) == {"key.dcm": "a key image that bedside wrote, not a source image"}
    assert {series.uid for series in study.series} == {SERIES, "2.25.77"}


def test_an_empty_path_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path, 3)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyRejected, match="the path of the study is empty"):
        load_study("")
    assert load_study(".").series


def test_a_folder_that_links_to_itself_ends(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 2)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert len(load_study(tmp_path / "a").series[0].frames) >= 2


def test_progress_counts_the_files(tmp_path: Path) -> None:
    write_series(tmp_path, 4)
    seen: list[tuple[str, int, int]] = []
    load_study(tmp_path, progress=lambda *step: seen.append(step))
    assert seen[0] == ("read", 0, 4) and seen[-1] == ("read", 4, 4)


def test_enhanced_frames_have_the_geometry_of_their_groups(tmp_path: Path) -> None:
    path = save(enhanced(4), tmp_path / "enhanced.dcm")
    series = load_study(path).series[0]
    assert series.kind == "volume" and [frame.number for frame in series.frames] == [1, 2, 3, 4]
    third = series.frames[2]
    assert third.position == (1.0, 8.0, 4.0) and third.orientation == (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    assert (third.spacing, third.thickness, third.slope, third.intercept) == ((0.5, 0.6), 3.0, 3.0, -1002.0)
    volume = read_volume(series, series.frames[::-1], np.eye(4))
    assert volume.voxels[0, 0, 0] == 3 * 48 and volume.voxels[3, 5, 7] == 47
    assert volume.slope.tolist() == [4.0, 3.0, 2.0, 1.0] and volume.intercept.tolist() == [-1003, -1002, -1001, -1000]
    assert volume.window is not None and (volume.window.center, volume.window.width) == (53.0, 350.0)


def test_enhanced_groups_that_do_not_count_up_are_refused(tmp_path: Path) -> None:
    ds = enhanced(4)
    ds.PerFrameFunctionalGroupsSequence = ds.PerFrameFunctionalGroupsSequence[:3]
    assert "3 per-frame functional groups for 4 frames" in rejected(save(ds, tmp_path / "short.dcm"))


def test_ultrasound_regions_and_cine_facts(tmp_path: Path) -> None:
    regions = Sequence(
        [
            item(
                RegionLocationMinX0=1,
                RegionLocationMinY0=2,
                RegionLocationMaxX1=7,
                RegionLocationMaxY1=5,
                PhysicalUnitsXDirection=3,
                PhysicalUnitsYDirection=4,
                PhysicalDeltaX=0.02,
                PhysicalDeltaY=0.01,
                RegionDataType=1,
            )
        ]
    )
    ds = header(
        SOPClassUID=uid.UltrasoundMultiFrameImageStorage,
        Modality="US",
        SequenceOfUltrasoundRegions=regions,
        FrameTime=40.0,
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        PixelRepresentation=0,
        RescaleSlope=None,
        RescaleIntercept=None,
        BitsStored=8,
        HighBit=7,
    )
    path = save(with_pixels(ds, np.arange(3 * 48, dtype=np.uint8).reshape(3, 6, 8)), tmp_path / "us.dcm")
    series = load_study(path).series[0]
    assert series.kind == "cine"
    cine = read_cine(series)
    assert cine.pixels.shape == (3, 6, 8) and cine.pixels[2, 5, 7] == 143 and cine.frame_time_ms == 40.0
    (region,) = cine.regions
    assert (region.x0, region.y0, region.x1, region.y1, region.data_type) == (1, 2, 7, 5, 1)
    assert region.mm_per_pixel_x == pytest.approx(0.2) and region.mm_per_pixel_y is None


def test_series_dataset_is_the_whole_header_without_pixels(tmp_path: Path) -> None:
    write_series(tmp_path, 2)
    dataset = load_study(tmp_path).series[0].dataset(1)
    assert dataset.SOPInstanceUID.startswith("2.25.100") and "PixelData" not in dataset
    assert str(dataset.PatientName) == "Wang^Xiaodong=王^小东"


def test_several_images_need_one_to_be_named(tmp_path: Path) -> None:
    write_series(tmp_path, 2)
    series = load_study(tmp_path).series[0]
    with pytest.raises(StudyRejected, match="2 images where one is asked for"):
        read_image(series)
    assert read_image(series, series.frames[1]).frame is series.frames[1]


def test_slices_without_position_are_still_a_volume_for_the_geometry_gate(tmp_path: Path) -> None:
    write_series(tmp_path, 3, ImagePositionPatient=None)
    assert load_study(tmp_path).series[0].kind == "volume"


def test_file_names_of_any_bytes_are_read(tmp_path: Path) -> None:
    for index, path in enumerate(write_series(tmp_path, 3)):
        path.rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xb7\xce" + bytes([65 + index]))))
    study = load_study(tmp_path)
    series = study.series[0]
    assert read_volume(series, series.frames, np.eye(4)).voxels.shape == (3, 6, 8)
    series.frames[1].path.write_bytes(b"")
    with pytest.raises(StudyRejected) as caught:
        read_volume(series, series.frames, np.eye(4))
    assert "肺B: the file is truncated" in str(caught.value).encode("utf-8").decode()


def test_each_file_of_a_series_has_its_own_character_set(tmp_path: Path) -> None:
    ds = header(PatientName="王^小东", SpecificCharacterSet="GB18030", SeriesNumber=1)
    save(with_pixels(ds, np.zeros((6, 8), np.int16)), tmp_path / "a")
    ds = header(PatientName="王^小东", SOPInstanceUID="2.25.2", SeriesNumber=1)
    save(with_pixels(ds, np.zeros((6, 8), np.int16)), tmp_path / "b")
    series = load_study(tmp_path).series[0]
    assert [str(series.dataset(index).PatientName) for index in (0, 1)] == ["王^小东", "王^小东"]
