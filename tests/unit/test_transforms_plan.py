"""There and back: a mark comes back in its voxel, whatever the series' orientation and the bundle's chain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from .bundle_maker import Content
from .plan_maker import HALF, INVERT, marked, orientations, oriented, plan_of, step, volume

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
