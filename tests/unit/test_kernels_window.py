"""The sliding window's kernels against numpy, to the last bit; softmax and sigmoid in units in the last place."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.kernels import accumulate, argmax, divide, gather, sigmoid, softmax, threshold, window_norm

from .kernel_views import SEEDS, STORED, THREADS, as_laid_out, laid_out, layouts, shapes, stored_values
from .test_kernels_rescale import oracle as rescaled

F32 = np.float32
NUMPY_PADDING = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def floats(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(F32)


def bells_of(shape: tuple[int, ...], seed: int) -> tuple[NDArray[np.float32], ...]:
    return tuple(np.random.default_rng(seed + axis).uniform(0, 1, n).astype(F32) for axis, n in enumerate(shape))


def weight_of(bells: tuple[NDArray[np.float32], ...], floor: float) -> NDArray[np.float32]:
    z, y, x = bells
    return np.maximum((z[:, None, None] * y[:, None]) * x, F32(floor))


@given(
    channels=st.integers(1, 3),
    shape=shapes(3, 7, 1),
    patch_shape=shapes(3, 9, 0),
    start=st.tuples(*[st.integers(-9, 9)] * 3),
    padding=st.sampled_from(["constant", "reflect", "replicate", "circular"]),
    dtype=st.sampled_from(STORED),
    maps=st.booleans(),
    seed=SEEDS,
    in_layout=layouts(4),
    out_layout=layouts(4),
    threads=THREADS,
)
def test_gather(
    channels, shape, patch_shape, start, padding, dtype, maps, seed, in_layout, out_layout, threads
) -> None:
    src = as_laid_out(stored_values((channels, *shape), dtype, seed), in_layout)
    out = laid_out((channels, *patch_shape), F32, out_layout)
    value_map = {"slope": 1.5, "intercept": -3.0, "low": -500.0, "high": 500.0, "scale": 0.01, "offset": 2.0}
    gather(src, out, start, padding=padding, fill=-7.5, threads=threads, **(value_map if maps else {}))
    values = np.stack([rescaled(c, *value_map.values()) for c in src]) if maps else src.astype(F32)
    around = [(0, 0)]
    for first, n, size in zip(start, patch_shape, shape, strict=True):
        around.append((max(-first, 0), max(first + n - size, 0)))
    padded = (
        np.pad(values, around, constant_values=F32(-7.5))
        if padding == "constant"
        else np.pad(values, around, mode=NUMPY_PADDING[padding])  # type: ignore[call-overload]
    )
    there = [slice(max(first, 0), max(first, 0) + n) for first, n in zip(start, patch_shape, strict=True)]
    np.testing.assert_array_equal(out, padded[(slice(None), *there)])


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 2, 1), (1, 3, 0, 2), (3, 1, 2, 0)])
def test_gather_of_a_large_patch_keeps_every_bit(order: tuple[int, ...]) -> None:
    shape = (2, 50, 61, 140)
    src = floats(tuple(shape[axis] for axis in order), 3).transpose(np.argsort(order))
    src[0, 5, 5, 5], src[1, 6, 6, 6], src[0, 7, 7, 7] = np.nan, -0.0, np.inf
    for threads in (1, 3):
        out = np.full((2, 40, 48, 96), 9, F32)
        gather(src, out, (3, 5, 2), threads=threads)
        np.testing.assert_array_equal(out.view(np.uint32), src[:, 3:43, 5:53, 2:98].copy().view(np.uint32))


@given(
    channels=st.integers(1, 3),
    patch_shape=shapes(3, 6, 0),
    shape=shapes(3, 8, 0),
    starts=st.lists(st.tuples(*[st.integers(-7, 9)] * 3), min_size=1, max_size=3),
    fresh=st.one_of(st.none(), st.tuples(*[st.integers(-1, 7)] * 3)),
    floor=st.sampled_from([0.0, 0.1]),
    seed=SEEDS,
    in_layout=layouts(4),
    total_layout=layouts(4),
    threads=THREADS,
)
def test_accumulate(channels, patch_shape, shape, starts, fresh, floor, seed, in_layout, total_layout, threads) -> None:
    bells = bells_of(patch_shape, seed)
    weight = weight_of(bells, floor)
    total = as_laid_out(floats((channels, *shape), seed + 7), total_layout)
    expected = total.copy()
    for start in starts:
        patch = as_laid_out(floats((channels, *patch_shape), seed + 1), in_layout)
        largest = accumulate(patch, bells, total, start, floor=floor, fresh=fresh, threads=threads)
        there, here = [], []
        for at, n, size in zip(start, patch_shape, shape, strict=True):
            low, high = max(at, 0), max(min(at + n, size), max(at, 0))
            there.append(slice(low, high))
            here.append(slice(min(low - at, n), min(max(high - at, low - at), n)))
        if fresh is not None:
            first = tuple(slice(max(f + at, 0), part.stop) for f, at, part in zip(fresh, start, there, strict=True))
            expected[
                (slice(None), *(slice(max(f.start, t.start), t.stop) for f, t in zip(first, there, strict=True)))
            ] = 0
        inside = patch[(slice(None), *here)]
        expected[(slice(None), *there)] += inside * weight[tuple(here)]
        assert largest == np.abs(inside).max(initial=0)
    np.testing.assert_array_equal(total, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -1e-42])
def test_accumulate_tells_of_what_is_not_finite(value: float) -> None:
    patch = np.zeros((2, 5, 40, 41), F32)
    patch[1, 3, 20, 33] = value
    if not np.isfinite(value):
        patch[0, 0, 0, 0] = np.inf  # a NaN is told before an infinity
    bells = bells_of(patch.shape[1:], 0)
    for threads in (1, 3):
        total = np.zeros_like(patch)
        got = accumulate(patch, bells, total, (0, 0, 0), threads=threads)
        np.testing.assert_equal(F32(got), F32(abs(value)))


def test_a_ring_of_planes() -> None:
    """Plane z at z modulo the depth: what a slab of one window's depth holds in the end."""
    image, depth, bells = (11, 6, 7), 4, bells_of((4, 6, 7), 2)
    patches = {z: floats((2, 4, 6, 7), z) for z in (0, 2, 4, 6, 7)}
    whole, ring = np.zeros((2, *image), F32), np.zeros((2, depth, *image[1:]), F32)
    done = 0
    for z, patch in patches.items():
        for plane in range(done, z):
            np.testing.assert_array_equal(ring[:, plane % depth], whole[:, plane])
            ring[:, plane % depth] = 0
        done = z
        accumulate(patch, bells, whole, (z, 0, 0))
        accumulate(patch, bells, ring, (z, 0, 0), planes=11, threads=3)
    for plane in range(7, 11):
        np.testing.assert_array_equal(ring[:, plane % depth], whole[:, plane])


def test_accumulate_takes_numpy_integers_and_far_starts() -> None:
    patch, bells = np.ones((1, 2, 2, 2), F32), (np.ones(2, F32),) * 3
    total = np.zeros((1, 4, 4, 4), F32)
    accumulate(patch, bells, total, tuple(np.array([3, 3, 3])))
    assert total.sum() == 1
    assert accumulate(patch, bells, total, (2**59, 0, -(2**59))) == 0
    assert total.sum() == 1


@given(
    roi=shapes(3, 5, 0),
    shape=shapes(3, 9, 0),
    starts=st.tuples(*[st.sets(st.integers(-4, 9), max_size=4).map(sorted)] * 3),
    first=st.integers(0, 4),
    floor=st.sampled_from([0.0, 0.1]),
    seed=SEEDS,
    layout=layouts(3),
    threads=THREADS,
)
def test_window_norm_is_what_adding_up_gives(roi, shape, starts, first, floor, seed, layout, threads) -> None:
    bells = bells_of(roi, seed)
    weight = weight_of(bells, floor)
    starts = (starts[0], *([s for s in starts[k] if -roi[k] < s < shape[k]] for k in (1, 2)))
    far = 20
    whole = np.zeros((far * 2 + 30,) * 3, F32)
    for z, y, x in itertools.product(*starts):
        whole[z + far : z + far + roi[0], y + far : y + far + roi[1], x + far : x + far + roi[2]] += weight
    out = laid_out(shape, F32, layout)
    arrays = [np.array(axis, np.int64) for axis in starts]
    window_norm(out, bells, arrays, floor=floor, first=first, threads=threads)
    begin = far + first
    want = whole[begin : begin + shape[0], far : far + shape[1], far : far + shape[2]]
    np.testing.assert_array_equal(out, want)


@given(
    channels=st.integers(0, 4),
    shape=shapes(3, 9),
    seed=SEEDS,
    in_layout=layouts(4),
    norm_layout=layouts(3),
    out_layout=layouts(4),
    threads=THREADS,
)
def test_divide(channels, shape, seed, in_layout, norm_layout, out_layout, threads) -> None:
    total = as_laid_out(floats((channels, *shape), seed), in_layout)
    norm = as_laid_out(np.where(floats(shape, seed + 1) < -1, F32(0), floats(shape, seed + 2)), norm_layout)
    out = laid_out(total.shape, F32, out_layout)
    divide(total, norm, out, threads=threads)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(out, total / norm)


@given(
    channels=st.integers(1, 5),
    shape=shapes(3, 9),
    seed=SEEDS,
    special=st.booleans(),
    in_layout=layouts(4),
    norm_layout=layouts(3),
    out_layout=layouts(3),
    level=st.sampled_from([0.5, 0.0, -0.25]),
    first_label=st.sampled_from([0, 1, 7]),
    threads=THREADS,
)
def test_labels(
    channels, shape, seed, special, in_layout, norm_layout, out_layout, level, first_label, threads
) -> None:
    rng = np.random.default_rng(seed)
    values = np.round(floats((channels, *shape), seed), 1)  # with ties
    norm = rng.uniform(0.5, 2, shape).astype(F32)
    if special:
        values = np.where(rng.random(values.shape) < 0.2, rng.choice([np.nan, np.inf, -np.inf], values.shape), values)
        values = values.astype(F32)
        norm[rng.random(shape) < 0.2] = 0
    src, divisor = as_laid_out(values, in_layout), as_laid_out(norm, norm_layout)
    out = laid_out(shape, np.uint8, out_layout)

    def labels(positive: NDArray[np.bool_]) -> NDArray[Any]:
        return np.where(positive.any(axis=0), first_label + positive.argmax(axis=0), 0)

    argmax(src, out, threads=threads)
    np.testing.assert_array_equal(out, values.argmax(axis=0))
    threshold(src, out, level, norm=divisor, first_label=first_label, threads=threads)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(out, labels(values / norm >= F32(level)))
    threshold(src, out, level, first_label=first_label, threads=threads)
    np.testing.assert_array_equal(out, labels(values >= F32(level)))
    masks = as_laid_out(rng.integers(0, 4, values.shape, np.uint8), in_layout)
    for whole in (0, 1, 3, 255):
        threshold(masks, out, whole, first_label=first_label, threads=threads)
        np.testing.assert_array_equal(out, labels(masks >= whole))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 0, 1, 2), (0, 3, 2, 1)])
def test_labels_of_many_voxels_and_channels(order: tuple[int, ...]) -> None:
    shape = (256, 7, 61, 67)
    total = floats(tuple(shape[axis] for axis in order), 5).transpose(np.argsort(order))
    out = np.empty(shape[1:], np.uint8)
    for threads in (1, 2):
        argmax(total, out, threads=threads)
        np.testing.assert_array_equal(out, total.argmax(axis=0))
        threshold(total[:255], out, 2.5, threads=threads)
        np.testing.assert_array_equal(out, np.where((total[:255] >= 2.5).any(0), 1 + (total[:255] >= 2.5).argmax(0), 0))


def test_a_large_volume_with_every_split() -> None:
    total = floats((2, 3, 300, 311), 6)
    norm = np.full(total.shape[1:], 2, F32)
    out, blended = np.empty(total.shape[1:], np.uint8), np.empty_like(total)
    for threads in (1, 2, 4):
        out[...] = 9
        argmax(total, out, threads=threads)
        np.testing.assert_array_equal(out, total.argmax(axis=0))
        out[...] = 9
        threshold(total[:1], out, 0.2, norm=norm, threads=threads)
        np.testing.assert_array_equal(out, total[0] / 2 >= F32(0.2))
        divide(total, norm, blended, threads=threads)
        np.testing.assert_array_equal(blended, total / 2)


def units_off(got: NDArray[np.float32], want: NDArray[np.float64]) -> float:
    """The largest difference in units in the last place of the exact result."""
    unit = np.maximum(np.spacing(np.abs(want).astype(F32)), np.spacing(F32(0))).astype(np.float64)
    return float((np.abs(got.astype(np.float64) - want) / unit).max(initial=0))


def softmax64(src: NDArray[np.float32]) -> NDArray[np.float64]:
    power = np.exp(src.astype(np.float64) - src.astype(np.float64).max(axis=0))
    return power / power.sum(axis=0)  # type: ignore[no-any-return]


@given(
    channels=st.integers(1, 5),
    shape=shapes(3, 9),
    spread=st.sampled_from([0.1, 3.0, 60.0]),
    seed=SEEDS,
    in_layout=layouts(4),
    out_layout=layouts(4),
    threads=THREADS,
)
def test_activations(channels, shape, spread, seed, in_layout, out_layout, threads) -> None:
    src = as_laid_out(floats((channels, *shape), seed) * F32(spread), in_layout)
    out = laid_out(src.shape, F32, out_layout)
    sigmoid(src, out, threads=threads)
    assert units_off(out, 1 / (1 + np.exp(-src.astype(np.float64)))) <= 2.5
    held = src.copy()
    sigmoid(src, src, threads=threads)
    np.testing.assert_array_equal(src, out)
    src[...] = held
    if channels:
        softmax(src, out, threads=threads)
        assert src.size == 0 or np.abs(out - softmax64(src)).max() < 3e-7
        softmax(src, src, threads=threads)
        np.testing.assert_array_equal(src, out)


def test_sigmoid_over_its_whole_range() -> None:
    src = np.linspace(-110, 110, 2_000_003, dtype=F32)[np.newaxis, np.newaxis, np.newaxis]
    out = np.empty_like(src)
    sigmoid(src, out)
    assert units_off(out, 1 / (1 + np.exp(-src.astype(np.float64)))) <= 2.5


def test_softmax_of_two_channels_over_its_whole_range() -> None:
    """One channel at 0: the other is exp(x) / (1 + exp(x)), also where that is subnormal."""
    src = np.zeros((2, 1, 1, 1_000_003), F32)
    src[0] = np.linspace(-110, 0, src.shape[-1], dtype=F32)
    out = np.empty_like(src)
    softmax(src, out)
    assert units_off(out, softmax64(src)) <= 3


def test_activations_of_what_is_not_finite() -> None:
    src = np.array([[np.nan, np.inf, -np.inf, -np.inf], [0, 0, 0, -np.inf]], F32).reshape(2, 1, 1, 4)
    out = np.empty_like(src)
    softmax(src, out)
    np.testing.assert_array_equal(out[:, 0, 0], [[np.nan, np.nan, 0, np.nan], [np.nan, np.nan, 1, np.nan]])
    sigmoid(src, out)
    np.testing.assert_array_equal(out[:, 0, 0], [[np.nan, 1, 0, 0], [0.5, 0.5, 0.5, 0]])


def refused(argument: str, call: Any, *arguments: Any, **options: Any) -> None:
    with pytest.raises(ValueError, match=f"'{argument}'") as error:
        call(*arguments, **options)
    assert "\n" not in str(error.value)


def test_gather_refusals() -> None:
    src, out, at = np.zeros((2, 4, 4, 4), np.int16), np.zeros((2, 3, 3, 3), F32), (0, 0, 0)
    refused("src", gather, src.astype(np.int64), out, at)
    refused("src", gather, src[0], out, at)
    refused("src", gather, src[:, :0], out, at, padding="replicate")
    refused("out", gather, src, out.astype(np.float64), at)
    refused("out", gather, src, out[:1], at)
    refused("out", gather, out, out, at)
    refused("out", gather, src, np.broadcast_to(out[:, :1], out.shape), at)
    refused("start", gather, src, out, (0, 0))
    refused("padding", gather, src, out, at, padding="wrap")
    refused("low", gather, src, out, at, low=1.0, high=0.0)
    refused("threads", gather, src, out, at, threads=-1)


def test_accumulate_refusals() -> None:
    patch, bells = np.ones((2, 2, 2, 2), F32), (np.ones(2, F32),) * 3
    total, at = np.zeros((2, 4, 4, 4), F32), (0, 0, 0)
    refused("patch", accumulate, patch.astype(np.float64), bells, total, at)
    refused("patch", accumulate, patch[0], bells, total, at)
    refused("bells", accumulate, patch, bells[:2], total, at)
    refused("bells", accumulate, patch, (*bells[:2], np.ones(3, F32)), total, at)
    refused("bells", accumulate, patch, (*bells[:2], np.ones(2)), total, at)
    refused("bells", accumulate, patch, (*bells[:2], np.ones(4, F32)[::2]), total, at)
    refused("bells", accumulate, patch, 7, total, at)
    refused("total", accumulate, patch, bells, total[:1], at)
    refused("total", accumulate, total[:, :2, :2, :2], bells, total, at)
    refused("total", accumulate, patch, (total[0, 0, 0, :2], *bells[1:]), total, at)
    refused("total", accumulate, patch, bells, np.broadcast_to(total[:1], total.shape), at)
    refused("total", accumulate, patch, bells, total[:, :1], at, planes=4)
    refused("planes", accumulate, patch, bells, total, at, planes=-1)
    refused("start", accumulate, patch, bells, total, (0, 0))
    refused("start", accumulate, patch, bells, total, (0, 0, 0.5))
    refused("start", accumulate, patch, bells, total, (0, 0, 2**70))
    refused("start", accumulate, patch, bells, total, None)
    refused("fresh", accumulate, patch, bells, total, at, fresh=(0,))
    refused("floor", accumulate, patch, bells, total, at, floor=np.nan)
    refused("threads", accumulate, patch, bells, total, at, threads=-1)
    assert not total.any()


def test_norm_and_divide_refusals() -> None:
    out, bells, starts = np.zeros((3, 4, 5), F32), (np.ones(2, F32),) * 3, (np.zeros(1, np.int64),) * 3
    refused("out", window_norm, out[0], bells, starts)
    refused("out", window_norm, out, (out[0, 0], *bells[1:]), starts)
    refused("starts", window_norm, out, bells, [[0]] * 3)
    refused("starts", window_norm, out, bells, (np.full(1, 2**62),) * 3)
    refused("starts", window_norm, out, bells, (np.zeros(2, np.int64), *starts[1:]))
    refused("starts", window_norm, out, bells, (*starts[:2], np.array([2, 1])))
    refused("starts", window_norm, out, bells, (*starts[:2], np.array([0, 5])))
    refused("starts", window_norm, out, bells, (starts[0], np.array([-2]), starts[2]))
    refused("floor", window_norm, out, bells, starts, floor="much")
    refused("bells", window_norm, out, bells[:1], starts)
    total = np.zeros((2, 3, 4, 5), F32)
    refused("total", divide, total[0], out, total)
    refused("norm", divide, total, out[:2], total.copy())
    refused("out", divide, total, out, total)
    refused("out", divide, total, out, total[:1].copy())


def test_label_and_activation_refusals() -> None:
    src, norm, out = np.zeros((2, 3, 4, 5), F32), np.ones((3, 4, 5), F32), np.zeros((3, 4, 5), np.uint8)
    for call, extra in ((argmax, ()), (threshold, (0.5,))):
        refused("src", call, src.astype(np.float16), out, *extra)
        refused("src", call, src[0], out, *extra)
        refused("src", call, src[:0], out, *extra)
        refused("src", call, np.zeros((257, 3, 4, 5), F32), out, *extra)
        refused("out", call, src, out[:2], *extra)
        refused("out", call, src, out.view(np.int8), *extra)
        refused("out", call, src, src[0].view(np.uint8)[:, :, :5], *extra)
        refused("out", call, src, np.broadcast_to(out[:1], out.shape), *extra)
    refused("level", threshold, src, out, np.nan)
    refused("level", threshold, src.astype(np.uint8), out, 0.5)
    refused("norm", threshold, src, out, 0.5, norm=norm[:2])
    refused("norm", threshold, src.astype(np.uint8), out, 1, norm=norm)
    refused("first_label", threshold, src, out, 0.5, first_label=-1)
    refused("src", threshold, src, out, 0.5, first_label=255)
    for activation in (softmax, sigmoid):
        refused("src", activation, src[0], src[0])
        refused("src", activation, src.astype(np.float64), src)
        refused("out", activation, src, src[:1])
        refused("out", activation, src, src[::-1])
        refused("out", activation, src[:, :2], src[:, 1:])
