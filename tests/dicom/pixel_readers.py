"""Pixels read in one line, for the tests that look at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from bedside.runtime.image import Image, Volume
from bedside.runtime.study import Series, load_study
from bedside.runtime.study.pixels import read_cine, read_image, read_volume

from .dicom_files import save

COLOUR = {"Modality": "XC", "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
"""Header of a photograph."""


def series_of(path: Path) -> Series:
    return load_study(path).series[0]


def image_of(ds: pydicom.Dataset, path: Path) -> Image:
    return read_image(series_of(save(ds, path)))


def pixels_of(series: Series) -> NDArray[Any]:
    if series.kind == "volume":
        return read_volume(series, series.frames, np.eye(4)).voxels
    return read_cine(series).pixels if len(series.frames) > 1 else read_image(series).pixels


def volume_in(folder: Path) -> Volume:
    series = load_study(folder).series[0]
    return read_volume(series, series.frames, np.eye(4))
