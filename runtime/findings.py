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

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .errors import BundleError, DeviceFault
from .image import Cine, Frame, Image, UltrasoundRegion, Vector, Volume
from .uids import content_uid

if TYPE_CHECKING:
    from .bundle import Bundle
    from .bundle_schema import ClassSpec, Code, SegmentSpec

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Labels = NDArray[np.uint8]

MAX_LESIONS = 255
"""More parts than this are no finding that a person could read (and a SEG label is a byte): the largest are kept, and
it is said.
"""

_BLOCK = 1 << 22
"""Voxels that are looked at in one go when statistics are taken."""


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
        lookup = np.zeros(256, np.uint8)
        for lesion in self.lesions:
            lookup[lesion.number] = lesion.label
        return lookup[self.parts]


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where pixels lie. ``affine`` maps (z, y, x) to LPS; ``pixel`` is mm per pixel along y and x."""

    affine: NDArray[np.float64] | None
    pixel: tuple[float, float] | None
    voxel_mm3: float | None
    regions: tuple[UltrasoundRegion, ...] = ()

    def pixel_at(self, box: Box) -> tuple[float, float] | None:
        """The pixel size that holds all over ``box``: of the image, or of the ultrasound region it lies in."""
        if self.pixel is not None:
            return self.pixel
        (_, _), (y0, y1), (x0, x1) = box
        for region in self.regions:
            inside = region.x0 <= x0 and x1 - 1 <= region.x1 and region.y0 <= y0 and y1 - 1 <= region.y1
            if inside and region.data_type in (None, 1) and region.mm_per_pixel_x and region.mm_per_pixel_y:
                return abs(region.mm_per_pixel_y), abs(region.mm_per_pixel_x)
        return None

    def lps(self, z: float, y: float, x: float) -> Vector | None:
        if self.affine is None:
            return None
        left, posterior, superior = (float(v) for v in self.affine[:3, :3] @ (z, y, x) + self.affine[:3, 3])
        return left, posterior, superior


def plane_affine(frame: Frame) -> NDArray[np.float64] | None:
    """The affine of one image plane, (z, y, x) to LPS mm with z along the plane's normal; None if the header lacks a
    part.
    """
    if frame.position is None or frame.orientation is None or frame.spacing is None:
        return None
    row, column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    affine = np.eye(4)
    affine[:3, 0] = np.cross(row, column) * (frame.thickness or 1.0)
    affine[:3, 1] = column * frame.spacing[0]
    affine[:3, 2] = row * frame.spacing[1]
    affine[:3, 3] = frame.position
    return affine


def _grid(source: Volume | Image | Cine) -> _Grid:
    if isinstance(source, Volume):
        _, y, x = source.spacing
        return _Grid(source.affine, (y, x), abs(float(np.linalg.det(source.affine[:3, :3]))))
    if isinstance(source, Image):
        return _Grid(plane_affine(source.frame), source.frame.spacing, None, source.regions)
    first = source.frames[0]
    still = all(
        (f.position, f.orientation, f.spacing) == (first.position, first.orientation, first.spacing)
        for f in source.frames
    )
    affine = plane_affine(first) if still else None
    if affine is not None:
        affine[:3, 0] = 0.0
    return _Grid(affine, first.spacing if still else None, None, source.regions)


def _pixels(source: Volume | Image | Cine) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]] | None:
    """Stored values [z, y, x] with slope and intercept per slice; None for colour."""
    if isinstance(source, Volume):
        return source.voxels, source.slope, source.intercept
    pixels = source.pixels[np.newaxis] if isinstance(source, Image) else source.pixels
    if pixels.ndim != 3:
        return None
    slope, intercept = (np.full(len(pixels), v, np.float32) for v in (source.slope, source.intercept))
    return pixels, slope, intercept


def _frames(source: Volume | Image | Cine) -> tuple[Frame | None, ...]:
    return (source.frame,) if isinstance(source, Image) else source.frames


def find(output: NDArray[Any], source: Volume | Image | Cine, bundle: Bundle) -> Findings:
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
    return _segment(np.ascontiguousarray(labels, np.uint8), source, bundle)


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


@dataclass(slots=True)
class _Part:
    """One component: its box on the source grid, and which pixels of the box belong to it (a view of a label array)."""

    spec: SegmentSpec
    box: tuple[slice, slice, slice]
    labels: NDArray[Any]
    value: int
    voxels: int

    def inside(self) -> NDArray[np.bool_]:
        return np.asarray(self.labels == self.value)


def _segment(labels: Labels, source: Volume | Image | Cine, bundle: Bundle) -> Findings:
    specs = {spec.label: spec for spec in bundle.meta.result.segments}
    grid = _grid(source)
    notes = []
    kept: list[_Part] = []
    dropped: dict[str, int] = {}
    for label, box in _boxes(labels):
        spec = specs.get(label)
        if spec is None:
            raise BundleError(
                f"the network gave label {label}, which has no segment in the bundle",
                mend="add it to bedside.result.segments in configs/metadata.json",
            )
        if spec.min_volume_mm3 and grid.voxel_mm3 is None:
            notes.append(f"{spec.name}: no minimum volume was applied, the source has no volume")
        least = spec.min_volume_mm3 / grid.voxel_mm3 if grid.voxel_mm3 else 0.0
        parts, small = _parts(labels[box], box, spec, least)
        if small:
            dropped[spec.name] = small
        kept += parts
    if len(kept) > MAX_LESIONS:
        largest = {id(part) for part in sorted(kept, key=lambda part: -part.voxels)[:MAX_LESIONS]}
        for part in kept:
            if id(part) not in largest:
                dropped[part.spec.name] = dropped.get(part.spec.name, 0) + 1
        notes.append(f"{len(kept)} parts were found; the largest {MAX_LESIONS} are reported")
        kept = [part for part in kept if id(part) in largest]

    numbered = np.zeros(labels.shape, np.uint8)
    seed = _seed(source, bundle)
    lesions = []
    for number, part in enumerate(kept, start=1):
        inside = part.inside()
        np.copyto(numbered[part.box], number, where=inside)
        lesions.append(_measure(inside, part, number, source, grid, seed))
    return Findings("segmentation", numbered, tuple(lesions), dropped=tuple(dropped.items()), notes=tuple(notes))


def _boxes(labels: Labels) -> Iterator[tuple[int, tuple[slice, slice, slice]]]:
    """Each label that occurs with the box around it."""
    # Most of a volume has no label. Eight pixels at a time tell which rows have one, and only those are looked at
    # closely.
    rows = labels.view(np.uint64) if labels.shape[2] % 8 == 0 and labels.size else labels
    occupied = np.argwhere(np.bitwise_or.reduce(rows, axis=2))
    if not len(occupied):
        return
    (z0, y0), (z1, y1) = occupied.min(axis=0).tolist(), (occupied.max(axis=0) + 1).tolist()
    for label, box in enumerate(ndimage.find_objects(labels[z0:z1, y0:y1]), start=1):
        if box is not None:
            z, y, x = box
            yield label, (slice(z.start + z0, z.stop + z0), slice(y.start + y0, y.stop + y0), x)


def _parts(labels: Labels, box: tuple[slice, ...], spec: SegmentSpec, least: float) -> tuple[list[_Part], int]:
    """The lesions of one label within its box, largest first, and how many components of less than ``least`` voxels
    fell.
    """
    inside = labels == spec.label
    if not spec.instances and least <= 1:
        return [_Part(spec, (box[0], box[1], box[2]), inside, 1, int(np.count_nonzero(inside)))], 0
    components, _ = ndimage.label(inside, structure=np.ones((3, 3, 3), np.int8))
    sizes = np.bincount(components.reshape(-1))
    sizes[0] = 0
    large = sizes >= max(least, 1.0)
    small = int(np.count_nonzero(sizes)) - int(np.count_nonzero(large))
    if not spec.instances:
        components, sizes = large[components].view(np.uint8), np.array([0, int(sizes[large].sum())])
        large = sizes > 0
    parts = []
    for value, local in enumerate(ndimage.find_objects(components), start=1):
        if large[value]:
            place = [slice(a.start + b.start, a.start + b.stop) for a, b in zip(box, local, strict=True)]
            parts.append(_Part(spec, (place[0], place[1], place[2]), components[local], value, int(sizes[value])))
    return sorted(parts, key=lambda part: (-part.voxels, [s.start for s in part.box])), small


def _seed(source: Volume | Image | Cine, bundle: Bundle) -> str:
    frame = next((f for f in _frames(source) if f is not None), None)
    return "|".join((frame.sop_instance_uid if frame else "", bundle.name, bundle.version, bundle.sha256))


def _measure(
    inside: NDArray[np.bool_], part: _Part, number: int, source: Volume | Image | Cine, grid: _Grid, seed: str
) -> Lesion:
    spec, (z, y, x) = part.spec, part.box
    box: Box = ((z.start, z.stop), (y.start, y.stop), (x.start, x.stop))
    rows = np.count_nonzero(inside, axis=2)
    areas = rows.sum(axis=1)
    key = int(areas.argmax())
    counts = (areas, rows.sum(axis=0), inside.sum(axis=(0, 1), dtype=np.uint32))
    centroid = tuple(
        float(np.arange(s.start, s.stop) @ count.astype(np.int64)) / part.voxels
        for s, count in zip((z, y, x), counts, strict=True)
    )
    place: Vector = (centroid[0], centroid[1], centroid[2])
    volume_mm3 = part.voxels * grid.voxel_mm3 if grid.voxel_mm3 else None
    pixel = grid.pixel_at(box)
    # In a cine each frame is a picture of its own: the diameter is that of the key frame, like the area.
    slices = range(len(inside)) if isinstance(source, Volume) else (key,)
    length, at, ends = longest_diameter(inside, pixel or (1.0, 1.0), slices)
    ends = ((ends[0][0] + y.start, ends[0][1] + x.start), (ends[1][0] + y.start, ends[1][1] + x.start))
    at += z.start
    first, second = grid.lps(at, *ends[0]), grid.lps(at, *ends[1])
    mean, std, low, high = _statistics(inside, part.box, source)
    return Lesion(
        label=spec.label,
        number=number,
        name=spec.name,
        tracking_id=f"{spec.name} {number}" if spec.instances else spec.name,
        tracking_uid=content_uid("lesion", seed, str(spec.label), repr(box), str(part.voxels), repr(centroid)),
        voxels=part.voxels,
        volume_mm3=volume_mm3,
        area_mm2=float(areas[key]) * pixel[0] * pixel[1] if pixel else None,
        centroid=place,
        centroid_lps=grid.lps(*place),
        bbox=box,
        longest_diameter_mm=length if pixel else None,
        longest_diameter_px=None if pixel else length,
        diameter_ends=ends,
        diameter_ends_lps=(first, second) if first and second else None,
        diameter_slice=at,
        key_slice=key + z.start,
        mean=mean,
        std=std,
        minimum=low,
        maximum=high,
    )


def longest_diameter(
    inside: NDArray[np.bool_], pixel: tuple[float, float], slices: range | tuple[int, ...]
) -> tuple[float, int, tuple[tuple[int, int], tuple[int, int]]]:
    """Largest distance between the centres of two pixels in one slice.

    Parameters
    ----------
    inside
        [z, y, x], true within the lesion.
    pixel
        Pixel size along y and x; the result has its unit.
    slices
        Which z to look at.

    Returns
    -------
    length, z, ((y, x), (y, x))
        The first such pair.
    """
    rows: NDArray[np.bool_] = np.any(inside, axis=2)
    columns: NDArray[np.bool_] = np.any(inside, axis=1)
    # The diagonal of a slice's box bounds its diameter, so most slices need no look at their pixels.
    bounds = [
        (-float(np.hypot((y[-1] - y[0]) * pixel[0], (x[-1] - x[0]) * pixel[1])), z, y)
        for z in slices
        if len(y := np.flatnonzero(rows[z])) and len(x := np.flatnonzero(columns[z]))
    ]
    best, where, ends = -1.0, 0, ((0, 0), (0, 0))
    for bound, z, y in sorted(bounds, key=lambda one: one[:2]):
        if -bound <= best:
            break
        # Only the first and last pixel of a row can be an end: every other one lies between two of its row.
        plane = inside[z, y]
        left, right = plane.argmax(axis=1), plane.shape[1] - 1 - plane[:, ::-1].argmax(axis=1)
        points = np.concatenate([np.stack([y, left], axis=1), np.stack([y, right], axis=1)])
        scaled = points * pixel
        distance = (scaled[:, np.newaxis, 0] - scaled[:, 0]) ** 2 + (scaled[:, np.newaxis, 1] - scaled[:, 1]) ** 2
        a, b = divmod(int(distance.argmax()), len(points))
        length = float(np.sqrt(distance[a, b]))
        if length > best:
            best, where = length, z
            ends = ((int(points[a, 0]), int(points[a, 1])), (int(points[b, 0]), int(points[b, 1])))
    return best, where, ends


def _statistics(
    inside: NDArray[np.bool_], box: tuple[slice, slice, slice], source: Volume | Image | Cine
) -> tuple[float, float, float, float] | tuple[None, None, None, None]:
    """Mean, population standard deviation, minimum and maximum in modality units, in blocks of slices (Chan et al.
    1979).
    """
    pixels = _pixels(source)
    if pixels is None:
        return None, None, None, None
    stored, slope, intercept = pixels
    z, y, x = box
    padding = None if isinstance(source, Cine) else source.padding_value
    count, mean, squares, low, high = 0, 0.0, 0.0, np.inf, -np.inf
    step = max(1, _BLOCK // max(1, inside[0].size))
    for start in range(0, len(inside), step):
        chosen = inside[start : start + step]
        rows = slice(z.start + start, z.start + start + len(chosen))
        values = stored[rows, y, x]
        if padding is not None:
            chosen = chosen & (values != padding)
        block = values[chosen].astype(np.float64)
        if not len(block):
            continue
        scale, offset = slope[rows].astype(np.float64), intercept[rows].astype(np.float64)
        if (scale == scale[0]).all() and (offset == offset[0]).all():
            block *= scale[0]
            block += offset[0]
        else:
            per_slice = np.count_nonzero(chosen, axis=(1, 2))
            block *= np.repeat(scale, per_slice)
            block += np.repeat(offset, per_slice)
        shift = float(block.mean()) - mean
        total = count + len(block)
        squares += float(((block - block.mean()) ** 2).sum()) + shift**2 * count * len(block) / total
        mean += shift * len(block) / total
        count = total
        low, high = min(low, float(block.min())), max(high, float(block.max()))
    if not count:
        return None, None, None, None
    return mean, float(np.sqrt(squares / count)), low, high
