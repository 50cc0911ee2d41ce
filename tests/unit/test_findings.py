"""Findings against slow and obvious ways to the same numbers."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from bedside.runtime.bundle.schema import ResultSpec
from bedside.runtime.errors import BundleError, DeviceFault
from bedside.runtime.findings import MAX_LESIONS, find
from bedside.runtime.image import Cine, Frame, Image, UltrasoundRegion, Volume

OBLIQUE = ((0.8, 0.6, 0.0), (-0.48, 0.64, 0.6))


def code(meaning: str) -> dict[str, str]:
    return {"value": "1", "scheme": "99T", "meaning": meaning}


def segment(label: int = 1, **more: Any) -> dict[str, Any]:
    return {"label": label, "name": f"S{label}", "category": code("c"), "type": code("t"), **more}


def bundle(*segments: dict[str, Any], classes: list[dict[str, Any]] | None = None) -> Any:
    kind = "classification" if classes else "segmentation"
    result = ResultSpec.model_validate({"kind": kind, "segments": segments, "classes": classes or []})
    return SimpleNamespace(name="b", version="1", sha256="0" * 64, meta=SimpleNamespace(result=result))


def frame(number: int = 1, **more: Any) -> Frame:
    return Frame(Path("x"), "1.2", "2.25.7", number, **more)


def volume(voxels: NDArray[Any], step: tuple[float, float, float] = (3.0, 0.5, 0.8), **more: Any) -> Volume:
    row, column = (np.array(v) for v in OBLIQUE)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = np.cross(row, column) * step[0], column * step[1], row * step[2]
    affine[:3, 3] = (10.0, -20.0, 30.0)
    count = len(voxels)
    fields = {"slope": np.ones(count, np.float32), "intercept": np.zeros(count, np.float32), **more}
    return Volume(voxels=voxels, affine=affine, frames=tuple(frame(z + 1) for z in range(count)), **fields)


def image(shape: tuple[int, int] = (20, 24), **more: Any) -> Image:
    fields = {"frame": frame(), **more}
    return Image(pixels=np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape), **fields)


def flood(mask: NDArray[np.bool_]) -> list[frozenset[tuple[int, ...]]]:
    """26-connected components, one voxel after the other."""
    left = {tuple(int(v) for v in p) for p in np.argwhere(mask)}
    parts = []
    while left:
        todo, part = [left.pop()], set()
        while todo:
            p = todo.pop()
            part.add(p)
            for d in itertools.product((-1, 0, 1), repeat=3):
                q = tuple(a + b for a, b in zip(p, d, strict=True))
                if q in left:
                    left.remove(q)
                    todo.append(q)
        parts.append(frozenset(part))
    return parts


masks = arrays(np.uint8, (4, 6, 7), elements=st.sampled_from([0, 0, 0, 1, 2]))


@settings(max_examples=150, deadline=None)
@given(labels=masks, stored=arrays(np.int16, (4, 6, 7), elements=st.integers(-2000, 3000)))
def test_lesions_are_the_components_and_their_numbers(labels: NDArray[np.uint8], stored: NDArray[np.int16]) -> None:
    slope, intercept = np.array([1, 2, 0.5, 1], np.float32), np.array([-1024, 0, 3, -1000], np.float32)
    source = volume(stored, slope=slope, intercept=intercept)
    findings = find(labels, source, bundle(segment(1, instances=True), segment(2)))
    assert findings.parts is not None
    assert np.array_equal(findings.mask, labels)
    units = stored.astype(np.float64) * slope[:, None, None] + intercept[:, None, None]
    expected = set(flood(labels == 1)) | (
        {frozenset(map(tuple, np.argwhere(labels == 2)))} if (labels == 2).any() else set()
    )
    found = {frozenset(map(tuple, np.argwhere(findings.parts == lesion.number))) for lesion in findings.lesions}
    assert found == expected
    assert [lesion.number for lesion in findings.lesions] == list(range(1, len(expected) + 1))
    for lesion in findings.lesions:
        inside = findings.parts == lesion.number
        points = np.argwhere(inside)
        assert lesion.voxels == len(points)
        assert lesion.volume_mm3 == pytest.approx(len(points) * 3.0 * 0.5 * 0.8)
        assert lesion.centroid == pytest.approx(tuple(points.mean(axis=0)))
        assert lesion.centroid_lps == pytest.approx(tuple((source.affine @ [*points.mean(axis=0), 1])[:3]))
        ends = (edge for side in (*lesion.bbox, *lesion.diameter_ends) for edge in side)
        assert {type(n) for n in (lesion.key_slice, lesion.diameter_slice, lesion.voxels, *ends)} == {int}
        assert lesion.bbox == tuple((int(a), int(b) + 1) for a, b in zip(points.min(0), points.max(0), strict=True))
        areas = inside.sum(axis=(1, 2))
        assert areas[lesion.key_slice] == areas.max()
        assert lesion.area_mm2 == pytest.approx(areas.max() * 0.5 * 0.8)
        values = units[inside]
        measured = (lesion.mean, lesion.std, lesion.minimum, lesion.maximum)
        assert measured == pytest.approx((values.mean(), values.std(), values.min(), values.max()), abs=1e-6)
        longest = max(
            np.hypot(*((p - q)[1:] * (0.5, 0.8)))
            for z in range(4)
            for p in points[points[:, 0] == z]
            for q in points[points[:, 0] == z]
        )
        assert lesion.longest_diameter_mm == pytest.approx(longest)
        first, second = np.array(lesion.diameter_ends_lps)
        assert np.linalg.norm(first - second) == pytest.approx(longest)
        assert all(inside[lesion.diameter_slice, y, x] for y, x in lesion.diameter_ends)


def test_a_ball_has_the_volume_and_diameter_of_a_ball() -> None:
    z, y, x = np.indices((40, 60, 60))
    labels = (((z - 20) * 1.0) ** 2 + ((y - 30) * 0.5) ** 2 + ((x - 30) * 0.5) ** 2 <= 100).astype(np.uint8)
    (lesion,) = find(labels, volume(labels, step=(1.0, 0.5, 0.5)), bundle(segment())).lesions
    assert lesion.volume_mm3 == pytest.approx(4 / 3 * np.pi * 1000, rel=0.01)
    assert lesion.longest_diameter_mm == pytest.approx(20, abs=0.5)
    assert lesion.centroid == (20, 30, 30)


def test_small_parts_fall_and_are_counted() -> None:
    labels = np.zeros((6, 20, 20), np.uint8)
    labels[1:4, 2:8, 2:8] = 1
    labels[5, 15, 15] = labels[0, 19, 0] = 1
    source = volume(labels)  # 1.2 mm3 a voxel
    for instances in (True, False):
        findings = find(labels, source, bundle(segment(min_volume_mm3=2.0, instances=instances)))
        assert [lesion.voxels for lesion in findings.lesions] == [108]
        assert findings.dropped == (("S1", 2),)
        assert findings.lesions[0].bbox == ((1, 4), (2, 8), (2, 8))
        assert findings.mask is not None and findings.mask.sum() == 108
    assert find(labels, source, bundle(segment(min_volume_mm3=1.2))).lesions[0].voxels == 110


def test_more_lesions_than_anyone_could_read_are_cut_to_the_largest() -> None:
    labels = np.zeros((1, 40, 80), np.uint8)
    labels[0, ::2, ::2] = 1
    labels[0, 0, 1] = 1
    findings = find(labels, volume(labels), bundle(segment(instances=True)))
    assert len(findings.lesions) == MAX_LESIONS
    assert findings.lesions[0].voxels == 3
    assert findings.dropped == (("S1", 799 - MAX_LESIONS),)
    assert "799 parts" in findings.notes[0]


def test_nothing_found_is_a_finding() -> None:
    labels = np.zeros((2, 5, 5), np.uint8)
    findings = find(labels, volume(labels), bundle(segment()))
    assert findings.lesions == () and findings.parts is not None and not findings.parts.any()


def test_an_image_without_pixel_size_is_measured_in_pixels() -> None:
    labels = np.zeros((20, 24), np.uint8)
    labels[4:8, 5:9] = 1
    (lesion,) = find(labels, image(), bundle(segment(min_volume_mm3=9999))).lesions
    assert lesion.longest_diameter_px == pytest.approx(np.hypot(3, 3))
    assert lesion.longest_diameter_mm is lesion.volume_mm3 is lesion.area_mm2 is lesion.centroid_lps is None
    assert lesion.mean == pytest.approx((np.mgrid[4:8, 5:9][0] * 24 + np.mgrid[4:8, 5:9][1]).mean())


def test_an_image_with_pixel_size_has_an_area_and_no_volume() -> None:
    labels = np.zeros((20, 24), np.uint8)
    labels[4:8, 5:9] = 1
    findings = find(labels, image(frame=frame(spacing=(0.5, 0.25))), bundle(segment(min_volume_mm3=5)))
    (lesion,) = findings.lesions
    assert lesion.longest_diameter_mm == pytest.approx(np.hypot(1.5, 0.75))
    assert lesion.area_mm2 == pytest.approx(16 * 0.125)
    assert lesion.volume_mm3 is None and lesion.longest_diameter_px is None
    assert "no minimum volume" in findings.notes[0]


def test_ultrasound_millimetres_hold_only_within_a_calibrated_tissue_region() -> None:
    region = UltrasoundRegion(2, 2, 15, 15, mm_per_pixel_x=0.1, mm_per_pixel_y=0.2, data_type=1)
    labels = np.zeros((20, 24), np.uint8)
    labels[4:8, 5:9] = 1
    labels[10:19, 18:23] = 2
    facts = bundle(segment(1), segment(2))
    inside, across = find(labels, image(regions=(region,)), facts).lesions
    assert inside.longest_diameter_mm == pytest.approx(np.hypot(0.6, 0.3))
    assert across.longest_diameter_mm is None and across.longest_diameter_px is not None
    flow = find(labels, image(regions=(replace(region, data_type=2),)), facts).lesions[0]
    assert flow.longest_diameter_mm is None


def test_a_cine_lesion_is_followed_through_time_and_measured_where_it_is_largest() -> None:
    labels = np.zeros((5, 16, 16), np.uint8)
    labels[1, 4:6, 4:6] = labels[2, 4:8, 4:8] = labels[3, 5:7, 5:7] = 1
    labels[4, 12, 12] = 1
    cine = Cine(np.zeros((5, 16, 16, 3), np.uint8), tuple(frame(n + 1) for n in range(5)))
    first, second = find(labels, cine, bundle(segment(instances=True))).lesions
    assert (first.key_slice, first.diameter_slice, first.bbox[0]) == (2, 2, (1, 4))
    assert first.longest_diameter_px == pytest.approx(np.hypot(3, 3))
    assert first.mean is None and first.volume_mm3 is None
    assert second.voxels == 1 and second.longest_diameter_px == 0


def test_padding_is_no_tissue() -> None:
    stored = np.full((2, 4, 4), 100, np.int16)
    stored[:, 0] = -2000
    labels = np.ones((2, 4, 4), np.uint8)
    (lesion,) = find(labels, volume(stored, padding_value=-2000), bundle(segment())).lesions
    assert (lesion.mean, lesion.minimum, lesion.voxels) == (100, 100, 32)
    (empty,) = find(labels, volume(np.full((2, 4, 4), -2000, np.int16), padding_value=-2000), bundle(segment())).lesions
    assert empty.mean is None


def test_the_same_findings_have_the_same_tracking_uid_and_others_have_others() -> None:
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[1, 2:4, 2:4] = labels[1, 6:8, 6:8] = 1
    facts = bundle(segment(instances=True))
    once, again = (find(labels, volume(labels), facts).lesions for _ in range(2))
    assert [one.tracking_uid for one in once] == [one.tracking_uid for one in again]
    assert once[0].tracking_uid != once[1].tracking_uid
    facts.sha256 = "1" * 64
    assert find(labels, volume(labels), facts).lesions[0].tracking_uid != once[0].tracking_uid


def test_a_label_without_a_segment_is_a_fault_of_the_bundle() -> None:
    with pytest.raises(BundleError, match="label 3"):
        find(np.full((1, 3, 3), 3, np.uint8), volume(np.zeros((1, 3, 3), np.int16)), bundle(segment()))


CLASSES = [
    {"index": 0, "name": "benign", "code": code("benign")},
    {"index": 1, "name": "malignant", "code": code("malignant"), "threshold": 0.3},
]


def test_probabilities_become_scores_with_the_bundles_threshold() -> None:
    findings = find(np.array([[0.6, 0.4]], np.float32), image(), bundle(classes=CLASSES))
    assert [(s.name, s.positive) for s in findings.scores] == [("benign", True), ("malignant", True)]
    assert findings.scores[1].probability == pytest.approx(0.4)
    assert findings.frame_probabilities is None and findings.parts is None and findings.mask is None


def test_frames_of_a_cine_are_scored_by_their_mean() -> None:
    table = np.array([[0.9, 0.1], [0.5, 0.5]], np.float32)
    findings = find(table, image(), bundle(classes=CLASSES))
    assert findings.scores[1].probability == pytest.approx(0.3)
    assert np.array_equal(findings.frame_probabilities, table)
    assert "mean over 2 frames" in findings.notes[0]


@pytest.mark.parametrize("value", [np.nan, 1.5, -0.2, np.inf])
def test_what_is_no_probability_is_a_fault_of_the_device(value: float) -> None:
    with pytest.raises(DeviceFault, match="between 0 and 1"):
        find(np.array([[0.5, value]], np.float32), image(), bundle(classes=CLASSES))


def test_a_class_the_network_does_not_give_is_a_fault_of_the_bundle() -> None:
    with pytest.raises(BundleError, match="index 1"):
        find(np.array([[0.5]], np.float32), image(), bundle(classes=CLASSES))
