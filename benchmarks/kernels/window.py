"""The sliding window: accumulating patches, argmax of the blended logits."""

from __future__ import annotations

import numpy as np

from bedside.kernels import accumulate, argmax_blend

from .cases import Candidates, Case, nbytes
from .volumes import EDGE

PATCH = (4, 96, 96, 96)
LOGITS = (4, 100, EDGE, EDGE)


def accumulate_patch(threads: int) -> Candidates:
    rng = np.random.default_rng(0)
    patch = rng.standard_normal(PATCH, dtype=np.float32)
    weight = rng.random(PATCH[1:], dtype=np.float32)
    total, norm = np.zeros((4, 128, 256, 256), np.float32), np.zeros((128, 256, 256), np.float32)
    there = np.s_[..., 20:116, 30:126, 40:136]

    def with_numpy() -> None:
        total[there] += patch * weight
        norm[there] += weight

    return {
        "ours": lambda: accumulate(patch, weight, total, norm, (20, 30, 40), threads=threads),
        "numpy": with_numpy,
    }


def argmax_logits(threads: int) -> Candidates:
    total = np.random.default_rng(0).standard_normal(LOGITS, dtype=np.float32)
    norm, out = np.ones(total.shape[1:], np.float32), np.empty(total.shape[1:], np.uint8)
    argmax_blend(total, norm, out, threads=threads)
    np.testing.assert_array_equal(out, total.argmax(axis=0))
    return {
        "ours": lambda: argmax_blend(total, norm, out, threads=threads),
        "numpy argmax": lambda: total.argmax(axis=0).astype(np.uint8),
    }


CASES = (
    Case("accumulate a patch of 4x96x96x96", accumulate_patch, traffic=nbytes((PATCH, 12), (PATCH[1:], 12))),
    Case(
        f"argmax_blend 4x100x{EDGE}x{EDGE}",
        argmax_logits,
        goals={"numpy argmax": 5.0},
        traffic=2 * nbytes((LOGITS[1:], 1)),
        read_only=nbytes((LOGITS, 4), (LOGITS[1:], 3)),
    ),
)
