"""Stacks of frames for the tests of geometry and selection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bedside.runtime.image import Frame

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def stack(
    positions: Any,
    *,
    orientation: tuple[float, ...] = AXIAL,
    origin: tuple[float, float, float] = (-100.0, -120.0, 0.0),
    shear: tuple[float, float] = (0.0, 0.0),
    decimals: int | None = None,
    descending: bool = False,
    **attributes: Any,
) -> list[Frame]:
    """Frames at these positions, mm along the normal; ``shear`` moves them by so many mm a mm along row and column."""
    x, y = np.array(orientation[:3]), np.array(orientation[3:])
    z = np.cross(x, y)
    base: dict[str, Any] = {
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "rows": 64,
        "columns": 48,
        "orientation": orientation,
        "spacing": (0.7, 0.7),
        "thickness": 3.0,
        "frame_of_reference_uid": "1.2.3",
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
        **attributes,
    }
    frames = []
    n = len(positions)
    for i, at in enumerate(positions):
        point = np.array(origin) + z * at + x * (shear[0] * at) + y * (shear[1] * at)
        if decimals is not None:
            point = np.round(point, decimals)
        number = n - i if descending else i + 1
        frames.append(
            Frame(
                path=Path(f"IM{i:03d}.dcm"),
                sop_instance_uid=f"1.2.3.{i}",
                instance_number=number,
                position=(float(point[0]), float(point[1]), float(point[2])),
                **base,
            )
        )
    return frames


def change(frames: list[Frame], index: int, **attributes: Any) -> list[Frame]:
    """The frames with one of them changed."""
    return [replace(frame, **attributes) if i == index else frame for i, frame in enumerate(frames)]
