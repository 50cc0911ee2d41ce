"""spline_coefficients and resample's mode "cubic" against scipy.ndimage.map_coordinates of order 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from bedside.kernels import resample, rescale, spline_coefficients

from .kernel_views import SEEDS, STORED, THREADS, as_laid_out, laid_out, layouts, shapes, stored_values
from .test_kernels_resample import MATRICES, PADDINGS, coordinates

F32 = np.float32


def coefficients(values: NDArray[Any], padding: Any = "border", threads: int = 0) -> NDArray[np.float32]:
    out = np.empty(values.shape, F32)
    spline_coefficients(values, out, padding=padding, threads=threads)
    return out


def oracle(
    values: NDArray[Any], shape: tuple[int, ...], matrix: NDArray[np.float64], padding: str, fill: float
) -> NDArray[np.float64]:
    return ndimage.map_coordinates(
        values.astype(np.float64),
        coordinates(shape, matrix),
        order=3,
        mode="nearest" if padding == "border" else "constant",
        cval=fill,
    )


@given(
    src_shape=shapes(3, least=1),
    out_shape=shapes(3),
    matrix=MATRICES,
    dtype=st.sampled_from(STORED),
    seed=SEEDS,
    src_layout=layouts(3),
    coefficients_layout=layouts(3),
    out_layout=layouts(3),
    padding=PADDINGS,
    fill=st.sampled_from([0.0, -1024.0]),
    threads=THREADS,
)
def test_cubic(
    src_shape, out_shape, matrix, dtype, seed, src_layout, coefficients_layout, out_layout, padding, fill, threads
) -> None:
    # Exact in the oracle, whatever the order of its sums: with "constant" the edge is a sharp one.
    matrix = np.round(matrix * 64) / 64
    values = stored_values(src_shape, dtype, seed)
    made = coefficients(as_laid_out(values, src_layout), padding, threads)
    held = as_laid_out(made, coefficients_layout)
    out = laid_out(out_shape, F32, out_layout)
    resample(held, out, matrix, mode="cubic", padding=padding, fill=fill, threads=threads)
    span = max(abs(float(values.min())), abs(float(values.max())), abs(fill))
    np.testing.assert_allclose(out, oracle(values, out_shape, matrix, padding, fill), rtol=0, atol=span * 1e-5)
    np.testing.assert_array_equal(held, made)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)])
@pytest.mark.parametrize("flip", [False, True])
def test_coefficients_in_other_orders_of_memory(order: tuple[int, int, int], flip: bool) -> None:
    values = stored_values((9, 130, 70), "int16", 2)
    out = np.empty([values.shape[axis] for axis in order], F32).transpose(np.argsort(order))
    out = out[::-1, :, ::-1] if flip else out
    spline_coefficients(values, out, padding="constant")
    want = ndimage.spline_filter(values.astype(np.float64), 3, mode="mirror")
    np.testing.assert_allclose(out, want, rtol=0, atol=27 * 32768 * 1e-6)


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("padding", ["border", "constant"])
def test_threads_do_not_change_a_bit(rotated: bool, padding: Any) -> None:
    values = stored_values((40, 150, 130), "int16", 3)
    matrix = np.array([[0.7, 0, 0, -1], [0, 0, 1.1, 0.4], [0, -0.9, 0, 120.0]])
    matrix[:, :3] += 0.05 * rotated
    made = coefficients(values, padding, 1)
    results = []
    for threads in (1, 2, 3, 16):
        np.testing.assert_array_equal(coefficients(values, padding, threads), made)
        out = np.full((60, 140, 133), np.nan, F32)
        resample(made, out, matrix, mode="cubic", padding=padding, threads=threads)
        results.append(out)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (0, 2, 1)])
def test_the_value_map_and_other_types_of_output(dtype: str, rotated: bool, order: tuple[int, int, int]) -> None:
    made = coefficients(stored_values((9, 20, 31), "int16", 5), "constant")
    matrix = np.array([[0.7, 0, 0, -1], [0, 0.8, 0, 0.4], [0, 0, 1.1, -0.5]])
    matrix[:, :3] += 0.05 * rotated
    quantised: dict[str, Any] = {} if dtype.startswith("float") else {"quant_scale": 0.02, "zero_point": 3}
    values = {"slope": 0.5, "low": -9000.0, "high": 8000.0, "scale": 1 / 4000}
    # The order of the sums follows the output's memory.
    plain = np.empty([(12, 24, 25)[axis] for axis in order], F32).transpose(np.argsort(order))
    resample(made, plain, matrix, mode="cubic", padding="constant", fill=-1024.0)
    expected = np.empty(plain.shape, dtype)
    rescale(plain, expected, **{"intercept": 0.0} | values | quantised)
    out = np.empty([plain.shape[axis] for axis in order], dtype).transpose(np.argsort(order))
    resample(made, out, matrix, mode="cubic", padding="constant", fill=-1024.0, **values, **quantised)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("padding", ["border", "constant"])
@pytest.mark.parametrize("extent", [1, 2, 3, 4, 5, 24, 40])
def test_voxels_are_met(padding: Any, extent: int) -> None:
    values = stored_values((extent, extent, extent), "int16", 1)
    out = np.empty(values.shape, F32)
    resample(coefficients(values, padding), out, np.eye(3, 4), mode="cubic", padding=padding)
    np.testing.assert_allclose(out, values, rtol=0, atol=32768 * 1e-5)


def test_far_outside() -> None:
    made = coefficients(np.full((2, 3, 5), 5, np.int16))
    out = np.empty((2, 2, 2), F32)
    for shear in (0.0, 1e279):
        matrix = np.c_[np.eye(3) * 9e279 + shear, np.full(3, -3e279)]
        resample(made, out, matrix, mode="cubic")
        np.testing.assert_allclose(out, 5, rtol=1e-6)
        resample(made, out, matrix, mode="cubic", padding="constant", fill=-1.0)
        assert (out == -1).all()


def test_empty() -> None:
    spline_coefficients(np.empty((0, 4, 5), np.int16), np.empty((0, 4, 5), F32))
    resample(np.zeros((3, 4, 5), F32), np.empty((0, 4, 5), F32), np.eye(3, 4), mode="cubic")


def test_refusals() -> None:
    src, out = np.zeros((3, 4, 5), np.int16), np.zeros((3, 4, 5), F32)
    read_only = out.copy()
    read_only.flags.writeable = False

    def refused(argument: str, src: Any, out: Any, **options: Any) -> None:
        with pytest.raises(ValueError, match=f"'{argument}'") as error:
            spline_coefficients(src, out, **options)
        assert "\n" not in str(error.value)

    refused("src", src.astype(np.float64), out)
    refused("src", src[0], out)
    refused("out", src, out.astype(np.float64))
    refused("out", src, out[:2])
    refused("out", out, out)
    refused("out", src, read_only)
    refused("out", src, np.zeros((3, 4, 10), F32)[:, :, ::2])
    refused("padding", src, out, padding="mirror")
    refused("threads", src, out, threads=-1)
    with pytest.raises(ValueError, match="'src' must be float32"):
        resample(src, out, np.eye(3, 4), mode="cubic")
    with pytest.raises(ValueError, match="'out'"):
        resample(out, np.zeros((3, 4, 5), np.int32), np.eye(3, 4), mode="cubic")
