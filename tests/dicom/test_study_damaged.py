"""Files that are cut, empty, hostile or impossible: refused by name, and never half a series."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid

from bedside.runtime.errors import StudyRejected
from bedside.runtime.study import load_study
from bedside.runtime.study.header import HeaderError, read_header
from bedside.runtime.study.pixels import read_cine, read_image, read_volume

from .dicom_files import (
    SERIES,
    element,
    enhanced,
    header,
    insert_before,
    nested_sequences,
    patch,
    save,
    with_pixels,
    with_streams,
    write_series,
    write_slice,
)
from .study_readers import reasons, rejected


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
