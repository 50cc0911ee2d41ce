"""What the geometry gate refuses, what it names, and what it goes on with when told to."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bedside.runtime.errors import BedsideError, StudyRejected
from bedside.runtime.geometry import ACCEPTABLE, affine_from_frames, check, orientation_name, pixel_to_patient
from bedside.runtime.image import Frame

from .geometry_frames import AXIAL, CORONAL, SAGITTAL, change, stack


def kinds(frames: list[Frame], *accept: str) -> dict[str, str]:
    return {finding.kind: finding.severity for finding in check(frames, accept).findings}


def test_a_regular_stack_is_a_volume_as_it_stands():
    frames = stack(np.arange(10) * 3.0)
    verdict = check(frames)
    assert verdict.accepted and verdict.findings == () and verdict.resampling is None
    assert verdict.order == tuple(range(10))
    assert verdict.spacing == (3.0, 0.7, 0.7)
    expected = [[0, 0, 0.7, -100], [0, 0.7, 0, -120], [3, 0, 0, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(verdict.affine, expected, atol=1e-12)
    assert verdict.message == "regular" and verdict.mend == ""


def test_instance_numbers_do_not_order_slices():
    frames = stack(np.arange(10) * 3.0, descending=True)
    assert check(frames).order == tuple(range(10))
    assert check(frames[::-1]).order == tuple(range(9, -1, -1))
    assert check([replace(f, instance_number=None) for f in frames]).order == tuple(range(10))


@pytest.mark.parametrize("orientation", [CORONAL, SAGITTAL, (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)])
def test_other_planes_than_axial(orientation):
    verdict = check(stack(np.arange(7) * 2.0, orientation=orientation))
    assert verdict.accepted
    np.testing.assert_allclose(verdict.affine[:3, 1] / 0.7, orientation[3:], atol=1e-12)
    np.testing.assert_allclose(verdict.affine[:3, 0], 2 * np.cross(orientation[:3], orientation[3:]), atol=1e-12)


@pytest.mark.parametrize(("step", "decimals"), [(1.25, 2), (0.7, 2), (0.625, 3), (5.0, 0), (1.25, 1), (3.3, 1)])
def test_rounded_decimal_strings_are_no_reason_to_refuse(step, decimals):
    verdict = check(stack(-411.37 + np.arange(120) * step, origin=(-101.03, 7.77, 0.0), decimals=decimals))
    assert verdict.accepted, verdict.message
    assert verdict.resampling is None
    assert abs(verdict.spacing[0] - step) < 0.01


@pytest.mark.parametrize("removed", [[4], [4, 5], [2, 7], [1, 2, 3, 4, 5], [5, 6, 9, 13]])
def test_missing_slices_are_named(removed):
    whole = stack(np.arange(20) * 3.0)
    frames = [frame for i, frame in enumerate(whole) if i not in removed]
    verdict = check(frames)
    assert not verdict.accepted
    (gap,) = verdict.refusals
    assert gap.kind == "gap" and f"{len(removed)} slice" in gap.message
    neighbours = {i for r in removed for i in (r - 1, r + 1) if i not in removed}
    assert {name.file for name in gap.slices} == {f"IM{i:03d}.dcm" for i in neighbours}
    with pytest.raises(StudyRejected, match="missing") as refused:
        verdict.require("series 3")
    assert refused.value.verdict is verdict and "--accept gap" in str(refused.value)

    for words in ("gap", "duplicate, gap"):
        assert check(frames, words).accepted
    with pytest.raises(BedsideError, match="'gaps' is nothing that can be accepted"):
        check(frames, "gaps")
    accepted = check(frames, {"gap"})
    assert accepted.accepted and accepted.spacing == (3.0, 0.7, 0.7)
    assert accepted.resampling.shape == (20, 64, 48)
    assert list(accepted.resampling.interpolated) == removed
    np.testing.assert_allclose(accepted.affine, check(whole).affine)


def test_so_many_missing_that_the_median_step_is_no_longer_the_stacks_own():
    kept = [0, 1, 3, 5, 7, 8, 10, 12, 14, 15, 16, 18, 20]
    verdict = check(stack(np.array(kept) * 2.0))
    (gap,) = verdict.refusals
    assert gap.kind == "gap" and gap.message.startswith("8 slices are missing")
    assert check(stack(np.array(kept) * 2.0), ["gap"]).spacing[0] == 2.0


def test_more_missing_than_there_are_cannot_be_accepted():
    verdict = check(stack([0, 3, 6, 60, 63, 66]), {"gap"})
    assert not verdict.accepted and "cannot be accepted" in verdict.mend


def test_every_second_slice_missing_is_at_least_noted():
    frames = stack(np.arange(20) * 3.0)[::2]
    verdict = check(frames)
    assert verdict.accepted
    (note,) = verdict.findings
    assert note.kind == "thickness" and "6 mm apart" in note.message and "steps of 2" in note.message


def test_overlapping_reconstruction_is_regular():
    assert check(stack(np.arange(20) * 1.5, thickness=3.0)).findings == ()


def test_uneven_spacing():
    positions = np.cumsum([0, 3, 3, 4.2, 3, 3, 2.1, 3, 3])
    verdict = check(stack(positions))
    (finding,) = verdict.refusals
    assert finding.kind == "spacing"
    assert {name.file for name in finding.slices} == {"IM002.dcm", "IM003.dcm", "IM005.dcm", "IM006.dcm"}
    accepted = check(stack(positions), {"spacing"})
    depth = accepted.resampling.shape[0]
    assert depth == round(positions[-1] / 3) + 1
    assert accepted.spacing[0] == pytest.approx(positions[-1] / (depth - 1))


def test_an_uneven_step_that_is_also_a_gap_needs_both():
    positions = np.cumsum([0, 3, 3, 7.4, 3, 3, 3])
    assert kinds(stack(positions)) == {"spacing": "refuse", "gap": "refuse"}
    assert not check(stack(positions), {"spacing"}).accepted
    assert check(stack(positions), {"spacing", "gap"}).accepted


def test_steps_that_drift():
    positions = np.cumsum(3 + np.linspace(-0.14, 0.14, 60))
    (finding,) = check(stack(positions)).refusals
    assert finding.kind == "spacing" and "drift" in finding.message


def test_a_step_that_follows_the_thickness_is_no_gap():
    positions = np.cumsum([0, 3, 3, 3, 3, 6, 6, 6])
    frames = [replace(f, thickness=3.0 if i < 5 else 6.0) for i, f in enumerate(stack(positions))]
    assert kinds(frames) == {"spacing": "refuse", "thickness": "note"}
    assert kinds(stack(positions)) == {"gap": "refuse"}


def test_duplicates():
    frames = stack(np.arange(8) * 3.0)
    copy = replace(frames[3], path=Path("copy.dcm"))
    other = replace(frames[5], path=Path("other.dcm"), sop_instance_uid="1.9", instance_number=99)
    verdict = check([copy, *frames, other])
    (finding,) = verdict.refusals
    assert finding.kind == "duplicate" and "1 copies of the same instance, 1 other" in finding.message
    assert {name.file for name in finding.slices} & {"other.dcm"}
    accepted = check([copy, *frames, other], {"duplicate"})
    assert accepted.accepted and accepted.resampling is None
    assert accepted.order == (1, 2, 3, 4, 5, 6, 7, 8)  # of the two copies, the first by name
    assert check([*frames, other, copy], {"duplicate"}).order == tuple(range(8))


def test_phases_in_one_series():
    frames = stack(np.repeat(np.arange(6) * 3.0, 4))
    (finding,) = check(frames).refusals
    assert "4 at each of 6" in finding.message


def test_one_instance_uid_for_all_slices():
    frames = [replace(f, sop_instance_uid="1.2") for f in stack(np.arange(5) * 3.0)]
    verdict = check(frames, {*ACCEPTABLE})
    assert [f.kind for f in verdict.refusals] == ["identity"] and not verdict.refusals[0].acceptable
    numbered = [replace(f, number=i + 1) for i, f in enumerate(frames)]
    assert check(numbered).accepted  # the frames of one multi-frame instance


@pytest.mark.parametrize("degrees", [0.5, 15.0, -27.5])
def test_gantry_tilt(degrees):
    angle = math.radians(degrees)
    orientation = (1.0, 0.0, 0.0, 0.0, math.cos(angle), -math.sin(angle))
    normal = np.cross(orientation[:3], orientation[3:])
    along_table = [3.0 * i for i in range(20)]
    frames = []
    for i, (at, frame) in enumerate(zip(along_table, stack(along_table, orientation=orientation), strict=True)):
        frames.append(replace(frame, position=(-100.0, -120.0, at), instance_number=i, gantry_tilt=degrees))
    verdict = check(frames)
    (finding,) = verdict.refusals
    assert finding.kind == "tilt" and f"{abs(degrees):.2f} degrees" in finding.message
    accepted = check(frames, {"tilt"})
    assert accepted.accepted
    assert accepted.spacing[0] == pytest.approx(3 * normal[2])
    columns = accepted.affine[:3, :3]
    off_diagonal = columns.T @ columns - np.diag(np.diag(columns.T @ columns))
    np.testing.assert_allclose(off_diagonal, 0, atol=1e-12)


def test_a_stated_tilt_that_the_positions_do_not_show():
    frames = stack(np.arange(9) * 3.0, gantry_tilt=-12.0)
    (finding,) = check(frames).refusals
    assert finding.kind == "tilt" and "do not show" in finding.message
    accepted = check(frames, {"tilt"})
    assert accepted.accepted and accepted.resampling is None
    assert check(stack(np.arange(9) * 3.0, gantry_tilt=0.0)).accepted
    assert check([replace(f, image_type=("DERIVED", "SECONDARY", "MPR")) for f in frames]).accepted


def test_a_slice_out_of_line_is_not_taken_for_a_tilt():
    frames = stack(np.arange(9) * 3.0)
    frames = change(frames, 4, position=(-95.0, -120.0, 12.0))
    verdict = check(frames)
    (finding,) = verdict.refusals
    assert finding.kind == "shift" and [name.file for name in finding.slices] == ["IM004.dcm"]
    assert check(frames, {"shift"}).resampling.planes is not None
    assert not check(change(frames, 4, position=(5e5, -120.0, 12.0)), {"shift"}).accepted


@pytest.mark.parametrize("moved", [range(10), range(10, 20), range(7, 14), range(13, 20)])
def test_a_part_of_the_stack_out_of_line_is_not_taken_for_a_tilt(moved):
    frames = stack(np.arange(20) * 3.0)
    for i in moved:
        frames = change(frames, i, position=(-90.0, -127.0, 3.0 * i))
    (finding,) = check(frames).refusals
    assert finding.kind == "shift" and "up to 10.00 mm" in finding.message
    odd = {name.file for name in finding.slices}
    here = {f"IM{i:03d}.dcm" for i in moved}
    assert odd in (here, {f"IM{i:03d}.dcm" for i in range(20)} - here)
    accepted = check(frames, {"shift"})
    assert accepted.accepted and accepted.resampling.planes is not None


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"rows": 32}, "size"),
        ({"frame_of_reference_uid": "1.9"}, "frame-of-reference"),
        ({"frame_of_reference_uid": None}, "frame-of-reference"),
        ({"position": None}, "attributes"),
        ({"position": (0.0, math.nan, 0.0)}, "attributes"),
        ({"orientation": None}, "attributes"),
        ({"orientation": (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)}, "attributes"),
        ({"orientation": (0.0,) * 6}, "attributes"),
        ({"spacing": None}, "attributes"),
        ({"spacing": (0.7, 0.0)}, "attributes"),
        ({"rows": 0}, "attributes"),
    ],
)
def test_what_no_one_can_accept(attributes, kind):
    frames = change(stack(np.arange(9) * 3.0), 4, **attributes)
    verdict = check(frames, {*ACCEPTABLE})
    assert [f.kind for f in verdict.refusals] == [kind]
    assert [name.file for name in verdict.refusals[0].slices] == ["IM004.dcm"]
    assert "cannot be accepted" in verdict.mend
    assert "IM004.dcm" in verdict.message


def test_mixed_pixel_spacing():
    frames = change(stack(np.arange(9) * 3.0), 4, spacing=(0.9, 0.9))
    assert kinds(frames) == {"pixel-spacing": "refuse"}
    accepted = check(frames, {"pixel-spacing"})
    assert accepted.accepted and accepted.spacing == (3.0, 0.7, 0.7)
    assert not check(change(frames, 4, spacing=(70.0, 70.0)), {"pixel-spacing"}).accepted


def test_pixels_that_are_not_square():
    frames = stack(np.arange(9) * 3.0, spacing=(1.4, 0.7))
    assert kinds(frames) == {"non-square": "refuse"}
    accepted = check(frames, {"non-square"})
    assert accepted.spacing == (3.0, 0.7, 0.7)
    assert accepted.resampling.shape == (9, 127, 48)


def test_localizers():
    frames = stack(np.arange(9) * 3.0)
    scout = change(stack([0.0], orientation=CORONAL), 0, path=Path("scout.dcm"), sop_instance_uid="1.9")
    named = change(scout, 0, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), rows=500, frame_of_reference_uid="1.8")
    for extra in (scout, named):
        verdict = check([*extra, *frames])
        (finding,) = verdict.refusals
        assert finding.kind == "localizer" and [name.file for name in finding.slices] == ["scout.dcm"]
        assert check([*extra, *frames], {"localizer"}).order == tuple(range(1, 10))
    assert not check(named, {"localizer"}).accepted


def test_mixed_orientation():
    other = [replace(f, path=Path(f"c{i}.dcm"), sop_instance_uid=f"9.{i}")
             for i, f in enumerate(stack(np.arange(5) * 3.0, orientation=SAGITTAL))]  # fmt: skip
    frames = stack(np.arange(9) * 3.0)
    (finding,) = check([*other, *frames]).refusals
    assert finding.kind == "orientation" and "9 axial, 5 sagittal" in finding.message
    assert check([*other, *frames], {"orientation"}).order == tuple(range(5, 14))
    undecided = check([*other, *frames[:5]], {"orientation"})
    assert [f.kind for f in undecided.refusals] == ["orientation"] and not undecided.refusals[0].acceptable
    flipped = change(frames, 4, orientation=(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    assert kinds(flipped)["orientation"] == "refuse"


def test_two_slices_one_slice_none():
    two = check(stack([0.0, 3.0]))
    assert two.accepted and two.spacing[0] == 3.0
    one = stack([7.0])
    assert kinds(one) == {"few": "refuse"}
    accepted = check(one, {"few"})
    assert accepted.spacing[0] == 3.0 and accepted.order == (0,)
    assert not check(stack([7.0], thickness=None), {"few"}).accepted
    assert not check([], {*ACCEPTABLE}).accepted


def test_notes_do_not_refuse():
    frames = change(stack(np.arange(9) * 3.0, frame_of_reference_uid=None), 2, slope=2.0)
    verdict = check(frames)
    assert verdict.accepted and {f.kind for f in verdict.findings} == {"frame-of-reference", "rescale"}


def test_a_word_that_cannot_be_accepted():
    with pytest.raises(BedsideError, match="'gaps' is nothing"):
        check([], {"gaps"})


def test_the_verdict_serialises():
    frames = [f for i, f in enumerate(stack(np.arange(9) * 3.0)) if i != 4]
    for accept in ((), ("gap",)):
        verdict = check(frames, accept)
        again = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
        assert again["accepted"] == verdict.accepted
        assert again["findings"][0]["slices"][0] == {
            "file": "IM003.dcm",
            "instance": 4,
            "frame": 1,
            "position_mm": 9.0,
        }


def test_names_of_planes():
    def name(*orientation: float) -> str:
        return orientation_name(stack([0], orientation=orientation)[0])

    assert [name(*AXIAL), name(*CORONAL), name(*SAGITTAL)] == ["axial", "coronal", "sagittal"]
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    assert name(1, 0, 0, 0, c, -s) == "axial"  # the largest gantry tilt
    assert name(1, 0, 0, 0, math.sqrt(0.5), -math.sqrt(0.5)) == "oblique"
    assert orientation_name(change(stack([0]), 0, orientation=None)[0]) == "unknown"


def test_pixel_to_patient_agrees_with_the_affine():
    frames = stack(np.arange(5) * 2.0, orientation=(0.8, 0.6, 0.0, 0.0, 0.0, -1.0), spacing=(0.5, 0.9))
    affine = affine_from_frames(frames)
    for z in (0, 3):
        point = affine @ (z, 10.5, 7.0, 1.0)
        np.testing.assert_allclose(pixel_to_patient(frames[z], 10.5, 7.0), point[:3], atol=1e-9)
