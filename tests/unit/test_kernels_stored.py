"""look_up, extract_bits, mirror and sigmoid_window against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.kernels import extract_bits, look_up, mirror, sigmoid_window

from .kernel_stores import STORES, keywords, quantised
from .kernel_views import SEEDS, STORED, THREADS, as_laid_out, laid_out, layouts, shapes, stored_values

F32 = np.float32
INTEGERS = STORED[:-1]


@given(
    shape=shapes(3),
    dtype=st.sampled_from(STORED),
    table=st.sampled_from(["uint8", "uint16", "float32", "colour"]),
    entries=st.integers(1, 300),
    first=st.integers(-200, 200),
    line=st.sampled_from([(1.0, 0.0), (0.5, -3.25)]),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(4),
    threads=THREADS,
)
def test_look_up(shape, dtype, table, entries, first, line, seed, in_layout, out_layout, threads) -> None:
    src = as_laid_out(stored_values(shape, dtype, seed) // 4, in_layout)
    if table == "colour":
        values, out = stored_values((entries, 3), "uint8", seed), laid_out((*shape, 3), "uint8", out_layout)
    else:
        values, out = stored_values((entries,), table, seed), laid_out((*shape, 1), table, out_layout)[..., 0]
    look_up(src, out, values, first=first, slope=line[0], intercept=line[1], threads=threads)
    position = np.rint(src.astype(F32) * F32(line[0]) + F32(line[1])).astype(np.float64) - first
    np.testing.assert_array_equal(out, values[np.clip(position, 0, entries - 1).astype(int)])


def test_a_palette_beside_each_other_and_a_nan() -> None:
    table = stored_values((256, 3), "uint8", 0)
    index = stored_values((2, 300, 301), "uint8", 1)
    out = np.empty((*index.shape, 3), np.uint8)
    for threads in (1, 3):
        look_up(index, out, table, threads=threads)
        np.testing.assert_array_equal(out, table[index])
    found = np.empty((1, 1, 3), np.uint8)
    look_up(np.array([[[np.nan, np.inf, -np.inf]]], F32), found, np.array([4, 5, 6], np.uint8))
    np.testing.assert_array_equal(found.ravel(), [4, 6, 4])


@given(
    shape=shapes(3),
    dtype=st.sampled_from(INTEGERS),
    target=st.sampled_from(INTEGERS),
    low=st.integers(0, 31),
    count=st.integers(1, 32),
    in_place=st.booleans(),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    threads=THREADS,
)
def test_extract_bits(shape, dtype, target, low, count, in_place, seed, in_layout, out_layout, threads) -> None:
    width = 8 * np.dtype(dtype).itemsize
    shift = low % width
    bits = min(count, width - shift)
    src = as_laid_out(stored_values(shape, dtype, seed), in_layout)
    target = dtype if in_place else target
    expected = src.astype(np.int64) >> shift & (1 << bits) - 1
    if np.dtype(target).kind == "i":
        expected = np.where(expected >> (bits - 1) & 1, expected - (1 << bits), expected)
    out = src if in_place else laid_out(shape, target, out_layout)
    extract_bits(src, out, shift=shift, bits=bits, threads=threads)
    np.testing.assert_array_equal(out, expected.astype(target))


@given(
    shape=shapes(3),
    dtype=st.sampled_from(STORED),
    total=st.integers(-70_000, 70_000),
    padding=st.sampled_from([None, 0, -5, 200, 0.5]),
    seed=SEEDS,
    layout=layouts(3),
    threads=THREADS,
)
def test_mirror(shape, dtype, total, padding, seed, layout, threads) -> None:
    values = as_laid_out(stored_values(shape, dtype, seed) // 2, layout)
    wide = values.astype(F32 if dtype == "float32" else np.int64)
    expected = (wide.dtype.type(total) - wide).astype(dtype)
    if padding is not None:
        expected = np.where(values == padding, values, expected)
    mirror(values, total, padding_value=padding, threads=threads)
    np.testing.assert_array_equal(values, expected)


@given(
    shape=shapes(3),
    dtype=st.sampled_from(STORED),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    store=STORES,
    threads=THREADS,
)
def test_sigmoid_window(shape, dtype, seed, in_layout, out_layout, store, threads) -> None:
    src, out = as_laid_out(stored_values(shape, dtype, seed), in_layout), laid_out(shape, store[0], out_layout)
    window: dict[str, Any] = dict(center=40.0, width=400.0, slope=0.5, intercept=-3.0)
    exact = np.empty(shape, F32)
    sigmoid_window(src, exact, threads=threads, **window)
    with np.errstate(over="ignore"):
        wanted = 1 / (1 + np.exp(-4 * (src.astype(np.float64) * 0.5 - 43.0) / 400.0))
    np.testing.assert_allclose(exact, wanted, atol=3e-7)
    sigmoid_window(src, out, scale=255.0, offset=2.0, threads=threads, **window, **keywords(store))
    np.testing.assert_array_equal(out, quantised(exact * F32(255) + F32(2), store))


def test_sigmoid_window_at_its_ends() -> None:
    src = np.array([-1e9, -np.inf, np.inf, 1e9, 7, np.nan], F32).reshape(1, 1, -1)
    out = np.empty_like(src)
    sigmoid_window(src, out, center=7.0, width=1.0)
    np.testing.assert_allclose(out.ravel(), np.array([0, 0, 1, 1, 0.5, np.nan], F32), rtol=0, atol=1e-30)


def test_refusals() -> None:
    src, out = np.zeros((3, 4, 5), np.int16), np.zeros((3, 4, 5), np.uint16)
    table = np.zeros(4, np.uint16)

    def refused(argument: str, kernel: Any, *arguments: Any, **options: Any) -> None:
        with pytest.raises(ValueError, match=f"'{argument}'") as error:
            kernel(*arguments, **options)
        assert "\n" not in str(error.value)

    refused("table", look_up, src, out, table[:0])
    refused("table", look_up, src, out, table[::2])
    refused("table", look_up, src, out, table.astype(np.int32))
    refused("table", look_up, src, out, np.zeros((4, 4), np.uint8))
    refused("out", look_up, src, out.astype(np.uint8), table)
    refused("out", look_up, src, out[:2], table)
    refused("out", look_up, out, out, table)
    refused("first", look_up, src, out, table, first=2**30)
    refused("src", extract_bits, src.astype(F32), out, shift=0, bits=1)
    refused("shift", extract_bits, src, out, shift=16, bits=1)
    refused("bits", extract_bits, src, out, shift=8, bits=9)
    refused("out", extract_bits, src, src[::-1], shift=0, bits=9)
    refused("values", mirror, src[0], 5)
    refused("values", mirror, np.broadcast_to(np.int16(0), (2, 2, 2)), 5)
    refused("padding_value", mirror, src, 5, padding_value=np.nan)
    refused("width", sigmoid_window, src, src.astype(F32), center=0.0, width=0.0)
    refused("out", sigmoid_window, src, src, center=0.0, width=1.0)
