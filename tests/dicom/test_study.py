"""Finding, reading and grouping: what load_study says of good and of bad input."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, uid
from pydicom.fileset import FileSet
from pydicom.sequence import Sequence

from bedside.runtime.body_parts import body_part_matches
from bedside.runtime.errors import StudyRejected
from bedside.runtime.study import Study, load_study
from bedside.runtime.study.header import HeaderError, read_header
from bedside.runtime.study.pixels import read_cine, read_image, read_volume

from .dicom_files import (
    SERIES,
    STUDY,
    WHEEL,
    element,
    enhanced,
    header,
    insert_before,
    item,
    nested_sequences,
    patch,
    save,
    with_pixels,
    with_streams,
    write_series,
    write_slice,
)


def rejected(path: Path, **options: str) -> str:
    with pytest.raises(StudyRejected) as caught:
        load_study(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "Wang" not in message
    assert "P-17" not in message
    return message


def reasons(study: Study) -> dict[str, str]:
    return {skipped.path.name: skipped.reason for skipped in study.skipped}


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


def test_a_truncated_slice_is_never_filled_with_zeros(tmp_path: Path) -> None:
    paths = write_series(tmp_path, 3)
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    series = load_study(tmp_path).series[0]
    assert len(series.frames) == 3
    with pytest.raises(StudyRejected, match=rf"{paths[1].name}: the file is truncated: 76 of 96 bytes"):
        read_volume(series, series.frames, np.eye(4))


@pytest.mark.parametrize("keep", [800, 880])
def test_a_header_that_ends_early_damages_its_series(tmp_path: Path, keep: int) -> None:
    paths = write_series(tmp_path, 3)
    content = paths[1].read_bytes()
    assert content.index(SERIES.encode()) < keep < content.index(b"\xe0\x7f\x10\x00")
    paths[1].write_bytes(content[:keep])
    series = load_study(tmp_path).series[0]
    assert [lost.path for lost in series.damaged] == [paths[1]]
    with pytest.raises(StudyRejected, match=paths[1].name):
        series.require_whole()
    with pytest.raises(StudyRejected, match="ends inside its header"):
        read_volume(series, series.frames, np.eye(4))


def test_an_image_without_pixel_data_damages_its_series(tmp_path: Path) -> None:
    paths = write_series(tmp_path, 2)
    ds = header(SOPInstanceUID="2.25.9")
    save(ds, tmp_path / "bare.dcm")
    series = load_study(tmp_path).series[0]
    assert len(series.frames) == len(paths)
    assert [(lost.path.name, lost.reason) for lost in series.damaged] == [
        ("bare.dcm", "an image object without pixel data")
    ]


def test_a_pixel_bomb_is_refused_before_memory_is_set_aside(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "bomb.dcm")
    for tag, old in ((0x00280010, b"\x06\0"), (0x00280011, b"\x08\0")):
        patch(path, tag, old, b"\xff\xff")
    assert "a frame of 65535 x 65535 pixels is not believed" in rejected(path)
    path = write_slice(tmp_path / "frames.dcm", NumberOfFrames="65535")
    series = load_study(path).series[0]
    with pytest.raises(StudyRejected, match=r"frames.dcm: the pixel data has 96 bytes, its header asks for 6291360"):
        read_cine(series)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"BitsStored": 17}, "Bits Stored is 17 where Bits Allocated is 16"),
        ({"BitsStored": 0}, "Bits Stored is 0"),
        ({"HighBit": 16}, "High Bit is 16"),
        ({"BitsStored": 12, "HighBit": 5}, "High Bit is 5"),
        ({"SamplesPerPixel": 2}, "Samples per Pixel is 2"),
        ({"PhotometricInterpretation": None}, "Photometric Interpretation is missing"),
        ({"NumberOfFrames": "0"}, "Number of Frames is '0'"),
        ({"Rows": 0}, "Rows or Columns"),
    ],
)
def test_an_impossible_pixel_description_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    ds = with_pixels(header(), np.arange(48, dtype=np.int16).reshape(6, 8))
    for name, value in changes.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    message = rejected(save(ds, tmp_path / "odd.dcm"))
    assert said in message and "odd.dcm" in message


@pytest.mark.parametrize(
    ("syntax", "said"),
    [
        (uid.MPEG4HP41, "MPEG-4 AVC/H.264 High Profile / Level 4.1"),
        (uid.UID("1.2.840.10008.1.2.4.94"), "JPIP"),
        (uid.UID("1.2.3.4.5"), "1.2.3.4.5"),
    ],
)
def test_an_unknown_transfer_syntax_is_refused_by_name(tmp_path: Path, syntax: uid.UID, said: str) -> None:
    series = load_study(save(with_streams(header(), [b"video"], syntax), tmp_path / "odd.dcm")).series[0]
    with pytest.raises(StudyRejected) as caught:
        read_image(series)
    assert said in str(caught.value) and syntax in str(caught.value) and "not supported" in str(caught.value)


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("depth", [40, 70, 5000])
def test_deep_sequences_neither_crash_nor_hang(tmp_path: Path, depth: int, defined: bool) -> None:
    path = write_slice(tmp_path / "deep.dcm")
    insert_before(path, 0x00100010, nested_sequences(depth, defined=defined))
    if defined or depth < 32:
        series = load_study(path).series[0]
        assert read_image(series).pixels[0, 3] == 3
        if depth < 64:
            assert series.dataset().PatientID == "P-17"
        elif depth == 5000:
            with pytest.raises(StudyRejected, match=r"deep\.dcm"):
                series.dataset()
    else:
        assert "nested more than 64 levels deep" in rejected(path)


@pytest.mark.parametrize("irregular", [False, True])
@pytest.mark.parametrize("kind", ["never ends", "10,000 levels", "item within itself"])
def test_cyclic_sequences_neither_crash_nor_hang(tmp_path: Path, kind: str, irregular: bool) -> None:
    """A file is no graph, but a writer that walked one writes this: levels without end, cut off where it gave up."""
    path = write_slice(tmp_path / "cyclic.dcm")
    opened = nested_sequences(10_000, defined=False)[: 10_000 * 20]
    if kind == "never ends":
        raw = opened[: 40 * 20]
    elif kind == "10,000 levels":
        raw = opened
    else:
        # An item whose length, as its sequence's, reaches beyond itself, to the end of the file and further.
        raw = b"\x08\x00\x40\x11SQ\0\0\xf0\xff\xff\x7f" + b"\xfe\xff\x00\xe0\xf0\xff\xff\x7f"
    insert_before(path, 0x00100010, raw)
    if irregular:
        # Tags out of order, which the scanner leaves to pydicom.
        insert_before(path, 0x00080005, element(0x00100040, b"CS", b"M "))
    try:
        study = load_study(path)
    except StudyRejected as error:
        assert "cyclic.dcm" in str(error)
    else:
        with pytest.raises(StudyRejected, match=r"cyclic\.dcm"):
            study.series[0].require_whole()


def test_a_file_that_shrinks_while_its_header_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_slice(tmp_path / "a.dcm")
    insert_before(path, 0x00100010, element(0x00091001, b"UN", b"x" * 40_000))
    asked: list[int] = []

    def shrunk(descriptor: int, length: int, offset: int) -> bytes:
        asked.append(length)
        assert len(asked) < 20
        return whole(descriptor, min(length, 20_000), offset)

    whole = os.pread
    monkeypatch.setattr(os, "pread", shrunk)
    with pytest.raises(HeaderError, match="became shorter") as caught:
        read_header(path)
    assert caught.value.truncated and max(asked) <= path.stat().st_size


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


@pytest.mark.parametrize(
    ("tag", "old", "new", "said"),
    [
        (0x00281052, b"-1024.0", b"abc    ", "Rescale Intercept is 'abc', not a number"),
        (0x00281052, b"-1024.0", b"-1024,0", "Rescale Intercept is '-1024,0', not a number"),
        (0x00281053, b"1.0", b"0.0", "Rescale Slope is 0"),
        (0x00281053, b"1.0", b"   ", "a CT image without Rescale Slope"),
        (0x00280030, b"0.7\\0.8", b"0,7\\0,8", "Pixel Spacing is '0,7.0,8', not 2 numbers"),
        (0x00180050, b"2.5", b"2,5", "Slice Thickness is '2,5', not a number"),
        (0x00200032, b"-20.0", b"-20,0", "Image Position .Patient. is '.*', not 3 numbers"),
        (0x00200037, b"1.0", b"nan", "Image Orientation .Patient. is '.*', not 6 numbers"),
    ],
)
def test_a_number_that_cannot_be_read_is_not_taken_for_an_absent_one(
    tmp_path: Path, tag: int, old: bytes, new: bytes, said: str
) -> None:
    paths = write_series(tmp_path, 3)
    patch(paths[1], tag, old, new)
    with pytest.raises(StudyRejected, match=f"{paths[1].name}: {said}"):
        load_study(tmp_path).series[0].require_whole()
    assert "is skipped: " in rejected(paths[1]) and "send the series again" in rejected(paths[1])


def test_only_a_ct_image_needs_a_rescale(tmp_path: Path) -> None:
    write_slice(tmp_path / "ct", RescaleSlope=None, RescaleIntercept=None)
    assert "a CT image without Rescale Slope and Intercept" in rejected(tmp_path / "ct")
    mr = {"SOPClassUID": uid.MRImageStorage, "Modality": "MR"}
    write_slice(tmp_path / "mr", RescaleSlope=None, RescaleIntercept=None, **mr)
    (frame,) = load_study(tmp_path / "mr").series[0].frames
    assert (frame.slope, frame.intercept) == (1, 0)
    ds = enhanced()
    del ds.PerFrameFunctionalGroupsSequence[2].PixelValueTransformationSequence
    assert "frame 3 of a CT image without Rescale" in rejected(save(ds, tmp_path / "enhanced"))
    ds = enhanced()
    ds.PerFrameFunctionalGroupsSequence[2].PixelValueTransformationSequence[0].RescaleSlope = 0
    assert "Rescale Slope of frame 3 is 0" in rejected(save(ds, tmp_path / "flat"))


@pytest.mark.parametrize("bare", [False, True])
def test_a_file_cut_before_its_series_is_known_makes_no_series_whole(tmp_path: Path, bare: bool) -> None:
    write_series(tmp_path / "study", 3)
    content = write_slice(tmp_path / "slice").read_bytes()
    if bare:
        content = content[content.index(b"\x08\x00\x05\x00CS") :]
    end = content.index(b"\x20\x00\x0e\x00UI") + 8
    for size in sorted({132, 140, 200, 290, 400, end - 8, end, end + 2}):
        cut = tmp_path / "study" / "last"
        cut.write_bytes(content[: min(size, end + 2)])
        study = load_study(tmp_path / "study")
        with pytest.raises(StudyRejected, match=r"last: .*of which series it is cannot be told.*move the file away"):
            study.series[0].require_whole()
        assert "last" in reasons(study)


def test_empty_files_are_noted(tmp_path: Path) -> None:
    write_series(tmp_path, 3)
    (tmp_path / "empty.dcm").touch()
    assert load_study(tmp_path).notes == ("1 empty file was passed over, a slice may be missing: empty.dcm",)
    for n in range(7):
        (tmp_path / f"none{n}").touch()
    (note,) = load_study(tmp_path).notes
    assert note.startswith("8 empty files were passed over") and note.endswith("none4 and 2 more")


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
