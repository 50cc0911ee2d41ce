"""There and back: a mark comes back in its voxel, whatever the series' orientation and the bundle's chain."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bedside.runtime import memory
from bedside.runtime.bundle.schema import Metadata
from bedside.runtime.errors import BundleError, StudyRejected
from bedside.runtime.image import Cine, Frame, Image, UltrasoundRegion, Volume, Window
from bedside.runtime.transforms import state, way_back
from bedside.runtime.transforms.online import discretise
from bedside.runtime.transforms.plan import Plan, Prepared, compile_plan
from bedside.runtime.transforms.postplan import collapse
from bedside.runtime.transforms.registry import parse

from .bundle_maker import IMAGE, PRED, Content, metadata

INVERT: Content = {"_target_": "Invertd", **PRED, "transform": "@preprocessing"}
ARGMAX: Content = {"_target_": "AsDiscreted", **PRED, "argmax": True}
HALF: Content = {"_target_": "AsDiscreted", **PRED, "threshold": 0.5}
FRAME = Frame(path=Path("x.dcm"), sop_class_uid="1.2", sop_instance_uid="1.2.3")

Matrix = np.ndarray[Any, np.dtype[np.float64]]


def step(name: str, **arguments: Any) -> Content:
    return {"_target_": name, **IMAGE, **arguments}


def plan_of(
    pre: list[Content],
    post: list[Content] | None = None,
    *,
    spec: Content | None = None,
    channels: int = 1,
    outputs: int = 1,
    dtype: str = "float32",
) -> Plan:
    meta = metadata("0" * 64)
    meta["bedside"]["input"] = {"kind": "volume", **(spec or {})}
    tensors = meta["network_data_format"]
    tensors["inputs"]["image"] |= {"num_channels": channels, "dtype": dtype}
    tensors["outputs"]["pred"]["num_channels"] = outputs
    parsed = Metadata.model_validate_json(json.dumps(meta), strict=True)
    return compile_plan(
        [parse(config, "preprocessing", f"pre[{i}]") for i, config in enumerate(pre)],
        [parse(config, "postprocessing", f"post[{i}]") for i, config in enumerate(post or [INVERT, HALF])],
        parsed.bedside,
        parsed.network_data_format,
    )


def volume(voxels: Any, affine: Any = None, slope: Any = 1.0, intercept: Any = 0.0, **more: Any) -> Volume:
    count = len(voxels)
    affine = np.diag([3.0, 0.8, 0.7, 1.0])[:, [2, 1, 0, 3]] if affine is None else affine
    spread = [np.broadcast_to(np.asarray(v, np.float32), count).copy() for v in (slope, intercept)]
    return Volume(voxels, affine, spread[0], spread[1], (None,) * count, **more)


def orientations() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [
        (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
    ]


def oriented(order: tuple[int, ...], signs: tuple[int, ...], spacing: tuple[float, ...]) -> Matrix:
    """LPS affine whose array axis i runs along patient axis order[i]."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis in range(3):
        affine[order[axis], axis] = signs[axis] * spacing[axis]
    affine[:3, 3] = (-31.0, 17.5, 400.25)
    return affine


def marked(shape: tuple[int, ...], corner: tuple[int, ...], box: int) -> Any:
    """1 in a box at one corner, 0 elsewhere."""
    out = np.zeros(shape, np.int16)
    out[tuple(slice(0, box) if end == 0 else slice(n - box, n) for end, n in zip(corner, shape, strict=True))] = 1
    return out


CHAINS: dict[str, list[Content]] = {
    "orientation": [step("Orientationd", axcodes="RAS")],
    "orientation-LIP": [step("Orientationd", axcodes="LIP")],
    "pad": [step("Orientationd", axcodes="SRA"), step("SpatialPadd", spatial_size=[16, 17, 16])],
    "crop-pad": [step("Orientationd", axcodes="RAS"), step("ResizeWithPadOrCropd", spatial_size=[15, 30, 15])],
    "foreground": [
        step("Orientationd", axcodes="PIR"),
        step("CropForegroundd", source_key="image", margin=2),
        step("Transposed", indices=[0, 2, 3, 1]),
    ],
    "spacing": [step("Spacingd", pixdim=[0.5, 0.5, 0.5]), step("Orientationd", axcodes="LPS")],
    "everything": [
        step("Orientationd", axcodes="RAS"),
        step("Spacingd", pixdim=[0.6, 0.45, 0.5]),
        step("CropForegroundd", source_key="image", margin=[3, 2, 4], k_divisible=4),
        step("SpatialPadd", spatial_size=[40, 40, 40], method="end"),
    ],
}


@pytest.mark.parametrize("axes", ["xyz", "zyx"])
@pytest.mark.parametrize("chain", sorted(CHAINS))
def test_a_marked_corner_comes_back(chain: str, axes: str) -> None:
    """All 48 orientations; the network is the identity."""
    plan = plan_of(CHAINS[chain], spec={"axes": axes})
    shape = (7, 9, 8)
    for (order, signs), corner in zip(orientations(), itertools.cycle(itertools.product((0, 1), repeat=3))):
        voxels = marked(shape, corner, 3)
        prepared = plan.prepare(volume(voxels, oriented(order, signs, (1.0, 1.25, 1.5))))
        labels = plan.finish(prepared.array, prepared).labels
        np.testing.assert_array_equal(labels, voxels, err_msg=f"{order} {signs} {corner}")


@pytest.mark.parametrize("axes", ["xyz", "zyx"])
def test_oriented_means_what_it_says(axes: str) -> None:
    """After RAS, index (0, 0, 0) is the most right-posterior-inferior-leaning corner of all 48 orientations alike."""
    plan = plan_of([step("Orientationd", axcodes="RAS")], spec={"axes": axes})
    for order, signs in orientations():
        affine = oriented(order, signs, (1.0, 1.25, 1.5))
        index = np.stack(np.meshgrid(*(np.arange(n) for n in (4, 5, 6)), indexing="ij"))
        left, posterior, superior = np.einsum("ij,jzyx->izyx", affine[:3, :3], index) + affine[:3, 3].reshape(
            3, 1, 1, 1
        )
        for component, values in enumerate((-left, -posterior, superior)):
            prepared = plan.prepare(volume(values.astype(np.float32), affine))
            along = np.diff(prepared.array[0], axis=component)
            assert (along > 0).all()
            corner = prepared.affine[:3, 3][component]
            assert prepared.array[0].ravel()[0] == pytest.approx(corner)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.integers(4, 11)] * 3),
    st.tuples(*[st.floats(0.5, 3.0)] * 3),
    st.tuples(*[st.floats(-40, 40)] * 3),
    st.sampled_from(["RAS", "LPS", "SAR"]),
    st.sampled_from([0.4, 0.9]),
)
def test_oblique_series_keep_their_place(
    shape: tuple[int, ...], spacing: tuple[float, ...], angles: tuple[float, ...], axcodes: str, pixdim: float
) -> None:
    """A linear ramp in patient space, resampled, still has at every voxel the value of that voxel's place."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(spacing)
    affine[:3, 3] = (5.0, -7.0, 11.0)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")).reshape(3, -1)
    place = affine[:3, :3] @ index + affine[:3, 3:]
    ramp = (np.array([0.5, -1.5, 2.0]) @ place).reshape(shape).astype(np.float32)
    plan = plan_of([step("Orientationd", axcodes=axcodes), step("Spacingd", pixdim=pixdim)])
    prepared = plan.prepare(volume(ramp, affine))
    new = np.stack(np.meshgrid(*(np.arange(n) for n in prepared.shape), indexing="ij")).reshape(3, -1)
    ras = prepared.affine[:3, :3] @ new + prepared.affine[:3, 3:]
    back = np.linalg.inv(affine) @ np.vstack([np.diag([-1, -1, 1]) @ ras, np.ones(ras.shape[1])])
    inside = ((back[:3] >= 0) & (back[:3] <= np.array(shape)[:, None] - 1)).all(axis=0)
    want = np.array([0.5, -1.5, 2.0]) @ (np.diag([-1, -1, 1]) @ ras)
    np.testing.assert_allclose(prepared.array.ravel()[inside], want[inside], atol=1e-3)
    assert inside.any()


def test_rescale_slope_and_intercept() -> None:
    rng = np.random.default_rng(1)
    voxels = rng.integers(0, 4000, (5, 6, 7)).astype(np.uint16)
    chain = [
        step("Orientationd", axcodes="LPS"),
        step("Spacingd", pixdim=[0.9, 0.9, 2.1]),
        step("ScaleIntensityRanged", a_min=-1000, a_max=1000, b_min=0.0, b_max=1.0, clip=True),
    ]
    plan = plan_of(chain)
    real = voxels * 0.5 - 1024.0
    want = plan.prepare(volume(real.astype(np.float32))).array
    for intercept in (-1024.0, np.full(5, -1024.0, np.float32)):
        got = plan.prepare(volume(voxels, slope=0.5, intercept=intercept)).array
        np.testing.assert_allclose(got, want, atol=1e-5)
    slopes = np.linspace(0.5, 2.0, 5, dtype=np.float32)
    per_slice = voxels * slopes[:, None, None]
    want = plan.prepare(volume(per_slice.astype(np.float32))).array
    np.testing.assert_allclose(plan.prepare(volume(voxels, slope=slopes)).array, want, atol=1e-5)


@pytest.mark.parametrize("stored", ["uint8", "int8", "uint16", "int16", "int32", "float32"])
@pytest.mark.parametrize("channel_wise", [False, True])
@pytest.mark.parametrize("slope", [0.7, -1.3])
def test_percentiles_of_stored_integers(stored: str, channel_wise: bool, slope: float) -> None:
    """Counted or sorted, they are numpy's; the two maps are one then, which rounds once less."""
    rng = np.random.default_rng(4)
    voxels = rng.normal(60, 20, (11, 12, 13)).clip(0, 127).astype(stored)
    for lower, upper in ((0.5, 99.5), (0, 100), (33.3, 50), (2, 71.7)):
        scale = step(
            "ScaleIntensityRangePercentilesd", lower=lower, upper=upper, b_min=0.0, b_max=1.0, channel_wise=channel_wise
        )
        got = plan_of([scale]).prepare(volume(voxels, slope=slope, intercept=-31.5)).array
        values = plan_of([]).prepare(volume(voxels, slope=slope, intercept=-31.5)).array
        low, high = np.percentile(values, (lower, upper))
        want = plan_of([step("ScaleIntensityRanged", a_min=float(low), a_max=float(high), b_min=0.0, b_max=1.0)])
        np.testing.assert_allclose(got, want.prepare(volume(values[0].T)).array, rtol=0, atol=1e-5)


@pytest.mark.parametrize("stored", ["uint8", "int8", "uint16", "int16", "int32", "uint32", "float32", "float64"])
def test_the_source_is_never_changed(stored: str) -> None:
    voxels = np.arange(7 * 6 * 5).reshape(7, 6, 5).astype(stored)
    held = voxels.copy()
    for chain in (
        [step("ScaleIntensityd")],
        [step("ScaleIntensityRanged", a_min=0, a_max=9, b_min=0.0, b_max=1.0, clip=True)],
        [step("NormalizeIntensityd", nonzero=True), step("ScaleIntensityd", factor=1.0, minv=None, maxv=None)],
        [step("Orientationd", axcodes="LPS"), step("SpatialPadd", spatial_size=[9, 9, 9], mode="edge")],
        [],
    ):
        plan = plan_of(chain, [INVERT, HALF])
        prepared = plan.prepare(volume(voxels))
        assert prepared.array.dtype == np.float32 and prepared.array.flags.c_contiguous
        plan.finish(prepared.array, prepared)
        np.testing.assert_array_equal(voxels, held)


def test_the_networks_dtype() -> None:
    chain = [step("ScaleIntensityd", minv=0.0, maxv=250.9), step("CastToTyped", dtype="uint8")]
    plan = plan_of(chain, dtype="uint8")
    array = plan.prepare(volume(np.arange(24).reshape(2, 3, 4))).array
    assert array.dtype == np.uint8 and array.max() == 250


def test_progress_counts_the_transforms() -> None:
    seen: list[tuple[str, int, int]] = []
    plan = plan_of(CHAINS["everything"])
    plan.prepare(volume(marked((7, 9, 8), (0, 0, 0), 3)), progress=lambda *event: seen.append(event))
    assert seen == [("prepare", n, 4) for n in (1, 2, 3, 4)]


def test_several_channels_by_threshold() -> None:
    """The first channel above the level gives the label; a softmax's channel 0 is the background."""
    rng = np.random.default_rng(3)
    scores = rng.normal(0, 2, (3, 4, 5, 6)).astype(np.float32)
    source = volume(rng.integers(0, 9, (6, 5, 4)).astype(np.int16))
    sigmoid = {"_target_": "Activationsd", **PRED, "sigmoid": True}
    softmax = {"_target_": "Activationsd", **PRED, "softmax": True}
    plain = plan_of([], [sigmoid, HALF], outputs=3)
    prepared = plain.prepare(source)
    first = np.where((scores >= 0).any(axis=0), (scores >= 0).argmax(axis=0) + 1, 0)
    np.testing.assert_array_equal(plain.finish(scores, prepared).labels, first.T)
    assert plain.online is not None
    np.testing.assert_array_equal(plain.finish(discretise(scores, plain.online), prepared).labels, first.T)
    soft = plan_of([], [softmax, HALF], outputs=3)
    chance = np.exp(scores) / np.exp(scores).sum(axis=0)
    want = np.where((chance >= 0.5).any(axis=0), (chance >= 0.5).argmax(axis=0), 0)
    assert soft.online is None
    np.testing.assert_array_equal(soft.finish(scores, prepared).labels, want.T)


def test_what_the_inverse_adds_is_background_as_in_monai() -> None:
    """Outside a foreground crop MONAI has zeros; a sigmoid after the inverse makes 0.5 of them."""
    chain = [step("CropForegroundd", source_key="image")]
    sigmoid = {"_target_": "Activationsd", **PRED, "sigmoid": True}
    voxels = marked((6, 6, 6), (0, 1, 0), 2)
    for post, outside in (([sigmoid, INVERT, HALF], 0), ([INVERT, sigmoid, HALF], 1)):
        plan = plan_of(chain, post)
        prepared = plan.prepare(volume(voxels))
        labels = plan.finish(np.full((1, *prepared.shape), -3.0, np.float32), prepared).labels
        assert labels is not None and plan.online is not None
        np.testing.assert_array_equal(labels, np.where(voxels == 1, 0, outside))


SMOOTH: Content = {**INVERT, "nearest_interp": False}
SOFTMAX: Content = {"_target_": "Activationsd", **PRED, "softmax": True}
SPACING = step("Spacingd", pixdim=[1.1, 0.9, 1.3])
INTERPOLATED: dict[str, list[Content]] = {
    "spacing": [step("Orientationd", axcodes="LAS"), SPACING],
    "finer": [step("Spacingd", pixdim=[0.3, 0.5, 0.4]), step("SpatialPadd", spatial_size=[40, 5, 25])],
    "coarser": [step("Spacingd", pixdim=[2.5, 2.0, 1.8])],
    "zeros outside": [step("Spacingd", pixdim=[0.8, 0.9, 1.3], padding_mode="zeros")],
    "cropped": [
        SPACING,
        step("CropForegroundd", source_key="image", margin=1),
        step("SpatialPadd", spatial_size=[9, 12, 16]),
    ],
    "turned after": [SPACING, step("Orientationd", axcodes="SPL")],
    "cropped and turned": [SPACING, step("CropForegroundd", source_key="image"), step("Orientationd", axcodes="SPL")],
    "resized": [step("Resized", spatial_size=[11, 6, 13], mode="trilinear")],
    "aligned": [step("Resized", spatial_size=[11, 6, 13], mode="trilinear", align_corners=True)],
    "area": [step("Resized", spatial_size=[5, 4, 4], mode="area")],
    "twice": [SPACING, step("Resized", spatial_size=[11, 6, 13], mode="trilinear")],
    "as it is": [step("Spacingd", pixdim=-1), step("CropForegroundd", source_key="image")],
    "straightened": [step("Spacingd", pixdim=[1.1, 0.9, 1.3], diagonal=True)],
}
ALL_AT_ONCE = {"turned after", "cropped and turned", "area", "twice"}


@pytest.mark.parametrize("post", [[SOFTMAX, SMOOTH, ARGMAX], [SMOOTH, SOFTMAX, ARGMAX], [SOFTMAX, SMOOTH, HALF]])
@pytest.mark.parametrize("chain", sorted(INTERPOLATED))
def test_scores_go_back_in_slabs(chain: str, post: list[Content], monkeypatch: pytest.MonkeyPatch) -> None:
    """Plane by plane or from the whole output, the labels are those of whole arrays at every step."""
    monkeypatch.setattr(way_back, "_CHUNK", 700)
    monkeypatch.setattr(way_back, "_ROWS", 500)
    plan = plan_of(INTERPOLATED[chain], post, outputs=3)
    assert plan.online is None
    rng = np.random.default_rng(5)
    affine = np.diag([0.9, 1.0, 1.2, 1.0])[:, [2, 1, 0, 3]]
    affine[:3, :3] = Rotation.from_euler("xyz", [9, -14, 6], degrees=True).as_matrix() @ affine[:3, :3]
    voxels = np.zeros((14, 11, 13), np.int16)
    voxels[3:9, 2:10, 4:12] = rng.integers(1, 9, (6, 8, 8))
    prepared = plan.prepare(volume(voxels, affine))
    scores = rng.normal(0, 3, (3, *prepared.shape)).astype(np.float32)
    held = scores.copy()
    whole = plan.after._walk(scores.copy(), plan.after.steps, prepared.trace, 1)
    want = prepared.border.invert(collapse(whole, plan.after.first_label), nearest=True, threads=1)[0]
    np.testing.assert_array_equal(plan.finish(scores, prepared).labels, want)
    np.testing.assert_array_equal(scores, held)
    way = plan.way_back(prepared)
    assert (way is None) == (chain in ALL_AT_ONCE)
    if way is not None:
        cuts = [0, 1, 2, 5, prepared.shape[0]]
        for first, last in itertools.pairwise(cuts):
            way.take(first, scores[:, first:last])
        np.testing.assert_array_equal(plan.finish(way, prepared).labels, want)
        np.testing.assert_array_equal(scores, held)
    assert 0 < np.count_nonzero(want) < want.size


def test_a_way_back_that_no_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(INTERPOLATED["spacing"], [SOFTMAX, SMOOTH, ARGMAX], outputs=3)
    prepared = plan.prepare(volume(np.ones((9, 8, 7), np.int16)))
    monkeypatch.setattr(state, "_LARGE", 0)
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(StudyRejected, match="GB of memory"):
        plan.way_back(prepared)
    with pytest.raises(StudyRejected, match="GB of memory"):
        plan.finish(np.zeros((3, *prepared.shape), np.float32), prepared)


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


def test_an_online_label_map_needs_a_rule() -> None:
    plan = plan_of([step("Resized", spatial_size=[4, 4, 4])], [{**INVERT, "nearest_interp": False}, HALF])
    prepared: Prepared = plan.prepare(volume(np.zeros((3, 3, 3), np.int16)))
    with pytest.raises(BundleError, match="needs the network's output"):
        plan.finish(np.zeros((4, 4, 4), np.uint8), prepared)
