"""Brightness by VOI windows and tables, for the network and for the key image alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bedside.runtime.image import Frame, Image, VoiLut, Volume, Window
from bedside.runtime.report import key_image
from bedside.runtime.study.luts import mirror_voi, mirror_window
from bedside.runtime.transforms.ours import display_range
from bedside.runtime.transforms.state import State, ValueMap
from bedside.runtime.voi import choose, linear, voi

from .plan_maker import HALF, plan_of

TABLE = VoiLut(first=-2, table=np.array([0, 100, 40, 255], np.uint16), bits=8)
"""Not monotonic, so that no window could stand in for it."""
EVERY = [
    Window(40.0, 400.0),
    Window(40.0, 400.0, "LINEAR_EXACT"),
    Window(40.0, 400.0, "SIGMOID"),
    Window(0.3, 0.5),
    Window(2.0, 1.0),
    TABLE,
]


def test_a_table_is_looked_up_and_takes_its_ends_beyond_them() -> None:
    values = np.array([-700.0, -2.0, -1.2, 0.0, 0.6, 900.0], np.float32)
    assert np.rint(voi(values, TABLE) * 255).tolist() == [0, 0, 100, 40, 255, 255]
    assert np.rint(voi(values.reshape(1, 2, 3), TABLE) * 255).ravel().tolist() == [0, 0, 100, 40, 255, 255]


def test_a_window_of_width_1_is_a_threshold_and_a_narrower_one_is_exact() -> None:
    """PS3.3 C.11.2.1.2.1: x <= c - 0.5 is black, what is more is white."""
    assert voi(np.array([0.0, 1.0, 1.5, 2.0, 3.0], np.float32), Window(2.0, 1.0)).tolist() == [0, 0, 0, 1, 1]
    assert voi(np.array([0.0, 0.3, 0.55, 0.6], np.float32), Window(0.3, 0.5)) == pytest.approx([0, 0.5, 1, 1])


def test_a_steep_sigmoid_does_not_overflow() -> None:
    with np.errstate(over="raise"):
        assert voi(np.array([-1e6, 0.0, 1e6], np.float32), Window(0.0, 1e-3, "SIGMOID")).tolist() == pytest.approx(
            [0, 0.5, 1]
        )


def test_a_window_without_width_is_refused() -> None:
    with pytest.raises(ValueError, match="width 0"):
        voi(np.zeros(3), Window(1.0, 0.0))


def test_the_table_is_chosen_before_the_window() -> None:
    window = Window(1.0, 2.0)
    assert choose(None, None) is None and choose(window, None) is window and choose(window, TABLE) is TABLE
    assert linear(TABLE) is None and linear(Window(1.0, 2.0, "SIGMOID")) is None


@pytest.mark.parametrize("how", EVERY)
def test_an_inverted_image_looks_as_it_did_before(how: Window | VoiLut) -> None:
    """MONOCHROME1 is shown as 1 - brightness (PS3.3 C.7.6.3.1.2); its values and its window or table are mirrored."""
    axis, values = 7, np.arange(-40, 40, dtype=np.float32)
    mirrored = mirror_voi(how, axis) if isinstance(how, VoiLut) else mirror_window(how, axis)
    if isinstance(how, Window) and how.width == 1:
        values = values[values != how.center - 0.5]
    assert voi(axis - values, mirrored) == pytest.approx(1 - voi(values, how), abs=1e-5)


def test_a_radiograph_with_only_a_table_is_prepared_by_it() -> None:
    pixels = np.array([[0, 1], [2, 9]], np.uint16)
    frame = Frame(Path("a.dcm"), "1.2", "1.2.3", rows=2, columns=2)
    plan = plan_of([], [HALF], spec={"kind": "image", "apply_voi": True, "axes": "zyx"})
    got = plan.prepare(Image(pixels, frame, voi_lut=VoiLut(0, np.array([9, 0, 5], np.uint16), 4))).array[0]
    np.testing.assert_allclose(got, np.array([[153, 0], [85, 85]]))


@pytest.mark.parametrize("how", EVERY)
def test_network_and_key_image_see_the_same(how: Window | VoiLut) -> None:
    stored = np.arange(-300, 300, dtype=np.int16).reshape(1, 20, 30)
    state = State(stored[np.newaxis], np.eye(4), ValueMap(2.0, -5.0))
    display_range(state, how)
    window, lut = (None, how) if isinstance(how, VoiLut) else (how, None)
    one = np.ones(1, np.float32)
    source = Volume(stored, np.eye(4), 2 * one, -5 * one, (None,), window=window, voi_lut=lut)
    shown = key_image._display(stored[0], 2.0, -5.0, source, 1)
    assert np.abs(state.settle()[0, 0] - shown.astype(np.float32)).max() <= 0.51
    assert len(np.unique(shown)) > 1
