"""Photographs, ultrasound and radiographs through a plan, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bedside.runtime.errors import BundleError, StudyRejected
from bedside.runtime.image import Cine, Image, UltrasoundRegion, Window

from .bundle_maker import Content
from .plan_maker import FRAME, HALF, plan_of, step, volume


def picture(pixels: Any, **more: Any) -> Image:
    return Image(pixels, FRAME, **more)


PHOTO = {"kind": "image", "photometric": "rgb", "axes": "zyx"}


def test_a_photograph_in_either_axis_order() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)
    for axes, want in (("zyx", np.moveaxis(rgb, -1, 0)), ("xyz", rgb.T)):
        plan = plan_of([], [HALF], spec={**PHOTO, "axes": axes}, channels=3)
        prepared = plan.prepare(picture(rgb))
        np.testing.assert_array_equal(prepared.array, want)
        labels = plan.finish((prepared.array[:1] > 128).astype(np.float32), prepared).labels
        np.testing.assert_array_equal(labels, rgb[..., 0] > 128)


def test_grayscale() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)
    plan = plan_of([step("Grayscaled")], [HALF], spec={"kind": "image", "axes": "zyx"})
    np.testing.assert_allclose(plan.prepare(picture(rgb)).array[0], rgb @ [0.299, 0.587, 0.114], atol=1e-3)
    np.testing.assert_array_equal(plan.prepare(picture(rgb[..., 0])).array[0], rgb[..., 0])


def test_fundus_field_of_view() -> None:
    y, x = np.mgrid[:80, :120]
    disc = (y - 41) ** 2 + (x - 58) ** 2 <= 33**2
    rgb = np.where(disc[..., None], [180, 90, 40], [6, 4, 3]).astype(np.uint8)
    rgb[2:4, 110:114] = 200  # a label beside the disc
    for axes in ("zyx", "xyz"):
        plan = plan_of(
            [step("FundusFieldOfViewd"), step("Resized", spatial_size=[67, 67], mode="nearest")],
            spec={**PHOTO, "axes": axes},
            channels=3,
        )
        prepared = plan.prepare(picture(rgb))
        assert prepared.shape == (67, 67)
        labels = plan.finish((prepared.array[:1] > 100).astype(np.float32), prepared).labels
        np.testing.assert_array_equal(labels, disc)
    with pytest.raises(StudyRejected, match="field of view"):
        plan.prepare(picture(np.zeros_like(rgb)))


def test_ultrasound_region() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 60)).astype(np.uint8)
    regions = (
        UltrasoundRegion(0, 0, 59, 4, data_type=3),
        UltrasoundRegion(5, 8, 20, 35, data_type=1),
        UltrasoundRegion(22, 6, 56, 37, mm_per_pixel_x=0.2, mm_per_pixel_y=0.4, data_type=1),
    )
    for axes in ("zyx", "xyz"):
        plan = plan_of([step("UltrasoundRegiond")], spec={"kind": "cine", "axes": axes})
        cine = Cine(np.stack([pixels * 0, pixels]), (FRAME, FRAME), regions=regions)
        prepared = plan.prepare(cine, frame=1)
        want = pixels[6:38, 22:57]
        np.testing.assert_array_equal(prepared.array[0], want if axes == "zyx" else want.T)
        assert sorted(np.abs(np.diag(prepared.affine)[:2])) == [0.2, 0.4]
        labels = plan.finish((prepared.array > 99).astype(np.float32), prepared).labels
        assert labels is not None
        np.testing.assert_array_equal(labels[6:38, 22:57], want > 99)
        assert labels.sum() == (want > 99).sum()
    with pytest.raises(StudyRejected, match="no ultrasound region of data type 1"):
        plan.prepare(picture(pixels))
    whole = plan_of([step("UltrasoundRegiond", missing="whole")], spec={"kind": "image"})
    assert whole.prepare(picture(pixels)).shape == (60, 40)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_voi_window(function: str) -> None:
    """DICOM PS3.3 C.11.2.1.2.1 and C.11.2.1.3, with y from 0 to 255."""
    values = np.arange(-300, 300, dtype=np.int16).reshape(20, 30)
    window = Window(40.0, 400.0, function)
    plan = plan_of([], [HALF], spec={"kind": "image", "apply_voi": True, "axes": "zyx"})
    got = plan.prepare(picture(values, slope=2.0, intercept=-5.0, window=window)).array[0]
    x = values * 2.0 - 5.0
    want = {
        "LINEAR": ((x - 39.5) / 399 + 0.5).clip(0, 1) * 255,
        "LINEAR_EXACT": ((x - 40) / 400 + 0.5).clip(0, 1) * 255,
        "SIGMOID": 255 / (1 + np.exp(-4 * (x - 40) / 400)),
    }
    np.testing.assert_allclose(got, want[function], atol=1e-3)
    with pytest.raises(StudyRejected, match="no VOI window"):
        plan.prepare(picture(values))


def test_what_the_image_must_have() -> None:
    gray, rgb = np.zeros((6, 7), np.uint8), np.zeros((6, 7, 3), np.uint8)
    mono, colour = plan_of([], [HALF], spec={"kind": "image"}), plan_of([], [HALF], spec=PHOTO, channels=3)
    spaced = plan_of([step("Spacingd", pixdim=0.5)], spec={"kind": "image"})
    boxed = plan_of([step("CenterSpatialCropd", roi_size=[2, 2, 2])], spec={"kind": "image"})
    cropped = plan_of([step("CropForegroundd", source_key="image")])
    empty = volume(np.zeros((3, 3, 3), np.int16))
    for plan, image, error, message in (
        (mono, picture(rgb), StudyRejected, "in colour"),
        (colour, picture(gray), StudyRejected, "monochrome"),
        (mono, empty, StudyRejected, "kind"),
        (cropped, picture(gray), StudyRejected, "kind"),
        (spaced, picture(gray), StudyRejected, "no pixel spacing"),
        (boxed, picture(gray), BundleError, "'roi_size' has 3 values, the image has 2 axes"),
        (cropped, empty, StudyRejected, "no voxel is above 0"),
    ):
        with pytest.raises(error, match=message):
            plan.prepare(image)
    with pytest.raises(ValueError, match="frame"):
        mono.prepare(Cine(gray[None], (FRAME,)), frame=1)


@pytest.mark.parametrize(
    "transform",
    [
        step("Spacingd", pixdim=0.0005),
        step("Resized", spatial_size=[90000, 90000, 90000], mode="area"),
        step("SpatialPadd", spatial_size=[90000, 90000, 90000]),
        step("SpatialPadd", spatial_size=[90000, 90000, 90000], mode="edge"),
    ],
)
def test_a_grid_that_no_memory_holds(transform: Content) -> None:
    with pytest.raises(StudyRejected, match="GB of memory") as caught:
        plan_of([transform]).prepare(volume(np.zeros((9, 9, 9), np.int16)))
    assert "\n" not in str(caught.value)
