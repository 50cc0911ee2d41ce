"""Pixels from file to array, against pydicom and against arrays that are known because the test wrote them."""

from __future__ import annotations

import errno
import os
import resource
import struct
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
from pydicom.sequence import Sequence

from bedside.kernels._cpu import read_planes
from bedside.runtime import memory
from bedside.runtime.errors import StudyRejected
from bedside.runtime.image import Image, Volume, Window
from bedside.runtime.study import Series, decoding, load_study
from bedside.runtime.study.encapsulation import locate_frames
from bedside.runtime.study.pixels import read_cine, read_image, read_volume
from bedside.runtime.study.reading import MAX_OPEN

from .dicom_files import WHEEL, enhanced, header, insert_before, item, save, with_pixels, with_streams, write_series

REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "the code stream is",
    "MR_truncated.dcm": "the file is truncated: 8130 of 8192 bytes",
}
NO_ORACLE = {"JPGExtended.dcm", "JPEG-lossy.dcm"}
"""12-bit JPEG: no plug-in of pydicom under a permissive licence decodes it; test_codecs compares with DCMTK."""


def series_of(path: Path) -> Series:
    return load_study(path).series[0]


def image_of(ds: pydicom.Dataset, path: Path) -> Image:
    return read_image(series_of(save(ds, path)))


def pixels_of(series: Series) -> NDArray[Any]:
    if series.kind == "volume":
        return read_volume(series, series.frames, np.eye(4)).voxels
    return read_cine(series).pixels if len(series.frames) > 1 else read_image(series).pixels


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


def test_monochrome1_is_inverted_and_its_window_with_it(tmp_path: Path) -> None:
    values = np.arange(48, dtype=np.uint16).reshape(6, 8) * 20
    changes: dict[str, Any] = {
        "Modality": "CR",
        "PhotometricInterpretation": "MONOCHROME1",
        "BitsStored": 10,
        "HighBit": 9,
        "PixelRepresentation": 0,
        "RescaleSlope": 2,
        "RescaleIntercept": 5,
        "WindowCenter": 300,
        "WindowWidth": 101,
    }
    ds = header(**changes)
    ds.add_new(0x00280120, "US", 3)
    image = image_of(with_pixels(ds, values), tmp_path / "a.dcm")
    np.testing.assert_array_equal(image.pixels, 1023 - values)
    assert image.padding_value == 1020
    assert image.window is not None
    for stored in (130, 147, 148, 160, 171, 172):
        before = _window(2.0 * stored + 5.0, 300, 101)
        after = _window(2.0 * (1023 - stored) + 5.0, image.window.center, image.window.width)
        assert after == pytest.approx(1.0 - before, abs=1e-9)


def _window(value: float, center: float, width: float) -> float:
    """LINEAR (PS3.3 C.11.2.1.2.1)."""
    return float(np.clip((value - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0))


def test_monochrome1_of_a_ct_keeps_its_hounsfield_units(tmp_path: Path) -> None:
    values = np.arange(48, dtype=np.int16).reshape(6, 8)
    image = image_of(with_pixels(header(PhotometricInterpretation="MONOCHROME1"), values), tmp_path / "a.dcm")
    np.testing.assert_array_equal(image.pixels, values)


def test_modality_lut_gives_its_values(tmp_path: Path) -> None:
    lut = item(LUTDescriptor=[4, 10, 16], ModalityLUTType="OD", LUTData=[7, 70, 700, 7000])
    ds = header(Modality="CR", ModalityLUTSequence=Sequence([lut]), PixelRepresentation=0, RescaleSlope=None)
    del ds.RescaleIntercept
    ds["ModalityLUTSequence"].value[0]["LUTDescriptor"].VR = "US"
    ds["ModalityLUTSequence"].value[0]["LUTData"].VR = "US"
    pixels = np.tile(np.arange(8, 16, dtype=np.uint16), (6, 1))
    image = image_of(with_pixels(ds, pixels), tmp_path / "a.dcm")
    assert image.pixels[0].tolist() == [7, 7, 7, 70, 700, 7000, 7000, 7000]
    assert (image.slope, image.intercept) == (1.0, 0.0)
    save(with_pixels(ds, pixels), tmp_path / "v" / "1")
    ds.SOPInstanceUID = "2.25.4"
    save(with_pixels(ds, pixels), tmp_path / "v" / "2")
    series = load_study(tmp_path / "v").series[0]
    volume = read_volume(series, series.frames, np.eye(4))
    assert volume.voxels[1, 0].tolist() == [7, 7, 7, 70, 700, 7000, 7000, 7000]


def _modality_lut(ds: pydicom.Dataset, entries: list[int], *, first: int, bits: int, vr: str = "US") -> None:
    del ds.RescaleIntercept, ds.RescaleSlope
    ds.ModalityLUTSequence = Sequence(
        [item(LUTDescriptor=[len(entries), first, bits], ModalityLUTType="US", LUTData=entries)]
    )
    ds["ModalityLUTSequence"].value[0]["LUTDescriptor"].VR = vr
    ds["ModalityLUTSequence"].value[0]["LUTData"].VR = "US"


def _mono1(**changes: Any) -> pydicom.Dataset:
    return header(**{"Modality": "MR", "PhotometricInterpretation": "MONOCHROME1", "PixelRepresentation": 0, **changes})


def _volume(folder: Path) -> Volume:
    series = load_study(folder).series[0]
    return read_volume(series, series.frames, np.eye(4))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 4])
def test_monochrome1_behind_a_modality_lut_is_inverted_within_the_tables_bits(
    tmp_path: Path, signed: bool, bits: int
) -> None:
    """A table that says fewer bits than its entries have (4, but 205 takes 8) has those of its entries."""
    first, kind = (-2, np.int16) if signed else (0, np.uint16)
    for index in range(2):
        ds = _mono1(SOPInstanceUID=f"2.25.6{index}", PixelRepresentation=int(signed))
        _modality_lut(ds, [50, 99, 205, 255], first=first, bits=bits, vr="SS" if signed else "US")
        pixels = np.full((6, 8), first + index, kind)
        save(with_pixels(ds, pixels), tmp_path / f"{index}")
    volume = _volume(tmp_path)
    assert volume.voxels[:, 0, 0].tolist() == [205, 156] and volume.padding_value is None
    assert read_image(load_study(tmp_path / "0").series[0]).pixels[0, 0] == 205


@pytest.mark.parametrize("signed", [False, True])
def test_padding_outside_bits_stored_is_no_gray_and_stays(tmp_path: Path, signed: bool) -> None:
    padding, low, high = (-32768, -2048, 2047) if signed else (65535, 0, 4095)
    kind = np.int16 if signed else np.uint16
    for index in range(2):
        ds = _mono1(SOPInstanceUID=f"2.25.6{index}", BitsStored=12, HighBit=11, PixelRepresentation=int(signed))
        ds.add_new(0x00280120, "SS" if signed else "US", padding)
        pixels = np.full((6, 8), 100 + index, kind)
        pixels[0] = padding
        save(with_pixels(ds, pixels), tmp_path / f"{index}")
    volume = _volume(tmp_path)
    assert volume.padding_value == padding
    assert volume.voxels[:, 0, 0].tolist() == [padding] * 2
    assert volume.voxels[:, 1, 0].tolist() == [low + high - 100, low + high - 101]
    image = read_image(load_study(tmp_path / "0").series[0])
    assert image.padding_value == padding and image.pixels[:2, 0].tolist() == [padding, low + high - 100]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"PhotometricInterpretation": "MONOCHROME2"}, "mixes MONOCHROME1 .*0.* and MONOCHROME2 .*1"),
        ({"BitsStored": 12, "HighBit": 11}, "different depth, rescale or padding"),
        ({"RescaleSlope": 2}, "different depth, rescale or padding"),
    ],
)
def test_what_cannot_be_inverted_alike_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    for index in range(2):
        ds = _mono1(SOPInstanceUID=f"2.25.6{index}", **(changes if index else {}))
        save(with_pixels(ds, np.full((6, 8), index, np.uint16)), tmp_path / f"{index}")
    with pytest.raises(StudyRejected, match=said):
        _volume(tmp_path)


def test_every_file_of_a_volume_has_its_own_modality_lut(tmp_path: Path) -> None:
    for index, entries in enumerate(([1, 2], [30, 40])):
        ds = header(SOPInstanceUID=f"2.25.6{index}", PixelRepresentation=0)
        _modality_lut(ds, entries, first=0, bits=16)
        save(with_pixels(ds, np.tile(np.array([0, 1], np.uint16), (6, 4))), tmp_path / f"{index}")
    assert _volume(tmp_path).voxels[:, 0, :2].tolist() == [[1, 2], [30, 40]]


@pytest.mark.parametrize("frames", [1, 2])
def test_the_window_of_functional_groups_is_read_for_one_frame_too(tmp_path: Path, frames: int) -> None:
    path = save(enhanced(frames), tmp_path / "a.dcm")
    series = load_study(path).series[0]
    window = Window(50.0, 350.0)
    assert read_volume(series, series.frames, np.eye(4)).window == window
    assert read_image(series, series.frames[0]).window == window


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
        _volume(tmp_path)


def test_what_the_free_memory_does_not_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path, 2)
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * 96)
    assert _volume(tmp_path).voxels.shape == (2, 6, 8)
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * 96 - 1)
    with pytest.raises(StudyRejected, match=r"series 2.25.12 needs .* GB of memory, .* GB are free"):
        _volume(tmp_path)


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


def test_voi_lut_is_given_with_the_window(tmp_path: Path) -> None:
    lut = item(LUTDescriptor=[3, 65534, 8], LUTData=[0, 128, 255])
    ds = header(VOILUTSequence=Sequence([lut]), RescaleIntercept=-2)
    ds["VOILUTSequence"].value[0]["LUTDescriptor"].VR = "US"
    ds["VOILUTSequence"].value[0]["LUTData"].VR = "US"
    image = image_of(with_pixels(ds, np.zeros((6, 8), np.int16)), tmp_path / "a.dcm")
    assert image.window is not None and image.voi_lut is not None
    assert (image.voi_lut.first, image.voi_lut.table.tolist(), image.voi_lut.bits) == (-2, [0, 128, 255], 8)


def _palette(ds: pydicom.Dataset, tables: list[list[int]], *, first: int = 0, bits: int = 16) -> pydicom.Dataset:
    for colour, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [len(table) % 65536, first, bits])
        ds[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
        raw = bytes(table) if bits == 8 else struct.pack(f"<{len(table)}H", *table)
        setattr(ds, f"{colour}PaletteColorLookupTableData", raw + b"\0" * (len(raw) % 2))
    return ds


PALETTE = {
    "Modality": "US",
    "PhotometricInterpretation": "PALETTE COLOR",
    "BitsStored": 8,
    "HighBit": 7,
    "PixelRepresentation": 0,
}


@pytest.mark.parametrize(("bits", "scale"), [(8, 1), (16, 256), (16, 1)], ids=["8 bit", "16 bit", "16 bit that hold 8"])
def test_palette_colour(tmp_path: Path, bits: int, scale: int) -> None:
    tables = [[(c * 50 + i) * scale for i in range(5)] for c in (1, 2, 4)]
    index = (np.arange(48, dtype=np.uint8) % 9).reshape(6, 8)
    image = image_of(with_pixels(_palette(header(**PALETTE), tables, first=2, bits=bits), index), tmp_path / "a.dcm")
    expected = np.clip(index.astype(int) - 2, 0, 4)[..., None] + np.array([50, 100, 200])
    assert image.pixels.dtype == np.uint8
    np.testing.assert_array_equal(image.pixels, expected)


def test_segmented_palette(tmp_path: Path) -> None:
    """A discrete segment, a linear one, and an indirect one that repeats the first two (PS3.3 C.7.9.2)."""
    words = [0, 2, 0, 1000, 1, 4, 65000, 2, 2, 0, 0]
    ds = header(**PALETTE)
    for colour in ("Red", "Green", "Blue"):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [12, 0, 16])
        ds[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(ds, f"Segmented{colour}PaletteColorLookupTableData", struct.pack(f"<{len(words)}H", *words))
    index = (np.arange(48, dtype=np.uint8) % 12).reshape(6, 8)
    image = image_of(with_pixels(ds, index), tmp_path / "a.dcm")
    one = [0, 1000, 17000, 33000, 49000, 65000]
    expected = (np.array(one + one) >> 8)[index]
    np.testing.assert_array_equal(image.pixels, np.repeat(expected[..., None], 3, axis=2))


def test_a_palette_that_is_missing_or_short_is_refused(tmp_path: Path) -> None:
    index = np.zeros((6, 8), np.uint8)
    with pytest.raises(StudyRejected, match=r"a\.dcm: .*descriptor"):
        image_of(with_pixels(header(**PALETTE), index), tmp_path / "a.dcm")
    ds = _palette(header(**PALETTE), [[1, 2, 3]] * 3)
    ds.RedPaletteColorLookupTableDescriptor = [300, 0, 16]
    with pytest.raises(StudyRejected, match=r"b\.dcm: the red palette has 3 of 300 entries"):
        image_of(with_pixels(ds, index), tmp_path / "b.dcm")


COLOUR = {"Modality": "XC", "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}


def _rgb(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb_by_planar_configuration(tmp_path: Path, planar: int) -> None:
    rgb = _rgb()
    ds = with_pixels(header(PhotometricInterpretation="RGB", **COLOUR), rgb)
    ds.PlanarConfiguration = planar
    if planar:
        ds.PixelData = np.moveaxis(rgb, 2, 0).tobytes()
    np.testing.assert_array_equal(image_of(ds, tmp_path / "a.dcm").pixels, rgb)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_deep_colour_is_reduced_to_8_bits(tmp_path: Path, syntax: str) -> None:
    deep = np.random.default_rng(1).integers(0, 4096, (6, 8, 3), dtype=np.uint16)
    ds = header(PhotometricInterpretation="RGB", BitsStored=12, HighBit=11, PixelRepresentation=0, Modality="XC")
    image = image_of(with_pixels(ds, deep, syntax=syntax), tmp_path / "a.dcm")
    np.testing.assert_array_equal(image.pixels, deep >> 4)


def test_ybr_full_and_422(tmp_path: Path) -> None:
    ybr = _rgb(3)
    image = image_of(with_pixels(header(PhotometricInterpretation="YBR_FULL", **COLOUR), ybr), tmp_path / "a.dcm")
    expected = pydicom.pixels.convert_color_space(ybr, "YBR_FULL", "RGB")
    assert np.abs(image.pixels.astype(int) - expected.astype(int)).max() <= 1
    ybr[:, 1::2, 1:] = ybr[:, 0::2, 1:]
    ds = with_pixels(header(PhotometricInterpretation="YBR_FULL_422", **COLOUR), ybr)
    ds.PixelData = np.stack([ybr[:, 0::2, 0], ybr[:, 1::2, 0], ybr[:, 0::2, 1], ybr[:, 0::2, 2]], axis=2).tobytes()
    halved = image_of(ds, tmp_path / "b.dcm")
    expected = pydicom.pixels.convert_color_space(ybr, "YBR_FULL", "RGB")
    assert np.abs(halved.pixels.astype(int) - expected.astype(int)).max() <= 1


def test_a_photometric_interpretation_nobody_uses_is_refused_by_name(tmp_path: Path) -> None:
    ds = with_pixels(header(PhotometricInterpretation="YBR_PARTIAL_420", **COLOUR), _rgb())
    with pytest.raises(StudyRejected, match="photometric interpretation YBR_PARTIAL_420 is not supported"):
        image_of(ds, tmp_path / "a.dcm")


def test_a_volume_of_colour_is_refused(tmp_path: Path) -> None:
    ds = with_pixels(header(PhotometricInterpretation="RGB", **COLOUR), _rgb())
    series = series_of(save(ds, tmp_path / "a.dcm"))
    with pytest.raises(StudyRejected, match="a volume of RGB pixels is not supported"):
        read_volume(series, series.frames, np.eye(4))


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


def test_a_cine_of_many_fragments_is_indexed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, streams = _streams(40)
    series = series_of(save(with_streams(_cine(), streams, uid.JPEGLSLossless), tmp_path / "a.dcm"))
    calls = []
    monkeypatch.setattr(decoding, "locate_frames", lambda *a, **k: calls.append(1) or locate_frames(*a, **k))
    np.testing.assert_array_equal(read_cine(series, threads=3).pixels, frames)
    assert len(calls) == 1
