"""The geometry gate: do these frames make a volume? Refuses, with the slices named, where that is in doubt.

Slices are ordered by their position projected on the slice normal (DICOM PS3.3 C.7.6.2.1.1); instance numbers only name
them. Every tolerance below says what it lets through and why.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import BedsideError
from ..image import Frame
from .gate import NAMED, Gate, count, rank
from .grid import build_grid
from .planes import axes_of, orientation_name, projections
from .stack import LATERAL_MM, judge_lateral, judge_steps, note_values
from .steps import measure_steps, tolerance
from .verdict import ACCEPTABLE, NEVER, Verdict

__all__ = ["check"]

ORIENTATION_RAD = 1e-3
"""Planes that differ by less are parallel: the edge of a 500 mm field then moves by 0.25 mm, less than a pixel;
direction cosines written with three decimals differ by half of this."""
UNIT_ERROR = 0.01
"""How far the direction cosines may be from unit length and a right angle: lost decimals make less, wrong ones more."""
SPACING_SHARE = 1e-3
"""Pixel spacings that differ by less are the same: over 512 pixels that is half a pixel."""
FARTHEST_MM = 1e5
"""A position further than 100 m from the origin is no position."""
FINEST_MM, COARSEST_MM = 1e-5, 1e3
"""A pixel is larger than an atom and smaller than a patient."""
MAX_RATIO = 4.0
"""Pixel spacings further apart than this are a wrong header rather than pixels worth resampling."""


def check(frames: Sequence[Frame], accept: str | Collection[str] = ()) -> Verdict:
    """Judge whether the frames of one series make a volume.

    Parameters
    ----------
    frames
        In any order.
    accept
        Kinds of finding that the user accepts (keys of :data:`ACCEPTABLE`); those are then mended as that table says.
        A str is one of them, or several with commas between.

    Returns
    -------
    Verdict
        Refused or accepted; never raises for what the frames hold.

    Raises
    ------
    BedsideError
        ``accept`` has a word that is no kind of finding.
    """
    if isinstance(accept, str):
        accept = [word for word in map(str.strip, accept.split(",")) if word]
    for word in accept:
        if word not in ACCEPTABLE and word not in NEVER:
            raise BedsideError(
                f"'{word}' is nothing that can be accepted", mend=f"it takes {', '.join(sorted(ACCEPTABLE))}"
            )
    gate = Gate(frames, frozenset(accept))
    for step in (_present, _localizers, _complete, _parallel, _uniform, _identified, _distinct):
        step(gate)
        if not gate.used or gate.stopped:
            return Verdict(False, tuple(gate.findings))
    return _stack(gate)


def _present(gate: Gate) -> None:
    gate.used = list(range(len(gate.frames)))
    if not gate.used:
        gate.add("few", "the series has no slices", acceptable=False)


def _is_localizer(frame: Frame) -> bool:
    return any(value.strip().upper() == "LOCALIZER" for value in frame.image_type)


def _localizers(gate: Gate) -> None:
    found = [i for i in gate.used if _is_localizer(gate.frames[i])]
    if not found:
        return
    rest = [i for i in gate.used if i not in set(found)]
    message = f"{count(len(found), 'localizer')} in the series: {gate.listing(found)}"
    gate.add("localizer", message if rest else "the series is a localizer", found, acceptable=bool(rest))
    gate.used = rest


def _complete(gate: Gate) -> None:
    """Position, orientation, pixel spacing, rows and columns are there and are numbers that can be."""
    lacking: dict[tuple[str, ...], list[int]] = {}
    for i in gate.used:
        faults = _faults(gate.frames[i])
        if faults:
            lacking.setdefault(faults, []).append(i)
    for faults, found in lacking.items():
        where = "every slice" if len(found) == len(gate.used) else f"{count(len(found))} ({gate.listing(found)})"
        gate.add("attributes", f"{', '.join(faults)} in {where}", found)
    gate.stopped = bool(lacking)


def _faults(frame: Frame) -> tuple[str, ...]:
    faults = []
    if frame.position is None:
        faults.append("no Image Position (Patient)")
    elif not all(abs(value) <= FARTHEST_MM for value in frame.position):
        faults.append("Image Position (Patient) is no place in a scanner")
    if frame.orientation is None:
        faults.append("no Image Orientation (Patient)")
    elif not _unit_error(frame.orientation) <= UNIT_ERROR:
        faults.append("Image Orientation (Patient) is not two unit vectors at a right angle")
    if frame.spacing is None:
        faults.append("no Pixel Spacing")
    elif not all(FINEST_MM <= value <= COARSEST_MM for value in frame.spacing):
        faults.append("Pixel Spacing is no size of a pixel")
    if frame.rows < 1 or frame.columns < 1:
        faults.append("no Rows or Columns")
    return tuple(faults)


@lru_cache(maxsize=64)
def _unit_error(orientation: tuple[float, ...]) -> float:
    if not all(abs(value) <= 1 + UNIT_ERROR for value in orientation):
        return math.inf
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    return float(np.abs([row @ row - 1, column @ column - 1, row @ column]).max())


def _parallel(gate: Gate) -> None:
    """All planes are parallel and turned the same way; those of the commonest orientation stay in use."""
    groups: list[tuple[NDArray[np.float64], list[int]]] = []
    for same in gate.split(lambda frame: frame.orientation):
        axes = np.stack(axes_of(gate.frames[same[0]]))
        for reference, members in groups:
            if np.abs(axes - reference).max() <= ORIENTATION_RAD:
                members += same
                break
        else:
            groups.append((axes, same))
    if len(groups) == 1:
        return
    groups.sort(key=lambda group: (-len(group[1]), min(rank(gate.frames[i]) for i in group[1])))
    main, others = groups[0], groups[1:]
    found = [i for _, members in others for i in members]
    majority = len(main[1]) > len(others[0][1])
    name = orientation_name(gate.frames[main[1][0]])
    if majority and all(len(members) <= 2 and abs(axes[2] @ main[0][2]) < 0.5 for axes, members in others):
        # One or two planes across the stack are what a scout looks like where no image type says so.
        message = f"{count(len(found))} across the {name} stack, probably a localizer: {gate.listing(found)}"
        gate.add("localizer", message, found)
    else:
        planes = Counter(orientation_name(gate.frames[i]) for i in gate.used)
        parts = ", ".join(f"{n} {plane}" for plane, n in planes.most_common())
        message = f"{len(groups)} orientations in one series ({parts}): {gate.listing(found)}"
        gate.add("orientation", message, found, acceptable=majority)
        gate.stopped = not majority
    gate.used = main[1]


def _uniform(gate: Gate) -> None:
    """Size, frame of reference and pixel spacing are the same in all slices; pixels are square."""
    sizes = gate.split(lambda frame: (frame.rows, frame.columns))
    if len(sizes) > 1:
        parts = ", ".join(f"{len(g)} of {gate.frames[g[0]].rows}x{gate.frames[g[0]].columns}" for g in sizes[:NAMED])
        odd = [i for group in sizes[1:] for i in group]
        gate.add("size", f"mixed size ({parts}): {gate.listing(odd)}", odd)

    references = gate.split(lambda frame: frame.frame_of_reference_uid)
    if len(references) > 1:
        odd = [i for group in references[1:] for i in group]
        gate.add("frame-of-reference", f"{len(references)} frames of reference: {gate.listing(odd)}", odd)
    elif gate.frames[gate.used[0]].frame_of_reference_uid is None:
        gate.note("frame-of-reference", "no Frame of Reference UID: taken as one frame of reference")

    spacings = np.array([gate.frames[i].spacing for i in gate.used])
    common = np.array(gate.frames[gate.split(lambda frame: frame.spacing)[0][0]].spacing)
    odd = [gate.used[k] for k in np.flatnonzero((np.abs(spacings / common - 1) > SPACING_SHARE).any(axis=1))]
    if odd:
        parts = ", ".join(sorted({f"{gate.frames[i].spacing[0]:g}" for i in odd}))  # type: ignore[index]
        message = f"mixed pixel spacing ({common[0]:g} mm, but {parts} mm in {count(len(odd))}): {gate.listing(odd)}"
        ratios = spacings / common
        gate.add("pixel-spacing", message, odd, acceptable=bool(max(ratios.max(), 1 / ratios.min()) <= MAX_RATIO))
    if abs(common[0] / common[1] - 1) > SPACING_SHARE:
        ratio = float(max(common) / min(common))
        message = f"pixels are not square ({common[0]:g} mm between rows, {common[1]:g} mm between columns)"
        gate.add("non-square", message, acceptable=ratio <= MAX_RATIO)


def _identified(gate: Gate) -> None:
    """No SOP Instance UID and frame number stands for slices at different places."""
    places: dict[Hashable, list[int]] = {}
    for i in gate.used:
        places.setdefault((gate.frames[i].sop_instance_uid, gate.frames[i].number), []).append(i)
    for shared in [place for place in places.values() if len(place) > 1]:
        positions = np.array([gate.frames[i].position for i in shared])
        if np.ptp(positions, axis=0).max() > LATERAL_MM:
            gate.add("identity", f"one SOP Instance UID for slices at different places: {gate.listing(shared)}", shared)


def _distinct(gate: Gate) -> None:
    """Sort along the normal; one slice a position stays in use."""
    reference = gate.frames[min(gate.used, key=lambda i: rank(gate.frames[i]))]
    along = projections([gate.frames[i] for i in gate.used], reference)[:, 0]
    gate.along = {i: float(value) for i, value in zip(gate.used, along, strict=True)}
    gate.used.sort(key=lambda i: (gate.along[i], rank(gate.frames[i])))

    places: list[list[int]] = []
    near = _same_place(np.sort(along))
    for i in gate.used:
        if places and gate.along[i] - gate.along[places[-1][0]] <= near:
            places[-1].append(i)
        else:
            places.append([i])
    places = [sorted(place, key=lambda i: rank(gate.frames[i])) for place in places]
    gate.used = [place[0] for place in places]
    doubled = [place for place in places if len(place) > 1]
    if not doubled:
        return
    extra = [i for place in doubled for i in place[1:]]
    same = sum(
        (gate.frames[i].sop_instance_uid, gate.frames[i].number)
        == (gate.frames[place[0]].sop_instance_uid, gate.frames[place[0]].number)
        for place in doubled
        for i in place[1:]
    )
    what = "copies of the same instance" if same == len(extra) else "other instances at the same positions"
    if 0 < same < len(extra):
        what = f"{same} copies of the same instance, {len(extra) - same} other instances at the same positions"
    per_place = Counter(len(place) for place in places)
    if same == 0 and len(per_place) == 1:
        what += f" ({len(places[0])} at each of {len(places)}: several phases, echoes or reconstructions in one series)"
    gate.add("duplicate", f"{count(len(extra), 'duplicate')}, {what}: {gate.listing(extra)}", extra)


def _same_place(along: NDArray[np.float64]) -> float:
    """mm within which two slices are at the same place: the tolerance on the median of the steps that are none."""
    steps = np.diff(along)
    steps = steps[steps > tolerance(0)]
    return tolerance(float(np.median(steps))) if len(steps) else tolerance(0)


def _stack(gate: Gate) -> Verdict:
    frames = [gate.frames[i] for i in gate.used]
    along = np.array([gate.along[i] for i in gate.used])
    why: list[str] = [f.kind for f in gate.findings if f.kind in ("non-square", "pixel-spacing")]
    steps = None
    if len(frames) > 1:
        steps = measure_steps(along)
        why += judge_steps(gate, steps, along)
        why += judge_lateral(gate, along)
    else:
        thick = frames[0].thickness or 0.0
        gate.add("few", "a single slice is no volume", gate.used, acceptable=math.isfinite(thick) and thick > 0)
    note_values(gate, frames, steps)
    accepted = not any(finding.severity == "refuse" for finding in gate.findings)
    if not accepted:
        return Verdict(False, tuple(gate.findings), tuple(gate.used))
    affine, spacing, resampling = build_grid(frames, steps, tuple(dict.fromkeys(why)))
    return Verdict(True, tuple(gate.findings), tuple(gate.used), affine, spacing, resampling)
