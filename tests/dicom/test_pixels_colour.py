"""Colour from file to array: palettes, RGB and YBR, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import uid

from bedside.runtime.errors import StudyRejected
from bedside.runtime.study.pixels import read_volume

from .dicom_files import header, save, with_pixels
from .pixel_readers import COLOUR, image_of, series_of


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
