"""From modality values to brightness: VOI windows and look-up tables (DICOM PS3.3 C.11.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .image import VoiLut, Window

__all__ = ["choose", "linear", "voi"]


def choose(window: Window | None, lut: VoiLut | None) -> Window | VoiLut | None:
    """What an image is shown through: its table where it has one, as that is the finer of the two, else its window."""
    return window if lut is None else lut


def linear(how: Window | VoiLut) -> tuple[float, float] | None:
    """Slope and intercept of a linear window: brightness is ``value * slope + intercept``, clipped to 0..1.

    None for what is not linear. LINEAR is C.11.2.1.2.1, and what a function is taken for that the standard does not
    have; LINEAR_EXACT is C.11.2.1.3.2, and what a LINEAR window narrower than 1 is taken for, which C.11.2.1.2 forbids.
    """
    if isinstance(how, VoiLut) or how.function == "SIGMOID":
        return None
    if how.function == "LINEAR_EXACT" or how.width < 1:
        return 1.0 / how.width, 0.5 - how.center / how.width
    center, width = how.center - 0.5, how.width - 1.0
    if width <= 0:  # a threshold: black up to the centre, white above it
        return 1e6, -center * 1e6
    return 1.0 / width, 0.5 - center / width


def voi(values: NDArray[Any], how: Window | VoiLut) -> NDArray[np.float32]:
    """Brightness 0..1, float32, of modality values of any shape.

    Raises
    ------
    ValueError
        A window without width.
    """
    if isinstance(how, Window) and how.width <= 0:
        raise ValueError(f"a window of width {how.width}")
    out: NDArray[np.float32] = np.empty_like(values, dtype=np.float32)
    line = linear(how)
    if line is not None:
        np.multiply(values, line[0], out=out, casting="same_kind")
        out += np.float32(line[1])
        return np.clip(out, 0.0, 1.0, out=out)
    if isinstance(how, Window):  # SIGMOID, C.11.2.1.3.1
        np.subtract(values, how.center, out=out, casting="same_kind")
        out *= np.float32(-4.0 / how.width)
        # Beyond e to the 80 the brightness is 0 in float32 either way.
        np.exp(np.minimum(out, np.float32(80.0), out=out), out=out)
        out += np.float32(1.0)
        return np.divide(np.float32(1.0), out, out=out)
    brightness = how.table.astype(np.float32) / np.float32((1 << how.bits) - 1)
    last = len(brightness) - 1
    # Plane by plane, as the indices take more room than the values.
    for plane, target in zip(values, out, strict=True) if values.ndim > 2 else [(values, out)]:
        index = np.clip(np.rint(plane) - how.first, 0, last).astype(np.intp)
        target[...] = brightness[index]
    return out
