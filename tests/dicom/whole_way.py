"""Masks and files of a result, for the tests of the whole way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from bedside.runtime import Result
from bedside.runtime.report import seg
from tests.dicom.make_marked import BOXES, Stack
from tests.dicom.read_seg import read_seg

ORIENTATION = {"_target_": "Orientationd", "axcodes": "RAS"}
OBLIQUE = (
    Stack((0.8, 0.6, 0.0), (-0.48, 0.64, 0.6)),
    Stack((0.0, 0.6, -0.8), (1.0, 0.0, 0.0), False),
    Stack((-0.6, 0.48, 0.64), (0.0, 0.8, -0.6)),
)


def mask_of(result: Result) -> NDArray[np.bool_]:
    assert result.findings.parts is not None
    mask: NDArray[np.bool_] = result.findings.parts > 0
    return mask


def file_of(result: Result, kind: str) -> Path:
    return next(file.path for file in result.files if file.kind == kind)


def in_source_slices(path: Path, slices: list[Dataset]) -> dict[str, NDArray[np.bool_]]:
    """The SEG's pixels by the source slice they name, each checked to lie where that slice lies."""
    by_uid = {ds.SOPInstanceUID: ds for ds in slices}
    marked = {uid: np.zeros((ds.Rows, ds.Columns), bool) for uid, ds in by_uid.items()}
    for plane in read_seg(path):
        assert plane.source_uid is not None
        source = by_uid[plane.source_uid]
        assert np.allclose(plane.position, source.ImagePositionPatient, atol=1e-4)
        assert np.allclose(plane.orientation, source.ImageOrientationPatient, atol=1e-6)
        assert np.allclose(plane.spacing, source.PixelSpacing)
        assert not (marked[plane.source_uid] & plane.mask).any(), "two segments share a pixel"
        marked[plane.source_uid] |= plane.mask
    return marked


def write_seg(result: Result, path: Path) -> Path:
    """The SEG of a result alone: most of the time of a report goes into pictures."""
    segmentation = seg.build(result.report)
    assert segmentation is not None
    with path.open("wb") as file:
        segmentation.write(file)
    return path


def nearest(result: Result, place: NDArray[np.float64]) -> Any:
    """The lesion whose centre is nearest to a place in the patient, of as many as there are boxes."""
    assert len(result.findings.lesions) == len(BOXES)
    centres = np.array([lesion.centroid_lps for lesion in result.findings.lesions])
    return result.findings.lesions[int(np.linalg.norm(centres - place, axis=1).argmin())]
