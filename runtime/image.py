"""What a series becomes once its pixels are read: an Image, a Volume or a Cine, and the Frames they were made of.

Arrays are [z, y, x] (slice, row, column), patient coordinates are LPS millimetres (DICOM PS3.3 C.7.6.2.1.1).
An affine maps an array index, in array order, to the patient: ``affine @ (z, y, x, 1) = (l, p, s, 1)``, where the
index (0, 0, 0) is the centre of the first voxel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """One image plane: a single-frame instance, or one frame of a multi-frame instance.

    Geometry that the header does not give is ``None``; nothing is guessed here.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    number: int = 1
    """Frame number within the instance, from 1 (DICOM PS3.3 C.7.6.6)."""
    instance_number: int | None = None
    rows: int = 0
    columns: int = 0
    position: Vector | None = None
    """Image Position (Patient) (0020,0032), mm: the centre of the first voxel."""
    orientation: tuple[float, float, float, float, float, float] | None = None
    """Image Orientation (Patient) (0020,0037): direction cosines of a row, then of a column."""
    spacing: tuple[float, float] | None = None
    """Pixel Spacing (0028,0030), mm: between rows, then between columns."""
    thickness: float | None = None
    """Slice Thickness (0018,0050), mm."""
    slope: float = 1.0
    intercept: float = 0.0
    """Rescale Slope and Intercept (0028,1053/1052), stored value to modality unit."""
    frame_of_reference_uid: str | None = None
    image_type: tuple[str, ...] = ()
    gantry_tilt: float | None = None
    """Gantry/Detector Tilt (0018,1120), degrees."""


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window (DICOM PS3.3 C.11.2.1.2), in modality units."""

    center: float
    width: float
    function: str = "LINEAR"
    """LINEAR, LINEAR_EXACT or SIGMOID."""


@dataclass(frozen=True)
class VoiLut:
    """A VOI LUT (DICOM PS3.3 C.11.2.1.1): modality units, clipped to the table, to brightness."""

    first: int
    """The modality value that table[0] stands for."""
    table: NDArray[np.uint16]
    bits: int
    """Bits of a table entry; full brightness is 2**bits - 1."""


@dataclass(frozen=True)
class Volume:
    """A stack of parallel planes with one geometry.

    ``voxels`` holds stored values [z, y, x]; modality units (HU for CT) are ``voxels * slope[z] + intercept[z]``.
    ``frames[z]`` is the plane that gave slice z, or ``None`` where the slice was resampled.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    slope: NDArray[np.float32]
    intercept: NDArray[np.float32]
    frames: tuple[Frame | None, ...]
    window: Window | None = None
    padding_value: int | None = None
    """Pixel Padding Value (0028,0120), a stored value; None if the header has none."""
    voi_lut: VoiLut | None = None

    @property
    def spacing(self) -> Vector:
        """Voxel size in mm along z, y, x."""
        z, y, x = (float(v) for v in np.linalg.norm(self.affine[:3, :3], axis=0))
        return z, y, x


@dataclass(frozen=True)
class Image:
    """One frame: [y, x] in modality units or stored values, or [y, x, 3] RGB uint8.

    MONOCHROME1 is already inverted (brighter is more), palettes are already looked up.
    """

    pixels: NDArray[Any]
    frame: Frame
    slope: float = 1.0
    intercept: float = 0.0
    window: Window | None = None
    padding_value: int | None = None
    regions: tuple[UltrasoundRegion, ...] = ()
    voi_lut: VoiLut | None = None
    """A VOI LUT sequence; where there is a window too, the two are alternatives."""


@dataclass(frozen=True)
class Cine:
    """A run of frames in time: [t, y, x] or [t, y, x, 3]."""

    pixels: NDArray[Any]
    frames: tuple[Frame, ...]
    frame_time_ms: float | None = None
    slope: float = 1.0
    intercept: float = 0.0
    window: Window | None = None
    regions: tuple[UltrasoundRegion, ...] = field(default=())
    voi_lut: VoiLut | None = None


@dataclass(frozen=True, slots=True)
class UltrasoundRegion:
    """A calibrated region of an ultrasound image (DICOM PS3.3 C.8.5.5): pixel bounds, scale where given."""

    x0: int
    y0: int
    x1: int
    y1: int
    mm_per_pixel_x: float | None = None
    mm_per_pixel_y: float | None = None
    data_type: int | None = None
    """Region Data Type (0018,6014): 1 is tissue, 2 colour flow."""
