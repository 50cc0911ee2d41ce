"""Which series of a study a bundle takes, and why not the others."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .body_parts import body_part_matches
from .errors import StudyRejected
from .geometry import orientation_name

if TYPE_CHECKING:
    from .bundle.schema import Accepts
    from .image import Frame
    from .study import Series, Study

__all__ = ["NoSeries", "Selection", "select_series", "weigh_series"]

ROUNDING_MM = 0.01
"""Slice thickness is a decimal string: a limit is met to its second decimal."""
LISTED = 4
"""How many series a refusal names; the Selection has all."""


@dataclass(frozen=True)
class Selection:
    """The series chosen, and a reason for each of the others."""

    chosen: Series | None
    reasons: dict[str, str]
    """Why not, by the UID of every series that was not taken."""
    notes: tuple[str, ...] = ()
    """What is open about the chosen series: attributes that are absent, what the user's word overrode."""
    labels: dict[str, str] = field(default_factory=dict)
    """What to call a series: ``series 3``, or its UID where the number is absent or not unique."""

    def to_json(self) -> dict[str, Any]:
        return {
            "chosen": self.chosen.uid if self.chosen else None,
            "notes": list(self.notes),
            "not_taken": [
                {"series": uid, "label": self.labels.get(uid, uid), "reason": why} for uid, why in self.reasons.items()
            ],
        }


class NoSeries(StudyRejected):
    """The study has no series that the bundle takes; ``selection`` has the reason for each."""

    def __init__(self, message: str, selection: Selection, *, mend: str | None = None) -> None:
        super().__init__(message, mend=mend)
        self.selection = selection


def select_series(
    study: Study, accepts: Accepts, kind: str | Collection[str] = "volume", *, series_uid: str | None = None
) -> Selection:
    """Choose the series that a bundle runs on; as :func:`weigh_series`, but a study without one is refused.

    Raises
    ------
    StudyRejected
        No series fits (a :class:`NoSeries`), or ``series_uid`` is not in the study.
    """
    selection = weigh_series(study, accepts, kind, series_uid=series_uid)
    if selection.chosen is not None:
        return selection
    if series_uid is not None:
        why = selection.reasons[series_uid]
        raise NoSeries(f"{selection.labels[series_uid]} cannot be taken: {why}", selection)
    parts = [f"{selection.labels[uid]}: {why}" for uid, why in selection.reasons.items()]
    more = f"; and {len(parts) - LISTED} more" if len(parts) > LISTED else ""
    readable = any(not _wrong_kind(series, _kinds(kind)) for series in study.series)
    raise NoSeries(
        f"no series fits the bundle: {'; '.join(parts[:LISTED])}{more}" if parts else "the study has no series",
        selection,
        mend="name one with --series UID to take it all the same" if readable else None,
    )


def weigh_series(
    study: Study, accepts: Accepts, kind: str | Collection[str] = "volume", *, series_uid: str | None = None
) -> Selection:
    """Weigh every series of a study against what a bundle accepts.

    Of several that fit, the choice is, in this order: one that states the body part before one that does not, original
    before derived, more slices, thinner slices, the lower series number, the lower UID. So it does not depend on the
    order of the files.

    Parameters
    ----------
    study
        As :func:`bedside.runtime.study.load_study` gives it.
    accepts
        The bundle's ``accepts``; an empty list or None in it accepts any.
    kind
        ``volume``, ``image`` or ``cine``, or several of them: what the bundle's input is.
    series_uid
        The user's choice: taken although the bundle would not accept it, with a note that says so. Only a series of
        another kind, which the bundle cannot read, stays refused.

    Raises
    ------
    StudyRejected
        ``series_uid`` is not in the study.
    """
    kinds = _kinds(kind)
    labels = _labels(study.series)
    ordered = sorted(study.series, key=lambda series: (series.number is None, series.number or 0, series.uid))
    if series_uid is not None:
        return _named(ordered, series_uid, accepts, kinds, labels)
    reasons: dict[str, str] = {}
    fitting: list[Series] = []
    for series in ordered:
        why = _why_not(series, accepts, kinds)
        if why:
            reasons[series.uid] = why
        else:
            fitting.append(series)
    if not fitting:
        return Selection(None, reasons, labels=labels)
    ranks = {series.uid: _rank(series, accepts) for series in fitting}
    fitting.sort(key=lambda series: ranks[series.uid])
    best = fitting[0]
    for other in fitting[1:]:
        reasons[other.uid] = _second(other, best, ranks, labels[best.uid])
    return Selection(best, reasons, _notes(best, accepts), labels)


def _named(
    ordered: list[Series], uid: str, accepts: Accepts, kinds: frozenset[str], labels: dict[str, str]
) -> Selection:
    series = next((series for series in ordered if series.uid == uid), None)
    if series is None:
        there = ", ".join(f"{other.uid} ({other.modality}, {_frames(len(other.frames))})" for other in ordered[:LISTED])
        more = f" and {len(ordered) - LISTED} more" if len(ordered) > LISTED else ""
        raise StudyRejected(f"series {uid} is not in the study", mend=f"there: {there}{more}")
    reasons = {other.uid: f"{labels[uid]} was named" for other in ordered if other is not series}
    wrong = _wrong_kind(series, kinds)
    if wrong:
        return Selection(None, {uid: wrong, **reasons}, labels=labels)
    notes = [f"taken because it was named, although: {why}" for why in _misfits(series, accepts)]
    return Selection(series, reasons, (*notes, *_notes(series, accepts)), labels)


def _labels(all_series: Collection[Series]) -> dict[str, str]:
    numbers = Counter(series.number for series in all_series)
    return {
        series.uid: f"series {series.uid if series.number is None or numbers[series.number] > 1 else series.number}"
        for series in all_series
    }


def _frames(n: int) -> str:
    return "1 frame" if n == 1 else f"{n} frames"


def _kinds(kind: str | Collection[str]) -> frozenset[str]:
    return frozenset([kind] if isinstance(kind, str) else kind)


def _why_not(series: Series, accepts: Accepts, kinds: frozenset[str]) -> str:
    """Why a series is not taken, the modality first; empty if it fits."""
    misfits = _misfits(series, accepts)
    if accepts.modality and series.modality not in accepts.modality:
        return misfits[0]
    return _wrong_kind(series, kinds) or ", ".join(misfits)


def _wrong_kind(series: Series, kinds: frozenset[str]) -> str:
    """Why the bundle cannot read a series of this kind; empty if it can."""
    # A single slice that is placed in the patient is an image as well.
    if series.kind in kinds or ("image" in kinds and len(series.frames) == 1):
        return ""
    wanted = " or ".join(sorted(kinds))
    return f"{_article(series.kind)}, the bundle takes {_article(wanted)}"


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _misfits(series: Series, accepts: Accepts) -> list[str]:
    """Every way in which a series is not what the bundle was made for."""
    if accepts.modality and series.modality not in accepts.modality:
        return [f"modality {series.modality or 'not stated'}, the bundle takes {'/'.join(accepts.modality)}"]
    if series.frames and all(_is_localizer(frame.image_type) for frame in series.frames):
        return ["localizer"]
    why = []
    part = series.body_part.strip()
    if accepts.body_part and part and not any(body_part_matches(part, wanted) for wanted in accepts.body_part):
        why.append(f"body part {part}, the bundle takes {'/'.join(accepts.body_part)}")
    if accepts.orientation is not None:
        orientation = _orientation(series.frames)
        if orientation != accepts.orientation:
            why.append(f"orientation {orientation}, the bundle takes {accepts.orientation}")
    thickness = _thickness(series.frames)
    if accepts.slice_thickness_mm is not None and thickness is not None:
        low, high = accepts.slice_thickness_mm
        if not low - ROUNDING_MM <= thickness <= high + ROUNDING_MM:
            why.append(f"slices {thickness:g} mm thick, the bundle takes {low:g} to {high:g} mm")
    if accepts.min_frames is not None and len(series.frames) < accepts.min_frames:
        noun = "slice" if series.kind == "volume" else "frame"
        n = len(series.frames)
        why.append(f"only {n} {noun if n == 1 else noun + 's'}, the bundle needs {accepts.min_frames}")
    return why


def _notes(series: Series, accepts: Accepts) -> tuple[str, ...]:
    notes = []
    if accepts.body_part and not series.body_part.strip():
        notes.append(f"the header states no body part; the bundle takes {'/'.join(accepts.body_part)}")
    if accepts.slice_thickness_mm is not None and _thickness(series.frames) is None:
        low, high = accepts.slice_thickness_mm
        notes.append(f"the header states no slice thickness; the bundle takes {low:g} to {high:g} mm")
    if series.kind != "volume" and len(series.instances) > 1:
        notes.append(f"the series has {len(series.instances)} images; one of them is read")
    if series.damaged:
        n = len(series.damaged)
        notes.append(f"{n} {'file' if n == 1 else 'files'} of the series cannot be read")
    return tuple(notes)


def _is_localizer(image_type: Collection[str]) -> bool:
    return any(value.strip().upper() == "LOCALIZER" for value in image_type)


def _is_derived(series: Series) -> bool:
    """Image Type value 1 is DERIVED, or value 2 SECONDARY (DICOM PS3.3 C.7.6.1.1.2)."""
    values = [value.strip().upper() for value in (series.image_type or series.frames[0].image_type)[:2]]
    return "DERIVED" in values or "SECONDARY" in values


def _orientation(frames: Collection[Frame]) -> str:
    """The name of the commonest plane, localizers aside."""
    by_cosines = {frame.orientation: frame for frame in frames}
    names = {cosines: orientation_name(frame) for cosines, frame in by_cosines.items()}
    counted = Counter(names[frame.orientation] for frame in frames if not _is_localizer(frame.image_type))
    return max(sorted(counted), key=lambda name: counted[name], default="unknown")


def _thickness(frames: Collection[Frame]) -> float | None:
    stated = [frame.thickness for frame in frames if frame.thickness]
    return statistics.median(stated) if stated else None


Rank = tuple[bool, bool, int, float, float, str]


def _rank(series: Series, accepts: Accepts) -> Rank:
    """Lower is better; :func:`_second` says in words what the first difference means."""
    thickness = _thickness(series.frames)
    return (
        bool(accepts.body_part) and not series.body_part.strip(),
        _is_derived(series),
        -len(series.frames),
        float("inf") if thickness is None else thickness,
        float("inf") if series.number is None else series.number,
        series.uid,
    )


def _second(series: Series, best: Series, ranks: dict[str, Rank], label: str) -> str:
    mine, first = ranks[series.uid], ranks[best.uid]
    noun = "slices" if series.kind == "volume" else "frames"
    reasons = (
        f"states no body part, {label} does",
        f"derived, {label} is original",
        f"fewer {noun} than {label} ({len(series.frames)}, not {len(best.frames)})",
        f"thicker slices than {label} ({mine[3]:g}, not {first[3]:g} mm)" if mine[3] < float("inf") else
        f"states no slice thickness, {label} does",
        f"as good as {label}, which has the lower number",
        f"as good as {label}, which has the lower UID",
    )  # fmt: skip
    return next(text for text, a, b in zip(reasons, mine, first, strict=True) if a != b)
