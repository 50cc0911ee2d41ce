"""Which series a bundle takes, and the reason for each it does not."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.runtime.body_parts import body_part_matches, regions
from bedside.runtime.bundle.schema import Accepts
from bedside.runtime.errors import StudyRejected
from bedside.runtime.select import NoSeries, Selection, select_series, weigh_series
from bedside.runtime.study import Series, Skipped, Study

from .geometry_frames import AXIAL, CORONAL, SAGITTAL, change, stack

CHEST = Accepts(
    modality=("CT",), body_part=("CHEST",), orientation="axial", slice_thickness_mm=(0.5, 5.0), min_frames=8
)


def series(number: int | None, n: int = 20, **attributes: Any) -> Series:
    plane = {
        key: attributes.pop(key) for key in ("orientation", "thickness", "image_type", "spacing") if key in attributes
    }
    known: dict[str, Any] = {
        "uid": f"1.2.{number}",
        "study_uid": "1.2",
        "modality": "CT",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "frames": tuple(stack(np.arange(n) * 3.0, **plane)),
        "instances": (),
        "kind": "volume",
        "number": number,
        "body_part": "CHEST",
        "image_type": plane.get("image_type", ("ORIGINAL", "PRIMARY", "AXIAL")),
    }
    return Series(**{**known, **attributes})


def study(*all_series: Series) -> Study:
    return Study(path=Path("study"), series=all_series)


def reason(other: Series, accepts: Accepts = CHEST) -> str:
    """Why this one is not taken, beside one that fits well."""
    return weigh_series(study(series(1, 500), other), accepts).reasons[other.uid]


def test_the_only_series_that_fits():
    selection = select_series(study(series(1)), CHEST)
    assert selection.chosen is not None and selection.chosen.number == 1
    assert selection.reasons == {} and selection.notes == ()


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"modality": "MR"}, "modality MR, the bundle takes CT"),
        ({"modality": ""}, "modality not stated, the bundle takes CT"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "localizer"),
        ({"n": 3}, "only 3 slices, the bundle needs 8"),
        ({"n": 1}, "only 1 slice, the bundle needs 8"),
        ({"body_part": "ABDOMEN"}, "body part ABDOMEN, the bundle takes CHEST"),
        ({"body_part": "ROUTINE"}, "body part ROUTINE, the bundle takes CHEST"),
        ({"orientation": CORONAL}, "orientation coronal, the bundle takes axial"),
        ({"thickness": 10.0}, "slices 10 mm thick, the bundle takes 0.5 to 5 mm"),
        ({"kind": "cine"}, "a cine, the bundle takes a volume"),
        ({"kind": "image"}, "an image, the bundle takes a volume"),
        ({"body_part": "HEAD", "thickness": 7.0},
         "body part HEAD, the bundle takes CHEST, slices 7 mm thick, the bundle takes 0.5 to 5 mm"),
        ({}, "fewer slices than series 1 (20, not 500)"),
        ({"n": 500, "thickness": 4.0}, "thicker slices than series 1 (4, not 3 mm)"),
        ({"n": 500, "thickness": None}, "states no slice thickness, series 1 does"),
        ({"n": 900, "image_type": ("DERIVED", "SECONDARY", "MPR")}, "derived, series 1 is original"),
        ({"n": 900, "body_part": ""}, "states no body part, series 1 does"),
        ({"n": 500}, "as good as series 1, which has the lower number"),
        ({"n": 500, "number": 1, "uid": "1.2.9"}, "as good as series 1.2.1, which has the lower UID"),
    ],
)  # fmt: skip
def test_every_series_not_taken_has_its_reason(attributes, expected):
    attributes = dict(attributes)
    number = attributes.pop("number", 2)
    assert reason(series(number, attributes.pop("n", 20), **attributes)) == expected


@given(st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_the_files(shuffle: random.Random):
    all_series = [series(n, 20 + n % 3, thickness=1.0 + n % 2) for n in range(1, 9)]
    expected = weigh_series(study(*all_series), CHEST)
    shuffle.shuffle(all_series)
    found = weigh_series(study(*all_series), CHEST)
    assert found.chosen == expected.chosen and found.reasons == expected.reasons
    assert len(found.reasons) == 7


def test_what_the_header_does_not_state_is_noted():
    selection = select_series(study(series(1, body_part="", thickness=None)), CHEST)
    assert [note.split(";")[0] for note in selection.notes] == [
        "the header states no body part",
        "the header states no slice thickness",
    ]
    damaged = series(1, damaged=(Skipped(Path("x.dcm"), "truncated"),))
    assert select_series(study(damaged), CHEST).notes == ("1 file of the series cannot be read",)
    assert select_series(study(series(1, body_part="", thickness=None)), Accepts()).notes == ()


def test_several_stills_of_a_series_are_noted():
    still = series(1, 2, kind="image", instances=(object(), object()))
    assert select_series(study(still), Accepts(), {"image", "cine"}).notes == (
        "the series has 2 images; one of them is read",
    )
    assert select_series(study(series(1, 2, instances=(object(), object()))), Accepts()).notes == ()


def test_no_series_fits():
    all_series = [series(n, 3) for n in range(1, 7)]
    with pytest.raises(NoSeries) as refused:
        select_series(study(*all_series), CHEST)
    assert isinstance(refused.value, StudyRejected) and refused.value.exit_code == 3
    assert refused.value.message == (
        "no series fits the bundle: "
        + "; ".join(f"series {n}: only 3 slices, the bundle needs 8" for n in range(1, 5))
        + "; and 2 more"
    )
    assert len(refused.value.selection.reasons) == 6
    assert weigh_series(study(*all_series), CHEST).chosen is None
    with pytest.raises(NoSeries, match="the study has no series"):
        select_series(study(), CHEST)


def test_the_users_word_is_taken_and_noted():
    selection = select_series(study(series(1), series(2, 3, modality="MR"), series(3)), CHEST, series_uid="1.2.2")
    assert selection.chosen is not None and selection.chosen.number == 2
    assert selection.notes == ("taken because it was named, although: modality MR, the bundle takes CT",)
    assert selection.reasons == {"1.2.1": "series 2 was named", "1.2.3": "series 2 was named"}
    assert select_series(study(series(1)), CHEST, series_uid="1.2.1").notes == ()


def test_the_users_word_does_not_make_a_cine_a_volume():
    with pytest.raises(NoSeries, match="series 2 cannot be taken: a cine, the bundle takes a volume"):
        select_series(study(series(1), series(2, kind="cine")), CHEST, series_uid="1.2.2")
    with pytest.raises(StudyRejected, match=r"series 9 is not in the study \(there: 1.2.1 \(CT, 20 frames\)"):
        select_series(study(series(1)), CHEST, series_uid="9")


def test_kinds():
    everything = Accepts()
    image, cine, slice_ = series(1, 1, kind="image"), series(2, kind="cine"), series(3, 1, kind="volume")
    assert weigh_series(study(image, cine), everything, "image").chosen == image
    assert weigh_series(study(image, cine), everything, "cine").chosen == cine
    assert weigh_series(study(image, cine), everything, {"image", "cine"}).chosen == cine
    assert weigh_series(study(slice_), everything, "image").chosen == slice_
    only_cines = weigh_series(study(cine), everything, "image")
    assert only_cines.reasons == {"1.2.2": "a cine, the bundle takes an image"}


def test_a_localizer_within_a_series_does_not_change_its_orientation():
    mixed = series(1)
    scouts = change(stack(np.arange(30) * 1.0, orientation=SAGITTAL), 0)
    scouts = [replace(frame, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")) for frame in scouts]
    mixed = replace(mixed, frames=(*mixed.frames, *scouts))
    assert select_series(study(mixed), CHEST).chosen == mixed
    tilted = series(2, orientation=(1.0, 0.0, 0.0, 0.0, 0.9, -0.436))
    assert select_series(study(tilted), CHEST).chosen == tilted
    assert series(1).frames[0].orientation == AXIAL


def test_the_selection_serialises():
    selection = weigh_series(study(series(1), series(2, modality="MR")), CHEST)
    assert json.loads(json.dumps(selection.to_json())) == {
        "chosen": "1.2.1",
        "notes": [],
        "not_taken": [{"series": "1.2.2", "label": "series 2", "reason": "modality MR, the bundle takes CT"}],
    }
    assert Selection(None, {}).to_json()["chosen"] is None


@pytest.mark.parametrize(
    ("examined", "wanted", "matches"),
    [
        ("CHEST", "CHEST", True),
        ("Thorax", "CHEST", True),
        ("CHEST", "LUNG", True),
        ("CHESTABDPELVIS", "CHEST", True),
        ("CHEST_ABDOMEN", "LIVER", True),
        ("CHEST (THORAX) ", "LUNG", True),
        ("CT CHEST W_ENHA", "CHEST", True),
        ("SPI CHEST 5MM", "THORAX", True),
        ("WHOLEBODY", "PELVIS", True),
        ("胸部", "CHEST", True),
        ("CHEST", "HEART", True),
        ("HEART", "CHEST", False),
        ("HEAD", "CHEST", False),
        ("ABDOMEN", "CHEST", False),
        ("BREAST", "CHEST", False),
        ("TSPINE", "CHEST", False),
        ("THORACIC SPINE", "CHEST", False),
        ("EYE", "RETINA", True),
        ("PHANTOM", "phantom", True),
        ("PHANTOM", "CHEST", False),
        ("", "CHEST", False),
        ("5", "7", False),
    ],
)
def test_body_parts(examined, wanted, matches):
    assert body_part_matches(examined, wanted) is matches


def test_a_term_of_several_regions():
    assert regions("NECKCHESTABDPELV") == {"neck", "chest", "abdomen", "pelvis"}
    assert regions("ABD PELV") == {"abdomen", "pelvis"}
    assert regions("J BRZUSZNA") == frozenset()
