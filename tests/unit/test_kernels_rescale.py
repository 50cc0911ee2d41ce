"""rescale against numpy, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.kernels import rescale

from .kernel_stores import STORES, keywords, quantised
from .kernel_views import SEEDS, STORED, THREADS, as_laid_out, laid_out, layouts, shapes, stored_values

F32 = np.float32


def oracle(
    src: NDArray[Any], slope: Any, intercept: Any, low: float, high: float, scale: float, offset: float
) -> NDArray[np.float32]:
    slope, intercept = (np.reshape(np.asarray(v, F32), (-1, 1, 1)) for v in (slope, intercept))
    with np.errstate(all="ignore"):
        units = src.astype(F32) * slope + intercept
        return np.clip(units, F32(low), F32(high)) * F32(scale) + F32(offset)


@given(
    shape=shapes(3),
    dtype=st.sampled_from(STORED),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    per_slice=st.booleans(),
    window=st.sampled_from([(-np.inf, np.inf), (-1000.0, 400.0), (0.0, 0.0), (-np.inf, 12.5)]),
    threads=THREADS,
)
def test_equals_numpy(shape, dtype, seed, in_layout, out_layout, per_slice, window, threads) -> None:
    rng = np.random.default_rng(seed)
    src = as_laid_out(stored_values(shape, dtype, seed), in_layout)
    before = src.copy()
    slope: Any = rng.uniform(-2, 2, shape[0]).astype(F32) if per_slice else 1.5
    intercept: Any = rng.uniform(-1024, 0, shape[0]).astype(F32)[::-1] if per_slice else -1024.0
    out = laid_out(shape, F32, out_layout)
    result = rescale(
        src,
        out,
        slope=slope,
        intercept=intercept,
        low=window[0],
        high=window[1],
        scale=1 / 1400,
        offset=0.25,
        threads=threads,
    )
    assert result is None
    np.testing.assert_array_equal(out, oracle(src, slope, intercept, *window, 1 / 1400, 0.25))
    np.testing.assert_array_equal(src, before)


@given(
    shape=shapes(3),
    dtype=st.sampled_from(STORED),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    store=STORES,
    padding=st.sampled_from([None, 0, -2000, 300, 0.5]),
    threads=THREADS,
)
def test_every_output_and_the_padding(shape, dtype, seed, in_layout, out_layout, store, padding, threads) -> None:
    src = as_laid_out(stored_values(shape, dtype, seed) // 8, in_layout)
    out = laid_out(shape, store[0], out_layout)
    options = dict(padding_value=padding, padding_out=-1.5, threads=threads)
    rescale(src, out, slope=0.5, intercept=2.0, low=-1e3, high=1e3, scale=0.1, **keywords(store), **options)
    expected = oracle(src, 0.5, 2.0, -1e3, 1e3, 0.1, 0)
    if padding is not None:
        expected[src == padding] = -1.5
    np.testing.assert_array_equal(out, quantised(expected, store))


@pytest.mark.parametrize("store", [("float32", 1.0, 0), ("float16", 1.0, 0), ("uint8", 1 / 255, 0)])
@pytest.mark.parametrize("skip", [0, 5])
def test_large_enough_to_be_written_past_the_cache(store: tuple[str, float, int], skip: int) -> None:
    src = stored_values((17, 1000, 1009), "int16", 1)[:, skip:]
    out = np.empty((17, 1001, 1010), store[0])[:, skip + 1 :, 1:]
    for threads in (1, 3):
        out[...] = 7
        options = dict(low=-1000.0, high=400.0, scale=1 / 1400, offset=1000 / 1400, padding_value=5, threads=threads)
        rescale(src, out, slope=1.0, intercept=-1024.0, **keywords(store), **options)
        expected = oracle(src, 1.0, -1024.0, -1000.0, 400.0, 1 / 1400, 1000 / 1400)
        expected[src == 5] = 0
        np.testing.assert_array_equal(out, quantised(expected, store))


def test_float16_of_every_kind_of_number() -> None:
    values = np.arange(0, 2**32, 2**12 + 1, dtype=np.uint64).astype(np.uint32).view(F32)
    halves = np.empty((1, 1, len(values)), np.float16)
    values = np.where(np.isnan(values), F32(np.nan), values)
    rescale(values.reshape(1, 1, -1), halves, slope=1.0, intercept=0.0)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(halves.ravel(), values.astype(np.float16))


def test_a_nan_is_the_zero_point_and_infinities_saturate() -> None:
    src = np.array([np.nan, np.inf, -np.inf, 0], F32).reshape(1, 1, 4)
    out = np.empty(src.shape, np.int8)
    rescale(src, out, slope=1.0, intercept=0.0, quant_scale=0.1, zero_point=7)
    np.testing.assert_array_equal(out.ravel(), [7, 127, -128, 7])


@pytest.mark.parametrize("shape", [(3, 300, 301), (1, 1, 70_001), (2, 70_001, 1), (70, 65, 130)])
@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0), (1, 0, 2)])
def test_large_enough_for_every_split(shape: tuple[int, int, int], order: tuple[int, int, int]) -> None:
    src = stored_values(tuple(shape[axis] for axis in order), "int16", 1).transpose(np.argsort(order))
    slope = np.linspace(0.5, 2, shape[0], dtype=F32)
    out = np.empty(shape, F32)
    for threads in (1, 2, 5):
        out[...] = -7
        rescale(src, out, slope=slope, intercept=3.0, threads=threads)
        np.testing.assert_array_equal(out, oracle(src, slope, 3.0, -np.inf, np.inf, 1, 0))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
@pytest.mark.parametrize("store", [("float32", 1.0, 0), ("float16", 1.0, 0), ("uint8", 0.5, 3)])
@pytest.mark.parametrize("view", [np.s_[:, :, :], np.s_[:, ::-1, ::-1], np.s_[:, ::2, 3:]])
def test_transposed(dtype: str, store: tuple[str, float, int], view: Any) -> None:
    src = stored_values((149, 66, 200), dtype, 1).transpose(2, 1, 0)[view]
    for skip in (0, 3):
        out = np.full((src.shape[0], src.shape[1], src.shape[2] + 3), 7, store[0])
        rescale(src, out[:, :, skip : skip + src.shape[2]], slope=0.5, intercept=2.0, **keywords(store), threads=2)
        expected = quantised(oracle(src, 0.5, 2.0, -np.inf, np.inf, 1, 0), store)
        np.testing.assert_array_equal(out[:, :, skip : skip + src.shape[2]], expected)
        assert (out[:, :, :skip] == 7).all() and (out[:, :, skip + src.shape[2] :] == 7).all()


@pytest.mark.parametrize("store", [("float32", 1.0, 0), ("float16", 1.0, 0)])
def test_transposed_past_the_cache(store: tuple[str, float, int]) -> None:
    src = stored_values((150, 260, 290), "int16", 1)[:, :, 1:].T
    out = np.empty(src.shape, store[0])
    for threads in (1, 3):
        out[...] = -7
        rescale(src, out, slope=0.5, intercept=2.0, low=-900.0, padding_value=5, threads=threads)
        expected = oracle(src, 0.5, 2.0, -900.0, np.inf, 1, 0)
        expected[src == 5] = 0
        np.testing.assert_array_equal(out, quantised(expected, store))


def test_nothing_beside_the_view_is_written() -> None:
    buffer = np.full((4, 9, 9), -1, F32)
    rescale(np.ones((4, 4, 4), np.uint8), buffer[:, 1::2, 1::2], slope=1.0, intercept=0.0)
    assert (buffer[:, 1::2, 1::2] == 1).all()
    assert (buffer[:, ::2] == -1).all() and (buffer[:, :, ::2] == -1).all()


@given(
    shape=shapes(3),
    dtype=st.sampled_from(STORED),
    into=st.sampled_from(["uint8", "int8", "uint16", "int16", "int32"]),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    threads=THREADS,
)
def test_cut_towards_zero_as_astype_does(shape, dtype, into, seed, in_layout, out_layout, threads) -> None:
    src = as_laid_out(stored_values(shape, dtype, seed), in_layout)
    out = laid_out(shape, into, out_layout)
    rescale(src, out, slope=0.37, intercept=-3.0, truncate=True, threads=threads)
    info = np.iinfo(into)
    units = np.nan_to_num(oracle(src, 0.37, -3.0, -np.inf, np.inf, 1, 0).astype(np.float64), nan=0.0)
    np.testing.assert_array_equal(out, np.clip(units, info.min, info.max).astype(into))


def test_cut_beyond_the_range() -> None:
    src = np.array([np.nan, np.inf, -np.inf, 2.0**31, -(2.0**31), 2.0**31 - 128, -0.99, 255.99], F32).reshape(1, 1, 8)
    for dtype, want in (
        ("int32", [0, 2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 2**31 - 128, 0, 255]),
        ("uint8", [0, 255, 0, 255, 0, 255, 0, 255]),
    ):
        out = np.empty(src.shape, dtype)
        rescale(src, out, slope=1.0, intercept=0.0, truncate=True)
        np.testing.assert_array_equal(out.ravel(), want)


def test_not_finite_input_and_limits() -> None:
    src = np.array([np.nan, np.inf, -np.inf, 0, 3e38], F32).reshape(1, 1, 5)
    out = np.empty_like(src)
    rescale(src, out, slope=1.0, intercept=0.0, low=-1000.0, high=1000.0)
    np.testing.assert_array_equal(out.ravel(), np.array([np.nan, 1000, -1000, 0, 1000], F32))


@pytest.mark.parametrize("view", [np.s_[:, :, :], np.s_[::-1, :, ::2]])
def test_in_place(view: Any) -> None:
    volume = stored_values((3, 20, 40), "float32", 0)[view]
    expected = oracle(volume, 2.0, -1.0, -500, 500, 0.5, 0)
    rescale(volume, volume, slope=2.0, intercept=-1.0, low=-500.0, high=500.0, scale=0.5)
    np.testing.assert_array_equal(volume, expected)


def refused(argument: str, src: Any, out: Any, **options: Any) -> None:
    with pytest.raises(ValueError, match=f"'{argument}'") as error:
        rescale(src, out, **({"slope": 1.0, "intercept": 0.0} | options))
    assert "\n" not in str(error.value)


def test_refusals() -> None:
    src, out = np.zeros((3, 4, 5), np.int16), np.zeros((3, 4, 5), F32)
    refused("src", src.astype(np.float64), out)
    refused("src", src.astype(np.int64), out)
    refused("src", src.astype(">i2"), out)
    refused("src", src[0], out)
    refused("src", src.tolist(), out)
    refused("src", np.zeros(121, np.uint8)[1:].view(np.int16).reshape(3, 4, 5), out)
    refused("out", src, out.astype(np.float64))
    refused("out", src, out[:2])
    refused("out", src, np.broadcast_to(F32(0), (3, 4, 5)))
    refused("out", src, np.lib.stride_tricks.as_strided(out, out.shape, (80, 20, 0)))
    refused("out", src, np.lib.stride_tricks.as_strided(out, out.shape, (16, 8, 4)))
    refused("slope", src, out, slope=np.ones(4, F32))
    refused("slope", src, out, slope=np.ones(3))
    refused("intercept", src, out, intercept=np.ones((3, 1), F32))
    refused("low", src, out, low=1.0, high=0.0)
    refused("high", src, out, high=np.nan)
    refused("threads", src, out, threads=-1)
    refused("quant_scale", src, out, quant_scale=0.5)
    refused("zero_point", src, out, zero_point=1)
    refused("quant_scale", src, out.astype(np.uint8), quant_scale=0.0)
    refused("quant_scale", src, out.astype(np.uint8), quant_scale=1e-60)
    refused("zero_point", src, out.astype(np.uint8), zero_point=256)
    refused("out", src, out, truncate=True)
    refused("out", src, out.astype(np.int32))
    refused("truncate", src, out.astype(np.uint8), truncate=True, quant_scale=0.5)
    refused("truncate", src, out.astype(np.uint8), truncate=True, zero_point=1)
    refused("padding_value", src, out, padding_value=np.nan)
    refused("out", src, src)


def test_overlap_is_refused() -> None:
    volume = np.zeros((4, 4, 5), F32)
    refused("out", volume[:3], volume[1:])
    refused("out", volume, volume[::-1])
    refused("out", volume.view(np.int32), volume)
    refused("out", np.zeros((4, 4, 5), np.int16), volume, slope=volume[:, 0, 0])
