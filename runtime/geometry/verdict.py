"""What the geometry gate says of a series: the Verdict, its Findings, and the Resampling that goes with acceptance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import StudyRejected
from ..image import Frame, Vector
from ..study.header import file_name

Severity = Literal["refuse", "accepted", "note"]

ACCEPTABLE: dict[str, str] = {
    "gap": "missing slices are interpolated linearly and marked as such",
    "duplicate": "the first slice at each position is kept",
    "tilt": "the slices are shifted in their planes onto an upright grid",
    "shift": "the slices are shifted in their planes onto an upright grid",
    "spacing": "the slices are resampled to an even step near the median",
    "non-square": "pixels are resampled to squares of the finer spacing",
    "pixel-spacing": "slices are resampled to the commonest pixel spacing",
    "localizer": "localizers are left out",
    "orientation": "the slices of the commonest orientation are used",
    "few": "a single slice becomes a volume as thick as its slice thickness",
}
"""The findings a user may accept, and what is then done."""

NEVER: dict[str, str] = {
    "attributes": "the header lacks what places a slice in the patient",
    "size": "slices of different rows or columns are no volume",
    "frame-of-reference": "positions in different frames of reference cannot be compared",
    "identity": "results could not say which slice they refer to",
}
"""The findings that no user can accept, and why not."""


@dataclass(frozen=True, slots=True)
class SliceName:
    """A slice as a person finds it again."""

    file: str
    instance: int | None
    """Instance Number (0020,0013)."""
    frame: int
    """Frame number within the file, from 1."""
    position: float | None
    """mm along the slice normal; None where the header does not place it."""

    @classmethod
    def of(cls, frame: Frame, position: float | None) -> SliceName:
        return cls(file_name(frame.path), frame.instance_number, frame.number, position)

    def __str__(self) -> str:
        number = f", frame {self.frame}" if self.frame != 1 else ""
        instance = f", instance {self.instance}" if self.instance is not None else ""
        place = f", {self.position:.2f} mm" if self.position is not None else ""
        return f"{self.file} ({(number + instance + place)[2:]})" if number or instance or place else self.file

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "instance": self.instance, "frame": self.frame, "position_mm": self.position}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the gate saw."""

    kind: str
    """A key of :data:`ACCEPTABLE` or :data:`NEVER`, or of what is only noted: ``thickness``, ``rescale``, ..."""
    severity: Severity
    """``refuse`` stops the series, ``accepted`` would have but for the user's word, ``note`` is for the record."""
    message: str
    slices: tuple[SliceName, ...] = ()
    acceptable: bool = True
    """False where accepting the kind does not help."""

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "severity": self.severity,
            "message": self.message,
            "acceptable": self.acceptable,
            "slices": [name.to_json() for name in self.slices],
        }


@dataclass(frozen=True, slots=True)
class Plane:
    """How a pixel of the output plane finds its source: ``source = scale * output + shift``, in pixels."""

    scale_y: float
    shift_y: float
    scale_x: float
    shift_x: float


@dataclass(frozen=True)
class Resampling:
    """The resampling that makes a regular volume of accepted slices; see :func:`regularise`.

    Output slice z is ``(1 - weight[z]) * source[lower[z]] + weight[z] * source[upper[z]]``, sources counted in
    :attr:`Verdict.order`; where ``planes`` is set, source slice i is first moved onto the output plane by
    ``planes[i]``.
    """

    why: tuple[str, ...]
    """The kinds of finding that ask for it."""
    shape: tuple[int, int, int]
    """Slices, rows and columns of the result."""
    lower: tuple[int, ...]
    upper: tuple[int, ...]
    weight: tuple[float, ...]
    planes: tuple[Plane, ...] | None = None

    @property
    def interpolated(self) -> tuple[int, ...]:
        """Which output slices were interpolated between two sources."""
        return tuple(z for z, weight in enumerate(self.weight) if weight > 0)

    def to_json(self) -> dict[str, Any]:
        return {
            "why": list(self.why),
            "shape": list(self.shape),
            "interpolated_slices": list(self.interpolated),
            "planes_resampled": self.planes is not None,
        }


@dataclass(frozen=True)
class Verdict:
    """Whether a series is a volume, why not, and how its frames make one."""

    accepted: bool
    findings: tuple[Finding, ...]
    order: tuple[int, ...] = ()
    """Indices, into the frames that were checked, of those that are used, in the order of z."""
    affine: NDArray[np.float64] | None = field(default=None, compare=False)
    """Index (z, y, x) of the finished volume to LPS mm; None where the series was refused before one was known."""
    spacing: Vector | None = None
    """mm along z, y, x of the finished volume."""
    resampling: Resampling | None = None
    """None where the slices make the volume as they stand."""

    @property
    def refusals(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == "refuse")

    @property
    def message(self) -> str:
        """One line: what the series is refused for, or what was accepted, or that it is regular."""
        if not self.accepted:
            return "; ".join(finding.message for finding in self.refusals)
        accepted = [finding.message for finding in self.findings if finding.severity == "accepted"]
        return "accepted in spite of: " + "; ".join(accepted) if accepted else "regular"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results must know: what was accepted, and what was noted of the slices' values.

        Jitter within the tolerance stays in :attr:`findings`: it changes nothing that a reader sees.
        """
        accepted = (self.message,) if self.accepted and self.message != "regular" else ()
        noted = [one.message for one in self.findings if one.severity == "note" and one.kind != "spacing"]
        return (*accepted, *noted)

    @property
    def mend(self) -> str:
        """What the user can do about a refusal; empty if accepted."""
        never = [finding for finding in self.refusals if not finding.acceptable]
        if never:
            kinds = ", ".join(dict.fromkeys(finding.kind for finding in never))
            return f"{kinds} cannot be accepted: send the series again, complete and alone"
        kinds = ",".join(dict.fromkeys(finding.kind for finding in self.refusals))
        return f"send the series again complete, or go on with --accept {kinds}" if kinds else ""

    def require(self, series: str) -> None:
        """Return if accepted.

        Raises
        ------
        StudyRejected
            With this verdict, in one line that begins with ``series``, the name of the series.
        """
        if not self.accepted:
            raise StudyRejected(f"{series}: {self.message}", mend=self.mend, verdict=self)

    def to_json(self) -> dict[str, Any]:
        return {
            "accepted": self.accepted,
            "message": self.message,
            "findings": [finding.to_json() for finding in self.findings],
            "order": list(self.order),
            "affine": None if self.affine is None else self.affine.tolist(),
            "spacing_mm": None if self.spacing is None else list(self.spacing),
            "resampling": None if self.resampling is None else self.resampling.to_json(),
        }
