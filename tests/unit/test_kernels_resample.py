"""resample against scipy.ndimage.map_coordinates (linear) and an index computed with numpy (nearest)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from bedside.kernels import resample, rescale

from .kernel_views import SEEDS, STORED, THREADS, as_laid_out, laid_out, layouts, shapes, stored_values

F32 = np.float32


def coordinates(shape: tuple[int, ...], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    index = np.indices(shape, dtype=np.float64).reshape(3, -1)
    return (matrix[:, :3] @ index + matrix[:, 3:]).reshape(3, *shape)


def linear_oracle(
    src: NDArray[Any], shape: tuple[int, ...], matrix: NDArray[np.float64], padding: str, fill: float
) -> NDArray[np.float64]:
    mode = "nearest" if padding == "border" else "grid-constant"
    return ndimage.map_coordinates(
        src.astype(np.float64), coordinates(shape, matrix), order=1, mode=mode, cval=fill, prefilter=False
    )


def nearest_oracle(
    src: NDArray[Any], shape: tuple[int, ...], matrix: NDArray[np.float64], padding: str, fill: float, dtype: Any
) -> NDArray[Any]:
    index = np.rint(coordinates(shape, matrix)).astype(np.int64)
    size = np.array(src.shape).reshape(3, 1, 1, 1)
    inside = ((index >= 0) & (index < size)).all(axis=0)
    values = src[tuple(np.clip(index, 0, size - 1))].astype(dtype)
    return values if padding == "border" else np.where(inside, values, dtype(fill))


@st.composite
def aligned_matrices(draw: st.DrawFn) -> NDArray[np.float64]:
    """Scalings, flips and permutations, some of them whole-numbered."""
    matrix = np.zeros((3, 4))
    numbers = st.one_of(st.sampled_from([1.0, -1.0, 0.5, 2.0, 0.0]), st.floats(-3, 3))
    for row, column in enumerate(draw(st.permutations(range(3)))):
        matrix[row, column] = draw(numbers)
        matrix[row, 3] = draw(st.one_of(st.integers(-2, 12).map(float), st.floats(-4, 14)))
    return matrix


general_matrices = st.lists(st.floats(-2, 2), min_size=12, max_size=12).map(
    lambda values: np.array(values).reshape(3, 4) + np.array([0, 0, 0, 4.0])
)
PADDINGS = st.sampled_from(["border", "constant"])
MATRICES = st.one_of(aligned_matrices(), general_matrices)


@given(
    src_shape=shapes(3, least=1),
    out_shape=shapes(3),
    matrix=MATRICES,
    dtype=st.sampled_from(STORED),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    padding=PADDINGS,
    fill=st.sampled_from([0.0, -1024.0]),
    threads=THREADS,
)
def test_linear(src_shape, out_shape, matrix, dtype, seed, in_layout, out_layout, padding, fill, threads) -> None:
    values = stored_values(src_shape, dtype, seed)
    src = as_laid_out(values, in_layout)
    out = laid_out(out_shape, F32, out_layout)
    resample(src, out, matrix, padding=padding, fill=fill, threads=threads)
    expected = linear_oracle(values, out_shape, matrix, padding, fill)
    # Weights are float32: an error of 2^-23 of the largest step between neighbours, along three axes.
    span = max(abs(float(values.min())), abs(float(values.max())), abs(fill))
    np.testing.assert_allclose(out, expected, rtol=0, atol=span * 2e-6)
    np.testing.assert_array_equal(src, values)


@given(
    src_shape=shapes(3, least=1),
    out_shape=shapes(3, least=1),
    matrix=MATRICES,
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    padding=PADDINGS,
    threads=THREADS,
)
def test_the_value_map_is_that_of_rescale(
    src_shape, out_shape, matrix, seed, in_layout, out_layout, padding, threads
) -> None:
    src = as_laid_out(stored_values(src_shape, "int16", seed), in_layout)
    plain, mapped = np.empty(out_shape, F32), laid_out(out_shape, F32, out_layout)
    # The order of the blends follows the source's memory, not the output's.
    resample(src, plain, matrix, padding=padding, fill=-1024.0, threads=threads)
    values = {"slope": 0.5, "intercept": -7.0, "low": -1000.0, "high": 400.0, "scale": 1 / 1400, "offset": 0.25}
    resample(src, mapped, matrix, padding=padding, fill=-1024.0, threads=threads, **values)
    rescale(plain, plain, **values)
    np.testing.assert_array_equal(mapped, plain)


@given(
    src_shape=shapes(3, least=1),
    out_shape=shapes(3),
    matrix=MATRICES,
    dtype=st.sampled_from(STORED),
    to_float=st.booleans(),
    seed=SEEDS,
    in_layout=layouts(3),
    out_layout=layouts(3),
    padding=PADDINGS,
    threads=THREADS,
)
def test_nearest(src_shape, out_shape, matrix, dtype, to_float, seed, in_layout, out_layout, padding, threads) -> None:
    matrix = np.round(matrix * 64) / 64  # exact in the oracle, whatever the order of its sums
    values = stored_values(src_shape, dtype, seed)
    out_type = F32 if to_float else np.dtype(dtype).type
    out = laid_out(out_shape, out_type, out_layout)
    resample(as_laid_out(values, in_layout), out, matrix, mode="nearest", padding=padding, fill=7.0, threads=threads)
    np.testing.assert_array_equal(out, nearest_oracle(values, out_shape, matrix, padding, 7, out_type))


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (0, 2, 1)])
def test_other_types_of_output(dtype: str, rotated: bool, order: tuple[int, int, int]) -> None:
    src = stored_values((9, 20, 31), "int16", 5)
    matrix = np.array([[0.7, 0, 0, -1], [0, 0.8, 0, 0.4], [0, 0, 1.1, -0.5]])
    matrix[:, :3] += 0.05 * rotated
    quantised = {} if dtype == "float16" else {"quant_scale": 0.02, "zero_point": 3}
    values = {"slope": 0.5, "low": -9000.0, "high": 8000.0, "scale": 1 / 4000}
    plain = np.empty((12, 24, 25), F32)
    resample(src, plain, matrix)
    expected = np.empty(plain.shape, dtype)
    rescale(plain, expected, **{"intercept": 0.0} | values | quantised)
    out = np.empty([plain.shape[axis] for axis in order], dtype).transpose(np.argsort(order))
    resample(src, out, matrix, **values, **quantised)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("rotated", [False, True])
def test_threads_do_not_change_a_bit(mode: Any, rotated: bool) -> None:
    src = stored_values((40, 150, 130), "int16", 3)
    matrix = np.array([[0.7, 0, 0, -1], [0, 0, 1.1, 0.4], [0, -0.9, 0, 120.0]])
    if rotated:
        matrix[:, :3] += 0.05
    results = []
    for threads in (1, 2, 3, 16):
        out = np.full((60, 140, 133), np.nan, F32)
        resample(src, out, matrix, mode=mode, threads=threads)
        results.append(out)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("dtype", STORED)
def test_flips_and_crops_are_exact(dtype: str) -> None:
    src = stored_values((5, 6, 7), dtype, 0)
    if dtype == "int32":
        src = src >> 8  # float32 holds 24 bits
    matrix = np.array([[-1.0, 0, 0, 4], [0, 1, 0, 2], [0, 0, -1, 5]])
    out = np.empty((5, 3, 4), F32)
    resample(src, out, matrix)
    np.testing.assert_array_equal(out, src[::-1, 2:5, 5:1:-1])


def test_constant_stays_constant() -> None:
    out = np.empty((31, 33, 35), F32)
    resample(np.full((10, 11, 12), -1023, np.int16), out, np.c_[np.diag([0.31, 0.33, 0.35]), [0.1, 0.2, -0.3]])
    assert (out == -1023).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("shear", [0.0, 0.25])
def test_a_bad_voxel_spreads_only_as_far_as_its_weight(bad: float, shear: float) -> None:
    src = np.zeros((6, 7, 8), F32)
    src[3, 3, 3] = bad
    matrix = np.array([[0.5, shear, 0, 0], [0, 0.5, 0, 0], [0, 0, 0.5, 0]])
    out = np.empty((11, 13, 15), F32)
    resample(src, out, matrix)
    c = coordinates(out.shape, matrix)
    touched = (np.abs(np.minimum(c, np.array(src.shape).reshape(3, 1, 1, 1) - 1) - 3) < 1).all(axis=0)
    np.testing.assert_array_equal(~np.isfinite(out), touched)
    assert (out[~touched] == 0).all()


def test_far_and_one_voxel() -> None:
    one = np.array([[[5]]], np.int16)
    out = np.empty((2, 2, 2), F32)
    resample(one, out, np.c_[np.eye(3) * 1e280, np.full(3, -3e279)])
    assert (out == 5).all()
    resample(one, out, np.c_[np.eye(3) * 1e280, np.full(3, -3e279)], padding="constant", fill=-1.0)
    assert (out == -1).all()
    resample(one, out, np.c_[np.zeros((3, 3)), np.zeros(3)])
    assert (out == 5).all()
    resample(one, out, np.c_[np.zeros((3, 3)), [0, 0, 0.25]], padding="constant", fill=1.0)
    assert (out == 4).all()


def test_noise_of_an_inverse_does_not_cost_the_fast_path_its_exactness() -> None:
    src = stored_values((4, 5, 6), "int16", 0)
    out = np.empty(src.shape, F32)
    resample(src, out, np.c_[np.eye(3) + 1e-16, np.zeros(3)])
    np.testing.assert_array_equal(out, src)


def refused(argument: str, src: Any, out: Any, matrix: Any = None, **options: Any) -> None:
    matrix = np.eye(3, 4) if matrix is None else matrix
    with pytest.raises(ValueError, match=f"'{argument}'") as error:
        resample(src, out, matrix, **options)
    assert "\n" not in str(error.value)


def test_refusals() -> None:
    src, out = np.zeros((3, 4, 5), np.int16), np.zeros((3, 4, 5), F32)
    refused("src", src.astype(np.uint64), out)
    refused("src", src[:, :, 0], out)
    refused("src", src[:0], out)
    refused("out", src, src.astype(np.int32))
    refused("out", src, out.astype(np.int32), mode="nearest")
    refused("out", out, out)
    refused("out", out[::-1], out)
    refused("matrix", src, out, np.eye(4))
    refused("matrix", src, out, np.eye(3, 4, dtype=F32))
    refused("matrix", src, out, np.full((3, 4), np.nan))
    refused("matrix", src, out, [[1, 0, 0, 0]])
    refused("matrix", src, out, np.full((3, 4), 2e280))
    refused("matrix", src, out, np.full((3, 4), -1e308))
    refused("mode", src, out, mode="quintic")
    refused("padding", src, out, padding="reflect")
    refused("fill", src, src.copy(), mode="nearest", fill=0.5)
    refused("fill", src.astype(np.uint8), src.astype(np.uint8), mode="nearest", fill=-1.0)
    refused("low", src, out, low=1.0, high=0.0)
    refused("high", src, out, high=np.nan)
    refused("slope", src, src.copy(), mode="nearest", slope=2.0)
    refused("zero_point", src, out, zero_point=1)
    refused("quant_scale", src, src.copy(), mode="nearest", quant_scale=2.0)
    refused("threads", src, out, threads=-2)
