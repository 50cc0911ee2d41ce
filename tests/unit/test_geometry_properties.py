"""Whatever the plane, the order of the files and the rounding: the stack comes back, and what is taken out is named."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bedside.runtime.geometry import ACCEPTABLE, check
from bedside.runtime.image import Frame

from .geometry_frames import stack

finite = st.floats(-500, 500)


@st.composite
def stacks(draw: st.DrawFn, least: int = 2) -> tuple[list[Frame], float]:
    """A regular stack in a random plane, in order, and its step."""
    rotation = Rotation.from_rotvec([draw(st.floats(-3, 3)) for _ in range(3)]).as_matrix()
    # Direction cosines as scanners write them; six decimals turn a plane by at most 1e-6.
    orientation = tuple(float(v) for v in np.round([*rotation[:, 0], *rotation[:, 1]], draw(st.sampled_from([6, 9]))))
    step = draw(st.floats(0.5, 10))
    n = draw(st.integers(least, 60))
    origin = (draw(finite), draw(finite), draw(finite))
    frames = stack(
        draw(finite) + step * np.arange(n),
        orientation=orientation,
        origin=origin,
        decimals=draw(st.sampled_from([2, 3, 6])),
        descending=draw(st.booleans()),
        spacing=(draw(st.floats(0.3, 2)),) * 2,
        thickness=step,
    )
    return frames, step


@given(stacks(), st.randoms())
@settings(max_examples=60, deadline=None)
def test_any_order_of_files_gives_the_stack(drawn, random):
    frames, step = drawn
    shuffled = list(frames)
    random.shuffle(shuffled)
    verdict = check(shuffled)
    assert verdict.accepted, verdict.message
    assert [shuffled[i] for i in verdict.order] == frames
    assert verdict.resampling is None
    for z in (0, len(frames) - 1):
        placed = verdict.affine @ (z, 0, 0, 1)
        np.testing.assert_allclose(placed[:3], frames[z].position, atol=0.02 + 2e-6 * step * len(frames))
    assert np.linalg.det(verdict.affine[:3, :3]) < 0  # (z, y, x) is the mirror order of (x, y, z)


@given(stacks(least=8), st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_taken_out_is_named_and_filled_in(drawn, data):
    frames, _ = drawn
    n = len(frames)
    missing = sorted(data.draw(st.sets(st.integers(1, n - 2), min_size=1, max_size=max(1, n // 4))))
    rest = [frame for i, frame in enumerate(frames) if i not in missing]
    verdict = check(data.draw(st.permutations(rest)))
    assert [finding.kind for finding in verdict.refusals] == ["gap"]
    assert verdict.refusals[0].message.startswith(f"{len(missing)} slice")
    neighbours = {i for m in missing for i in (m - 1, m + 1)} - set(missing)
    assert {name.file for name in verdict.refusals[0].slices} == {frames[i].path.name for i in neighbours}
    accepted = check(rest, {"gap"})
    assert accepted.accepted and list(accepted.resampling.interpolated) == missing
    np.testing.assert_allclose(accepted.affine, check(frames).affine, atol=1e-9)


@given(stacks(least=5), st.data())
@settings(max_examples=40, deadline=None)
def test_a_slice_moved_along_the_stack_is_never_let_through(drawn, data):
    frames, step = drawn
    i = data.draw(st.integers(1, len(frames) - 2))
    by = data.draw(st.floats(0.15, 0.85)) * step
    normal = np.cross(frames[0].orientation[:3], frames[0].orientation[3:])
    moved = tuple(float(v) for v in np.array(frames[i].position) + normal * by)
    verdict = check([*frames[:i], replace(frames[i], position=moved), *frames[i + 1 :]])
    assert not verdict.accepted


@given(stacks(least=3), st.floats(0.3, 30), st.floats(0, 2 * math.pi))
@settings(max_examples=40, deadline=None)
def test_a_sheared_stack_is_never_let_through(drawn, degrees, direction):
    frames, step = drawn
    x, y = np.array(frames[0].orientation[:3]), np.array(frames[0].orientation[3:])
    shear = math.tan(math.radians(degrees)) * (x * math.cos(direction) + y * math.sin(direction))
    drift = math.tan(math.radians(degrees)) * step * (len(frames) - 1)
    sheared = [
        replace(frame, position=tuple(float(v) for v in np.array(frame.position) + shear * step * i))
        for i, frame in enumerate(frames)
    ]
    verdict = check(sheared)
    # A drift of a fifth of a pixel along either axis is in line.
    if drift > math.sqrt(2) * 0.2 * frames[0].spacing[0] + 0.05:
        assert "tilt" in {finding.kind for finding in verdict.refusals}


numbers = st.one_of(st.none(), st.floats(), st.integers(-3, 3).map(float))


@given(
    st.lists(
        st.builds(
            lambda position, orientation, spacing, thickness, rows, instance: replace(
                stack([0.0])[0],
                position=position,
                orientation=orientation,
                spacing=spacing,
                thickness=thickness,
                rows=rows,
                instance_number=instance,
            ),
            st.one_of(st.none(), st.tuples(*[st.floats() | st.integers(-9, 9).map(float)] * 3)),
            st.one_of(st.none(), st.just((1.0, 0.0, 0.0, 0.0, 1.0, 0.0)), st.tuples(*[st.floats()] * 6)),
            st.one_of(st.none(), st.just((0.7, 0.7)), st.tuples(st.floats(), st.floats())),
            numbers,
            st.sampled_from([64, 64, 64, 0, -1]),
            st.one_of(st.none(), st.integers()),
        ),
        max_size=12,
    ),
    st.sets(st.sampled_from(sorted(ACCEPTABLE))),
)
@settings(max_examples=200, deadline=None)
@pytest.mark.filterwarnings("error")
def test_no_header_makes_the_gate_raise(frames, accept):
    verdict = check(frames, accept)
    verdict.to_json()
    if verdict.accepted:
        assert verdict.affine is not None and np.isfinite(verdict.affine).all()
        assert np.prod(verdict.resampling.shape if verdict.resampling else 1) < 1e7


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 2.5, 3.0, 1e6, 1e-4, 1e30, -1e30]), max_size=10))
@settings(max_examples=100, deadline=None)
@pytest.mark.filterwarnings("error")
def test_no_run_of_positions_makes_a_volume_that_bursts(positions):
    verdict = check(stack(positions), set(ACCEPTABLE))
    if verdict.accepted and verdict.resampling is not None:
        assert verdict.resampling.shape[0] <= 2 * len(positions) + 1
