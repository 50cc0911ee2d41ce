"""to_planes, to_gray and ybr_to_rgb against numpy, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.kernels import to_gray, to_planes, ybr_to_rgb

from .kernel_stores import STORES, keywords, quantised
from .kernel_views import SEEDS, STORED, THREADS, as_laid_out, laid_out, layouts, shapes, stored_values

F32 = np.float32
MAP: dict[str, Any] = dict(low=-300.0, high=500.0, scale=0.25, offset=-3.0)


def mapped(values: NDArray[Any], slope: Any, intercept: Any) -> NDArray[np.float32]:
    with np.errstate(all="ignore"):
        units = values.astype(F32) * np.asarray(slope, F32) + np.asarray(intercept, F32)
        return np.clip(units, F32(-300), F32(500)) * F32(0.25) + F32(-3)


def gray_of(src: NDArray[Any], photometric: str) -> NDArray[np.float32]:
    red, green, blue = np.moveaxis(src.astype(F32), -1, 0)
    if photometric == "YBR_FULL":
        return red
    with np.errstate(all="ignore"):
        return F32(0.299) * red + F32(0.587) * green + F32(0.114) * blue


def rgb_of(ybr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """PS3.3 C.7.6.3.1.2 in float32."""
    light, blue, red = np.moveaxis(ybr.astype(F32), -1, 0)
    blue, red = blue - F32(128), red - F32(128)
    rgb = (
        light + F32(1.402) * red,
        light - F32(0.344136) * blue - F32(0.714136) * red,
        light + F32(1.772) * blue,
    )
    return np.clip(np.rint(np.stack(rgb, axis=-1)), 0, 255).astype(np.uint8)


@given(
    shape=shapes(3, most=9),
    channels=st.sampled_from([(1, 1), (1, 3), (2, 2), (3, 3), (4, 4)]),
    dtype=st.sampled_from(STORED),
    seed=SEEDS,
    in_layout=layouts(4),
    plain=st.booleans(),
    out_layout=layouts(4),
    store=STORES,
    threads=THREADS,
)
def test_planes(shape, channels, dtype, seed, in_layout, plain, out_layout, store, threads) -> None:
    src = stored_values((*shape, channels[0]), dtype, seed)
    src = src if plain else as_laid_out(src, in_layout)
    out = laid_out((shape[0], channels[1], *shape[1:]), store[0], out_layout)
    slope = np.linspace(0.5, 2, channels[1], dtype=F32)
    intercept = np.linspace(-9, 9, channels[1], dtype=F32)
    to_planes(src, out, slope=slope, intercept=intercept, threads=threads, **MAP, **keywords(store))
    expected = np.moveaxis(mapped(np.broadcast_to(src, (*shape, channels[1])), slope, intercept), -1, 1)
    np.testing.assert_array_equal(out, quantised(expected, store))


@given(
    shape=shapes(3, most=9),
    dtype=st.sampled_from(STORED),
    seed=SEEDS,
    in_layout=layouts(4),
    plain=st.booleans(),
    out_layout=layouts(3),
    photometric=st.sampled_from(["RGB", "YBR_FULL"]),
    store=STORES,
    threads=THREADS,
)
def test_gray(shape, dtype, seed, in_layout, plain, out_layout, photometric, store, threads) -> None:
    src = stored_values((*shape, 3), dtype, seed)
    src = src if plain else as_laid_out(src, in_layout)
    out = laid_out(shape, store[0], out_layout)
    to_gray(src, out, photometric=photometric, slope=1.5, intercept=-7.0, threads=threads, **MAP, **keywords(store))
    np.testing.assert_array_equal(out, quantised(mapped(gray_of(src, photometric), 1.5, -7.0), store))


@pytest.mark.parametrize("store", [("float32", 1.0, 0), ("uint8", 0.5, 3)])
def test_large_enough_for_every_path(store: tuple[str, float, int]) -> None:
    src = stored_values((2, 1500, 1999, 3), "uint8", 3)
    planes, gray = np.empty((2, 3, 1500, 1999), store[0]), np.empty((2, 1500, 1999), store[0])
    slope = np.array([1, 2, 3], F32)
    for threads in (1, 3):
        planes[...], gray[...] = 9, 9
        to_planes(src, planes, slope=slope, threads=threads, **MAP, **keywords(store))
        np.testing.assert_array_equal(planes, quantised(np.moveaxis(mapped(src, slope, 0), -1, 1), store))
        to_gray(src, gray, threads=threads, **MAP, **keywords(store))
        np.testing.assert_array_equal(gray, quantised(mapped(gray_of(src, "RGB"), 1, 0), store))


@given(shape=shapes(3, most=40), seed=SEEDS, layout=layouts(4), out_layout=layouts(4), threads=THREADS)
def test_ybr_of_any_strides(shape, seed, layout, out_layout, threads) -> None:
    src = as_laid_out(stored_values((*shape, 3), "uint8", seed), layout)
    out = laid_out(src.shape, np.uint8, out_layout)
    ybr_to_rgb(src, out, threads=threads)
    np.testing.assert_array_equal(out, rgb_of(src))


def test_ybr_in_place_and_planar() -> None:
    pixels = stored_values((3, 200, 301, 3), "uint8", 2)
    expected = rgb_of(pixels)
    planar = np.moveaxis(np.moveaxis(pixels, -1, 1).copy(), 1, -1)
    out = np.empty_like(pixels)
    ybr_to_rgb(planar, out)
    np.testing.assert_array_equal(out, expected)
    ybr_to_rgb(pixels, pixels)
    np.testing.assert_array_equal(pixels, expected)


def test_refusals() -> None:
    src, planes, gray = np.zeros((2, 4, 5, 3), np.uint8), np.zeros((2, 3, 4, 5), F32), np.zeros((2, 4, 5), F32)

    def refused(argument: str, kernel: Any, *arguments: Any, **options: Any) -> None:
        with pytest.raises(ValueError, match=f"'{argument}'") as error:
            kernel(*arguments, **options)
        assert "\n" not in str(error.value)

    refused("src", to_planes, src[0], planes)
    refused("src", to_planes, src.astype(np.float64), planes)
    refused("out", to_planes, src, planes[:, :2])
    refused("out", to_planes, src, gray)
    refused("slope", to_planes, src, planes, slope=np.ones(2, F32))
    refused("slope", to_planes, src, planes, slope=planes[0, 0, 0, :3])
    refused("low", to_planes, src, planes, low=2.0, high=1.0)
    refused("out", to_planes, src, src.transpose(0, 3, 1, 2))
    refused("src", to_gray, src[..., :2], gray)
    refused("out", to_gray, src, gray[:1])
    refused("photometric", to_gray, src, gray, photometric="YBR_ICT")
    refused("threads", to_gray, src, gray, threads=-1)
    refused("src", ybr_to_rgb, src.astype(np.uint16), src.copy())
    refused("out", ybr_to_rgb, src[:1], src[1])
    refused("out", ybr_to_rgb, src, src[:, ::-1])
