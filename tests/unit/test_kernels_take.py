"""take against numpy.ix_ and numpy.pad, correlate against scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from bedside.kernels import correlate, take

from .kernel_views import SEEDS, STORED, THREADS, as_laid_out, laid_out, layouts, shapes, stored_values

F32 = np.float32


@given(
    shape=shapes(3, 9, 1),
    new=shapes(3),
    dtype=st.sampled_from(["bool", "int8", "float16", "uint16", "float32", "int64", "complex64"]),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    threads=THREADS,
)
def test_take_equals_numpy(shape, new, dtype, seed, in_layout, out_layout, threads) -> None:
    rng = np.random.default_rng(seed)
    src = as_laid_out(rng.integers(0, 2, shape).astype(dtype), in_layout)
    index = tuple(rng.integers(0, old, n).astype(np.int32) for old, n in zip(shape, new, strict=True))
    out = laid_out(new, dtype, out_layout)
    take(src, out, index, threads=threads)
    np.testing.assert_array_equal(out, src[np.ix_(*index)])


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_take_pads(mode: Any, dtype: str) -> None:
    src = stored_values((7, 40, 50), "float32", 0).astype(dtype)
    width = ((2, 3), (11, 0), (40, 7))
    index = tuple(np.pad(np.arange(n, dtype=np.int32), w, mode=mode) for n, w in zip(src.shape, width, strict=True))
    out = np.empty([len(i) for i in index], dtype)
    for threads in (1, 3):
        take(src, out, index, threads=threads)
        np.testing.assert_array_equal(out, np.pad(src, width, mode=mode))


def test_take_refusals() -> None:
    src, out = np.zeros((3, 4, 5), np.int16), np.zeros((2, 2, 2), np.int16)
    index = (np.zeros(2, np.int32),) * 3

    def refused(argument: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(ValueError, match=f"'{argument}'"):
            take(*arguments, **options)

    refused("src", src[0], out, index)
    refused("src", src.astype(np.complex128), out.astype(np.complex128), index)
    refused("src", src.astype("M8[s]"), out.astype("M8[s]"), index)
    refused("out", src, out.astype(np.uint16), index)
    refused("out", src, out[:1], index)
    refused("out", src, src[:2, :2, :2], index)
    refused("index", src, out, (index[0], index[1], np.array([0, 5], np.int32)))
    refused("index", src, out, (np.array([-1, 0], np.int32), index[1], index[2]))
    refused("index", src, out, (index[0].astype(np.int64), index[1], index[2]))
    refused("index", src, out, (np.zeros(4, np.int32)[::2], index[1], index[2]))
    refused("index", src[:0], out, index)
    refused("threads", src, out, index, threads=-1)


@given(
    shape=shapes(3, 12),
    dtype=st.sampled_from(STORED),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    radius=st.integers(0, 14),
    axis=st.integers(0, 2),
    threads=THREADS,
)
def test_correlate_equals_scipy(shape, dtype, seed, in_layout, out_layout, radius, axis, threads) -> None:
    src = as_laid_out(stored_values(shape, dtype, seed), in_layout)
    weights = np.random.default_rng(seed).uniform(-1, 1, 2 * radius + 1).astype(F32)
    out = laid_out(shape, F32, out_layout)
    correlate(src, out, weights, axis, threads=threads)
    values = src.astype(np.float64)
    expected = (
        ndimage.correlate1d(values, weights.astype(np.float64), axis=axis, mode="constant") if src.size else values
    )
    tolerance = 4e-7 * len(weights) * max(1.0, float(np.abs(values).max(initial=0)))
    np.testing.assert_allclose(out, expected, rtol=0, atol=tolerance)
    again = np.empty(shape, F32)
    correlate(src, again, weights, axis, threads=1)
    np.testing.assert_array_equal(out, again)


def test_correlate_looks_at_nothing_of_weight_0() -> None:
    src = np.array([1, np.inf, 2, np.nan, 3], F32).reshape(1, 1, 5)
    for axis in range(3):
        turned = np.moveaxis(src, 2, axis)
        out = np.empty(turned.shape, F32)
        correlate(turned, out, np.array([0, 0, 0, 0, 1], F32), axis)
        np.testing.assert_array_equal(out.ravel(), np.array([2, np.nan, 3, 0, 0], F32))


def test_correlate_refusals() -> None:
    src, out, weights = np.zeros((3, 4, 5), np.int16), np.zeros((3, 4, 5), F32), np.ones(3, F32)

    def refused(argument: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(ValueError, match=f"'{argument}'"):
            correlate(*arguments, **options)

    refused("src", src.astype(np.int64), out, weights, 0)
    refused("out", src, out[:2], weights, 0)
    refused("out", out, out, weights, 0)
    refused("out", src, out.astype(np.float64), weights, 0)
    refused("weights", src, out, np.ones(4, F32), 0)
    refused("weights", src, out, np.ones(0, F32), 0)
    refused("weights", src, out, np.ones(3), 0)
    refused("weights", src, out, np.ones(5, F32)[::2], 0)
    refused("axis", src, out, weights, 3)
    refused("threads", src, out, weights, 0, threads=-1)
