"""The statistics against numpy: exact where integers are summed or values picked, to 1e-12 where floats are summed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.kernels import bounding_box, histogram, minmax, moments, percentiles, standardise

from .kernel_views import SEEDS, STORED, THREADS, as_laid_out, laid_out, layouts, shapes, stored_values

F32 = np.float32
COUNTED = ["uint8", "int8", "uint16", "int16"]
DIMENSIONS = st.integers(1, 4)
PERCENTS = st.lists(st.floats(0, 100), min_size=0, max_size=24)


@st.composite
def arrays(draw: st.DrawFn, least: int = 0, most_dimensions: int = 4) -> NDArray[Any]:
    """Any dtype, any layout; a part of the values are 0 or few different ones."""
    rank = draw(st.integers(1, most_dimensions))
    shape, dtype, seed = draw(shapes(rank, least=least)), draw(st.sampled_from(STORED)), draw(SEEDS)
    values = stored_values(shape, dtype, seed)
    if draw(st.booleans()):
        values = (values / 300).astype(dtype)
    if draw(st.booleans()):
        values[np.random.default_rng(seed).random(shape) < 0.4] = 0
    return as_laid_out(values, draw(layouts(rank)))


def large(dtype: str) -> NDArray[Any]:
    """Several pieces, in rows that do not follow each other."""
    return stored_values((70, 65, 131), dtype, 3)[:, :, 1:]


@given(array=arrays(least=1), threads=THREADS)
def test_minmax(array, threads) -> None:
    assert minmax(array, threads=threads) == (array.min(), array.max(), 0, 0)


@given(array=arrays(), nonzero=st.booleans(), threads=THREADS)
def test_moments(array, nonzero, threads) -> None:
    values = array[array != 0] if nonzero else array.ravel()
    count, mean, deviation = moments(array, nonzero=nonzero, threads=threads)
    assert count == values.size
    if not count:
        assert np.isnan(mean) and np.isnan(deviation)
        return
    wide = values.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(), rtol=1e-12, atol=1e-12 * np.abs(wide).max())
    np.testing.assert_allclose(deviation, wide.std(), rtol=1e-12, atol=1e-13 * np.abs(wide).max())


@given(array=arrays(), threads=THREADS)
def test_histogram(array, threads) -> None:
    assume(array.dtype.name in COUNTED)
    counts = histogram(array, threads=threads)
    least = np.iinfo(array.dtype).min
    assert counts.shape == (256**array.dtype.itemsize,) and counts.dtype == np.int64
    np.testing.assert_array_equal(counts, np.bincount(array.ravel().astype(np.int64) - least, minlength=len(counts)))


@given(array=arrays(), percents=PERCENTS, nonzero=st.booleans(), threads=THREADS)
def test_percentiles(array, percents, nonzero, threads) -> None:
    values = array[array != 0] if nonzero else array.ravel()
    found = percentiles(array, percents, nonzero=nonzero, threads=threads)
    assert found.shape == (len(percents),) and found.dtype == np.float64
    if not values.size:
        assert np.isnan(found).all()
        return
    # numpy subtracts integers in their own type, where the difference may not fit.
    expected = np.percentile(values if values.dtype == F32 else values.astype(np.float64), percents)
    np.testing.assert_array_equal(found, expected)


@given(
    array=arrays(most_dimensions=3),
    how=st.sampled_from(["nonzero", "above", "equal"]),
    value=st.sampled_from([0.0, -0.5, 1.0, 3.7, 120.0, 255.0, -128.0, 65535.0, 1e9, -1e300, 1e300, np.inf, -np.inf]),
    threads=THREADS,
)
def test_bounding_box(array, how, value, threads) -> None:
    wide = array.astype(np.float64)
    mask = {"nonzero": wide != 0, "above": wide > value, "equal": wide == value}[how]
    options = {} if how == "nonzero" else {how: value}
    found = bounding_box(array, **options, threads=threads)
    assert found == box_of(mask)
    assert bounding_box(mask, threads=threads) == found


def box_of(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    at = np.argwhere(mask)
    return tuple(slice(a, b + 1) for a, b in zip(at.min(0), at.max(0), strict=True)) if len(at) else None


@given(seed=SEEDS, shape=shapes(3, least=1, most=40), layout=layouts(3), points=st.integers(1, 4), threads=THREADS)
def test_bounding_box_of_few_voxels(seed, shape, layout, points, threads) -> None:
    rng = np.random.default_rng(seed)
    array = as_laid_out(np.zeros(shape, np.uint8), layout)
    for _ in range(points):
        array[tuple(rng.integers(0, n) for n in shape)] = rng.integers(1, 256)
    assert bounding_box(array, threads=threads) == box_of(array != 0)


@given(
    shape=shapes(3),
    dtype=st.sampled_from(STORED),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    nonzero=st.booleans(),
    threads=THREADS,
)
def test_standardise(shape, dtype, seed, in_layout, out_layout, nonzero, threads) -> None:
    src = as_laid_out(stored_values(shape, dtype, seed), in_layout)
    src[src % 3 == 0] = 0
    out = laid_out(shape, F32, out_layout)
    standardise(src, out, mean=12.3, deviation=45.6, nonzero=nonzero, threads=threads)
    values = src.astype(F32)
    expected = (values - F32(12.3)) / F32(45.6)
    np.testing.assert_array_equal(out, np.where(values == 0, values, expected) if nonzero else expected)
    if dtype == "float32":
        standardise(src, src, mean=12.3, deviation=45.6, nonzero=nonzero, threads=threads)
        np.testing.assert_array_equal(src, out)


@pytest.mark.parametrize("dtype", STORED)
def test_large_enough_for_every_split(dtype: str) -> None:
    array = large(dtype)
    wide = array.astype(np.float64)
    results = []
    for threads in (1, 2, 5):
        assert minmax(array, threads=threads) == (array.min(), array.max(), 0, 0)
        np.testing.assert_array_equal(
            percentiles(array, [1, 50, 99.5], threads=threads),
            np.percentile(array if dtype == "float32" else wide, [1, 50, 99.5]),
        )
        assert bounding_box(array, above=float(array.max()) - 1e-3, threads=threads) == box_of(array == array.max())
        results.append(moments(array, threads=threads))
    np.testing.assert_allclose(results[0], (wide.size, wide.mean(), wide.std()), rtol=1e-12)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("dtype", STORED)
def test_views_of_the_same_memory_have_the_same_moments(dtype: str) -> None:
    array = np.ascontiguousarray(large(dtype))
    expected = moments(array)
    for view in (array.T, array[::-1], array.transpose(1, 0, 2)[:, ::-1, ::-1], array.reshape(-1)):
        assert moments(view) == expected


def test_moments_of_values_far_from_zero() -> None:
    rng = np.random.default_rng(0)
    values = (1e6 + rng.random(200_001)).astype(F32)
    values[7] = -1e6
    _, mean, deviation = moments(values)
    wide = values.astype(np.longdouble)
    np.testing.assert_allclose([mean, deviation], [float(wide.mean()), float(wide.std())], rtol=1e-13)


@pytest.mark.parametrize("dtype", STORED)
def test_the_largest_values_of_a_type(dtype: str) -> None:
    most = 3e38 if dtype == "float32" else np.iinfo(dtype).max
    least = -3e38 if dtype == "float32" else np.iinfo(dtype).min
    array = np.repeat(np.array([least, most], dtype), 300_000)
    assert minmax(array)[:2] == (array.min(), array.max())
    np.testing.assert_array_equal(percentiles(array, [0, 100]), [array.min(), array.max()])
    if dtype != "float32":
        np.testing.assert_array_equal(percentiles(array, [50]), [(least + most) / 2])
    count, mean, deviation = moments(array)
    wide = array.astype(np.longdouble)
    np.testing.assert_allclose(
        [count, mean, deviation],
        [600_000, float(wide.mean()), float(wide.std())],
        rtol=1e-12,
        atol=1e25 * (most > 1e10),
    )


def test_not_finite() -> None:
    array = np.arange(100_000, dtype=F32)
    array[[3, 70_000]] = np.inf
    array[5] = -np.inf
    assert minmax(array) == (-np.inf, np.inf, 0, 3)
    np.testing.assert_array_equal(percentiles(array, [0, 50, 100]), [-np.inf, np.median(array), np.inf])
    assert np.isnan(moments(array)[1])
    for bits in (0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF80FFFF):
        array.view(np.uint32)[99_999] = bits
        assert minmax(array) == (-np.inf, np.inf, 1, 3)
        assert np.isnan(percentiles(array, [0, 50, 100])).all()
    assert np.isnan(minmax(np.full(5, np.nan, F32))[:2]).all()
    assert bounding_box(array, above=1e30) == (slice(3, 70_001),)
    assert bounding_box(np.array([0, np.nan, 0], F32)) == (slice(1, 2),)
    assert bounding_box(np.array([0, np.nan, 0], F32), above=-1) == (slice(0, 3),)


def test_zeros_of_both_signs() -> None:
    array = np.array([0.0, -0.0, 1e-40, -1e-40, 5, -3], F32)
    assert moments(array, nonzero=True)[0] == 4
    np.testing.assert_array_equal(percentiles(array, [0, 100], nonzero=True), [-3, 5])
    np.testing.assert_array_equal(percentiles(array, [50], nonzero=True), np.percentile(array[array != 0], [50]))
    assert moments(np.zeros(5, F32), nonzero=True)[0] == 0
    assert np.isnan(percentiles(np.zeros(5, F32), [50], nonzero=True)).all()


def refused(argument: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=f"'{argument}'") as error:
        call()
    assert "\n" not in str(error.value)


def test_refusals() -> None:
    src, out = np.zeros((3, 4, 5), np.int16), np.zeros((3, 4, 5), F32)
    for kernel in (minmax, moments, histogram, lambda a: percentiles(a, [50]), bounding_box):
        for wrong in (src.astype(np.float64), src.astype(np.int64), src.astype(">i2"), src.tolist(), np.int16(3)):
            refused("src", lambda kernel=kernel, wrong=wrong: kernel(wrong))
        refused("src", lambda kernel=kernel: kernel(np.zeros((1, 1, 1, 1, 1), np.int16)))
        refused("src", lambda kernel=kernel: kernel(np.array(3, np.int16)))
        refused("src", lambda kernel=kernel: kernel(np.zeros(121, np.uint8)[1:].view(np.int16)))
    for kernel in (minmax, moments, histogram, bounding_box):
        refused("threads", lambda kernel=kernel: kernel(src, threads=-1))
    refused("src", lambda: minmax(src[:0]))
    refused("src", lambda: histogram(out))
    refused("src", lambda: bounding_box(np.zeros((1, 2, 3, 4), np.int16)))
    refused("percents", lambda: percentiles(src, [101]))
    refused("percents", lambda: percentiles(src, [np.nan]))
    refused("above", lambda: bounding_box(src, above=np.nan))
    refused("equal", lambda: bounding_box(src, above=1, equal=1))
    refused("out", lambda: standardise(src, out[:2], mean=0, deviation=1))
    refused("out", lambda: standardise(src, src, mean=0, deviation=1))
    refused("out", lambda: standardise(out, out[::-1], mean=0, deviation=1))
    refused("src", lambda: standardise(src[0], out, mean=0, deviation=1))
