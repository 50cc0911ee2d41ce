"""Transforms that ask what the values are, while a map of them is pending: as if it had been carried out before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.runtime.errors import StudyRejected
from bedside.runtime.transforms.intensity import Intensity
from bedside.runtime.transforms.registry import parse
from bedside.runtime.transforms.spatial import Spatial
from bedside.runtime.transforms.state import State, ValueMap
from bedside.runtime.transforms.statistics import greatest_not_above

from .kernel_views import SEEDS, STORED, stored_values

MAPS = [
    ValueMap(),
    ValueMap(1.0, -1024.0),
    ValueMap(0.7, -31.5),
    ValueMap(-1.3, 12.0),
    ValueMap(0.01, 0.3, -0.5, 0.5),
    ValueMap(1.0, -40.0, -160.0, 240.0, 1 / 400, 0.4),
    ValueMap(1.0, -12.0, scale=0.25, offset=3.0),
    ValueMap(1.0, 0.0, scale=-0.25),
    ValueMap(0.0, 5.0),
]


def apply(state: State, name: str, **arguments: Any) -> State:
    step = parse({"_target_": name, "keys": "image", **arguments}, "preprocessing", name)
    assert isinstance(step, Intensity | Spatial)
    step.apply(state)
    return state


def state_of(array: NDArray[Any], values: ValueMap = ValueMap()) -> State:  # noqa: B008
    return State(array, np.eye(array.ndim), values)


def settled(array: NDArray[Any], values: ValueMap) -> State:
    state = state_of(array, values)
    state.settle()
    return state


def ct(dtype: str, channels: int = 1) -> NDArray[Any]:
    """A box of noise in a constant background, the least value there is."""
    rng = np.random.default_rng(1)
    array = np.full((channels, 9, 11, 13), 0 if dtype in ("uint8", "uint16") else -100)
    array[:, 2:7, 3:8, 4:12] = rng.integers(20, 120, (channels, 5, 5, 8))
    return array.astype(dtype)


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("ScaleIntensityd", {}),
    ("ScaleIntensityd", {"minv": -1.0, "maxv": 3.0}),
    ("ScaleIntensityRangePercentilesd", {"lower": 5, "upper": 95, "b_min": 0.0, "b_max": 1.0, "clip": True}),
    ("ScaleIntensityRangePercentilesd", {"lower": 0.5, "upper": 99, "b_min": -1.0, "b_max": 1.0, "relative": True}),
    ("NormalizeIntensityd", {}),
    ("NormalizeIntensityd", {"nonzero": True}),
]


@pytest.mark.parametrize("values", MAPS, ids=str)
@pytest.mark.parametrize("dtype", [*STORED, "float64", "uint32"])
@pytest.mark.parametrize(("name", "arguments"), CHANGES)
def test_a_pending_map_changes_nothing(name: str, arguments: dict[str, Any], dtype: str, values: ValueMap) -> None:
    for channels, channel_wise in ((1, False), (3, False), (3, True)):
        array = ct("uint8" if dtype == "uint32" else dtype, channels).astype(dtype)
        held = array.copy()
        got = apply(state_of(array, values), name, channel_wise=channel_wise, **arguments).rendered()
        np.testing.assert_array_equal(array, held)
        want = apply(settled(array, values), name, channel_wise=channel_wise, **arguments).rendered()
        np.testing.assert_allclose(got, want, rtol=0, atol=4e-6)


@pytest.mark.parametrize("values", MAPS[:4], ids=str)
@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ScaleIntensityd", {}),
        ("ScaleIntensityRangePercentilesd", {"lower": 10, "upper": 99, "b_min": 0, "b_max": 1, "clip": True}),
    ],
)
def test_the_background_becomes_exactly_zero(
    name: str, arguments: dict[str, Any], dtype: str, values: ValueMap
) -> None:
    array = ct(dtype)
    if values.slope < 0:
        array = array.max() - array if dtype in ("uint8", "uint16") else -array
    state = apply(state_of(array, values), name, **arguments)
    assert state.rendered().min() == 0
    cropped = apply(state, "CropForegroundd", source_key="image")
    assert cropped.shape == (5, 5, 8)


@pytest.mark.parametrize("a_min", [-175.0, -57.0, -1000.0, 0.1, 33.3])
def test_the_lower_end_of_a_range_becomes_exactly_zero(a_min: float) -> None:
    for dtype, values in (("int16", ValueMap()), ("int16", ValueMap(1.0, -1024.0)), ("float32", ValueMap(1.0, 7.0))):
        array = np.full((1, 2, 2, 2), a_min - values.intercept).astype(dtype)
        state = apply(state_of(array, values), "ScaleIntensityRanged", a_min=a_min, a_max=250.0, b_min=0.0, b_max=1.0)
        if float(array.ravel()[0]) == a_min - values.intercept:
            assert (state.rendered() == 0).all()


@given(
    seed=SEEDS, dtype=st.sampled_from(STORED), values=st.sampled_from(MAPS), level=st.sampled_from([0.0, 0.1, -20.0])
)
def test_what_is_above_a_level_after_the_map(seed: int, dtype: str, values: ValueMap, level: float) -> None:
    array = stored_values((1, 4, 5, 6), dtype, seed)
    state = state_of(array, values)
    least = greatest_not_above(level, state)
    mapped = state.rendered()
    if least is None:
        assert values.slope * values.scale <= 0
    else:
        np.testing.assert_array_equal(array.astype(np.float64) > least, mapped > level)


@pytest.mark.parametrize("values", MAPS, ids=str)
@pytest.mark.parametrize("dtype", [*STORED, "float64"])
def test_crop_foreground_with_a_pending_map(dtype: str, values: ValueMap) -> None:
    array = ct(dtype, 2)
    array[1, 0, 0, 0] = 110
    for arguments in ({}, {"channel_indices": [1], "margin": 1}):
        arguments["source_key"] = "image"
        try:
            want = apply(settled(array, values), "CropForegroundd", **arguments)
        except StudyRejected:
            with pytest.raises(StudyRejected, match="no voxel is above 0"):
                apply(state_of(array, values), "CropForegroundd", **arguments)
            continue
        got = apply(state_of(array, values), "CropForegroundd", **arguments)
        np.testing.assert_array_equal(got.rendered(), want.rendered())
        np.testing.assert_array_equal(got.affine, want.affine)


def test_of_an_image_of_one_value() -> None:
    array = np.full((1, 3, 4, 5), 37, np.int16)
    assert (apply(state_of(array, MAPS[1]), "NormalizeIntensityd").rendered() == 0).all()
    assert (apply(state_of(array, MAPS[1]), "ScaleIntensityd", minv=0.5).rendered() == 0.5 * (37 - 1024)).all()
    zero = np.zeros((1, 3, 4, 5), np.float32)
    assert (apply(state_of(zero), "NormalizeIntensityd", nonzero=True).rendered() == 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("NormalizeIntensityd", {}),
        ("NormalizeIntensityd", {"nonzero": True}),
        ("NormalizeIntensityd", {"nonzero": True, "channel_wise": True}),
        ("ScaleIntensityd", {}),
        ("ScaleIntensityRangePercentilesd", {"lower": 0, "upper": 100, "b_min": 0.0, "b_max": 1.0}),
    ],
)
def test_values_that_are_no_finite_numbers(name: str, arguments: dict[str, Any], bad: float) -> None:
    array = ct("float32", 2)
    array[1, 2, 3, 4] = bad
    with pytest.raises(StudyRejected, match=f"{name}: the image has values that are NaN or infinite"):
        apply(state_of(array), name, **arguments)
