"""From what the network gave to what a reader can use: lesions with measurements in patient space, or class scores.

Conventions, the same for every bundle:

- A lesion is one 26-connected component where the bundle's segment says ``instances``, else everything of one label. In
  a cine the third axis is time: what touches from frame to frame is one lesion, measured in the frame where it is
  largest.
- Volume is the number of voxels times the volume of one (the determinant of the affine), no interpolation.
- The longest diameter is the largest distance between the centres of two pixels of the lesion in one acquired slice,
  over all slices; for an axial series that is the longest axial diameter. Measured on discs of random centre it is
  never too long and too short by 0.66 pixel (2 pixels wide), 0.30 (10) or 0.08 (60) on average; it is zero for a single
  pixel.
- Millimetres are given only where the header gives the pixel size; else the distance is in pixels, and no volume.
- Mean, standard deviation (population) and range are in modality units (HU for CT) over the lesion's voxels, without
  those that hold the pixel padding value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bedside.kernels import Components, look_up

from ..errors import BundleError, DeviceFault
from ..image import Cine, Frame, Image, Vector, Volume
from ..uids import content_uid
from .components import MAX_LESIONS, Choice, Rule, choose
from .measure import Box, Grid, grid_of, pixels_of

if TYPE_CHECKING:
    from ..bundle.load import Bundle
    from ..bundle.schema import ClassSpec, Code, SegmentSpec

Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Lesion:
    """One finding with a place: a connected component, or all of one label."""

    label: int
    """The network's label, as in the bundle's segments."""
    number: int
    """From 1, over all labels; also the segment number in the DICOM SEG."""
    name: str
    tracking_id: str
    """Name, with the number where each part of the label is a lesion."""
    tracking_uid: str
    """From series, model and place: the same in every run that finds the same voxels."""
    voxels: int
    volume_mm3: float | None
    """None in a 2D image or a cine, and where the voxel size is unknown."""
    area_mm2: float | None
    """In the key slice; None where the pixel size is unknown."""
    centroid: Vector
    """Array index (z, y, x)."""
    centroid_lps: Vector | None
    bbox: Box
    """Half-open index ranges of z, y and x."""
    longest_diameter_mm: float | None
    longest_diameter_px: float | None
    """Only where the pixel size is unknown."""
    diameter_ends: tuple[tuple[int, int], tuple[int, int]]
    """(y, x) of both ends in ``diameter_slice``."""
    diameter_ends_lps: tuple[Vector, Vector] | None
    diameter_slice: int
    key_slice: int
    """The slice with the largest area."""
    mean: float | None
    std: float | None
    minimum: float | None
    maximum: float | None
    """In modality units; None for a colour image."""


@dataclass(frozen=True, slots=True)
class ClassScore:
    """The probability of one class of the bundle."""

    index: int
    name: str
    code: Code
    probability: float
    threshold: float
    positive: bool
    """Whether the probability reaches the bundle's threshold."""


@dataclass(frozen=True)
class Findings:
    """What was found: lesions for a segmentation, scores for a classification."""

    kind: str
    """``segmentation`` or ``classification``."""
    parts: Labels | None = None
    """Lesion numbers on the source grid, [z, y, x]; 0 is background. A 2D image has one slice, a cine one per frame."""
    lesions: tuple[Lesion, ...] = ()
    scores: tuple[ClassScore, ...] = ()
    frame_probabilities: NDArray[np.float32] | None = None
    """[frames, classes] where several frames were classified; ``scores`` then holds the mean over the frames."""
    dropped: tuple[tuple[str, int], ...] = ()
    """How many parts of a segment, by its name, were left out because they were too small or too many."""
    notes: tuple[str, ...] = ()

    @property
    def mask(self) -> Labels | None:
        """The network's labels of what was kept, uint8 [z, y, x]; a new array on every call."""
        if self.parts is None:
            return None
        label_of = np.zeros(256, np.uint8)
        for lesion in self.lesions:
            label_of[lesion.number] = lesion.label
        mask = np.empty(self.parts.shape, np.uint8)
        look_up(self.parts, mask, label_of)
        return mask


def find(output: NDArray[Any], source: Volume | Image | Cine, bundle: Bundle, *, threads: int = 0) -> Findings:
    """Turn the network's finished output into findings.

    Parameters
    ----------
    output
        For a segmentation bundle labels, uint8, [z, y, x] on the grid of ``source`` ([y, x] for an image, [t, y, x] for
        a cine). For a classification bundle probabilities, [frames, classes].
    source
        What was read; its stored values give the statistics, its geometry the millimetres.
    bundle
        Whose ``result`` says what labels and classes mean.
    threads
        At most so many; 0 is every core.

    Raises
    ------
    BundleError
        The output has a label or lacks a class that the bundle's ``result`` does not fit.
    DeviceFault
        Probabilities that are not numbers between 0 and 1.
    """
    if bundle.meta.result.kind == "classification":
        return _classify(output, bundle.meta.result.classes)
    labels = output[np.newaxis] if output.ndim == 2 else output
    return _segment(np.asarray(labels, np.uint8), source, bundle, threads)


def _classify(output: NDArray[Any], classes: tuple[ClassSpec, ...]) -> Findings:
    table = np.atleast_2d(np.asarray(output, np.float32))
    if table.ndim != 2:
        raise BundleError(f"a classifier's output must be [frames, classes], got shape {output.shape}")
    if not np.isfinite(table).all() or table.min() < -1e-6 or table.max() > 1 + 1e-6:
        raise DeviceFault("the class probabilities are not numbers between 0 and 1")
    probabilities = np.clip(table.mean(axis=0, dtype=np.float64), 0.0, 1.0)
    scores = []
    for spec in classes:
        if spec.index >= len(probabilities):
            raise BundleError(
                f"class '{spec.name}' has index {spec.index}, but the network gives {len(probabilities)} classes",
                mend="mend bedside.result.classes in configs/metadata.json",
            )
        p = float(probabilities[spec.index])
        scores.append(ClassScore(spec.index, spec.name, spec.code, p, spec.threshold, p >= spec.threshold))
    several = len(table) > 1
    notes = (f"each probability is the mean over {len(table)} frames",) if several else ()
    return Findings("classification", scores=tuple(scores), frame_probabilities=table if several else None, notes=notes)


def _segment(labels: Labels, source: Volume | Image | Cine, bundle: Bundle, threads: int) -> Findings:
    specs = {spec.label: spec for spec in bundle.meta.result.segments}
    grid = grid_of(source)
    components = Components(labels, connectivity=26, threads=threads)
    notes = []
    for label in np.unique(components.label).tolist():
        if label not in specs:
            raise BundleError(
                f"the network gave label {label}, which has no segment in the bundle",
                mend="add it to bedside.result.segments in configs/metadata.json",
            )
        if specs[label].min_volume_mm3 and grid.voxel_mm3 is None:
            notes.append(f"{specs[label].name}: no minimum volume was applied, the source has no volume")
    rules = {label: Rule(spec.instances, _least_voxels(spec, grid)) for label, spec in specs.items()}
    choice = choose(components, rules, threads=threads)
    if choice.found > MAX_LESIONS:
        notes.append(f"{choice.found} parts were found; the largest {MAX_LESIONS} are reported")
    numbered = np.zeros(labels.shape, np.uint8)
    choice.lesions.paint(numbered, clear=False, threads=threads)
    lesions = _measure(choice, specs, source, grid, _seed(source, bundle), threads)
    dropped = tuple((specs[label].name, count) for label, count in choice.dropped.items())
    return Findings("segmentation", numbered, lesions, dropped=dropped, notes=tuple(notes))


def _least_voxels(spec: SegmentSpec, grid: Grid) -> float:
    return spec.min_volume_mm3 / grid.voxel_mm3 if grid.voxel_mm3 else 0.0


def _frames(source: Volume | Image | Cine) -> tuple[Frame | None, ...]:
    return (source.frame,) if isinstance(source, Image) else source.frames


def _seed(source: Volume | Image | Cine, bundle: Bundle) -> str:
    frame = next((f for f in _frames(source) if f is not None), None)
    return "|".join((frame.sop_instance_uid if frame else "", bundle.name, bundle.version, bundle.sha256))


def _measure(
    choice: Choice, specs: Mapping[int, SegmentSpec], source: Volume | Image | Cine, grid: Grid, seed: str, threads: int
) -> tuple[Lesion, ...]:
    lesions = choice.lesions
    boxes = [_box(box) for box in lesions.box]
    pixels = [grid.pixel_at(box) for box in boxes]
    # In a cine each frame is a picture of its own: the diameter is that of the key frame, like the area.
    lengths, slices, ends = lesions.longest_diameters(
        np.array([pixel or (1.0, 1.0) for pixel in pixels], np.float64).reshape(-1, 2),
        slices=None if isinstance(source, Volume) else lesions.key_slice,
        threads=threads,
    )
    values = _statistics(lesions, source, threads)
    measured = []
    for k, (box, pixel) in enumerate(zip(boxes, pixels, strict=True)):
        spec, voxels = specs[int(lesions.label[k])], int(lesions.voxels[k])
        cz, cy, cx = (float(total) / voxels for total in lesions.sums[k])
        (ay, ax), (by, bx) = ends[k].tolist()
        length, at = float(lengths[k]), int(slices[k])
        first, second = grid.lps(at, ay, ax), grid.lps(at, by, bx)
        mean, std, low, high = values[k]
        measured.append(
            Lesion(
                label=spec.label,
                number=k + 1,
                name=spec.name,
                tracking_id=f"{spec.name} {k + 1}" if spec.instances else spec.name,
                tracking_uid=content_uid("lesion", seed, str(spec.label), repr(box), str(voxels), repr((cz, cy, cx))),
                voxels=voxels,
                volume_mm3=voxels * grid.voxel_mm3 if grid.voxel_mm3 else None,
                area_mm2=float(lesions.key_area[k]) * pixel[0] * pixel[1] if pixel else None,
                centroid=(cz, cy, cx),
                centroid_lps=grid.lps(cz, cy, cx),
                bbox=box,
                longest_diameter_mm=length if pixel else None,
                longest_diameter_px=None if pixel else length,
                diameter_ends=((ay, ax), (by, bx)),
                diameter_ends_lps=(first, second) if first and second else None,
                diameter_slice=at,
                key_slice=int(lesions.key_slice[k]),
                mean=mean,
                std=std,
                minimum=low,
                maximum=high,
            )
        )
    return tuple(measured)


def _box(box: NDArray[np.int32]) -> Box:
    (z0, z1), (y0, y1), (x0, x1) = box.tolist()
    return (z0, z1), (y0, y1), (x0, x1)


def _statistics(lesions: Components, source: Volume | Image | Cine, threads: int) -> list[tuple[float | None, ...]]:
    """Mean, population standard deviation, minimum and maximum of each lesion in modality units."""
    nothing = (None,) * 4
    pixels = pixels_of(source)
    if pixels is None:
        return [nothing] * len(lesions)
    stored, slope, intercept = pixels
    padding = None if isinstance(source, Cine) else source.padding_value
    counts, values = lesions.statistics(
        stored, slope=slope, intercept=intercept, padding_value=padding, threads=threads
    )
    return [tuple(row) if count else nothing for count, row in zip(counts.tolist(), values.tolist(), strict=True)]
