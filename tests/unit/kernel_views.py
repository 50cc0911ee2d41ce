"""Arrays in every memory layout a caller may pass: what the kernels' property tests draw."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

THREADS = st.sampled_from([0, 1, 2, 3, 7])
STORED = ["uint8", "int8", "uint16", "int16", "int32", "float32"]


@st.composite
def layouts(draw: st.DrawFn, dimensions: int) -> tuple[list[int], list[int], list[bool]]:
    """Order of the axes in memory, step and direction along each."""
    order = draw(st.permutations(range(dimensions)))
    steps = draw(st.lists(st.sampled_from([1, 1, 2, 3]), min_size=dimensions, max_size=dimensions))
    flips = draw(st.lists(st.booleans(), min_size=dimensions, max_size=dimensions))
    return list(order), steps, flips


def laid_out(shape: tuple[int, ...], dtype: DTypeLike, layout: tuple[list[int], list[int], list[bool]]) -> NDArray[Any]:
    """An array of that shape, every byte of its buffer 0xA5, as a view with that layout; ``.base`` is the buffer."""
    order, steps, flips = layout
    buffer = np.empty([shape[axis] * steps[axis] for axis in order], dtype)
    buffer.reshape(-1).view(np.uint8)[...] = 0xA5
    view = buffer.transpose(np.argsort(order))
    view = view[tuple(slice(None, None, -step if flip else step) for step, flip in zip(steps, flips, strict=True))]
    assert view.shape == shape
    return view


def as_laid_out(values: NDArray[Any], layout: tuple[list[int], list[int], list[bool]]) -> NDArray[Any]:
    view = laid_out(values.shape, values.dtype, layout)
    view[...] = values
    return view


def shapes(dimensions: int, most: int = 12, least: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(least, most)] * dimensions)


def stored_values(shape: tuple[int, ...], dtype: str, seed: int) -> NDArray[Any]:
    """Random values over the whole range of an integer type, or CT-like floats."""
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return (rng.standard_normal(shape) * 1000).astype(np.float32)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


SEEDS = st.integers(0, 2**32 - 1)
