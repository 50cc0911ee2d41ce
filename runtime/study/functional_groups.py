"""The Frames of a multi-frame instance: geometry and rescale from its functional groups (DICOM PS3.3 C.7.6.16)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from ..image import Frame, Window
from .header import HeaderError, parsing, read_dataset


def read_frames(path: Path | None, first: Frame, count: int) -> tuple[Frame, ...]:
    """``count`` frames; with ``path``, from that file's shared and per-frame functional groups.

    Without functional groups only the first frame of a multi-frame instance could have the position in its header, and
    which other frames share it is not said: geometry is then ``None`` for all.

    Raises
    ------
    HeaderError
        There are not as many per-frame groups as frames, or a group is malformed.
    """
    if path is None:
        bare = replace(first, position=None, orientation=None)
        return tuple(replace(bare, number=number) for number in range(1, count + 1))
    dataset = read_dataset(path)
    with parsing("the functional groups"):
        shared = _first(dataset, "SharedFunctionalGroupsSequence")
        groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
        if len(groups) not in (0, count):
            raise HeaderError(f"{len(groups)} per-frame functional groups for {count} frames")
        return tuple(_frame(first, shared, groups[i] if groups else None, i + 1) for i in range(count))


def read_window(dataset: Dataset, number: int) -> Window | None:
    """The window of frame ``number`` (from 1) by its Frame VOI LUT group (PS3.3 C.7.6.16.2.10b), or None."""
    with parsing("the functional groups"):
        groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
        own = groups[number - 1] if number <= len(groups) else None
        voi = _group(own, _first(dataset, "SharedFunctionalGroupsSequence"), "FrameVOILUTSequence")
        center, width = _floats(voi, "WindowCenter"), _floats(voi, "WindowWidth")
        if voi is None or not center or not width or width[0] <= 0:
            return None
        return Window(center[0], width[0], str(voi.get("VOILUTFunction", "") or "LINEAR"))


def _frame(first: Frame, shared: Dataset | None, own: Dataset | None, number: int) -> Frame:
    position = _floats(_group(own, shared, "PlanePositionSequence"), "ImagePositionPatient")
    orientation = _floats(_group(own, shared, "PlaneOrientationSequence"), "ImageOrientationPatient")
    measures = _group(own, shared, "PixelMeasuresSequence")
    spacing, thickness = _floats(measures, "PixelSpacing"), _floats(measures, "SliceThickness")
    rescale = _group(own, shared, "PixelValueTransformationSequence")
    slope, intercept = _floats(rescale, "RescaleSlope"), _floats(rescale, "RescaleIntercept")
    if slope and slope[0] == 0:
        raise HeaderError(f"Rescale Slope of frame {number} is 0")
    stated = (slope and intercept) or (first.slope, first.intercept) != (1.0, 0.0)
    if first.sop_class_uid == EnhancedCTImageStorage and not stated:
        # Type M of the Enhanced CT Image (PS3.3 A.38.1.4).
        raise HeaderError(f"frame {number} of a CT image without Rescale Slope and Intercept")
    return replace(
        first,
        number=number,
        position=position if len(position) == 3 else None,
        orientation=orientation if len(orientation) == 6 else None,
        spacing=pixel_spacing(spacing) or first.spacing,
        thickness=thickness[0] if thickness else first.thickness,
        slope=slope[0] if slope else first.slope,
        intercept=intercept[0] if intercept else first.intercept,
    )


def pixel_spacing(values: tuple[float, ...]) -> tuple[float, float] | None:
    """A Pixel Spacing that is a size; None for the zeros that some makers write where they know of none."""
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None


def _group(own: Dataset | None, shared: Dataset | None, name: str) -> Dataset | None:
    """A functional group's item: the frame's own, else the shared one (PS3.3 C.7.6.16.1)."""
    return _first(own, name) or _first(shared, name)


def _first(dataset: Dataset | None, name: str) -> Dataset | None:
    items: Any = None if dataset is None else dataset.get(name)
    return items[0] if items else None


def _floats(dataset: Dataset | None, name: str) -> tuple[float, ...]:
    value: Any = None if dataset is None else dataset.get(name)
    if value is None or value == "":
        return ()
    try:
        return tuple(float(part) for part in value)
    except TypeError:
        return (float(value),)
