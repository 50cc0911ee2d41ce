"""Golden cases as they are kept: studies with the findings that they must give.

``expect`` is a JSON file. ``lesions`` and ``scores`` are the findings; ``mask`` is the label map that they were taken
from, and ``output`` a sample of what the network itself gave: that is what tells a device that computes the same from
one that computes something near. Both may be missing, then only the findings are compared.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..bundle.config import read_json
from ..bundle.load import Bundle
from ..bundle.schema import GoldenCase
from ..errors import BundleError
from ..findings import Findings
from ..validation import first_problem
from .sampler import Sampler

_DECIMALS = 5

Point = tuple[float, float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ExpectedLesion(_Strict):
    """One lesion; what the source has no millimetres for is null."""

    label: int
    voxels: int | None = None
    centroid: Point | None = None
    """Array index (z, y, x)."""
    centroid_lps: Point | None = None
    volume_mm3: float | None = None
    longest_diameter_mm: float | None = None


class ExpectedScore(_Strict):
    """The probability of a class."""

    name: str
    probability: Annotated[float, Field(ge=0, le=1)]


class ExpectedMask(_Strict):
    """The label map on the source's grid."""

    shape: tuple[int, int, int]
    labels: str
    """uint8, z y x, zlib, base64."""

    def read(self) -> NDArray[np.uint8]:
        """The labels [z, y, x]; ValueError where they are not what ``shape`` says."""
        size = math.prod(self.shape)
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(self.labels, validate=True), size + 1)
        if len(content) != size:
            raise ValueError(f"mask: {len(content)} labels, its shape says {size}")
        return np.frombuffer(content, np.uint8).reshape(self.shape)


class ExpectedOutput(_Strict):
    """A sample of the network's output: :class:`.sampler.Sampler`."""

    windows: Annotated[int, Field(ge=1)]
    """How many there were in all."""
    values: str
    """float32, little endian, base64."""

    def read(self) -> NDArray[np.float32]:
        return np.frombuffer(base64.b64decode(self.values, validate=True), "<f4").astype(np.float32)


class Expectation(_Strict):
    """What a golden case must give."""

    lesions: tuple[ExpectedLesion, ...] = ()
    scores: tuple[ExpectedScore, ...] = ()
    mask: ExpectedMask | None = None
    output: ExpectedOutput | None = None


@contextmanager
def study_of(bundle: Bundle, case: GoldenCase) -> Iterator[Path]:
    """The DICOM study of a golden case; one that is described in JSON is generated for as long as the block lasts.

    Raises
    ------
    BundleError
        The description is not understood.
    """
    path = bundle.root / case.study
    if path.suffix != ".json":
        yield path
        return
    from bedside.phantoms import write_study

    with TemporaryDirectory(prefix="bedside-golden-") as folder:
        try:
            write_study(read_json(path, case.study), Path(folder))
        except (ValueError, TypeError) as error:
            raise BundleError(f"bundle {bundle.name}: {case.study}: {error}") from None
        yield Path(folder)


def read_expectation(bundle: Bundle, case: GoldenCase) -> Expectation:
    """What a golden case must give.

    Raises
    ------
    BundleError
        The file is not what :class:`Expectation` says.
    """
    content = read_json(bundle.root / case.expect, case.expect)
    try:
        return Expectation.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise BundleError(f"bundle {bundle.name}: {case.expect}: {first_problem(error)}") from None


def expectation(findings: Findings, sampler: Sampler) -> Expectation:
    """What was found, rounded to what a comparison needs, as a golden case keeps it."""
    mask = findings.mask
    packed = None
    if mask is not None:
        labels = base64.b64encode(zlib.compress(np.ascontiguousarray(mask).tobytes(), 9)).decode("ascii")
        packed = ExpectedMask(shape=_triple(mask.shape), labels=labels)
    values = base64.b64encode(sampler.values().astype("<f4").tobytes()).decode("ascii")
    return Expectation(
        lesions=tuple(
            ExpectedLesion(
                label=lesion.label,
                voxels=lesion.voxels,
                centroid=_point(lesion.centroid),
                centroid_lps=_point(lesion.centroid_lps),
                volume_mm3=_rounded(lesion.volume_mm3, 1),
                longest_diameter_mm=_rounded(lesion.longest_diameter_mm, 2),
            )
            for lesion in findings.lesions
        ),
        scores=tuple(ExpectedScore(name=s.name, probability=round(s.probability, _DECIMALS)) for s in findings.scores),
        mask=packed,
        output=ExpectedOutput(windows=sampler.windows, values=values),
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def _point(value: Sequence[float] | None) -> Point | None:
    return None if value is None else (round(value[0], 2), round(value[1], 2), round(value[2], 2))


def _triple(shape: tuple[int, ...]) -> tuple[int, int, int]:
    z, y, x = shape
    return z, y, x
