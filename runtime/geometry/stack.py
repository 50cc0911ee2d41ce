"""Does a pile of parallel planes stand upright, without gaps, in even steps?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..image import Frame
from .gate import NAMED, Gate, count
from .planes import projections
from .steps import NOTED_SHARE, Steps, tolerance

__all__ = ["LATERAL_MM", "judge_lateral", "judge_steps", "note_values"]

TILT_RAD = 1e-3
"""Less tilt than this (0.06 degrees) is rounding: gantries tilt by steps of at least 0.1 degree."""
LATERAL_PIXELS = 0.2
"""A slice out of line by less than this share of a pixel is in line: 0.1 mm for pixels of 0.5 mm."""
SPARSE = 1.5
"""Slices further apart than this many slice thicknesses leave tissue unseen: noted."""
LATERAL_MM = 0.02
"""And never judged finer than this: two positions rounded to two decimals, in two directions."""


def judge_steps(gate: Gate, steps: Steps, along: NDArray[np.float64]) -> list[str]:
    """Gaps and uneven steps; returns the kinds found."""
    widths = np.diff(along)
    if not steps.regular:
        pairs = [f"{widths[i]:.2f} mm after {gate.listing([gate.used[i]])}" for i in steps.off[:NAMED]]
        rest = f" and {len(steps.off) - NAMED} more" if len(steps.off) > NAMED else ""
        where = ", ".join(pairs) + rest if pairs else "the steps drift"
        message = f"uneven spacing, {widths.min():.2f} to {widths.max():.2f} mm, median {steps.step:.2f} mm: {where}"
        named = sorted({gate.used[k] for i in steps.off for k in (i, i + 1)}, key=gate.used.index)
        grid = round(float(along[-1] - along[0]) / steps.step) + 1
        gate.add("spacing", message, named, acceptable=grid <= 2 * len(along))
        wide = [i for i in steps.off if widths[i] > SPARSE * steps.step]
        return ["spacing", *(["gap"] if _judge_gaps(gate, wide, steps, widths) else [])]
    if steps.worst > tolerance(steps.step, NOTED_SHARE):
        gate.note(
            "spacing", f"slice positions jitter by up to {steps.worst:.3f} mm around steps of {steps.step:.3f} mm"
        )
    wide = [i for i, n in enumerate(steps.counts) if n > 1]
    thick = _thicker(gate, wide, steps)
    if wide and thick:
        message = f"the step changes with the slice thickness, from {widths.min():.2f} to {widths.max():.2f} mm"
        named = [gate.used[i] for i in wide]
        gate.add("spacing", f"{message}, first after {gate.listing(named[:1])}", named)
        return ["spacing"]
    return ["gap"] if _judge_gaps(gate, wide, steps, widths) else []


def _judge_gaps(gate: Gate, wide: Sequence[int], steps: Steps, widths: NDArray[np.float64]) -> bool:
    if not wide:
        return False
    missing = [max(1, round(float(widths[i]) / steps.step) - 1) for i in wide]
    places = [
        f"{n} between {gate.listing([gate.used[i]])} and {gate.listing([gate.used[i + 1]])}"
        for n, i in zip(missing[:NAMED], wide[:NAMED], strict=True)
    ]
    rest = f" and at {len(wide) - NAMED} more places" if len(wide) > NAMED else ""
    is_are = "is" if sum(missing) == 1 else "are"
    message = f"{count(sum(missing))} {is_are} missing: {', '.join(places)}{rest}"
    named = sorted({gate.used[k] for i in wide for k in (i, i + 1)}, key=gate.used.index)
    gate.add("gap", message, named, acceptable=sum(missing) <= len(gate.used))
    return True


def _thicker(gate: Gate, wide: Sequence[int], steps: Steps) -> bool:
    """Is each wide step beside a slice that is thicker by the same factor? Then nothing is missing."""
    thickness = [gate.frames[i].thickness or 0.0 for i in gate.used]
    usual = [thickness[k] for i, n in enumerate(steps.counts) if n == 1 for k in (i, i + 1)]
    base = float(np.median(usual)) if usual else 0.0
    return base > 0 and all(max(thickness[i : i + 2]) >= 0.9 * steps.counts[i] * base for i in wide)


def judge_lateral(gate: Gate, along: NDArray[np.float64]) -> list[str]:
    """Do the first voxels lie on one line along the normal? Returns ``tilt`` and ``shift`` as found."""
    frames = [gate.frames[i] for i in gate.used]
    reference = frames[0]
    lateral = projections(frames, reference)[:, 1:]
    # The median over pairs half a stack apart: one slice out of line does not look like a tilt of all.
    half = len(along) // 2
    shear = np.median((lateral[half:] - lateral[:-half]) / (along[half:] - along[:-half])[:, None], axis=0)
    slack = np.maximum(LATERAL_PIXELS * np.array(reference.spacing), LATERAL_MM)
    residual = lateral - np.outer(along, shear)
    residual = np.abs(residual - np.median(residual, axis=0))
    # A part of the stack that lies displaced has a slope too, but most slices are then far from that line.
    sheared = np.median(residual, axis=0) <= slack
    shear = np.where(sheared, shear, 0.0)
    if not sheared.all():
        usual = np.argmin(np.abs(lateral - np.median(lateral, axis=0))[:, ~sheared].sum(axis=1))
        residual = np.where(sheared, residual, np.abs(lateral - lateral[usual]))
    length = float(along[-1] - along[0])
    angle = math.degrees(math.atan(float(np.linalg.norm(shear))))
    kinds = []
    too_far = np.ptp(lateral, axis=0) > np.array([reference.rows, reference.columns]) * reference.spacing
    stated = next(
        (f.gantry_tilt for f in frames if f.gantry_tilt and abs(f.gantry_tilt) > math.degrees(TILT_RAD)), None
    )
    if (np.abs(shear) * length > np.maximum(slack, TILT_RAD * length)).any():
        gate.add("tilt", f"the stack is sheared by {angle:.2f} degrees (gantry tilt)", acceptable=not too_far.any())
        kinds.append("tilt")
    elif stated is not None and "DERIVED" not in reference.image_type:
        # Whether the tilt was corrected or its shear lost from the positions, the header does not say.
        message = f"the header states a gantry tilt of {stated:g} degrees that the slice positions do not show"
        gate.add("tilt", message, then="the slice positions are believed")
    odd = [gate.used[k] for k in np.flatnonzero((residual > slack).any(axis=1))]
    if odd:
        message = f"slices are out of line by up to {residual.max():.2f} mm in their planes: {gate.listing(odd)}"
        gate.add("shift", message, odd, acceptable=not too_far.any())
        kinds.append("shift")
    return kinds


def note_values(gate: Gate, frames: Sequence[Frame], steps: Steps | None) -> None:
    """What does not stop a series but belongs in the record."""
    thickness = sorted({frame.thickness for frame in frames if frame.thickness})
    if len(thickness) > 1:
        gate.note("thickness", f"slice thickness varies from {thickness[0]:g} to {thickness[-1]:g} mm")
    if steps is not None and thickness and steps.step > SPARSE * thickness[-1]:
        message = f"slices {thickness[-1]:g} mm thick are {steps.step:g} mm apart: tissue between them is not seen"
        numbers = [frame.instance_number for frame in frames]
        jumps = {abs(b - a) for a, b in itertools.pairwise(numbers) if a is not None and b is not None}
        if jumps and min(jumps) > 1:
            message += f", and instance numbers go in steps of {min(jumps)}: slices may be missing throughout"
        gate.note("thickness", message)
    if len({(frame.slope, frame.intercept) for frame in frames}) > 1:
        gate.note("rescale", "rescale slope and intercept differ from slice to slice: applied slice by slice")
