"""From the network's output back to labels on the source grid."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bedside.runtime import memory
from bedside.runtime.errors import BundleError, StudyRejected
from bedside.runtime.transforms import state, way_back
from bedside.runtime.transforms.online import discretise
from bedside.runtime.transforms.plan import Prepared
from bedside.runtime.transforms.postplan import collapse

from .bundle_maker import PRED, Content
from .plan_maker import ARGMAX, HALF, INVERT, marked, plan_of, step, volume


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


def test_an_online_label_map_needs_a_rule() -> None:
    plan = plan_of([step("Resized", spatial_size=[4, 4, 4])], [{**INVERT, "nearest_interp": False}, HALF])
    prepared: Prepared = plan.prepare(volume(np.zeros((3, 3, 3), np.int16)))
    with pytest.raises(BundleError, match="needs the network's output"):
        plan.finish(np.zeros((4, 4, 4), np.uint8), prepared)
