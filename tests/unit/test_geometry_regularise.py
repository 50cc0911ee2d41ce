"""The resampling of accepted slices, against what the slices were made from."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from bedside.runtime.geometry import check, regularise
from bedside.runtime.image import Frame, VoiLut, Volume, Window

from .geometry_frames import stack


def scene(frames: list[Frame]) -> np.ndarray:
    """A field that is linear in patient space, which linear interpolation reproduces, sampled at the frames' pixels."""
    out = []
    for frame in frames:
        y, x = np.mgrid[: frame.rows, : frame.columns]
        row, column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
        points = (
            np.array(frame.position)
            + row * (x * frame.spacing[1])[..., None]
            + column * (y * frame.spacing[0])[..., None]
        )
        out.append(field(points))
    return np.stack(out)


def field(points: np.ndarray) -> np.ndarray:
    return points @ np.array([1.5, -0.7, 2.0]) + 40.0


def grid_points(volume: Volume) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, volume.voxels.shape), indexing="ij"), axis=-1)
    return index @ volume.affine[:3, :3].T + volume.affine[:3, 3]


def volume_of(frames: list[Frame], voxels: np.ndarray, order: tuple[int, ...], **more: object) -> Volume:
    n = len(order)
    return Volume(
        voxels=voxels[list(order)],
        affine=np.eye(4),
        slope=np.ones(n, np.float32),
        intercept=np.zeros(n, np.float32),
        frames=tuple(frames[i] for i in order),
        **more,  # type: ignore[arg-type]
    )


def run(frames: list[Frame], *accept: str, dtype: type = np.float32, **more: object) -> Volume:
    verdict = check(frames, accept)
    assert verdict.accepted, verdict.message
    values = scene(frames)
    voxels = (np.rint(values) if np.issubdtype(dtype, np.integer) else values).astype(dtype)
    return regularise(volume_of(frames, voxels, verdict.order, **more), verdict)


def test_a_regular_volume_is_returned_as_it_is():
    frames = stack(np.arange(5) * 2.0)
    verdict = check(frames)
    volume = volume_of(frames, scene(frames), verdict.order)
    assert regularise(volume, verdict) is volume


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_missing_slices_are_interpolated_and_marked(dtype):
    whole = stack(np.arange(12) * 2.0)
    frames = [frame for i, frame in enumerate(whole) if i not in (3, 7, 8)]
    volume = run(frames, "gap", dtype=dtype)
    assert volume.voxels.shape == (12, 64, 48) and volume.voxels.dtype == dtype
    assert [z for z, frame in enumerate(volume.frames) if frame is None] == [3, 7, 8]
    expected = field(grid_points(volume))
    for z, frame in enumerate(volume.frames):
        if frame is not None:
            assert frame is whole[z]
            np.testing.assert_array_equal(volume.voxels[z], scene([frame])[0].round() if dtype == np.int16
                                          else scene([frame])[0].astype(dtype))  # fmt: skip
    np.testing.assert_allclose(volume.voxels, expected, atol=1.0 if dtype == np.int16 else 1e-3)
    assert volume.slope.shape == volume.intercept.shape == (12,)


def test_uneven_spacing_is_resampled_to_an_even_step():
    frames = stack(np.cumsum([0, 3, 3, 4.2, 3, 3, 2.1, 3, 3]))
    volume = run(frames, "spacing")
    # A slice within a hundredth of the step of its place is taken as it is.
    np.testing.assert_allclose(volume.voxels, field(grid_points(volume)), atol=2 * 0.01 * 3.1)
    np.testing.assert_allclose(grid_points(volume)[-1, 0, 0], frames[-1].position, atol=1e-9)
    assert volume.frames[0] is frames[0] and volume.frames[-1] is frames[-1]


@pytest.mark.parametrize("degrees", [12.0, -12.0])
def test_a_tilted_stack_becomes_upright(degrees):
    angle = math.radians(degrees)
    orientation = (1.0, 0.0, 0.0, 0.0, math.cos(angle), -math.sin(angle))
    frames = [
        replace(frame, position=(-100.0, -120.0, 3.0 * i))
        for i, frame in enumerate(stack(np.arange(10), orientation=orientation))
    ]
    volume = run(frames, "tilt")
    assert set(volume.frames) == {None}
    assert volume.voxels.shape[1] == 64 + math.ceil(9 * 3 * abs(math.sin(angle)) / 0.7)
    shown = volume.voxels > -1e5
    expected = field(grid_points(volume))
    fill = volume.voxels.min()
    inside = shown & (volume.voxels != fill)
    np.testing.assert_allclose(volume.voxels[inside], expected[inside], atol=2e-3)
    assert inside.sum() >= 10 * 63 * 48  # nothing lost but the half pixels at the rim


def test_a_slice_out_of_line_and_a_gap_at_once():
    frames = stack(np.arange(9) * 3.0)
    frames[4] = replace(frames[4], position=(-98.6, -120.0, 12.0))
    del frames[6]
    volume = run(frames, "shift", "gap")
    inside = volume.voxels != volume.voxels.min()
    np.testing.assert_allclose(volume.voxels[inside], field(grid_points(volume))[inside], atol=2e-3)


def test_odd_pixels_are_resampled_in_their_planes():
    volume = run(stack(np.arange(4) * 3.0, spacing=(1.4, 0.7)), "non-square")
    assert volume.spacing == pytest.approx((3.0, 0.7, 0.7))
    np.testing.assert_allclose(volume.voxels, field(grid_points(volume)), atol=1e-3)
    frames = stack(np.arange(5) * 3.0)
    frames[2] = replace(frames[2], spacing=(0.9, 0.9))
    mixed = run(frames, "pixel-spacing")
    inside = mixed.voxels != mixed.voxels.min()
    np.testing.assert_allclose(mixed.voxels[inside], field(grid_points(mixed))[inside], atol=1e-3)


def test_bilinear_as_scipy_does_it():
    frames = stack(np.arange(3) * 3.0)
    frames[1] = replace(frames[1], position=(-99.51, -120.22, 3.0))
    verdict = check(frames, {"shift"})
    noise = np.random.default_rng(1).integers(-1000, 1000, (3, 64, 48)).astype(np.float32)
    volume = regularise(volume_of(frames, noise, verdict.order, padding_value=-5000), verdict)
    plane = verdict.resampling.planes[1]
    expected = ndimage.affine_transform(
        noise[1].astype(float), [1, 1], [plane.shift_y, plane.shift_x], volume.voxels.shape[1:], order=1, cval=-5000
    )
    np.testing.assert_allclose(volume.voxels[1], expected, atol=1e-3)


def test_slope_and_intercept_that_differ_give_modality_units():
    whole = stack(np.arange(6) * 2.0)
    frames = [frame for i, frame in enumerate(whole) if i != 3]
    verdict = check(frames, {"gap"})
    slope = np.array([1, 2, 4, 0.5, 1], np.float32)
    intercept = np.array([0, -10, 5, 1, 2], np.float32)
    stored = (scene(frames) - intercept[:, None, None]) / slope[:, None, None]
    source = replace(volume_of(frames, stored, verdict.order), slope=slope, intercept=intercept)
    volume = regularise(source, verdict)
    assert volume.voxels.dtype == np.float32 and set(volume.slope) == {1.0} and set(volume.intercept) == {0.0}
    np.testing.assert_allclose(volume.voxels, field(grid_points(volume)), atol=1e-3)


def test_padding_is_not_mixed_into_tissue():
    whole = stack(np.arange(5) * 2.0)
    frames = [frame for i, frame in enumerate(whole) if i != 2]
    verdict = check(frames, {"gap"})
    voxels = np.full((4, 64, 48), 100, np.int16)
    voxels[1, :10] = -2000
    volume = regularise(volume_of(frames, voxels, verdict.order, padding_value=-2000), verdict)
    assert set(np.unique(volume.voxels)) == {-2000, 100}
    assert (volume.voxels[2, :10] == -2000).all() and (volume.voxels[2, 10:] == 100).all()


def test_a_padding_value_that_no_pixel_can_hold():
    frames = stack(np.arange(3) * 3.0)
    frames[1] = replace(frames[1], position=(-95.0, -120.0, 3.0))
    volume = run(frames, "shift", dtype=np.int16, padding_value=63536)
    assert volume.voxels.min() == np.rint(scene(frames)).min()


@pytest.mark.parametrize("threads", [1, 3, 64])
def test_the_number_of_threads_changes_nothing(threads):
    frames = [frame for i, frame in enumerate(stack(np.arange(12) * 2.0, shear=(0.1, 0.2))) if i not in (3, 7, 8)]
    verdict = check(frames, {"tilt", "gap"})
    source = volume_of(frames, scene(frames), verdict.order)
    np.testing.assert_array_equal(
        regularise(source, verdict, threads=threads).voxels, regularise(source, verdict, threads=2).voxels
    )


def test_a_volume_that_does_not_belong_to_the_verdict():
    frames = stack(np.arange(5) * 2.0)
    verdict = check(frames)
    with pytest.raises(ValueError, match="4 slices"):
        regularise(volume_of(frames, scene(frames), verdict.order[:4]), verdict)
    refused = check(frames[::4])
    assert refused.accepted
    with pytest.raises(ValueError, match="refused"):
        regularise(volume_of(frames, scene(frames), verdict.order), check([]))


def test_the_window_and_the_table_are_kept():
    frames = stack(np.array([0.0, 1, 2, 4, 5]))
    lut, window = VoiLut(0, np.array([0, 255], np.uint16), 8), Window(40.0, 400.0)
    volume = run(frames, "gap", window=window, voi_lut=lut)
    assert len(volume.voxels) == 6
    assert volume.voi_lut is lut and volume.window is window
