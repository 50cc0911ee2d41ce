"""Packing the bits of SEG frames."""

from __future__ import annotations

import numpy as np

from bedside.kernels import pack_bits

from .cases import Candidates, Case, nbytes
from .volumes import EDGE, SHAPE, SLICES

FRAME_BYTES = EDGE * EDGE // 8


def pack_frames(threads: int) -> Candidates:
    mask = np.zeros(SHAPE, np.uint8)
    mask[100:200, 150:350, 100:400] = 1
    out = np.empty((SLICES, FRAME_BYTES), np.uint8)
    pack_bits(mask, out, 1, threads=threads)
    np.testing.assert_array_equal(out.ravel(), np.packbits(mask == 1, bitorder="little"))
    return {
        "ours": lambda: pack_bits(mask, out, 1, threads=threads),
        "numpy packbits": lambda: (np.packbits(mask == 1, bitorder="little"), (mask == 1).any(axis=(1, 2))),
    }


CASES = (
    Case(
        f"SEG bit packing with empty-frame test, {SLICES}x{EDGE}x{EDGE}",
        pack_frames,
        goals={"numpy packbits": 3.0},
        traffic=2 * nbytes(((SLICES, FRAME_BYTES), 1)),
        read_only=nbytes((SHAPE, 1)) - nbytes(((SLICES, FRAME_BYTES), 1)),
    ),
)
