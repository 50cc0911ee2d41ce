"""resize against OpenCV, torch's golden arrays, Pillow, SimpleITK and a plain sum in double precision."""

from __future__ import annotations

import hashlib
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.kernels import resize

from .kernel_views import SEEDS, STORED, THREADS, as_laid_out, laid_out, layouts, shapes, stored_values

F32 = np.float32
GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "torch_resize.npz"))
OURS = {
    "nearest": {"mode": "nearest", "coordinates": "asymmetric"},
    "nearest-exact": {"mode": "nearest"},
    "area": {"mode": "area"},
    "bilinear": {"mode": "linear"},
    "trilinear": {"mode": "linear"},
    "bicubic": {"mode": "cubic"},
}
OPTIONS = {"": {}, "align_corners": {"coordinates": "align_corners"}, "antialias": {"antialias": True}}


def resized(src: NDArray[Any], shape: tuple[int, ...], **options: Any) -> NDArray[np.float32]:
    out = np.full(shape, np.nan, F32)
    resize(src, out, **options)
    return out


def axis_matrix(old: int, new: int, mode: str, coordinates: str) -> NDArray[np.float64]:
    """What a resize is along one axis, as [new, old] weights: the definition, in exact or double arithmetic."""
    matrix = np.zeros((new, old))
    for i in range(new):
        if mode == "area":
            window = slice(i * old // new, -(-(i + 1) * old // new))
            matrix[i, window] = 1 / (window.stop - window.start)
        elif mode == "coverage":
            for j in range(old):
                matrix[i, j] = max(0, min((i + 1) * old, (j + 1) * new) - max(i * old, j * new)) / old
        else:
            at = {
                "half_pixel": (i + 0.5) * old / new - 0.5,
                "asymmetric": i * old / new,
                "align_corners": i * (old - 1) / (new - 1) if new > 1 else 0.0,
            }[coordinates]
            low = int(np.floor(at))
            t = at - low
            taps = {0: 1 - t, 1: t}
            if mode == "cubic":
                a = -0.75
                taps = {
                    k: (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
                    for k, d in ((k, abs(t - k)) for k in (-1, 0, 1, 2))
                }
            for k, weight in taps.items():
                matrix[i, min(max(low + k, 0), old - 1)] += weight
    return matrix


MODES = st.sampled_from(
    [
        (mode, coordinates)
        for mode in ("linear", "cubic")
        for coordinates in ("half_pixel", "align_corners", "asymmetric")
    ]
    + [("area", "half_pixel"), ("coverage", "half_pixel")]
)


@given(
    shape=shapes(4, 9, 1),
    new=shapes(3, 14),
    dtype=st.sampled_from(STORED),
    seed=SEEDS,
    in_layout=layouts(4),
    out_layout=layouts(4),
    how=MODES,
    gray=st.booleans(),
    volume=st.booleans(),
    threads=THREADS,
)
def test_equals_the_definition(shape, new, dtype, seed, in_layout, out_layout, how, gray, volume, threads) -> None:
    channels = 3 if gray else shape[3]
    shape = (*shape[:3], channels)
    new = new if volume else (shape[0], *new[1:])
    src = as_laid_out(stored_values(shape, dtype, seed), in_layout)
    scale = np.linspace(0.5, 2, 1 if gray else channels, dtype=F32)
    options: dict[str, Any] = {"mode": how[0], "coordinates": how[1], "slope": 2.0, "offset": 3.0, "scale": scale}
    z, y, x = (axis_matrix(old, wanted, *how) for old, wanted in zip(shape[:3], new, strict=True))
    expected = np.einsum("az,by,cx,zyxk->akbc", z, y, x, src.astype(np.float64), optimize=True)
    if gray:
        expected = np.einsum("k,akbc->abc", np.array([0.299, 0.587, 0.114]), expected)
    expected = 2 * expected * (1 if gray else scale[:, None, None]) * (scale[0] if gray else 1) + 3
    out = laid_out(
        expected.shape,
        F32,
        (out_layout[0], *out_layout[1:]) if not gray else ([2, 0, 1], [1, 2, 1], [True, False, False]),
    )
    resize(src, out, gray=gray, threads=threads, **options)
    tolerance = 4e-6 * max(1.0, float(np.abs(src.astype(np.float64)).max())) * 2 * 2
    np.testing.assert_allclose(out, expected, rtol=0, atol=tolerance)
    again = np.empty(expected.shape, F32)
    resize(src, again, gray=gray, threads=1, **options)
    np.testing.assert_array_equal(out, again)


@given(
    shape=shapes(4, 9, 1),
    new=shapes(3, 14, 1),
    dtype=st.sampled_from(STORED),
    seed=SEEDS,
    in_layout=layouts(4),
    out_layout=layouts(4),
    threads=THREADS,
)
def test_nearest_of_every_layout(shape, new, dtype, seed, in_layout, out_layout, threads) -> None:
    src = as_laid_out(stored_values(shape, dtype, seed), in_layout)
    index = [(np.arange(n) * 2 + 1) * old // (2 * n) for n, old in zip(new, shape[:3], strict=True)]
    expected = src[np.ix_(*index)].transpose(0, 3, 1, 2)
    for wanted in {dtype, "float32"}:
        out = laid_out(expected.shape, wanted, out_layout)
        resize(src, out, mode="nearest", threads=threads)
        np.testing.assert_array_equal(out, expected.astype(wanted))


def test_nearest_of_mirrored_rows() -> None:
    src = np.full((1, 64, 1024), 7, np.uint8)[:, :, ::-1]
    out = np.zeros((1, 64, 512), np.uint8)
    resize(src, out, mode="nearest")
    assert (out == 7).all()


@pytest.mark.parametrize("case", sorted(name for name in GOLDEN if "/" in name))
def test_equals_torch(case: str) -> None:
    source, mode, option, _ = case.split("/")
    expected = GOLDEN[case]
    src = GOLDEN[source]
    out = resized(src[None] if src.ndim == 2 else src, (1, *expected.shape)[-3:], **(OURS[mode] | OPTIONS[option]))
    if mode.startswith("nearest"):
        np.testing.assert_array_equal(out.reshape(expected.shape), expected)
    else:  # torch's coordinates are float32
        np.testing.assert_allclose(out.reshape(expected.shape), expected, rtol=0, atol=0.02)


@given(
    size=shapes(2, 40, 1),
    new=shapes(2, 40, 1),
    channels=st.sampled_from([1, 3]),
    mode=st.sampled_from(["linear", "cubic", "coverage"]),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    seed=SEEDS,
    threads=THREADS,
)
def test_equals_opencv(size, new, channels, mode, dtype, seed, threads) -> None:
    cv2 = pytest.importorskip("cv2")
    if mode == "coverage":
        new = tuple(min(n, old) for n, old in zip(new, size, strict=True))
    flag = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "coverage": cv2.INTER_AREA}[mode]
    src = stored_values((*size, channels), dtype, seed)
    expected = cv2.resize(src.astype(F32), new[::-1], interpolation=flag).reshape(*new, channels)
    out = resized(src[None], (1, channels, *new), mode=mode, threads=threads)
    # OpenCV's coordinates are float32: 40 * 2**-23 of a sample off, on slopes of up to 1.5 times the values' range.
    tolerance = {"uint8": 2e-3, "uint16": 0.5, "float32": 0.05}[dtype]
    if mode == "coverage":  # OpenCV leaves out slivers below a thousandth of a sample
        tolerance *= 100
    np.testing.assert_allclose(out[0].transpose(1, 2, 0), expected, rtol=0, atol=tolerance)


@given(size=shapes(2, 40, 1), new=shapes(2, 40, 1), dtype=st.sampled_from(["uint8", "int16", "float32"]), seed=SEEDS)
def test_nearest_equals_opencv(size, new, dtype, seed) -> None:
    cv2 = pytest.importorskip("cv2")
    src = stored_values(size, dtype, seed)
    expected = cv2.resize(src, new[::-1], interpolation=cv2.INTER_NEAREST)
    out = np.empty((1, *new), dtype)
    resize(src[None], out, mode="nearest", coordinates="asymmetric")
    # Where i * old / new is a whole number the two round differently, by one sample.
    sure = [np.arange(n) * old % n != 0 for n, old in zip(new, size, strict=True)]
    sure = [s | (np.arange(n) == 0) for s, n in zip(sure, new, strict=True)]
    np.testing.assert_array_equal(out[0][np.ix_(*sure)], expected[np.ix_(*sure)])


@pytest.mark.parametrize(("filter_name", "mode"), [("BILINEAR", "linear"), ("BICUBIC", "cubic")])
@pytest.mark.parametrize("size", [(11, 17), (60, 5), (90, 90), (1, 1)])
def test_antialias_equals_pillow(filter_name: str, mode: str, size: tuple[int, int]) -> None:
    image = pytest.importorskip("PIL.Image")
    src = stored_values((57, 43), "float32", 3)
    expected = np.asarray(image.fromarray(src).resize(size[::-1], getattr(image.Resampling, filter_name)))
    out = resized(src[None], (1, *size), mode=mode, antialias=True)
    np.testing.assert_allclose(out[0], expected, rtol=0, atol=2e-3)


def test_asymmetric_equals_simpleitk() -> None:
    sitk = pytest.importorskip("SimpleITK")
    src = stored_values((37, 53), "float32", 4)
    new = (12, 19)
    step = [53 / 19, 37 / 12]
    expected = sitk.GetArrayFromImage(
        sitk.Resample(
            sitk.GetImageFromArray(src), new[::-1], sitk.Transform(), sitk.sitkLinear, (0, 0), step, (1, 0, 0, 1)
        )
    )
    out = resized(src[None], (1, *new), coordinates="asymmetric")
    np.testing.assert_allclose(out[0], expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("shape", [(3, 301, 257), (1, 40, 40_000), (2, 5000, 7)])
@pytest.mark.parametrize("new", [(100, 120), (700, 33), (333, 300)])
@pytest.mark.parametrize("mode", ["linear", "area"])
def test_large_enough_for_every_split(shape: tuple[int, int, int], new: tuple[int, int], mode: str) -> None:
    src = stored_values(shape, "int16", 1)
    y, x = (axis_matrix(old, n, mode, "half_pixel") for old, n in zip(shape[1:], new, strict=True))
    expected = y @ src.astype(np.float64) @ x.T
    first = resized(src, (shape[0], *new), mode=mode, threads=1)
    np.testing.assert_allclose(first, expected, rtol=0, atol=0.2)
    for threads in (2, 5):
        np.testing.assert_array_equal(resized(src, first.shape, mode=mode, threads=threads), first)


def digest() -> str:
    """Of results that walk every loop."""
    src = np.random.default_rng(0).integers(0, 255, (2, 61, 83, 3)).astype(np.uint8)
    found = hashlib.sha256()
    for mode in ("nearest", "linear", "cubic", "area", "coverage"):
        for size in ((19, 29), (130, 17), (40, 300)):
            for antialias in (False, True) if mode in ("linear", "cubic") else (False,):
                out = np.empty((2, 3, *size), np.float32)
                resize(src, out, mode=mode, antialias=antialias, slope=1 / 3, threads=2)
                found.update(out.tobytes())
                resize(src.astype(np.float32), out[:, 0], mode=mode, antialias=antialias, gray=True)
                found.update(out.tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("isa", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_every_instruction_set_gives_the_same_numbers(isa: str) -> None:
    program = "import hashlib\nimport numpy as np\nfrom bedside.kernels import resize\n" + inspect.getsource(digest)
    ran = subprocess.run(
        [sys.executable, "-c", program + "print(digest())"],
        env=dict(os.environ, BEDSIDE_KERNEL_ISA=isa),
        capture_output=True,
        text=True,
        timeout=120,
    )
    if ran.returncode != 0 and "this CPU has" in ran.stderr:
        pytest.skip(ran.stderr.strip().splitlines()[-1])
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == digest()


def test_equal_samples_stay_what_they_are() -> None:
    src = np.full((1, 31, 17), 1234.567, F32)
    for options in ({}, {"coordinates": "align_corners"}, {"mode": "nearest"}):
        assert (resized(src, (1, 13, 40), **options) == src[0, 0, 0]).all()
    whole = np.full((1, 31, 17), 40_321, np.uint16)
    assert (resized(whole, (1, 13, 40), mode="area") == 40_321).all()


def test_the_size_it_has_is_a_copy() -> None:
    src = stored_values((2, 9, 11), "float32", 5)
    src[0, 3, 3], src[1, 0, 0] = np.nan, np.inf
    for mode in ("nearest", "linear", "cubic", "area", "coverage"):
        np.testing.assert_array_equal(resized(src, src.shape, mode=mode), src)
    np.testing.assert_array_equal(resized(src, src.shape, antialias=True), src)


def test_infinity_and_nan_spread_no_further_than_their_weight() -> None:
    src = np.zeros((1, 8, 8), F32)
    src[0, 4, 4], src[0, 0, 7] = np.inf, np.nan
    out = resized(src, (1, 4, 4), mode="area")[0]
    assert out[2, 2] == np.inf and np.isnan(out[0, 3]) and (np.delete(out.ravel(), [10, 3]) == 0).all()
    linear = resized(src, (1, 15, 15), coordinates="align_corners")[0]
    assert np.isfinite(linear[::2, ::2]).sum() == 62 and (linear[9:, :7] == 0).all()


def test_labels_keep_their_type() -> None:
    src = np.random.default_rng(1).integers(-(2**31), 2**31, (2, 7, 5)).astype(np.int32)
    out = np.empty((2, 14, 15), np.int32)
    resize(src, out, mode="nearest")
    np.testing.assert_array_equal(out, src.repeat(2, 1).repeat(3, 2))


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int8", "uint16", "int16"])
def test_other_types_of_a_network_input(dtype: str) -> None:
    src = stored_values((2, 20, 30, 3), "uint8", 2)
    floats = resized(src, (2, 3, 9, 11), slope=1 / 255, offset=-0.5)
    out = np.empty(floats.shape, dtype)
    if dtype == "float16":
        resize(src, out, slope=1 / 255, offset=-0.5)
        np.testing.assert_array_equal(out, floats.astype(np.float16))
    else:
        resize(src, out, slope=1 / 255, offset=-0.5, quant_scale=1 / 64, zero_point=60)
        info = np.iinfo(dtype)
        expected = np.clip(np.rint(floats / F32(1 / 64)) + 60, info.min, info.max)
        np.testing.assert_array_equal(out, expected.astype(dtype))


def test_nothing_beside_the_view_is_written() -> None:
    buffer = np.full((2, 9, 9), -1, F32)
    resize(np.ones((2, 8, 8), np.uint8), buffer[:, 1::2, 1::2])
    assert (buffer[:, 1::2, 1::2] == 1).all()
    assert (buffer[:, ::2] == -1).all() and (buffer[:, :, ::2] == -1).all()


def refused(argument: str, src: Any, out: Any, **options: Any) -> None:
    with pytest.raises(ValueError, match=f"'{argument}'") as error:
        resize(src, out, **options)
    assert "\n" not in str(error.value)


def test_refusals() -> None:
    src, out = np.zeros((3, 4, 5), np.int16), np.zeros((3, 7, 9), F32)
    colour, planes = np.zeros((2, 4, 5, 3), np.uint8), np.zeros((2, 3, 6, 6), F32)
    refused("src", src.astype(np.float64), out)
    refused("src", src[0], out)
    refused("src", src[:, :0], out)
    refused("src", src, out, gray=True)
    refused("out", src, out.astype(np.float64))
    refused("out", src, out[0])
    refused("out", src, np.zeros((3, 7, 9), np.int32))
    refused("out", src.astype(np.int32), np.zeros((3, 7, 9), np.int32), mode="nearest", slope=2.0)
    refused("out", colour, planes[:, :2])
    refused("out", colour, planes[:, 0])
    refused("out", colour, planes, gray=True)
    refused("out", src, np.broadcast_to(F32(0), (3, 7, 9)))
    refused("out", src[:, :, :4].view(np.int16), src.view(np.int16)[:, :2])
    refused("mode", src, out, mode="lanczos")
    refused("coordinates", src, out, coordinates="corners")
    refused("coordinates", src, out, mode="area", coordinates="align_corners")
    refused("antialias", src, out, mode="area", antialias=True)
    refused("antialias", src, out, coordinates="align_corners", antialias=True)
    refused("scale", colour, planes, scale=np.ones(2, F32))
    refused("offset", colour, planes, offset=np.ones(3))
    refused("low", src, out, low=1.0, high=0.0)
    refused("high", src, out, high=np.nan)
    refused("quant_scale", src, out, quant_scale=2.0)
    refused("zero_point", src, out.astype(np.uint8), zero_point=256)
    refused("threads", src, out, threads=-1)


def test_empty() -> None:
    resize(np.zeros((0, 4, 5), np.uint8), np.zeros((0, 7, 9), F32))
    resize(np.zeros((2, 0, 5), np.uint8), np.zeros((2, 0, 9), F32))
    resize(np.zeros((2, 4, 5, 0), np.uint8), np.zeros((2, 0, 7, 9), F32))
