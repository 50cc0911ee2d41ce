"""pack_bits against numpy.packbits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.kernels import pack_bits

from .kernel_views import SEEDS, THREADS, as_laid_out, layouts, shapes


@given(
    shape=shapes(3, 20),
    seed=SEEDS,
    label=st.sampled_from([0, 1, 2, 255]),
    layout=layouts(3),
    threads=THREADS,
)
def test_equals_numpy(shape, seed, label, layout, threads) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice(np.array([0, 1, 2, 255], np.uint8), shape)
    values[rng.random(shape[0]) < 0.5] = 3
    mask = as_laid_out(values, layout)
    expected = np.packbits(values == label, bitorder="little")
    out = np.full(expected.shape, 0xA5, np.uint8)
    occupied = pack_bits(mask, out, label, threads=threads)
    np.testing.assert_array_equal(out, expected)
    assert occupied.dtype == np.bool_
    np.testing.assert_array_equal(occupied, (values == label).any(axis=(1, 2)))
    if shape[1] * shape[2] % 8 == 0:
        frames = np.full((shape[0], shape[1] * shape[2] // 8), 0xA5, np.uint8)
        np.testing.assert_array_equal(pack_bits(mask, frames, label, threads=threads), occupied)
        np.testing.assert_array_equal(frames.ravel(), expected)


@pytest.mark.parametrize("shape", [(9, 512, 512), (19, 301, 257), (1, 1, 1_000_003), (3000, 3, 5)])
@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
def test_large_enough_for_every_split(shape: tuple[int, int, int], order: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(2)
    mask = rng.integers(0, 3, [shape[axis] for axis in order], np.uint8).transpose(np.argsort(order))
    expected = np.packbits(mask == 2, bitorder="little")
    for threads in (1, 2, 5):
        out = np.zeros(expected.shape, np.uint8)
        assert pack_bits(mask, out, 2, threads=threads).all() == (mask == 2).any(axis=(1, 2)).all()
        np.testing.assert_array_equal(out, expected)


def refused(argument: str, mask: Any, out: Any, label: int = 1, **options: Any) -> None:
    with pytest.raises(ValueError, match=f"'{argument}'") as error:
        pack_bits(mask, out, label, **options)
    assert "\n" not in str(error.value)


def test_refusals() -> None:
    mask, out = np.zeros((4, 4, 6), np.uint8), np.zeros((4, 3), np.uint8)
    pack_bits(mask, out, 1)
    pack_bits(mask, out.ravel(), 1)
    refused("mask", mask.astype(bool), out)
    refused("mask", mask[0], out)
    refused("out", mask, out[:3])
    refused("out", mask, np.zeros((4, 6), np.uint8)[:, ::2])
    refused("out", mask, np.zeros((4, 3), np.int8))
    refused("out", mask[:, :, :5], np.zeros((4, 3), np.uint8))
    refused("out", mask, mask.ravel()[:12])
    refused("label", mask, out, 256)
    refused("label", mask, out, -1)
    refused("threads", mask, out, threads=-1)
    read_only = out.copy()
    read_only.flags.writeable = False
    refused("out", mask, read_only)
