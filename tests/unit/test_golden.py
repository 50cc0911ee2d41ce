"""Golden cases: what is kept of a study's findings, and how far from it a device may be."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from bedside.backends.contract import Array, Device, Tensors, TensorSpec
from bedside.runtime.bundle.schema import Code
from bedside.runtime.errors import BundleError
from bedside.runtime.findings import ClassScore, Findings, Lesion
from bedside.runtime.golden import EXACT, REDUCED, Expectation, Sampler, auc_change, compare, dice_of, expectation
from bedside.runtime.golden.sampler import MOST_WINDOWS, PER_WINDOW

CODE = Code(value="1", scheme="SCT", meaning="x")


class Fixed:
    """A program that gives what it is told to give, window by window."""

    device = Device("fixed", "fixed", True)
    inputs = (TensorSpec("image", (None, 1, 4, 5), np.dtype(np.float32)),)
    outputs = (TensorSpec("pred", (None, 2, 4, 5), np.dtype(np.float32)),)

    def __init__(self, outputs: NDArray[np.float32]) -> None:
        self._outputs, self._at = outputs, 0

    def run(self, feeds: Tensors) -> dict[str, Array]:
        count = len(feeds["image"])
        found = self._outputs[self._at : self._at + count]
        self._at += count
        return {"pred": found}

    def submit(self, feeds: Tensors) -> Any:
        outputs = self.run(feeds)
        return type("Done", (), {"result": lambda self, timeout=None: outputs})()

    def placement(self) -> dict[str, int]:
        return {"fixed": 1}

    def close(self) -> None:
        pass


def sampled(outputs: NDArray[np.float32], batch: int = 1) -> Sampler:
    sampler = Sampler(Fixed(outputs), "pred")
    for start in range(0, len(outputs), batch):
        sampler.run({"image": np.zeros((min(batch, len(outputs) - start), 1, 4, 5), np.float32)})
    return sampler


def outputs(windows: int = 3, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((windows, 2, 20, 30)).astype(np.float32)


def lesion(number: int = 1, **more: Any) -> Lesion:
    values: dict[str, Any] = {name: None for name in Lesion.__dataclass_fields__}
    values |= {"label": 1, "number": number, "voxels": 100, "centroid": (2.0, 3.0, 4.0)}
    values |= {"centroid_lps": (10.0, 20.0, 30.0), "volume_mm3": 100.0, "longest_diameter_mm": 7.0, **more}
    return Lesion(**values)


def segmentation(*lesions: Lesion, voxels: int = 100) -> Findings:
    parts = np.zeros((5, 8, 9), np.uint8)
    parts.reshape(-1)[:voxels] = 1
    return Findings("segmentation", parts=parts, lesions=lesions or (lesion(),))


def classification(*probabilities: float) -> Findings:
    scores = [ClassScore(k, f"class {k}", CODE, p, 0.5, p >= 0.5) for k, p in enumerate(probabilities)]
    return Findings("classification", scores=tuple(scores))


def test_what_is_kept_passes_through_json() -> None:
    kept = expectation(segmentation(), sampled(outputs()))
    again = Expectation.model_validate_json(json.dumps(kept.model_dump(mode="json", exclude_none=True)), strict=True)
    assert again == kept
    assert again.mask is not None and np.array_equal(again.mask.read(), segmentation().mask)
    assert again.output is not None and again.output.windows == 3
    result = compare("case", again, segmentation(), sampled(outputs()), EXACT)
    assert result.passed and result.findings_equal and result.reason == ""
    assert (result.max_error, result.dice, result.probability_change) == (0.0, 1.0, None)
    assert result.cosine == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_sample_does_not_depend_on_the_batch(batch: int) -> None:
    values = sampled(outputs(), batch).values()
    assert np.array_equal(values, sampled(outputs()).values())
    assert len(values) == 3 * PER_WINDOW


def test_submit_is_sampled_in_order_whenever_it_is_asked() -> None:
    sampler = Sampler(Fixed(outputs()), "pred")
    pending = [sampler.submit({"image": np.zeros((1, 1, 4, 5), np.float32)}) for _ in range(3)]
    for one in reversed(pending):
        one.result()
    assert np.array_equal(sampler.values(), sampled(outputs()).values())


def test_small_outputs_are_kept_whole_and_many_windows_are_not() -> None:
    few = np.arange(8, dtype=np.float32).reshape(2, 4)
    assert sampled(few).values().tolist() == few.ravel().tolist()
    many = sampled(np.ones((MOST_WINDOWS + 9, 2), np.float32))
    assert many.windows == MOST_WINDOWS + 9
    assert len(many.values()) == 2 * MOST_WINDOWS


def test_an_output_that_is_slightly_off_fails_the_exact_limits_and_passes_the_others() -> None:
    kept = expectation(segmentation(), sampled(outputs()))
    near = sampled(outputs() + np.float32(0.02))
    exact = compare("case", kept, segmentation(), near, EXACT)
    assert not exact.passed and "output is off by" in exact.reason and exact.findings_equal
    assert exact.max_error == pytest.approx(0.02, rel=1e-3)
    assert compare("case", kept, segmentation(), near, REDUCED).passed
    other = compare("case", kept, segmentation(), sampled(outputs(seed=2)), REDUCED)
    assert not other.passed and "cosine" in other.reason


def test_a_mask_that_is_off_fails() -> None:
    kept = expectation(segmentation(), sampled(outputs()))
    result = compare("case", kept, segmentation(voxels=98), sampled(outputs()), EXACT)
    assert result.dice == pytest.approx(2 * 98 / 198)
    assert not result.passed and "Dice is 0.9899, below 0.999" in result.reason


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ((), "0 findings, 1 are expected"),
        ((lesion(label=2),), "finding 1 of label 1 is not there"),
        ((lesion(centroid_lps=(10.0, 20.0, 30.5)),), "0.50 mm beside its place"),
        ((lesion(volume_mm3=110.0),), "volume of finding 1 is 110, 100 is expected"),
        ((lesion(voxels=110),), "number of voxels of finding 1 is 110"),
    ],
)
def test_other_lesions_fail(found: tuple[Lesion, ...], words: str) -> None:
    kept = expectation(segmentation(), sampled(outputs()))
    findings = replace(segmentation(), lesions=found)
    if not found or found[0].label == 2:
        findings = replace(findings, parts=np.zeros((5, 8, 9), np.uint8))
    result = compare("case", kept, findings, sampled(outputs()), EXACT)
    assert not result.passed and not result.findings_equal
    assert words in result.reason


def test_lesions_are_matched_by_place_not_by_order() -> None:
    one, two = lesion(1), lesion(2, centroid_lps=(50.0, 20.0, 30.0), volume_mm3=101.0)
    kept = expectation(segmentation(one, two), sampled(outputs()))
    assert compare("case", kept, segmentation(two, one), sampled(outputs()), EXACT).passed


def test_old_cases_without_mask_and_sample_are_compared_by_their_findings() -> None:
    kept = Expectation.model_validate_json(
        '{"lesions": [{"label": 1, "centroid_lps": [10, 20, 30], "volume_mm3": 100.0, "longest_diameter_mm": 7.0}],'
        ' "scores": []}'
    )
    result = compare("case", kept, segmentation(), sampled(outputs()), EXACT)
    assert result.passed
    assert (result.max_error, result.cosine, result.dice) == (None, None, None)


def test_probabilities() -> None:
    kept = expectation(classification(0.3, 0.7), sampled(np.ones((1, 2), np.float32)))
    close = compare("case", kept, classification(0.3004, 0.6996), sampled(np.ones((1, 2), np.float32)), EXACT)
    assert close.passed and close.probability_change == pytest.approx(4e-4)
    assert close.dice is None
    far = compare("case", kept, classification(0.31, 0.69), sampled(np.ones((1, 2), np.float32)), EXACT)
    assert not far.passed and "probability differs by 0.0100" in far.reason
    with pytest.raises(BundleError, match="no class 'class 1'"):
        compare("case", kept, classification(0.3), sampled(np.ones((1, 2), np.float32)), EXACT)


def test_auc_change() -> None:
    sampler = sampled(np.ones((1, 2), np.float32))

    def cases(*pairs: tuple[float, float]) -> list[Any]:
        return [
            compare(str(k), expectation(classification(want), sampler), classification(got), sampler, EXACT)
            for k, (want, got) in enumerate(pairs)
        ]

    thresholds = {"class 0": 0.5}
    assert auc_change(cases((0.9, 0.8), (0.1, 0.2)), thresholds) == 0.0
    assert auc_change(cases((0.9, 0.1), (0.1, 0.2)), thresholds) == 1.0
    assert auc_change(cases((0.9, 0.2), (0.1, 0.2), (0.2, 0.1)), thresholds) == 0.25
    assert auc_change(cases((0.9, 0.9)), thresholds) is None


def test_dice_of_nothing_and_of_labels() -> None:
    nothing = np.zeros(4, np.uint8)
    assert dice_of(nothing, nothing) == 1.0
    assert dice_of(np.array([1, 2, 0, 0], np.uint8), np.array([1, 1, 0, 0], np.uint8)) == 0.5


def test_a_case_of_another_study_or_network_is_the_bundles_fault() -> None:
    kept = expectation(segmentation(), sampled(outputs()))
    with pytest.raises(BundleError, match="run on 4 windows, the case expects 3"):
        compare("case", kept, segmentation(), sampled(outputs(4)), EXACT)
    findings = replace(segmentation(), parts=np.zeros((5, 8, 8), np.uint8))
    with pytest.raises(BundleError, match="mask of shape"):
        compare("case", kept, findings, sampled(outputs()), EXACT)


@pytest.mark.parametrize(
    "labels",
    [
        "%%%",
        base64.b64encode(b"nonsense").decode(),
        base64.b64encode(zlib.compress(b"\0" * 359)).decode(),
        base64.b64encode(zlib.compress(b"\0" * 10**8)).decode(),
    ],
)
def test_a_mask_that_cannot_be_read_is_the_bundles_fault(labels: str) -> None:
    kept = expectation(segmentation(), sampled(outputs()))
    assert kept.mask is not None
    broken = kept.model_copy(update={"mask": kept.mask.model_copy(update={"labels": labels})})
    with pytest.raises(BundleError, match="mask cannot be read"):
        compare("case", broken, segmentation(), sampled(outputs()), EXACT)


@pytest.mark.parametrize(
    "content",
    [
        {"lesions": [{"label": "1"}]},
        {"scores": [{"name": "a", "probability": 2}]},
        {"shape": [1]},
        {"output": {"windows": 0, "values": ""}},
    ],
)
def test_an_expectation_is_checked(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Expectation.model_validate_json(json.dumps(content), strict=True)
