"""Rescale, window and cast."""

from __future__ import annotations

import numpy as np

from bedside.kernels import rescale

from .cases import Candidates, Case, nbytes
from .volumes import EDGE, HIGH, INTERCEPT, LOW, SHAPE, SLICES, SLOPE, stored_ct


def window_ct(threads: int) -> Candidates:
    volume = stored_ct()
    out, work = np.empty(SHAPE, np.float32), np.empty(SHAPE, np.float32)
    slope = np.full(SLICES, SLOPE, np.float32)
    intercept = np.full(SLICES, INTERCEPT, np.float32)
    scale = 1 / (HIGH - LOW)
    chain = {"low": LOW, "high": HIGH, "scale": scale, "offset": -LOW * scale}

    def ours() -> None:
        rescale(volume, out, slope=slope, intercept=intercept, **chain, threads=threads)

    def numpy_in_place() -> None:
        np.multiply(volume, np.float32(SLOPE), out=work, casting="unsafe")
        np.add(work, np.float32(INTERCEPT), out=work)
        np.clip(work, LOW, HIGH, out=work)
        np.multiply(work, np.float32(scale), out=work)
        np.add(work, np.float32(-LOW * scale), out=work)

    ours()
    numpy_in_place()
    np.testing.assert_allclose(out, work, atol=1e-6)
    return {"ours": ours, "numpy": numpy_in_place}


CASES = (
    Case(
        f"CT {SLICES}x{EDGE}x{EDGE} int16 -> window -> float32",
        window_ct,
        goals={"memcpy": 0.85},
        traffic=nbytes((SHAPE, 2), (SHAPE, 4)),
    ),
)
