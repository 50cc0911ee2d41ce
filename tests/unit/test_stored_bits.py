"""Stored values in arrays of other types, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from bedside.runtime.study.stored_bits import put

INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32")


PAIRS = [(a, b) for a in INTEGERS for b in (*INTEGERS, "int64", "float64")]
PAIRS += [(a, "float32") for a in ("uint8", "int8", "uint16", "int16")]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_values_that_fit_are_kept(source: str, target: str) -> None:
    low, high = np.iinfo(source).min, np.iinfo(source).max
    if target.startswith("float"):
        low, high = max(low, -(2**24)), min(high, 2**24)
    else:
        low, high = max(low, np.iinfo(target).min), min(high, np.iinfo(target).max)
    values = np.random.default_rng(1).integers(low, high, (5, 7), source, endpoint=True)
    values[0, :2] = low, high
    out = np.full((5, 7), 77, target)
    put(values, out)
    np.testing.assert_array_equal(out, values.astype(target))


def test_of_one_size_the_bits_are_kept() -> None:
    floats = np.array([[1.5, -0.0, 3e38]], np.float32)
    out = np.empty((1, 3), np.float32)
    put(floats.view(np.uint32), out)
    assert out.tobytes() == floats.tobytes()
    signed = np.empty((1, 2), np.int16)
    put(np.array([[65535, 1]], np.uint16), signed)
    assert signed.tolist() == [[-1, 1]]
