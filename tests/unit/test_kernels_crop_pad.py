"""crop_pad against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.kernels import crop_pad

from .kernel_stores import STORES, keywords, quantised
from .kernel_views import SEEDS, STORED, THREADS, as_laid_out, laid_out, layouts, shapes, stored_values

F32 = np.float32
STARTS = st.tuples(*[st.integers(-14, 14)] * 3)


def boxed(src: NDArray[Any], shape: tuple[int, ...], start: tuple[int, ...], fill: float) -> NDArray[Any]:
    out = np.full(shape, fill, src.dtype)
    there, here = [], []
    for size, wanted, first in zip(src.shape, shape, start, strict=True):
        low, high = max(first, 0), max(min(first + wanted, size), max(first, 0))
        there.append(slice(low, high))
        here.append(slice(low - first, high - first) if high > low else slice(0, 0))
    out[tuple(here)] = src[tuple(there)] if out[tuple(here)].size else out[tuple(here)]
    return out


@given(
    shape=shapes(3),
    out_shape=shapes(3),
    start=STARTS,
    dtype=st.sampled_from([*STORED, "float16"]),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    threads=THREADS,
)
def test_a_copy(shape, out_shape, start, dtype, seed, in_layout, out_layout, threads) -> None:
    values = stored_values(shape, "float32" if dtype == "float16" else dtype, seed).astype(dtype)
    src, out = as_laid_out(values, in_layout), laid_out(out_shape, dtype, out_layout)
    crop_pad(src, out, start, fill=5, threads=threads)
    np.testing.assert_array_equal(out, boxed(src, out_shape, start, 5))


@given(
    shape=shapes(3),
    out_shape=shapes(3),
    start=STARTS,
    dtype=st.sampled_from(STORED),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    store=STORES,
    threads=THREADS,
)
def test_with_a_value_map(shape, out_shape, start, dtype, seed, in_layout, out_layout, store, threads) -> None:
    src, out = as_laid_out(stored_values(shape, dtype, seed), in_layout), laid_out(out_shape, store[0], out_layout)
    crop_pad(src, out, start, fill=-1.25, slope=0.5, intercept=1.0, high=90.0, threads=threads, **keywords(store))
    with np.errstate(all="ignore"):
        values = np.minimum(src.astype(F32) * F32(0.5) + F32(1), F32(90)) * F32(1) + F32(0)
    np.testing.assert_array_equal(out, quantised(boxed(values, out_shape, start, -1.25), store))


@pytest.mark.parametrize(("dtype", "skip"), [("float32", 0), ("float32", 3), ("uint8", 1)])
def test_large_enough_to_be_written_past_the_cache(dtype: str, skip: int) -> None:
    shape, start = ((150, 190, 201), (-4, 9, -13)) if dtype == "float32" else ((270, 260, 251), (-4, 9, -13))
    src = stored_values(shape, dtype, 1)
    out_shape = (shape[0] + 10, shape[1] - 20, shape[2] + 22)
    out = np.empty(np.prod(out_shape) + skip, dtype)[skip:].reshape(out_shape)
    for threads in (1, 3):
        out[...] = 9
        crop_pad(src, out, start, fill=4, threads=threads)
        np.testing.assert_array_equal(out, boxed(src, out_shape, start, 4))
    if dtype == "float32":
        crop_pad(src, out, start, fill=4, slope=2.0, threads=2)
        np.testing.assert_array_equal(out, boxed(src * F32(2), out_shape, start, 4))


def test_bits_of_a_copy_are_kept() -> None:
    src = np.array([-0.0, np.nan], F32).reshape(1, 1, 2)
    src.view(np.uint32)[0, 0, 1] = 0x7FA00001
    out = np.empty_like(src)
    crop_pad(src, out, (0, 0, 0))
    np.testing.assert_array_equal(out.view(np.uint32), src.view(np.uint32))


def test_refusals() -> None:
    src, out = np.zeros((3, 4, 5), np.int16), np.zeros((3, 4, 5), np.int16)

    def refused(argument: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(ValueError, match=f"'{argument}'") as error:
            crop_pad(*arguments, **options)
        assert "\n" not in str(error.value)

    zero = (0, 0, 0)
    refused("src", src[0], out, zero)
    refused("src", src.astype(np.float64), out, zero)
    refused("src", src.astype(np.float16), out.astype(F32), zero)
    refused("out", src, out[0], zero)
    refused("out", src, out.astype(np.float64), zero)
    refused("out", src, src[:2], zero)
    refused("start", src, out, (2**41, 0, 0))
    refused("fill", src, out, zero, fill=0.5)
    refused("fill", src, out, zero, fill=40000)
    refused("fill", src, out, zero, fill=np.nan)
    refused("quant_scale", src, out.astype(F32), zero, quant_scale=2.0)
    refused("low", src, out, zero, low=2.0, high=1.0)
