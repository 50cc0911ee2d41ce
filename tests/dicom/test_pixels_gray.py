"""MONOCHROME1, Modality and VOI LUTs: which values an array has, and which window goes with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.sequence import Sequence

from bedside.runtime.errors import StudyRejected
from bedside.runtime.image import Window
from bedside.runtime.study import load_study
from bedside.runtime.study.pixels import read_image, read_volume

from .dicom_files import enhanced, header, item, save, with_pixels
from .pixel_readers import image_of, volume_in


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
    volume = volume_in(tmp_path)
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
    volume = volume_in(tmp_path)
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
        volume_in(tmp_path)


def test_every_file_of_a_volume_has_its_own_modality_lut(tmp_path: Path) -> None:
    for index, entries in enumerate(([1, 2], [30, 40])):
        ds = header(SOPInstanceUID=f"2.25.6{index}", PixelRepresentation=0)
        _modality_lut(ds, entries, first=0, bits=16)
        save(with_pixels(ds, np.tile(np.array([0, 1], np.uint16), (6, 4))), tmp_path / f"{index}")
    assert volume_in(tmp_path).voxels[:, 0, :2].tolist() == [[1, 2], [30, 40]]


@pytest.mark.parametrize("frames", [1, 2])
def test_the_window_of_functional_groups_is_read_for_one_frame_too(tmp_path: Path, frames: int) -> None:
    path = save(enhanced(frames), tmp_path / "a.dcm")
    series = load_study(path).series[0]
    window = Window(50.0, 350.0)
    assert read_volume(series, series.frames, np.eye(4)).window == window
    assert read_image(series, series.frames[0]).window == window


def test_voi_lut_is_given_with_the_window(tmp_path: Path) -> None:
    lut = item(LUTDescriptor=[3, 65534, 8], LUTData=[0, 128, 255])
    ds = header(VOILUTSequence=Sequence([lut]), RescaleIntercept=-2)
    ds["VOILUTSequence"].value[0]["LUTDescriptor"].VR = "US"
    ds["VOILUTSequence"].value[0]["LUTData"].VR = "US"
    image = image_of(with_pixels(ds, np.zeros((6, 8), np.int16)), tmp_path / "a.dcm")
    assert image.window is not None and image.voi_lut is not None
    assert (image.voi_lut.first, image.voi_lut.table.tolist(), image.voi_lut.bits) == (-2, [0, 128, 255], 8)
