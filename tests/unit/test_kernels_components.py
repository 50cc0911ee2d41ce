"""Connected components and what is measured on them, against scipy.ndimage, cc3d and SimpleITK."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from bedside.kernels import Components, connected_components

from .kernel_views import SEEDS, STORED, THREADS, as_laid_out, laid_out, layouts, shapes, stored_values

RANK = {4: (2, 1), 8: (2, 2), 6: (3, 1), 18: (3, 2), 26: (3, 3)}
FOREGROUND = np.ones(256, np.uint8)
FOREGROUND[0] = 0


def structure(connectivity: int) -> NDArray[np.bool_]:
    return np.asarray(ndimage.generate_binary_structure(*RANK[connectivity]))


def crowded(shape: tuple[int, ...], seed: int, labels: int = 3) -> NDArray[np.uint8]:
    """Few to many labelled voxels, alone and in boxes."""
    rng = np.random.default_rng(seed)
    array = (rng.integers(1, labels + 1, shape) * (rng.random(shape) < rng.choice([0, 0.1, 0.3, 0.6, 1]))).astype(
        np.uint8
    )
    for _ in range(int(rng.integers(0, 4))):
        corner = [int(rng.integers(0, n + 1)) for n in shape]
        array[tuple(slice(c, c + int(rng.integers(1, 7))) for c in corner)] = rng.integers(0, labels + 1)
    return array


def oracle(labels: NDArray[np.uint8], connectivity: int) -> tuple[NDArray[np.int64], int]:
    """Each label's components, numbered over all labels by their first voxel."""
    apart, count = np.zeros(labels.shape, np.int64), 0
    for label in np.unique(labels[labels > 0]):
        found, more = ndimage.label(labels == label, structure(connectivity))
        apart[found > 0] = found[found > 0] + count
        count += more
    numbers, first = np.unique(apart[apart > 0], return_index=True)
    lookup = np.zeros(count + 1, np.int64)
    lookup[numbers[np.argsort(first)]] = np.arange(1, count + 1)
    return lookup[apart], count


@given(
    shape=st.one_of(shapes(2), shapes(3, most=9), st.tuples(st.just(2), st.just(3), st.integers(60, 200))),
    seed=SEEDS,
    in_layout=st.data(),
    many=st.booleans(),
    wide=st.booleans(),
    dtype=st.sampled_from(["uint16", "int32", "uint32"]),
    threads=THREADS,
)
def test_components_are_those_of_scipy(shape, seed, in_layout, many, wide, dtype, threads) -> None:
    layout = layouts(len(shape))
    src = as_laid_out(crowded(shape, seed, 5 if many else 1), in_layout.draw(layout))
    before = src.copy()
    out = laid_out(shape, dtype, in_layout.draw(layout))
    connectivity = in_layout.draw(st.sampled_from([4, 8] if len(shape) == 2 else [6, 18, 26]))
    expected, count = oracle(src, connectivity)
    assert connected_components(src, out, connectivity=connectivity, threads=threads) == count
    np.testing.assert_array_equal(out, expected)
    together, expected_count = ndimage.label(src, structure(connectivity))
    assert (
        connected_components(src, out, connectivity=connectivity, groups=FOREGROUND, threads=threads) == expected_count
    )
    np.testing.assert_array_equal(out, together)
    np.testing.assert_array_equal(src, before)


@given(shape=shapes(3, most=9, least=1), seed=SEEDS, slope=st.booleans(), dtype=st.sampled_from(STORED), data=st.data())
def test_measurements_are_those_of_the_voxels(shape, seed, slope, dtype, data) -> None:
    rng = np.random.default_rng(seed)
    src = as_laid_out(crowded(shape, seed), data.draw(layouts(3)))
    stored = as_laid_out(stored_values(shape, dtype, seed), data.draw(layouts(3)))
    threads = data.draw(THREADS)
    found = Components(src, connectivity=26, threads=threads)
    expected, count = oracle(src, 26)
    assert len(found) == count and found.shape == shape
    scale: Any = rng.choice([1, 0.5, -2], shape[0]).astype(np.float32) if slope else 1.5
    offset: Any = -1024.0
    padding = float(stored.flat[0]) if data.draw(st.booleans()) else None
    units = stored.astype(np.float64) * np.reshape(scale, (-1, 1, 1)) + offset
    counts, values = found.statistics(stored, slope=scale, intercept=offset, padding_value=padding, threads=threads)
    for k, place in enumerate(ndimage.find_objects(expected)):
        inside = expected == k + 1
        points = np.argwhere(inside)
        assert found.label[k] == src[tuple(points[0])]
        assert found.voxels[k] == len(points)
        np.testing.assert_array_equal(found.sums[k], points.sum(axis=0))
        np.testing.assert_array_equal(found.box[k], [[s.start, s.stop] for s in place])
        areas = inside.sum(axis=(1, 2))
        assert (found.key_slice[k], found.key_area[k]) == (areas.argmax(), areas.max())
        chosen = units[inside & (stored != padding)] if padding is not None else units[inside]
        assert counts[k] == len(chosen)
        if not len(chosen):
            assert np.isnan(values[k]).all()
            continue
        magnitude = np.abs(chosen).max() + 1
        np.testing.assert_allclose(values[k, :2], [chosen.mean(), chosen.std()], rtol=1e-9, atol=1e-9 * magnitude)
        np.testing.assert_array_equal(values[k, 2:], [chosen.min(), chosen.max()])


def test_squares_of_more_voxels_than_64_bits_hold() -> None:
    shape = (1, 1 << 16, (1 << 15) + 9)  # the rows share their memory
    found = Components(np.broadcast_to(np.ones(shape[2], np.uint8), shape), connectivity=6)
    stored = np.broadcast_to(np.full(shape[2], 65535, np.uint16), shape)
    count, values = found.statistics(stored)
    assert count.tolist() == [shape[1] * shape[2]]
    assert values.tolist() == [[65535, 0, 65535, 65535]]


def longest(inside: NDArray[np.bool_], pixel: tuple[float, float]) -> float:
    """Of all pairs of pixels of a slice."""
    best = -1.0
    for plane in inside:
        p = np.argwhere(plane) * pixel
        if len(p):
            best = max(best, float(np.sqrt(((p[:, None] - p) ** 2).sum(-1)).max()))
    return best


LARGE = st.tuples(st.integers(1, 3), st.integers(20, 30), st.integers(20, 70))


@given(
    shape=st.one_of(shapes(3, most=12, least=1), LARGE),
    seed=SEEDS,
    pixel=st.tuples(st.floats(0.2, 3), st.floats(0.2, 3)),
)
def test_the_longest_diameter_is_that_of_all_pairs(shape, seed, pixel) -> None:
    src = crowded(shape, seed, 2)
    found = Components(src, connectivity=26)
    numbers = np.zeros(shape, np.int32)
    found.paint(numbers)
    pixels = np.tile(np.array(pixel), (len(found), 1))
    length, where, ends = found.longest_diameters(pixels, threads=3)
    key_length, key_where, _ = found.longest_diameters(pixels, slices=found.key_slice, threads=1)
    for k in range(len(found)):
        inside = numbers == k + 1
        assert length[k] == pytest.approx(longest(inside, pixel))
        (a, b), z = ends[k], where[k]
        assert inside[z, a[0], a[1]] and inside[z, b[0], b[1]]
        assert length[k] == pytest.approx(np.hypot(*((a - b) * pixel)))
        assert key_where[k] == found.key_slice[k]
        assert key_length[k] == pytest.approx(longest(inside[found.key_slice[k]][None], pixel))


def test_the_longest_diameter_of_a_mammogram() -> None:
    y, x = np.ogrid[:4096, :256]
    inside = ((y - 2048) / 2048) ** 2 + ((x - 128) / 128) ** 2 <= 1
    found = Components(inside.astype(np.uint8), connectivity=8)
    length, _, ends = found.longest_diameters(np.array([[0.1, 0.05]]))
    assert length[0] == pytest.approx(409.6, abs=0.2)
    assert inside[tuple(ends[0, 0])] and inside[tuple(ends[0, 1])]


def spiral(edge: int) -> NDArray[np.uint8]:
    """One component that winds inwards: as many runs as can be joined late."""
    array = np.zeros((edge, edge), np.uint8)
    y, x, dy, dx = 0, 0, 0, 1
    for length in [edge - 1, *np.repeat(np.arange(edge - 1, 0, -2), 2)]:
        for _ in range(length):
            array[y, x] = 1
            y, x = y + dy, x + dx
        array[y, x] = 1
        dy, dx = dx, -dy
    return array


def comb(edge: int) -> NDArray[np.uint8]:
    """Teeth that meet in the last row only."""
    array = np.zeros((edge, edge), np.uint8)
    array[:, ::2] = 1
    array[-1] = 1
    return array


@pytest.mark.parametrize("name", ["checkerboard", "spiral", "comb", "full", "empty", "dot", "noise", "slabs"])
@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_shapes_that_are_hard_to_join(name: str, connectivity: int) -> None:
    z, y, x = np.indices((20, 65, 67), np.uint8)
    rng = np.random.default_rng(3)
    src = {
        "checkerboard": (z + y + x) % 2,
        "spiral": np.repeat(spiral(65)[:, None, :], 40, axis=1),
        "comb": np.repeat(comb(66)[None], 3, axis=0),
        "full": np.ones((20, 65, 67)),
        "empty": np.zeros((20, 65, 67)),
        "dot": (z == 19) & (y == 64) & (x == 66),
        "noise": rng.random((40, 70, 130)) < 0.3,
        "slabs": z % 3 == 0,
    }[name].astype(np.uint8)
    expected, count = ndimage.label(src, structure(connectivity))
    results = []
    for threads in (1, 2, 5):
        for view, want in ((src, expected), (src[::-1, :, ::-1], None), (src.transpose(2, 0, 1), None)):
            out = np.full(view.shape, 77, np.uint32)
            assert connected_components(view, out, connectivity=connectivity, threads=threads) == count
            if want is not None:
                np.testing.assert_array_equal(out, want)
            results.append(out)
    for a, b in zip(results[:3], results[3:6], strict=True):
        np.testing.assert_array_equal(a, b)


def test_volumes_of_many_slabs_with_neighbours_across_every_seam() -> None:
    rng = np.random.default_rng(5)
    src = ndimage.gaussian_filter(rng.standard_normal((60, 90, 310)), 1.5) > 0.02
    labels = (src * (1 + (np.arange(310) // 7 % 4))).astype(np.uint8)
    for connectivity in (6, 18, 26):
        expected, count = oracle(labels, connectivity)
        out = np.empty(labels.shape, np.uint16)
        for threads in (1, 3, 4):
            assert connected_components(labels, out, connectivity=connectivity, threads=threads) == count
            np.testing.assert_array_equal(out, expected)


def test_in_slices() -> None:
    src = crowded((5, 30, 40), 1)
    for connectivity in (4, 8):
        out, plane = np.empty(src.shape, np.int32), np.empty(src.shape[1:], np.int32)
        count = connected_components(src, out, connectivity=connectivity, threads=2)
        for z in range(5):
            connected_components(np.asfortranarray(src[z]), plane, connectivity=connectivity)
            np.testing.assert_array_equal(np.where(out[z] > 0, out[z] - out[z][out[z] > 0].min() + 1, 0), plane)
        assert count == out.max()


@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_peers_find_the_same(connectivity: int) -> None:
    src = crowded((20, 40, 45), 9, 1)
    out = np.empty(src.shape, np.uint16)
    count = connected_components(src, out, connectivity=connectivity)
    if connectivity != 18:
        sitk = pytest.importorskip("SimpleITK")
        theirs = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(src), connectivity == 26))
        pairs = np.unique(np.stack([theirs[src > 0], out[src > 0]]), axis=1)
        assert pairs.shape[1] == count == theirs.max()
    cc3d = pytest.importorskip("cc3d")
    theirs = cc3d.connected_components(src, connectivity=connectivity)
    pairs = np.unique(np.stack([theirs[src > 0], out[src > 0]]), axis=1)
    assert pairs.shape[1] == count == theirs.max()
    statistics = cc3d.statistics(out)
    found = Components(src, connectivity=connectivity)
    np.testing.assert_array_equal(found.voxels, statistics["voxel_counts"][1:])
    np.testing.assert_allclose(found.sums / found.voxels[:, None], statistics["centroids"][1:], rtol=1e-12)


def test_components_are_put_together_and_painted() -> None:
    labels = np.zeros((3, 8, 9), np.uint8)
    labels[0, 1, 1:4], labels[0, 5, 5], labels[2, 2, 2:9], labels[2, 7, 0] = 2, 2, 1, 2
    found = Components(labels, connectivity=26)
    assert found.label.tolist() == [2, 2, 1, 2] and found.voxels.tolist() == [3, 1, 7, 1]
    chosen = found.select(np.array([2, 0, 1, 2], np.uint32))
    assert chosen.label.tolist() == [1, 2] and chosen.voxels.tolist() == [7, 4]
    assert chosen.box.tolist() == [[[2, 3], [2, 3], [2, 9]], [[0, 3], [1, 8], [0, 4]]]
    out = np.full((3, 8, 9), 9, np.uint8)
    chosen.paint(out, np.array([50, 60], np.uint32), clear=False)
    expected = np.full((3, 8, 9), 9, np.uint8)
    expected[2, 2, 2:9], expected[0, 1, 1:4], expected[2, 7, 0] = 50, 60, 60
    np.testing.assert_array_equal(out, expected)
    chosen.paint(out)
    np.testing.assert_array_equal(out, np.where(expected == 9, 0, expected // 10 - 4))
    assert len(found.select(np.zeros(4, np.uint32))) == 0
    whole = Components(labels, connectivity=None)
    assert whole.label.tolist() == [1, 2] and whole.voxels.tolist() == [7, 5]


def test_channels_are_one_map() -> None:
    channels = np.zeros((2, 5, 9), np.uint8)
    channels[0, 2, :5] = channels[1, 2, 4:] = 1
    for view in (channels, channels[:, :, ::-1], np.asfortranarray(channels)):
        found = Components(view, connectivity=4, channels=True)
        assert found.voxels.tolist() == [9] and found.shape == (5, 9)
    assert len(Components(channels[:, None], connectivity=6, channels=True)) == 1
    assert len(Components(channels[:0], connectivity=4, channels=True)) == 0


def test_large_outputs_of_every_layout() -> None:
    src = np.zeros((40, 700, 700), np.uint8)
    src[1:39:4, 10:600:80, 5::91] = 1
    src[7, :, :], src[20, 30, 699] = 2, 3
    found = Components(src, connectivity=6)
    expected, count = oracle(src, 6)
    assert len(found) == count
    buffer = np.full((40, 700, 701), 9, np.uint16)
    for out in (np.full(src.shape, 9, np.uint32), buffer[:, :, 1:], np.full(src.shape[::-1], 9, np.uint16).T):
        found.paint(out, threads=3)
        np.testing.assert_array_equal(out, expected)
    assert (buffer[:, :, 0] == 9).all()


def test_not_finite_values() -> None:
    src = np.ones((1, 3, 4), np.uint8)
    src[:, 1] = 0
    stored = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    stored[0, 0, 2], stored[0, 2, 1] = np.nan, np.inf
    counts, values = Components(src, connectivity=26).statistics(stored)
    assert counts.tolist() == [4, 4]
    assert np.isnan(values[0]).all()
    np.testing.assert_array_equal(values[1], [np.inf, np.nan, 8, np.inf])


def test_a_padding_value_that_no_voxel_can_hold_leaves_nothing_out() -> None:
    found = Components(np.ones((1, 2, 2), np.uint8), connectivity=6)
    for padding in (-1, 256, 0.5, 1e30):
        assert found.statistics(np.zeros((1, 2, 2), np.uint8), padding_value=padding)[0].tolist() == [4]


def test_the_arrays_are_read_only() -> None:
    found = Components(np.ones((1, 2, 2), np.uint8), connectivity=6)
    for array in (found.label, found.voxels, found.sums, found.box, found.key_slice, found.key_area):
        assert not array.flags.writeable


def refused(argument: str, call: Any) -> None:
    with pytest.raises(ValueError, match=f"'{argument}'") as error:
        call()
    assert "\n" not in str(error.value)


def test_refusals() -> None:
    src, out = np.ones((3, 4, 5), np.uint8), np.zeros((3, 4, 5), np.uint16)
    many = np.zeros((1, 600, 600), np.uint8)
    many[:, ::2, ::2] = 1

    def label(src: Any = src, out: Any = out, **options: Any) -> int:
        return connected_components(src, out, **({"connectivity": 6} | options))

    refused("src", lambda: label(src.astype(np.int8)))
    refused("src", lambda: label(src.tolist()))
    refused("src", lambda: label(src[0, 0]))
    refused("out", lambda: label(out=out[:2]))
    refused("out", lambda: label(out=out.astype(np.float32)))
    refused("out", lambda: label(out=out.astype(np.int64)))
    refused("out", lambda: label(out=np.broadcast_to(np.uint16(0), src.shape)))
    refused("out", lambda: label(out=src))
    refused("out", lambda: label(many, np.empty(many.shape, np.uint16)))
    refused("connectivity", lambda: label(connectivity=5))
    refused("connectivity", lambda: label(connectivity=None))
    refused("connectivity", lambda: label(src[0], out[0], connectivity=26))
    refused("groups", lambda: label(groups=np.zeros(255, np.uint8)))
    refused("groups", lambda: label(groups=np.zeros(256, np.int64)))
    refused("threads", lambda: label(threads=-1))
    found = Components(src, connectivity=26)
    one = np.ones(1, np.uint32)
    refused("numbers", lambda: found.select(np.ones(2, np.uint32)))
    refused("numbers", lambda: found.select(np.ones(1, np.int32)))
    refused("numbers", lambda: found.select(2 * one))
    refused("values", lambda: found.paint(out, np.ones(2, np.uint32)))
    refused("out", lambda: found.paint(np.zeros((3, 4, 5), np.uint8), 256 * one))
    refused("out", lambda: found.paint(out[0]))
    refused("stored", lambda: found.statistics(src[0]))
    refused("stored", lambda: found.statistics(src.astype(np.float64)))
    refused("slope", lambda: found.statistics(src, slope=np.ones(4, np.float32)))
    refused("intercept", lambda: found.statistics(src, intercept=np.ones(3)))
    refused("pixel", lambda: found.longest_diameters(np.ones((1, 3))))
    refused("pixel", lambda: found.longest_diameters(np.ones((1, 2), np.float32)))
    refused("pixel", lambda: found.longest_diameters(np.array([[1.0, np.nan]])))
    refused("slices", lambda: found.longest_diameters(np.ones((1, 2)), slices=np.zeros(2, np.int32)))
