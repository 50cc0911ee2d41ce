"""Pixels from file to array, against pydicom and against arrays that are known because the test wrote them."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import uid

from bedside.kernels._cpu import read_planes
from bedside.runtime import memory
from bedside.runtime.errors import StudyRejected
from bedside.runtime.study import load_study
from bedside.runtime.study.pixels import read_cine, read_image, read_volume

from .dicom_files import WHEEL, header, insert_before, save, with_pixels, with_streams, write_series
from .pixel_readers import image_of, pixels_of, series_of, volume_in

REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "the code stream is",
    "MR_truncated.dcm": "the file is truncated: 8130 of 8192 bytes",
}
NO_ORACLE = {"JPGExtended.dcm", "JPEG-lossy.dcm"}
"""12-bit JPEG: no plug-in of pydicom under a permissive licence decodes it; test_codecs compares with DCMTK."""


def by_pydicom(path: Path) -> NDArray[Any]:
    """What pydicom and its plug-ins make of a file, brought to the same form: RGB of 8 bits, MONOCHROME1 inverted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path)
        pixels = pydicom.pixels.pixel_array(ds)
        if ds.PhotometricInterpretation == "PALETTE COLOR":
            pixels = pydicom.pixels.apply_color_lut(pixels, ds)
    if pixels.ndim > 2 and pixels.shape[-1] == 3 and pixels.dtype != np.uint8:
        pixels = (pixels >> (8 * pixels.dtype.itemsize - 8)).astype(np.uint8)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        pixels = ((1 << ds.BitsStored) - 1 - pixels.astype(np.int64)).astype(pixels.dtype)
    return pixels


def test_every_image_of_pydicoms_wheel_reads_as_pydicom_reads_it() -> None:
    compared = 0
    for path in sorted(p for p in WHEEL.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")):
        try:
            series = series_of(path)
            if series.damaged:
                continue
        except StudyRejected:
            continue
        if path.name in REFUSED:
            with pytest.raises(StudyRejected, match=REFUSED[path.name]):
                pixels_of(series)
            continue
        ours = pixels_of(series)
        if path.name in NO_ORACLE:
            continue
        theirs = by_pydicom(path)
        assert ours.dtype == theirs.dtype.newbyteorder("="), path.name
        np.testing.assert_array_equal(ours, theirs, err_msg=path.name)
        compared += 1
    assert compared > 70


@pytest.mark.parametrize("folder", ["cr-ct-mr-dicom", "us-cine-dicom", "dcmqi-ct-seg"])
def test_real_images_read_as_pydicom_reads_them(shared_data: Any, folder: str) -> None:
    for path in sorted(shared_data(folder).glob("*.dcm")):
        if path.name == "liver_seg.dcm":
            continue
        np.testing.assert_array_equal(pixels_of(series_of(path)), by_pydicom(path), err_msg=path.name)


def test_a_real_series_lands_slice_by_slice(shared_data: Any) -> None:
    series = load_study(shared_data("ct-chest-60")).series[0]
    frames = sorted(series.frames, key=lambda frame: frame.position[2] if frame.position else 0)
    volume = read_volume(series, frames, np.eye(4), threads=2)
    assert volume.voxels.shape == (60, 512, 512)
    for z in (0, 31, 59):
        np.testing.assert_array_equal(volume.voxels[z], pydicom.dcmread(frames[z].path).pixel_array)


def test_volume_keeps_the_order_it_is_given(tmp_path: Path) -> None:
    write_series(tmp_path, 7)
    series = load_study(tmp_path).series[0]
    frames = sorted(series.frames, key=lambda frame: -(frame.instance_number or 0))
    seen: list[tuple[str, int, int]] = []
    affine = np.diag([2.5, 0.7, 0.8, 1.0])
    volume = read_volume(series, frames, affine, threads=2, progress=lambda *step: seen.append(step))
    assert volume.voxels[:, 0, 0].tolist() == [600, 500, 400, 300, 200, 100, 0]
    assert volume.voxels.dtype == np.int16 and volume.frames == tuple(frames)
    assert volume.slope.tolist() == [1.0] * 7 and volume.intercept.tolist() == [-1024.0] * 7
    assert seen[-1] == ("decode", 7, 7) and [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    np.testing.assert_array_equal(volume.affine, affine)
    one = read_volume(series, frames, affine, threads=1)
    np.testing.assert_array_equal(one.voxels, volume.voxels)


def test_rescale_differs_slice_by_slice(tmp_path: Path) -> None:
    for index in range(3):
        ds = header(SOPInstanceUID=f"2.25.5{index}", RescaleSlope=1.5 + index, RescaleIntercept=-10 * index)
        save(with_pixels(ds, np.full((6, 8), index, np.int16)), tmp_path / f"{index}")
    series = load_study(tmp_path).series[0]
    volume = read_volume(series, series.frames, np.eye(4))
    assert volume.slope.tolist() == [1.5, 2.5, 3.5] and volume.intercept.tolist() == [0.0, -10.0, -20.0]


def test_mixed_signs_in_one_series_are_held_by_a_wider_type(tmp_path: Path) -> None:
    for index, dtype in enumerate((np.int16, np.uint16)):
        value = -5 if index == 0 else 65535
        ds = header(SOPInstanceUID=f"2.25.5{index}", PixelRepresentation=1 - index)
        save(with_pixels(ds, np.full((6, 8), value, dtype)), tmp_path / f"{index}")
    series = load_study(tmp_path).series[0]
    volume = read_volume(series, series.frames, np.eye(4))
    assert volume.voxels.dtype == np.int32 and volume.voxels[:, 0, 0].tolist() == [-5, 65535]


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.uint32])
def test_plain_syntaxes_and_types(tmp_path: Path, syntax: str, dtype: Any) -> None:
    info = np.iinfo(dtype)
    top = min(info.max, 2**31 - 1)
    pixels = np.linspace(info.min, top, 3 * 35).astype(dtype).reshape(3, 5, 7)
    bits = dtype().itemsize * 8
    ds = header(BitsStored=bits, HighBit=bits - 1, PixelRepresentation=int(info.min < 0))
    del ds.ImagePositionPatient
    cine = read_cine(series_of(save(with_pixels(ds, pixels, syntax=syntax), tmp_path / "a.dcm")))
    np.testing.assert_array_equal(cine.pixels, pixels)


def test_float_pixels(tmp_path: Path) -> None:
    pixels = np.linspace(-1e6, 1e-6, 48, dtype=np.float32).reshape(6, 8)
    ds = header(Modality="MR", BitsAllocated=32, BitsStored=None, HighBit=None, PixelRepresentation=None)
    ds.FloatPixelData = pixels.tobytes()
    image = image_of(ds, tmp_path / "a.dcm")
    assert image.pixels.dtype == np.float32
    np.testing.assert_array_equal(image.pixels, pixels)
    ds = header(Modality="MR", BitsAllocated=64, BitsStored=None, HighBit=None, PixelRepresentation=None)
    ds.DoubleFloatPixelData = pixels.astype(np.float64).tobytes()
    with pytest.raises(StudyRejected, match="Double Float Pixel Data is not supported"):
        image_of(ds, tmp_path / "b.dcm")


@given(
    bits=st.integers(1, 16),
    shift=st.integers(0, 8),
    signed=st.booleans(),
    extended=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bits_stored_and_high_bit(
    tmp_path: Path, bits: int, shift: int, signed: bool, extended: bool, seed: int
) -> None:
    """Values of any width, anywhere in the word, sign-extended or not, come back as they were (PS3.5 8.1.1)."""
    shift = min(shift, 16 - bits)
    low = -(1 << (bits - 1)) if signed else 0
    values = np.random.default_rng(seed).integers(low, low + (1 << bits), (6, 8))
    word = values << shift
    if not (signed and extended):
        word &= ((1 << bits) - 1) << shift
    ds = header(BitsStored=bits, HighBit=bits - 1 + shift, PixelRepresentation=int(signed))
    image = image_of(with_pixels(ds, word.astype(np.uint16)), tmp_path / "a.dcm")
    np.testing.assert_array_equal(image.pixels, values)


@pytest.mark.parametrize(("signed", "value"), [(0, 5000), (1, -3024), (1, 4100)])
def test_values_beyond_bits_stored_are_not_wrapped_around(tmp_path: Path, signed: int, value: int) -> None:
    pixels = np.full((6, 8), 100, np.int16 if signed else np.uint16)
    pixels[2, 3] = value
    changes = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": signed}
    with pytest.raises(StudyRejected, match=r"a\.dcm: pixel values from .* do not fit the 12 Bits Stored"):
        image_of(with_pixels(header(**changes), pixels), tmp_path / "a.dcm")
    ds = with_pixels(header(**changes), pixels)
    ds.add_new(0x00280120, "SS" if signed else "US", value)
    image = image_of(ds, tmp_path / "b.dcm")
    assert image.padding_value == value and image.pixels[2, 3] == value and image.pixels[0, 0] == 100


@pytest.mark.parametrize("signed", [0, 1])
def test_an_overlay_in_the_unused_bits_is_masked(tmp_path: Path, signed: int) -> None:
    values = np.arange(48).reshape(6, 8) - (20 if signed else 0)
    word = (values & 0x0FFF) | ((np.arange(48).reshape(6, 8) % 2) << 14)
    ds = header(BitsStored=12, HighBit=11, PixelRepresentation=signed)
    ds.add_new(0x60000100, "US", 16)
    ds.add_new(0x60000102, "US", 14)
    image = image_of(with_pixels(ds, word.astype(np.uint16)), tmp_path / "a.dcm")
    np.testing.assert_array_equal(image.pixels, values)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_float_pixels_that_are_no_numbers_are_refused_where_they_are_read(tmp_path: Path, value: float) -> None:
    pixels = np.ones((6, 8), np.float32)
    ds = header(Modality="MR", BitsAllocated=32, Rows=6, Columns=8)
    for name in ("BitsStored", "HighBit", "PixelRepresentation"):
        delattr(ds, name)
    for index in range(2):
        ds.SOPInstanceUID = f"2.25.6{index}"
        ds.FloatPixelData = pixels.tobytes()
        save(ds, tmp_path / f"{index}.dcm")
        pixels[3, 4] = value
    assert read_image(load_study(tmp_path / "0.dcm").series[0]).pixels[3, 4] == 1.0
    with pytest.raises(StudyRejected, match=r"1\.dcm: the pixel data has values that are no numbers"):
        read_image(load_study(tmp_path / "1.dcm").series[0])
    with pytest.raises(StudyRejected, match=r"1\.dcm: the pixel data has values that are no numbers"):
        volume_in(tmp_path)


def test_what_the_free_memory_does_not_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path, 2)
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * 96)
    assert volume_in(tmp_path).voxels.shape == (2, 6, 8)
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * 96 - 1)
    with pytest.raises(StudyRejected, match=r"series 2.25.12 needs .* GB of memory, .* GB are free"):
        volume_in(tmp_path)


def test_irregular_but_harmless_files_fall_to_pydicom(tmp_path: Path) -> None:
    """Tags out of order, and a data set without preamble, are read all the same."""
    paths = write_series(tmp_path, 1)
    insert_before(paths[0], 0x00100010, b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 192")
    assert read_image(series_of(paths[0])).pixels[5, 7] == 47
    bare = tmp_path / "bare"
    content = write_series(tmp_path / "x", 1)[0].read_bytes()
    bare.write_bytes(content[content.index(b"\x08\x00\x05\x00CS", 132) :])
    assert read_image(series_of(bare)).pixels[5, 7] == 47


def test_a_lossy_stream_may_overshoot_its_bits_and_is_cut_off(tmp_path: Path) -> None:
    pixels = np.full((6, 8), 4095, np.uint16)
    pixels[::2] = 4090
    pixels[0, 0] = 4098
    ds = header(BitsStored=12, HighBit=11, PixelRepresentation=0)
    stream = imagecodecs.jpegls_encode(pixels, level=1)
    image = image_of(with_streams(ds, [stream], uid.JPEGLSNearLossless), tmp_path / "a.dcm")
    assert image.pixels.max() == 4095
    pixels[0, 0] = 9000
    stream = imagecodecs.jpegls_encode(pixels, level=1)
    with pytest.raises(StudyRejected, match="do not fit the 12 Bits Stored"):
        image_of(with_streams(ds, [stream], uid.JPEGLSNearLossless), tmp_path / "b.dcm")


def test_direct_reading_tells_the_range_of_every_plane(tmp_path: Path) -> None:
    for dtype in (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.uint32):
        info = np.iinfo(dtype)
        planes = np.random.default_rng(0).integers(info.min, info.max, (3, 5, 7), dtype=dtype, endpoint=True)
        planes[1, 2, 3], planes[1, 0, 0] = info.min, info.max
        path = tmp_path / "raw"
        path.write_bytes(b"head" + planes.tobytes())
        out = np.zeros_like(planes)
        size = planes[0].nbytes
        answers = read_planes([os.fsencode(path)] * 3, [4, 4 + size, 4 + 2 * size], out, threads=2)
        np.testing.assert_array_equal(out, planes)
        assert answers == [(size, int(plane.min()), int(plane.max())) for plane in planes]
        short = read_planes([os.fsencode(path), b"/nowhere"], [4 + 2 * size + 7, 0], out[:2])
        assert short[0][0] == size - 7 and short[1][0] == -errno.ENOENT
    with pytest.raises(ValueError, match="'out'"):
        read_planes([b"x"], [0], np.zeros((1, 2, 2), np.float32))
    with pytest.raises(ValueError, match="'out'"):
        read_planes([b"x"], [0], np.zeros((1, 2, 4), np.uint8)[..., ::2])
    with pytest.raises(ValueError, match="'out' is not aligned"):
        read_planes([b"x"], [0], np.zeros(9, np.uint8)[1:].view(np.uint16).reshape(1, 2, 2))
    with pytest.raises(ValueError, match="one entry a plane"):
        read_planes([b"x"], [0, 1], np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(ValueError, match="negative"):
        read_planes([b"x"], [-1], np.zeros((1, 2, 2), np.uint8))
