"""Every transform gives MONAI's numbers: 1e-4 after normalisation, 0 for labels (tests/golden/make_monai_golden.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.runtime.bundle.schema import Metadata
from bedside.runtime.image import Frame, Image, Volume
from bedside.runtime.transforms import plan
from bedside.runtime.transforms.intensity import Intensity
from bedside.runtime.transforms.morphology import Morphology
from bedside.runtime.transforms.online import OnlineRule, discretise
from bedside.runtime.transforms.post import Pointwise
from bedside.runtime.transforms.registry import parse
from bedside.runtime.transforms.spatial import Spatial
from bedside.runtime.transforms.state import State

from .bundle_maker import metadata

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
INPUTS = dict(np.load(GOLDEN / "monai_inputs.npz"))
SPATIAL = dict(np.load(GOLDEN / "monai_spatial.npz"))
INTENSITY = dict(np.load(GOLDEN / "monai_intensity.npz"))
POST = dict(np.load(GOLDEN / "monai_post.npz"))


def names(arrays: dict[str, Any]) -> list[str]:
    return sorted({key.split("/")[0] for key in arrays})


def run(arrays: dict[str, Any], case: str, dtype: str | None = None) -> State:
    source = str(arrays[f"{case}/source"])
    array = INPUTS[f"{source}/array"]
    state = State(array if dtype is None else array.astype(dtype), INPUTS[f"{source}/affine"].copy())
    before = state.array.copy()
    held = state.array
    for config in json.loads(str(arrays[f"{case}/transforms"])):
        step = parse(config, "preprocessing", case)
        assert isinstance(step, Spatial | Intensity)
        step.apply(state)
    np.testing.assert_array_equal(held, before, err_msg="the source was changed")
    return state


def rendered(state: State) -> Any:
    return state.array if state.values.is_identity else state.rendered()


def scale_of(values: Any) -> float:
    """CT-valued outputs are compared relative to their range, normalised ones absolutely."""
    return max(1.0, float(np.abs(values).max()))


@pytest.mark.parametrize("dtype", [None, "float32"], ids=["stored", "float"])
@pytest.mark.parametrize("case", names(SPATIAL))
def test_spatial(case: str, dtype: str | None) -> None:
    state = run(SPATIAL, case, dtype)
    want = SPATIAL[f"{case}/output"]
    rank = want.ndim - 1
    affine = SPATIAL[f"{case}/affine"]
    got = rendered(state)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * scale_of(want) / 10)
    np.testing.assert_allclose(state.affine[:rank, :rank], affine[:rank, :rank], atol=1e-9)
    np.testing.assert_allclose(state.affine[:rank, -1], affine[:rank, -1], atol=1e-9)


@pytest.mark.parametrize("dtype", [None, "float32"], ids=["stored", "float"])
@pytest.mark.parametrize("case", names(INTENSITY))
def test_intensity(case: str, dtype: str | None) -> None:
    got = rendered(run(INTENSITY, case, dtype))
    want = INTENSITY[f"{case}/output"]
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-5 * scale_of(want))


@pytest.mark.parametrize("case", names(POST))
def test_post(case: str) -> None:
    array = POST[f"{case}/input"].copy()
    for config in json.loads(str(POST[f"{case}/transforms"])):
        step = parse(config, "postprocessing", case)
        if isinstance(step, Morphology):
            array = step.apply(array.astype(np.uint8))
        else:
            assert isinstance(step, Pointwise)
            array = step.apply(array)
    np.testing.assert_allclose(array, POST[f"{case}/output"], rtol=0, atol=1e-6)


INVERSE = dict(np.load(GOLDEN / "monai_inverse.npz"))
POSTS = json.loads(str(INVERSE.pop("posts")))
FRAME = Frame(path=Path("x.dcm"), sop_class_uid="1.2", sop_instance_uid="1.2.3", spacing=(1.0, 1.0))


def source_image(source: str) -> Volume | Image:
    """The golden input as the DICOM reader would give it: [z, y, x] in LPS, or [y, x, 3]."""
    array, affine = INPUTS[f"{source}/array"], INPUTS[f"{source}/affine"]
    if array.ndim == 3:
        return Image(np.ascontiguousarray(array.T), FRAME)
    voxels = np.ascontiguousarray(array[0].T)
    ours = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]
    ones, zeros = np.ones(len(voxels), np.float32), np.zeros(len(voxels), np.float32)
    return Volume(voxels, ours, ones, zeros, (None,) * len(voxels))


def compiled(case: str, channels: int, steps: list[dict[str, Any]]) -> plan.Plan:
    volume = INVERSE[f"{case}/input"].ndim == 4
    meta = metadata("0" * 64)
    meta["bedside"]["input"] = {"kind": "volume"} if volume else {"kind": "image", "photometric": "rgb"}
    tensors = meta["network_data_format"]
    tensors["inputs"]["image"]["num_channels"] = len(INVERSE[f"{case}/input"])
    tensors["outputs"]["pred"]["num_channels"] = channels
    parsed = Metadata.model_validate_json(json.dumps(meta), strict=True)
    pre = json.loads(str(INVERSE[f"{case}/preprocessing"]))
    return plan.compile_plan(
        [parse(config, "preprocessing", case) for config in pre],
        [parse(config, "postprocessing", case) for config in steps],
        parsed.bedside,
        parsed.network_data_format,
    )


@pytest.mark.parametrize("post", sorted(POSTS))
@pytest.mark.parametrize("case", names(INVERSE))
def test_there_and_back(case: str, post: str) -> None:
    channels, steps = POSTS[post]
    compiled_plan = compiled(case, channels, steps)
    prepared = compiled_plan.prepare(source_image(str(INVERSE[f"{case}/source"])))
    np.testing.assert_allclose(prepared.array, INVERSE[f"{case}/input"], rtol=0, atol=1e-5)
    assert prepared.array.flags.c_contiguous

    pred = INVERSE[f"{case}/pred"][:channels].astype(np.float32)
    held = pred.copy()
    want = INVERSE[f"{case}/{post}"][0].T
    labels = compiled_plan.finish(pred, prepared).labels
    assert labels is not None
    assert labels.dtype == np.uint8 and labels.shape == want.shape
    np.testing.assert_array_equal(labels, want)
    np.testing.assert_array_equal(pred, held, err_msg="the network's output was changed")

    if compiled_plan.online is not None:
        online = compiled_plan.finish(discretise(pred, compiled_plan.online), prepared).labels
        np.testing.assert_array_equal(online, want)


def test_online_rules() -> None:
    """A rule is offered exactly where the discretisation commutes with the inverse."""
    case = "chain-ct"
    rules = {post: compiled(case, *POSTS[post]).online for post in POSTS}
    assert rules["nearest-argmax"] == rules["argmax-nearest"] == OnlineRule("argmax")
    assert rules["smooth-argmax"] is None and rules["sigmoid-smooth"] is None
    assert rules["sigmoid-nearest"] == OnlineRule("threshold", 0.0)
    level = rules["nearest-sigmoid"]
    assert level is not None and level.level == pytest.approx(np.log(0.4 / 0.6))
