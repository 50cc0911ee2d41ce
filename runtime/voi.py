"""From modality values to brightness: VOI windows and look-up tables (DICOM PS3.3 C.11.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from .dtypes import readable
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


def voi(values: NDArray[Any], how: Window | VoiLut, *, scale: float = 1.0, threads: int = 0) -> NDArray[np.float32]:
    """Brightness 0..1, or 0..``scale``, float32, of modality values of any shape.

    Raises
    ------
    ValueError
        A window without width.
    """
    if isinstance(how, Window) and how.width <= 0:
        raise ValueError(f"a window of width {how.width}")
    values = readable(values, threads)
    out: NDArray[np.float32] = np.empty(values.shape, np.float32)
    if values.ndim > 3:
        for part, target in zip(values, out, strict=True):
            _apply(part, how, target, scale, threads)
    else:
        _apply(values, how, out, scale, threads)
    return out


def _apply(values: NDArray[Any], how: Window | VoiLut, out: NDArray[np.float32], scale: float, threads: int) -> None:
    volume, target = (array[(np.newaxis,) * (3 - array.ndim)] for array in (values, out))
    line = linear(how)
    if line is not None:
        kernels.rescale(
            volume, target, slope=line[0], intercept=line[1], low=0.0, high=1.0, scale=scale, threads=threads
        )
    elif isinstance(how, Window):
        kernels.sigmoid_window(volume, target, center=how.center, width=how.width, scale=scale, threads=threads)
    else:
        brightness = how.table.astype(np.float32) / np.float32((1 << how.bits) - 1) * np.float32(scale)
        far = abs(how.first) > 1 << 20  # of a mirrored image of 32 bits: float32 has no fractions there to round
        first, intercept = (0, -float(how.first)) if far else (how.first, 0.0)
        kernels.look_up(volume, target, brightness, first=first, intercept=intercept, threads=threads)
