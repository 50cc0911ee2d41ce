"""Files of several frames: found in their code streams, counted, and read from many files at once."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import uid

from bedside.runtime.errors import StudyRejected
from bedside.runtime.study import decoding, load_study
from bedside.runtime.study.encapsulation import locate_frames
from bedside.runtime.study.pixels import read_cine, read_image, read_volume
from bedside.runtime.study.reading import MAX_OPEN

from .dicom_files import enhanced, header, save, with_pixels, with_streams, write_series
from .pixel_readers import COLOUR, series_of


def test_more_files_of_several_frames_than_may_be_open_at_once(tmp_path: Path) -> None:
    count = MAX_OPEN + 60
    for index in range(count):
        ds = enhanced(2, SOPInstanceUID=f"2.25.7{index:03d}")
        save(
            with_pixels(ds, np.full((2, 6, 8), index, np.int16), syntax=uid.ExplicitVRBigEndian),
            tmp_path / f"{index:03d}",
        )
    series = load_study(tmp_path).series[0]
    by_frame = sorted(series.frames, key=lambda frame: (frame.number, frame.path))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + MAX_OPEN + 16, hard))
    try:
        volume = read_volume(series, by_frame, np.eye(4))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert volume.voxels[:, 3, 3].tolist() == [*range(count), *range(count)]


def _streams(count: int) -> tuple[NDArray[np.uint8], list[bytes]]:
    frames = np.random.default_rng(4).integers(0, 256, (count, 6, 8), dtype=np.uint8)
    return frames, [imagecodecs.jpegls_encode(frame) for frame in frames]


def _cine(**attributes: Any) -> pydicom.Dataset:
    ds = header(**{**COLOUR, "Modality": "US", **attributes})
    del ds.ImagePositionPatient
    ds.BitsAllocated = 8
    return ds


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("table", [True, False])
def test_frames_are_found_with_and_without_offset_table(tmp_path: Path, fragments: int, table: bool) -> None:
    frames, streams = _streams(5)
    ds = with_streams(_cine(), streams, uid.JPEGLSLossless, fragments_per_frame=fragments, has_bot=table)
    cine = read_cine(series_of(save(ds, tmp_path / "a.dcm")))
    np.testing.assert_array_equal(cine.pixels, frames)


def test_frames_are_found_with_an_extended_offset_table(tmp_path: Path) -> None:
    frames, streams = _streams(4)
    ds = with_streams(_cine(), streams, uid.JPEGLSLossless)
    pixels, offsets, lengths = pydicom.encaps.encapsulate_extended(streams)
    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = pixels, offsets, lengths
    np.testing.assert_array_equal(read_cine(series_of(save(ds, tmp_path / "a.dcm"))).pixels, frames)


@pytest.mark.parametrize("claimed", [3, 6, 4000])
def test_a_wrong_number_of_frames_is_refused(tmp_path: Path, claimed: int) -> None:
    _, streams = _streams(5)
    ds = with_streams(_cine(), streams, uid.JPEGLSLossless)
    ds.NumberOfFrames = claimed
    series = series_of(save(ds, tmp_path / "a.dcm"))
    with pytest.raises(StudyRejected, match=f"5 frames in the pixel data, the header says {claimed}"):
        read_cine(series)


@pytest.mark.parametrize("keep", [-30, -120])
def test_a_truncated_compressed_file_is_refused(tmp_path: Path, keep: int) -> None:
    _, streams = _streams(3)
    path = save(with_streams(_cine(), streams, uid.JPEGLSLossless), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StudyRejected, match=r"a\.dcm: "):
        read_cine(series_of(path))


def test_a_file_that_grows_shorter_after_the_headers_were_read_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path, 3)
    series = load_study(tmp_path).series[0]
    paths[2].write_bytes(paths[2].read_bytes()[:-40])
    with pytest.raises(StudyRejected, match=f"{paths[2].name}: the file is truncated"):
        read_volume(series, series.frames, np.eye(4))
    paths[2].unlink()
    with pytest.raises(StudyRejected, match=f"{paths[2].name}: cannot be read: No such file"):
        read_volume(series, series.frames, np.eye(4))


def test_stills_of_one_series_are_no_cine_and_one_must_be_named(tmp_path: Path) -> None:
    for index, side in enumerate("LR"):
        ds = _cine(SOPInstanceUID=f"2.25.5{index}", InstanceNumber=index + 1, Modality="MG")
        ds.ImageLaterality, ds.ViewPosition = side, "CC"
        save(with_pixels(ds, np.full((6, 8), index, np.uint8)), tmp_path / f"{side}.dcm")
    series = load_study(tmp_path).series[0]
    assert series.kind == "image"
    said = r"1 L CC in L.dcm \(2.25.50\); 2 R CC in R.dcm \(2.25.51\) \(name one with --instance UID"
    for read in (read_cine, read_image):
        with pytest.raises(StudyRejected, match=said):
            read(series)
    right = series.only_instance("2.25.51")
    assert read_image(series, series.frames_of(right)[0]).pixels.tolist() == np.full((6, 8), 1).tolist()
    with pytest.raises(StudyRejected, match=r"instance 2.25.7 is not in series .* \(there: 1 L CC in L.dcm"):
        series.only_instance("2.25.7")
    (tmp_path / "copy.dcm").write_bytes((tmp_path / "R.dcm").read_bytes())
    with pytest.raises(StudyRejected, match=r"has instance 2.25.51 2 times: R.dcm, copy.dcm"):
        load_study(tmp_path).series[0].only_instance("2.25.51")


def test_of_two_cines_or_a_still_beside_a_cine_one_must_be_named(tmp_path: Path) -> None:
    cine = with_pixels(_cine(SOPInstanceUID="2.25.51", InstanceNumber=1, FrameTime=40), np.zeros((3, 6, 8), np.uint8))
    save(cine, tmp_path / "a.dcm")
    still = with_pixels(_cine(SOPInstanceUID="2.25.52", InstanceNumber=2), np.ones((6, 8), np.uint8))
    save(still, tmp_path / "b.dcm")
    series = load_study(tmp_path).series[0]
    with pytest.raises(StudyRejected, match=r"1 3 frames in a.dcm \(2.25.51\); 2 in b.dcm \(2.25.52\)"):
        read_cine(series)
    assert read_cine(series, series.only_instance("2.25.51")).pixels.shape == (3, 6, 8)
    other = with_pixels(_cine(SOPInstanceUID="2.25.52", InstanceNumber=2, FrameTime=20), np.ones((2, 6, 8), np.uint8))
    save(other, tmp_path / "b.dcm")
    series = load_study(tmp_path).series[0]
    with pytest.raises(StudyRejected, match="2 images where one is asked for"):
        read_cine(series)
    second = read_cine(series, series.only_instance("2.25.52"))
    assert second.pixels.shape == (2, 6, 8) and second.frame_time_ms == 20.0


def test_a_cine_of_many_fragments_is_indexed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, streams = _streams(40)
    series = series_of(save(with_streams(_cine(), streams, uid.JPEGLSLossless), tmp_path / "a.dcm"))
    calls = []
    monkeypatch.setattr(decoding, "locate_frames", lambda *a, **k: calls.append(1) or locate_frames(*a, **k))
    np.testing.assert_array_equal(read_cine(series, threads=3).pixels, frames)
    assert len(calls) == 1
