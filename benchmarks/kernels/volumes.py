"""Arrays that several groups work on."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

SLICES, EDGE = 300, 512
SHAPE = (SLICES, EDGE, EDGE)
"""A chest CT [z, y, x], 1 mm apart, 0.7 mm pixels."""
SLOPE, INTERCEPT, LOW, HIGH = 1.0, -1024.0, -1000.0, 400.0
"""Rescale and window of it."""


@cache
def stored_ct() -> NDArray[np.int16]:
    """Stored values of a CT: smooth shapes with noise, 0 to 4095."""
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.add.outer(np.arange(SLICES), np.arange(EDGE)), np.arange(EDGE)) * 2
    volume = (ramp + rng.integers(0, 400, ramp.shape, dtype=np.int16)).clip(0, 4095).astype(np.int16)
    volume.setflags(write=False)
    return volume
