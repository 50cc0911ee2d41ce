"""accumulate, argmax_blend and threshold_blend against numpy, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.kernels import accumulate, argmax_blend, threshold_blend

from .kernel_views import SEEDS, THREADS, as_laid_out, laid_out, layouts, shapes

F32 = np.float32


def floats(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(F32)


@given(
    channels=st.integers(1, 4),
    patch_shape=shapes(3, 6, 0),
    shape=shapes(3, 8, 0),
    starts=st.lists(st.tuples(*[st.integers(-7, 9)] * 3), min_size=1, max_size=3),
    seed=SEEDS,
    in_layout=layouts(4),
    weight_layout=layouts(3),
    total_layout=layouts(4),
    norm_layout=layouts(3),
    threads=THREADS,
)
def test_accumulate(
    channels, patch_shape, shape, starts, seed, in_layout, weight_layout, total_layout, norm_layout, threads
) -> None:
    weight = as_laid_out(np.abs(floats(patch_shape, seed)), weight_layout)
    total = as_laid_out(np.zeros((channels, *shape), F32), total_layout)
    norm = as_laid_out(np.zeros(shape, F32), norm_layout)
    expected_total, expected_norm = total.copy(), norm.copy()
    for start in starts:
        patch = as_laid_out(floats((channels, *patch_shape), seed + 1), in_layout)
        accumulate(patch, weight, total, norm, start, threads=threads)
        there, here = [], []
        for at, n, size in zip(start, patch_shape, shape, strict=True):
            low, high = max(at, 0), max(min(at + n, size), max(at, 0))
            there.append(slice(low, high))
            here.append(slice(min(low - at, n), min(max(high - at, low - at), n)))
        expected_total[(slice(None), *there)] += patch[(slice(None), *here)] * weight[tuple(here)]
        expected_norm[tuple(there)] += weight[tuple(here)]
    np.testing.assert_array_equal(total, expected_total)
    np.testing.assert_array_equal(norm, expected_norm)


def test_accumulate_takes_numpy_integers_and_far_starts() -> None:
    patch, weight = np.ones((1, 2, 2, 2), F32), np.ones((2, 2, 2), F32)
    total, norm = np.zeros((1, 4, 4, 4), F32), np.zeros((4, 4, 4), F32)
    accumulate(patch, weight, total, norm, tuple(np.array([3, 3, 3])))
    assert total.sum() == norm.sum() == 1
    accumulate(patch, weight, total, norm, (2**59, 0, -(2**59)))
    assert total.sum() == norm.sum() == 1


@given(
    channels=st.integers(1, 5),
    shape=shapes(3, 9),
    seed=SEEDS,
    special=st.booleans(),
    in_layout=layouts(4),
    norm_layout=layouts(3),
    out_layout=layouts(3),
    level=st.sampled_from([0.5, 0.0, -0.25]),
    threads=THREADS,
)
def test_blends(channels, shape, seed, special, in_layout, norm_layout, out_layout, level, threads) -> None:
    rng = np.random.default_rng(seed)
    values = np.round(floats((channels, *shape), seed), 1)  # with ties
    norm = rng.uniform(0.5, 2, shape).astype(F32)
    if special:
        values = np.where(rng.random(values.shape) < 0.2, rng.choice([np.nan, np.inf, -np.inf], values.shape), values)
        values = values.astype(F32)
        norm[rng.random(shape) < 0.2] = 0
    total, divisor = as_laid_out(values, in_layout), as_laid_out(norm, norm_layout)
    out = laid_out(shape, np.uint8, out_layout)

    argmax_blend(total, divisor, out, threads=threads)
    np.testing.assert_array_equal(out, values.argmax(axis=0))

    threshold_blend(total, divisor, out, level, threads=threads)
    with np.errstate(all="ignore"):
        positive = values / norm >= F32(level)
    np.testing.assert_array_equal(out, np.where(positive.any(axis=0), 1 + positive.argmax(axis=0), 0))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 0, 1, 2), (0, 3, 2, 1)])
def test_blends_of_many_voxels_and_channels(order: tuple[int, ...]) -> None:
    shape = (256, 7, 61, 67)
    total = floats(tuple(shape[axis] for axis in order), 5).transpose(np.argsort(order))
    norm = np.ones(shape[1:], F32)
    out = np.empty(shape[1:], np.uint8)
    for threads in (1, 2):
        argmax_blend(total, norm, out, threads=threads)
        np.testing.assert_array_equal(out, total.argmax(axis=0))
        threshold_blend(total[:255], norm, out, 2.5, threads=threads)
        np.testing.assert_array_equal(out, np.where((total[:255] >= 2.5).any(0), 1 + (total[:255] >= 2.5).argmax(0), 0))


def test_a_large_volume_with_every_split() -> None:
    total = floats((2, 3, 300, 311), 6)
    norm = np.full(total.shape[1:], 2, F32)
    out = np.empty(total.shape[1:], np.uint8)
    for threads in (1, 2, 4):
        out[...] = 9
        argmax_blend(total, norm, out, threads=threads)
        np.testing.assert_array_equal(out, total.argmax(axis=0))
        out[...] = 9
        threshold_blend(total[:1], norm, out, 0.2, threads=threads)
        np.testing.assert_array_equal(out, total[0] / 2 >= F32(0.2))


def refused(argument: str, call: Any, *arguments: Any, **options: Any) -> None:
    with pytest.raises(ValueError, match=f"'{argument}'") as error:
        call(*arguments, **options)
    assert "\n" not in str(error.value)


def test_accumulate_refusals() -> None:
    patch, weight = np.ones((2, 2, 2, 2), F32), np.ones((2, 2, 2), F32)
    total, norm = np.zeros((2, 4, 4, 4), F32), np.zeros((4, 4, 4), F32)
    at = (0, 0, 0)
    refused("patch", accumulate, patch.astype(np.float64), weight, total, norm, at)
    refused("patch", accumulate, patch[0], weight, total, norm, at)
    refused("weight", accumulate, patch, weight[:1], total, norm, at)
    refused("total", accumulate, patch, weight, total[:1], norm, at)
    refused("norm", accumulate, patch, weight, total, norm[:3], at)
    refused("total", accumulate, patch, weight, total, total[0], at)
    refused("total", accumulate, total[:, :2, :2, :2], weight, total, norm, at)
    refused("norm", accumulate, patch, norm[:2, :2, :2], total, norm, at)
    refused("total", accumulate, patch, weight, np.broadcast_to(total[:1], total.shape), norm, at)
    refused("start", accumulate, patch, weight, total, norm, (0, 0))
    refused("start", accumulate, patch, weight, total, norm, (0, 0, 0.5))
    refused("start", accumulate, patch, weight, total, norm, (0, 0, 2**70))
    refused("start", accumulate, patch, weight, total, norm, None)
    refused("threads", accumulate, patch, weight, total, norm, at, threads=-1)
    assert not total.any() and not norm.any()


def test_blend_refusals() -> None:
    total, norm, out = np.zeros((2, 3, 4, 5), F32), np.ones((3, 4, 5), F32), np.zeros((3, 4, 5), np.uint8)
    for call, extra in ((argmax_blend, ()), (threshold_blend, (0.5,))):
        refused("total", call, total.astype(np.float16), norm, out, *extra)
        refused("total", call, total[0], norm, out, *extra)
        refused("total", call, total[:0], norm, out, *extra)
        refused("total", call, np.zeros((257, 3, 4, 5), F32), norm, out, *extra)
        refused("norm", call, total, norm[:2], out, *extra)
        refused("out", call, total, norm, out[:2], *extra)
        refused("out", call, total, norm, out.view(np.int8), *extra)
        refused("out", call, total, norm, total[0].view(np.uint8)[:, :, :5], *extra)
        refused("out", call, total, norm, np.broadcast_to(out[:1], out.shape), *extra)
    refused("level", threshold_blend, total, norm, out, np.nan)
