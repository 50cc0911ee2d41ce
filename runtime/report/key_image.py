"""Key images: what a person looks at first. Secondary Capture (DICOM PS3.3 A.8.1) and PNG, RGB, with burned-in text.

The picture is the acquired slice through its display window, with square pixels. The finding is outlined just outside
its border, so that nothing of it is covered; text stands above and below the picture, never on it. 'NOT FOR DIAGNOSIS'
is part of every picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw
from pydicom.dataset import Dataset

from bedside import kernels

from ..dtypes import readable
from ..findings import Lesion
from ..findings.measure import frame_affine
from ..image import Cine, Frame, Image, Volume
from ..uids import content_uid
from ..voi import choose, voi
from .caption import WARNING, frame, printable
from .context import ReportInput, code_item, reference, result_dataset, set_lossy_compression
from .text import finding_text, measures, source_place

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SERIES_NUMBER = 9003
MAX_IMAGES = 5
"""Lesions with a key image of their own: the largest."""
_HEADLINE = (150, 210, 255)
"""A class is neither good nor bad to a program, so its headline is neither green nor red."""

_SHORT_SIDE = 640
"""The picture is enlarged until its shorter side has this many pixels, so that outline and text are fine enough."""
_LONG_SIDE = 1600


@dataclass(frozen=True)
class KeyImage:
    """One picture."""

    pixels: NDArray[np.uint8]
    """[y, x, 3], RGB: text, the picture, the warning."""
    rows: tuple[int, int]
    """Which rows are the picture, half-open."""
    caption: str
    lesion: Lesion | None
    index: int
    """Slice or frame of the source."""

    def png(self) -> bytes:
        """The picture as a PNG file."""
        buffer = BytesIO()
        Pillow.fromarray(self.pixels).save(buffer, "PNG", compress_level=3)
        return buffer.getvalue()


def draw(data: ReportInput) -> list[KeyImage]:
    """One picture for each of the :data:`MAX_IMAGES` largest lesions, or one for a classified or an empty study."""
    if data.findings.kind == "classification":
        return [_classified(data)]
    lesions = sorted(data.findings.lesions, key=lambda one: -(one.volume_mm3 or one.area_mm2 or one.voxels))
    return [_lesion(data, lesion) for lesion in lesions[:MAX_IMAGES]]


def datasets(data: ReportInput, images: list[KeyImage]) -> list[Dataset]:
    """The pictures as Secondary Capture instances of one series."""
    return [_secondary_capture(data, image, number) for number, image in enumerate(images, start=1)]


def _secondary_capture(data: ReportInput, image: KeyImage, number: int) -> Dataset:
    uid = content_uid(
        "key image",
        data.series_uid("OT"),
        str(number),
        data.provenance.device,
        data.software_version,
        image.pixels.tobytes(),
    )
    ds = result_dataset(data, SECONDARY_CAPTURE, uid, "OT", SERIES_NUMBER, f"{data.bundle.name}: key images", number)
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.DerivationDescription = f"Display of {image.caption}; {WARNING}"[:1024]
    ds.BurnedInAnnotation = "YES"
    ds.RecognizableVisualFeatures = "NO"
    ds.PatientOrientation = ""
    body_part = str(data.header.get("BodyPartExamined", "") or "")
    laterality = str(data.header.get("Laterality", "") or "")
    if body_part:
        ds.BodyPartExamined = body_part
    if laterality or not body_part:
        ds.Laterality = laterality
    plane = _plane(data, image.index)
    if plane is not None:
        source = reference(plane.sop_class_uid, plane.sop_instance_uid, data.frame_number(plane))
        source.PurposeOfReferenceCodeSequence = [
            code_item("121322", "DCM", "Source image for image processing operation")
        ]
        ds.SourceImageSequence = [source]
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = image.pixels.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    set_lossy_compression(ds, data)
    raw = image.pixels.tobytes()
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OB"
    return ds


def _plane(data: ReportInput, index: int) -> Frame | None:
    return data.source.frame if isinstance(data.source, Image) else data.source.frames[index]


def _lesion(data: ReportInput, lesion: Lesion) -> KeyImage:
    parts = data.findings.parts
    assert parts is not None
    spec = next(spec for spec in data.bundle.meta.result.segments if spec.label == lesion.label)
    picture, scale = _picture(data, lesion.key_slice)
    part = parts[lesion.key_slice]
    kind_of = np.ones(256, np.uint8)  # another finding
    kind_of[0], kind_of[lesion.number] = 0, 2
    kinds = np.empty(part.shape, np.uint8)
    kernels.look_up(part[np.newaxis], kinds[np.newaxis], kind_of, threads=data.threads)
    height, width = picture.shape[:2]
    red, green, blue = spec.color
    _outline(picture, kinds, 1, (int(0.55 * red), int(0.55 * green), int(0.55 * blue)), 1, data.threads)
    _outline(picture, kinds, 2, spec.color, max(2, min(height, width) // 320), data.threads)
    drawing = Pillow.fromarray(picture)
    longest = lesion.longest_diameter_mm or lesion.longest_diameter_px
    if spec.instances and longest and lesion.diameter_slice == lesion.key_slice:
        ends = [((x + 0.5) * scale[1], (y + 0.5) * scale[0]) for y, x in lesion.diameter_ends]
        ImageDraw.Draw(drawing).line(ends, fill=(255, 255, 255), width=1)
    name = lesion.name if printable(lesion.name) else "Finding"
    if spec.instances:
        name += f" {lesion.number}"
    line = f"finding {lesion.number} of {len(data.findings.lesions)}"
    where, size = source_place(data, lesion.key_slice), measures(lesion, spec)
    line += f", {where}" if where else ""
    headline = f"{name}: {size}" if size else name
    marks = _orientation_marks(data, width, height)
    pixels, rows = frame(np.asarray(drawing), headline, [line], _footer(data), spec.color, marks)
    return KeyImage(pixels, rows, f"{name}, {line}", lesion, lesion.key_slice)


def _footer(data: ReportInput) -> str:
    proof = data.provenance.proof
    # Why it failed stands in the SR: the line under a picture has no room for it.
    verdict = proof.text if proof.proved else "not proved"
    return f"{data.bundle.name} {data.bundle.version} on {data.provenance.device}, {verdict}"


def _classified(data: ReportInput) -> KeyImage:
    scores = sorted(data.findings.scores, key=lambda score: -score.probability)
    index = 0
    table = data.findings.frame_probabilities
    if table is not None:
        index = int(table[:, scores[0].index].argmax())
    elif isinstance(data.source, Volume):
        index = len(data.source.voxels) // 2
    picture, _ = _picture(data, index)
    named = [(score.name if printable(score.name) else f"class {score.index}", score.probability) for score in scores]
    headline = ", ".join(f"{name} {100 * probability:.1f} %" for name, probability in named[:3])
    text = finding_text(data.bundle.meta.result.finding, data.findings)
    height, width = picture.shape[:2]
    marks = _orientation_marks(data, width, height)
    pixels, rows = frame(picture, headline, [text] if text else [], _footer(data), _HEADLINE, marks)
    return KeyImage(pixels, rows, headline, None, index)


def _picture(data: ReportInput, index: int) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """One slice for display, RGB with square pixels, and how far it was enlarged along y and x."""
    source = data.source
    if isinstance(source, Volume):
        stored, slope, intercept = source.voxels[index], float(source.slope[index]), float(source.intercept[index])
        pixel: tuple[float, float] | None = source.spacing[1:]
    else:
        stored = source.pixels if isinstance(source, Image) else source.pixels[index]
        slope, intercept = source.slope, source.intercept
        pixel = (source.frame if isinstance(source, Image) else source.frames[index]).spacing
    shown = stored if stored.ndim == 3 else _display(stored, slope, intercept, source, data.threads)
    aspect = pixel[0] / pixel[1] if pixel else _aspect(data)
    height, width = shown.shape[0] * max(aspect, 1.0), shown.shape[1] * max(1 / aspect, 1.0)
    factor = max(1.0, _SHORT_SIDE / min(height, width))
    factor = min(factor, max(_LONG_SIDE / max(height, width), 0.1))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    drawing = Pillow.fromarray(np.ascontiguousarray(shown, np.uint8)).resize(size, Pillow.Resampling.BICUBIC)
    return np.array(drawing.convert("RGB")), (size[1] / shown.shape[0], size[0] / shown.shape[1])


def _aspect(data: ReportInput) -> float:
    """Pixel Aspect Ratio (0028,0034), vertical over horizontal."""
    ratio = data.header.get("PixelAspectRatio")
    if ratio and len(ratio) == 2 and int(ratio[0]) > 0 and int(ratio[1]) > 0:
        return int(ratio[0]) / int(ratio[1])
    return 1.0


def _display(
    stored: NDArray[Any], slope: float, intercept: float, source: Volume | Image | Cine, threads: int
) -> NDArray[np.uint8]:
    """Through the VOI table or window (:mod:`..voi`), or, where there is neither, the 1st to 99th percentile."""
    pixels = readable(stored, threads)[np.newaxis]
    values = np.empty(pixels.shape, np.float32)
    shown = np.empty(pixels.shape, np.uint8)
    kernels.rescale(pixels, values, slope=slope, intercept=intercept, threads=threads)
    how = choose(source.window, source.voi_lut)
    if how is None:
        padding = None if isinstance(source, Cine) else source.padding_value
        low, high = _range(pixels, slope, intercept, padding, threads)
        scale = 255.0 / max(high - low, 1e-6)
        kernels.rescale(values, shown, slope=1.0, intercept=-low, scale=scale, truncate=True, threads=threads)
    else:
        bright = voi(values, how, scale=255.0, threads=threads)
        kernels.rescale(bright, shown, slope=1.0, intercept=0.5, truncate=True, threads=threads)
    picture: NDArray[np.uint8] = shown[0]
    return picture


def _range(
    pixels: NDArray[Any], slope: float, intercept: float, padding: int | None, threads: int
) -> tuple[float, float]:
    """1st and 99th percentile of modality values, without those of padding."""
    values = np.empty(pixels.shape, np.float32)
    kernels.rescale(
        pixels, values, slope=slope, intercept=intercept, padding_value=padding, padding_out=np.nan, threads=threads
    )
    least, _, padded, _ = kernels.minmax(values, threads=threads)
    if padded == values.size:
        return 0.0, 1.0
    up = 0.0
    if padded:
        # Percentiles can leave zeros out: the pixels are moved above zero, and the padding to it.
        up = 1.0 - least
        kernels.rescale(
            pixels,
            values,
            slope=slope,
            intercept=intercept + up,
            padding_value=padding,
            padding_out=0.0,
            threads=threads,
        )
    low, high = kernels.percentiles(values, (1, 99), nonzero=padded > 0, threads=threads)
    return float(low) - up, float(high) - up


def _outline(
    picture: NDArray[np.uint8],
    kinds: NDArray[np.uint8],
    kind: int,
    color: tuple[int, int, int],
    width: int,
    threads: int,
) -> None:
    """Draw a line of ``width`` around the pixels of a kind, outside of them, onto the enlarged picture.

    A gap of one pixel shows the border itself, then come the line and a dark rim for contrast on bright pictures.
    """
    groups = np.zeros(256, np.uint8)
    groups[kind] = 1
    rows, columns = (_under(large, small) for large, small in zip(picture.shape, kinds.shape, strict=False))
    kernels.draw_outline(
        kinds, picture, groups=groups, rows=rows, columns=columns, color=color, width=width, threads=threads
    )


def _under(large: int, small: int) -> NDArray[np.int32]:
    """Which of ``small`` pixels lies under each of ``large`` ones: the nearest, as Pillow adds the steps up."""
    step = small / large
    places = np.cumsum(np.r_[0.5 * step, np.full(large - 1, step)])
    return np.minimum(places.astype(np.int32), small - 1)


def _orientation_marks(data: ReportInput, width: int, height: int) -> list[tuple[str, tuple[float, float]]]:
    """Letters of the patient's directions at the picture's left, right, top and bottom (PS3.3 C.7.6.1.1.1)."""
    source = data.source
    affine = (
        source.affine
        if isinstance(source, Volume)
        else frame_affine(source.frame)
        if isinstance(source, Image)
        else None
    )
    if affine is None:
        return []
    margin = 14
    places = {
        (2, -1): (margin, height / 2),
        (2, 1): (width - margin, height / 2),
        (1, -1): (width / 2, margin),
        (1, 1): (width / 2, height - margin),
    }
    return [(_direction(affine[:3, axis] * sign), place) for (axis, sign), place in places.items()]


def _direction(vector: NDArray[np.float64]) -> str:
    axis = int(np.abs(vector).argmax())
    return ("LR", "PA", "HF")[axis][0 if vector[axis] > 0 else 1]
