"""Components found block by block are those that scipy finds in the whole volume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from bedside.runtime.findings.components import Part, join, parts


def draw(part: Part, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    whole = np.zeros(shape, bool)
    whole[part.box] = part.inside()
    return whole


def volume(seed: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Blobs and single voxels of three labels, from nearly empty to crowded."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    for _ in range(rng.integers(0, 25)):
        corner = [int(rng.integers(0, n)) for n in shape]
        box = tuple(slice(c, c + int(rng.integers(1, 7))) for c in corner)
        labels[box] = rng.integers(0, 4)
    labels[rng.random(shape) < rng.choice([0, 0.002, 0.02])] = 1
    return labels


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(st.integers(1, 26), st.integers(1, 40), st.integers(1, 40)))
def test_components_are_scipys(seed: int, shape: tuple[int, int, int]) -> None:
    labels = volume(seed, shape)
    found = parts(labels, {1: True, 2: True, 3: False})
    assert list(found) == sorted(set(np.unique(labels)) - {0})
    for label, pieces in found.items():
        assert [p.voxels for p in pieces] == sorted((p.voxels for p in pieces), reverse=True)
        assert all(p.voxels == p.inside().sum() for p in pieces)
        mask = labels == label
        if label == 3:
            whole = join(pieces)
            assert np.array_equal(draw(whole, shape), mask) and whole.voxels == mask.sum()
            continue
        expected, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
        assert len(pieces) == count
        for piece in pieces:
            drawn = draw(piece, shape)
            (number,) = np.unique(expected[drawn])
            assert np.array_equal(drawn, expected == number)
            (box,) = ndimage.find_objects(drawn.astype(np.uint8))
            assert piece.box == box


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 8, 8), (1, 1, 1)])
def test_nothing_has_no_parts(shape: tuple[int, int, int]) -> None:
    assert parts(np.zeros(shape, np.uint8), {1: True}) == {}


def test_a_box_that_reaches_over_another_group_holds_only_its_own() -> None:
    labels = np.zeros((8, 48, 48), np.uint8)
    labels[0, :, 0] = labels[0, 0, :] = labels[0, :, 47] = labels[0, 47, :] = 1  # a frame
    labels[0, 24, 24] = 1  # and a voxel in its middle
    frame, dot = parts(labels, {1: True})[1]
    assert (frame.voxels, dot.voxels) == (4 * 47, 1)
    assert not draw(frame, labels.shape)[0, 24, 24]
