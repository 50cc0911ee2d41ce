"""Casts, copies and fills of whole images, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.runtime.dtypes import READ, as_float32, copy_into, fill, readable

from .kernel_views import SEEDS, as_laid_out, laid_out, layouts, shapes

DTYPES = (*sorted(str(dtype) for dtype in READ), "uint32", "float16", "float64", "int64")


def values(shape: tuple[int, ...], dtype: str, seed: int) -> Any:
    """Any bits, but no NaN: numpy and the kernels agree on all others."""
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8).view(dtype)[..., 0]
    return np.nan_to_num(array, nan=1.0, posinf=2.0, neginf=3.0) if array.dtype.kind == "f" else array


@given(shape=shapes(3), layout=layouts(3), dtype=st.sampled_from(DTYPES), seed=SEEDS)
def test_float32_of_every_dtype(shape: tuple[int, ...], layout: Any, dtype: str, seed: int) -> None:
    array = as_laid_out(values(shape, dtype, seed), layout)
    with np.errstate(over="ignore"):
        found, want = as_float32(array), array.astype(np.float32)
    np.testing.assert_array_equal(found, want)
    kept = readable(array)
    assert (kept is array) == (array.dtype in READ) and kept.dtype in READ


@given(shape=shapes(3), layout=layouts(3), target=layouts(3), dtype=st.sampled_from(DTYPES), seed=SEEDS)
def test_copies_are_bit_by_bit(shape: tuple[int, ...], layout: Any, target: Any, dtype: str, seed: int) -> None:
    array = as_laid_out(values(shape, dtype, seed), layout)
    out = laid_out(shape, dtype, target)
    copy_into(array, out)
    assert array.tobytes() == out.tobytes()


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4), (2, 2, 3, 4)])
def test_any_number_of_axes(shape: tuple[int, ...]) -> None:
    array = np.asarray(values(shape, "float16", 1))
    np.testing.assert_array_equal(as_float32(array), array.astype(np.float32))
    out = np.empty_like(array)
    copy_into(array, out)
    np.testing.assert_array_equal(out, array)
    fill(out, -2.5)
    np.testing.assert_array_equal(out, np.full(shape, -2.5, np.float16))


def test_halves_that_are_no_numbers() -> None:
    halves = np.array([0x7C00, 0xFC00, 0x7E00, 0x8000, 0x0001], np.uint16).view(np.float16)
    found = as_float32(halves)
    assert found[:2].tolist() == [np.inf, -np.inf] and np.isnan(found[2])
    assert np.signbit(found[3]) and found[4] == 2.0**-24
