"""keep_largest, fill_holes and draw_outline against scipy.ndimage; nms against a naive loop and MONAI."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from bedside.kernels import Components, connected_components, draw_outline, fill_holes, keep_largest, nms

from .kernel_views import SEEDS, THREADS, as_laid_out, layouts, shapes
from .test_kernels_components import FOREGROUND, crowded, refused, structure

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def kept_by_scipy(labels: NDArray[np.uint8], inside: NDArray[np.bool_], connectivity: int, count: int) -> None:
    found, _ = ndimage.label(inside, structure(connectivity))
    sizes = np.bincount(found.ravel())[1:]
    largest = np.argsort(sizes, kind="stable")[::-1][:count] + 1
    labels[inside & ~np.isin(found, largest)] = 0


@given(
    shape=st.one_of(shapes(2), shapes(3, most=9)), seed=SEEDS, count=st.integers(0, 3), threads=THREADS, data=st.data()
)
def test_the_largest_are_kept(shape, seed, count, threads, data) -> None:
    values = crowded(shape, seed)
    connectivity = data.draw(st.sampled_from([4, 8] if len(shape) == 2 else [6, 18, 26]))
    together = data.draw(st.booleans())
    labels, expected = as_laid_out(values, data.draw(layouts(len(shape)))), values.copy()
    if together:
        kept_by_scipy(expected, values > 0, connectivity, count)
    else:
        for label in (1, 2, 3):
            kept_by_scipy(expected, values == label, connectivity, count)
    groups = FOREGROUND if together else None
    keep_largest(labels, connectivity=connectivity, groups=groups, count=count, threads=threads)
    np.testing.assert_array_equal(labels, expected)


def test_what_has_no_group_is_not_touched() -> None:
    labels = np.array([[1, 0, 1, 1, 2, 0, 2]], np.uint8)
    groups = np.zeros(256, np.uint8)
    groups[1] = 1
    keep_largest(labels, connectivity=4, groups=groups)
    assert labels.tolist() == [[0, 0, 1, 1, 2, 0, 2]]


@given(shape=st.one_of(shapes(2), shapes(3, most=9)), seed=SEEDS, threads=THREADS, data=st.data())
def test_holes_are_filled(shape, seed, threads, data) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.random(shape) < rng.choice([0.5, 0.7, 0.9])).astype(np.uint8) * rng.integers(1, 4, shape, np.uint8)
    connectivity = data.draw(st.sampled_from([4, 8] if len(shape) == 2 else [4, 8, 6, 18, 26]))
    neighbours = structure(connectivity)
    if neighbours.ndim < len(shape):
        neighbours = np.stack([np.zeros_like(neighbours), neighbours, np.zeros_like(neighbours)])
    order = data.draw(st.permutations([0, 1, 2, 3]))
    labels, expected = as_laid_out(values, data.draw(layouts(len(shape)))), values.copy()
    for label in order:
        if label:
            expected[ndimage.binary_fill_holes(expected == label, neighbours)] = label
    fill_holes(labels, np.array(order, np.uint8), connectivity=connectivity, threads=threads)
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_holes_in_slices_are_filled_in_the_first_and_the_last_too(connectivity: int) -> None:
    labels = np.zeros((3, 7, 7), np.uint8)
    labels[:, 1:6, 1:6] = 1
    expected = labels.copy()
    labels[:, 3, 3] = 0
    fill_holes(labels, np.ones(1, np.uint8), connectivity=connectivity)
    np.testing.assert_array_equal(labels, expected)


@given(
    shape=shapes(2, most=20, least=1),
    size=st.tuples(st.integers(0, 60), st.integers(0, 90)),
    seed=SEEDS,
    width=st.integers(0, 4),
    threads=THREADS,
    data=st.data(),
)
def test_an_outline_is_that_of_dilations(shape, size, seed, width, threads, data) -> None:
    part = as_laid_out(crowded(shape, seed) * (np.random.default_rng(seed).random(shape) < 0.2), data.draw(layouts(2)))
    rows, columns = (np.arange(n) * m // max(n, 1) for n, m in zip(size, shape, strict=True))
    picture = as_laid_out(np.full((*size, 3), 9, np.uint8), data.draw(layouts(3)))
    groups = np.zeros(256, np.uint8)
    groups[[1, 3]] = 1, 2
    draw_outline(
        part,
        picture,
        groups=groups,
        rows=rows.astype(np.int32),
        columns=columns.astype(np.int32),
        color=(1, 2, 3),
        width=width,
        threads=threads,
    )
    large = np.isin(part, (1, 3))[np.ix_(rows, columns)]
    square = np.ones((3, 3), bool)
    gap = ndimage.binary_dilation(large)
    line = ndimage.binary_dilation(gap, square, iterations=width) if width else gap
    rim = ndimage.binary_dilation(line, square)
    expected = np.full((*size, 3), 9, np.uint8)
    expected[line & ~gap] = 1, 2, 3
    expected[rim & ~line] = 0
    np.testing.assert_array_equal(picture, expected)


def test_a_map_that_another_thread_writes_to_is_read_within_bounds() -> None:
    rng = np.random.default_rng(0)
    few, many = ((rng.random((8, 256, 256)) < share).astype(np.uint8) for share in (0.001, 0.5))
    src, out = few.copy(), np.empty(few.shape, np.int32)
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            src[...] = many
            src[...] = few

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(15):
            found = Components(src, connectivity=6)
            assert (found.voxels > 0).all() and (found.label == 1).all()
            connected_components(src, out, connectivity=26)
            fill_holes(src, np.ones(1, np.uint8), connectivity=6)
            keep_largest(src, connectivity=6)
    finally:
        done.set()
        writer.join()


def test_boxes_that_another_thread_writes_to_are_copied_first() -> None:
    n = 50000
    low = np.arange(n, dtype=np.float32)[:, None]
    boxes = np.concatenate([low, low, low + 1, low + 1], axis=1)
    rising, out = np.arange(n, dtype=np.float32), np.empty(n, np.int64)
    scores = rising.copy()
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            scores[...] = 1
            scores[...] = rising[::-1]
            scores[...] = rising

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(30):
            assert nms(boxes, scores, out, threshold=0.5, most=1) == 1 and 0 <= out[0] < n
    finally:
        done.set()
        writer.join()


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> np.float32:
    axes = len(a) // 2
    shared = size_a = size_b = np.float32(1)
    for k in range(axes):
        shared *= max(np.float32(0), min(a[axes + k], b[axes + k]) - max(a[k], b[k]))
        size_a *= a[axes + k] - a[k]
        size_b *= b[axes + k] - b[k]
    return shared / (size_a + size_b - shared + np.finfo(np.float32).eps)


def boxes_of(n: int, axes: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 40, (n, axes)).astype(np.float32)
    boxes = np.concatenate([low, low + rng.uniform(0, 30, (n, axes)).astype(np.float32)], axis=1)
    return boxes, rng.integers(0, 12, n).astype(np.float32) / 11


@given(
    n=st.one_of(st.integers(0, 12), st.integers(60, 140)),
    axes=st.sampled_from([2, 3]),
    seed=SEEDS,
    threshold=st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0]),
    most=st.sampled_from([None, 0, 1, 5]),
    threads=THREADS,
    layout=layouts(2),
)
def test_nms_is_the_naive_loop(n, axes, seed, threshold, most, threads, layout) -> None:
    boxes, scores = boxes_of(n, axes, seed)
    expected: list[int] = []
    for k in np.argsort(-scores, kind="stable"):
        if most is not None and len(expected) >= most:
            break
        if all(overlap(boxes[k], boxes[other]) <= np.float32(threshold) for other in expected):
            expected.append(int(k))
    out = np.empty(n, np.int64)
    count = nms(
        as_laid_out(boxes, layout), scores[::-1].copy()[::-1], out, threshold=threshold, most=most, threads=threads
    )
    assert out[:count].tolist() == expected


def golden() -> list[str]:
    with np.load(GOLDEN / "monai_nms.npz") as arrays:
        return sorted({name.split("/")[0] for name in arrays.files})


@pytest.mark.parametrize("case", golden())
def test_nms_is_monais(case: str) -> None:
    with np.load(GOLDEN / "monai_nms.npz") as arrays:
        boxes, scores, kept = (arrays[f"{case}/{name}"] for name in ("boxes", "scores", "kept"))
        threshold, most = float(arrays[f"{case}/threshold"]), int(arrays[f"{case}/most"])
    for threads in (1, 3):
        out = np.empty(len(boxes), np.int64)
        count = nms(boxes, scores, out, threshold=threshold, most=most if most > 0 else None, threads=threads)
        np.testing.assert_array_equal(out[:count], kept)


def test_refusals() -> None:
    labels = np.zeros((3, 4, 5), np.uint8)
    frozen = labels.copy()
    frozen.flags.writeable = False
    of = np.ones(1, np.uint8)
    for argument in (labels.astype(np.int32), frozen, labels[0, 0]):
        refused("labels", lambda a=argument: keep_largest(a, connectivity=6))
        refused("labels", lambda a=argument: fill_holes(a, of, connectivity=6))
    refused("connectivity", lambda: keep_largest(labels[0], connectivity=6))
    refused("connectivity", lambda: fill_holes(labels, of, connectivity=None))
    refused("count", lambda: keep_largest(labels, connectivity=6, count=-1))
    refused("of", lambda: fill_holes(labels, np.ones(1, np.int32), connectivity=6))


def test_refusals_of_an_outline() -> None:
    part, picture = np.zeros((4, 5), np.uint8), np.zeros((8, 10, 3), np.uint8)
    options = {
        "groups": FOREGROUND,
        "rows": np.repeat(np.arange(4, dtype=np.int32), 2),
        "columns": np.repeat(np.arange(5, dtype=np.int32), 2),
        "color": (1, 2, 3),
        "width": 1,
    }

    def draw(part: Any = part, picture: Any = picture, **changed: Any) -> None:
        draw_outline(part, picture, **(options | changed))

    refused("slice", lambda: draw(part[None]))
    refused("picture", lambda: draw(picture=picture[:, :, :2]))
    refused("picture", lambda: draw(picture=picture.astype(np.int8)))
    refused("picture", lambda: draw(picture[:4, :5, 0]))
    refused("rows", lambda: draw(rows=options["rows"][:7]))
    refused("rows", lambda: draw(rows=options["rows"][::-1]))
    refused("columns", lambda: draw(columns=options["columns"] + np.int32(1)))
    refused("color", lambda: draw(color=(1, 2, 256)))
    refused("width", lambda: draw(width=-1))


def test_refusals_of_nms() -> None:
    boxes, scores = boxes_of(5, 3, 0)
    out = np.empty(5, np.int64)
    refused("boxes", lambda: nms(boxes[:, :5], scores, out, threshold=0.5))
    refused("boxes", lambda: nms(boxes.astype(np.float64), scores, out, threshold=0.5))
    refused("boxes", lambda: nms(-boxes, scores, out, threshold=0.5))
    refused("boxes", lambda: nms(boxes * np.float32(np.inf), scores, out, threshold=0.5))
    refused("scores", lambda: nms(boxes, scores[:4], out, threshold=0.5))
    refused("scores", lambda: nms(boxes, scores * np.float32(np.nan), out, threshold=0.5))
    refused("out", lambda: nms(boxes, scores, out[:4], threshold=0.5))
    refused("out", lambda: nms(boxes, scores, out.astype(np.int32), threshold=0.5))
    refused("threshold", lambda: nms(boxes, scores, out, threshold=np.nan))
    refused("most", lambda: nms(boxes, scores, out, threshold=0.5, most=-1))
