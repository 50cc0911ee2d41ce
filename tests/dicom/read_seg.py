"""A DICOM SEG read by pydicom and the standard alone, to compare with what the runtime says it wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread


@dataclass(frozen=True)
class SegPlane:
    """One frame of a binary SEG."""

    segment: int
    source_uid: str | None
    """SOP Instance UID of the image that the frame was made from."""
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing: tuple[float, float]
    mask: NDArray[np.bool_]

    def places(self) -> NDArray[np.float64]:
        """LPS mm of every pixel that is set, [n, 3] (PS3.3 C.7.6.2.1.1)."""
        y, x = np.nonzero(self.mask)
        row, column = self.orientation[:3], self.orientation[3:]
        between_rows, between_columns = self.spacing
        return (
            self.position
            + x[:, np.newaxis] * between_columns * row[np.newaxis]
            + y[:, np.newaxis] * between_rows * column[np.newaxis]
        )


def read_seg(path: Path) -> list[SegPlane]:
    """All frames of a binary SEG that is placed in the patient."""
    ds = dcmread(path)
    assert ds.SegmentationType == "BINARY"
    shape = (int(ds.NumberOfFrames), int(ds.Rows), int(ds.Columns))
    bits = np.unpackbits(np.frombuffer(ds.PixelData, np.uint8), bitorder="little")
    masks = bits[: int(np.prod(shape))].reshape(shape).astype(bool)
    shared = ds.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    spacing = tuple(float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    planes = []
    for mask, item in zip(masks, ds.PerFrameFunctionalGroupsSequence, strict=True):
        derivation = item.get("DerivationImageSequence")
        source = derivation[0].SourceImageSequence[0].ReferencedSOPInstanceUID if derivation else None
        planes.append(
            SegPlane(
                segment=int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber),
                source_uid=source,
                position=np.array(item.PlanePositionSequence[0].ImagePositionPatient, float),
                orientation=orientation,
                spacing=(spacing[0], spacing[1]),
                mask=mask,
            )
        )
    return planes
