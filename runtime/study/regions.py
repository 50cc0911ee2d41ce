"""Ultrasound region calibration (DICOM PS3.3 C.8.5.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset

from ..image import UltrasoundRegion
from .header import parsing

CENTIMETRES = 3
"""Physical Units X/Y Direction (0018,6024/6026): 3 is cm."""


def ultrasound_regions(dataset: Dataset) -> tuple[UltrasoundRegion, ...]:
    """The regions of Sequence of Ultrasound Regions (0018,6011); one without whole bounds is left out.

    Raises
    ------
    HeaderError
        The sequence cannot be parsed.
    """
    with parsing("the ultrasound regions"):
        return tuple(_regions(dataset))


def _regions(dataset: Dataset) -> Iterator[UltrasoundRegion]:
    for item in dataset.get("SequenceOfUltrasoundRegions") or []:
        bounds = [
            item.get(name)
            for name in ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
        ]
        if any(not isinstance(bound, int) for bound in bounds):
            continue
        x0, y0, x1, y1 = (int(bound) for bound in bounds)
        yield UltrasoundRegion(
            x0,
            y0,
            x1,
            y1,
            mm_per_pixel_x=_millimetres(item, "X"),
            mm_per_pixel_y=_millimetres(item, "Y"),
            data_type=item.get("RegionDataType"),
        )


def _millimetres(item: Dataset, axis: str) -> float | None:
    """Physical Delta X or Y in mm; None where the axis is time or velocity, or the size is not given."""
    delta: Any = item.get(f"PhysicalDelta{axis}")
    if item.get(f"PhysicalUnits{axis}Direction") != CENTIMETRES or not delta:
        return None
    return abs(float(delta)) * 10.0
