"""Key images: what a person looks at first. Secondary Capture (DICOM PS3.3 A.8.1) and PNG, RGB, with burned-in text.

The picture is the acquired slice through its display window, with square pixels. The finding is outlined just outside
its border, so that nothing of it is covered; text stands above and below the picture, never on it. 'NOT FOR DIAGNOSIS'
is part of every picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from pydicom.dataset import Dataset
from scipy import ndimage

from ..findings import Lesion, plane_affine
from ..image import Frame, Image, Volume, Window
from ..uids import content_uid
from .context import ReportInput, code_item, reference, result_dataset
from .text import finding_text, measures

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SERIES_NUMBER = 9003
MAX_IMAGES = 5
"""Lesions with a key image of their own: the largest."""
WARNING = "NOT FOR DIAGNOSIS"

_SHORT_SIDE = 640
"""The picture is enlarged until its shorter side has this many pixels, so that outline and text are fine enough."""
_LONG_SIDE = 1600
_SUPERSCRIPTS = str.maketrans("²³", "23")
"""Pillow's own font lacks them."""
_FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
)
_CJK_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "DroidSansFallback.ttf",
    "PingFang.ttc",
)


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
    frame = _frame(data, image.index)
    if frame is not None:
        source = reference(frame.sop_class_uid, frame.sop_instance_uid, frame.number if data.multi_frame else None)
        source.PurposeOfReferenceCodeSequence = [
            code_item("121322", "DCM", "Source image for image processing operation")
        ]
        ds.SourceImageSequence = [source]
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = image.pixels.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.LossyImageCompression = "00"
    if data.header.get("LossyImageCompression") == "01":
        ds.LossyImageCompression = "01"
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in data.header:
                setattr(ds, keyword, data.header[keyword].value)
    raw = image.pixels.tobytes()
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OB"
    return ds


def _frame(data: ReportInput, index: int) -> Frame | None:
    return data.source.frame if isinstance(data.source, Image) else data.source.frames[index]


def _lesion(data: ReportInput, lesion: Lesion) -> KeyImage:
    parts = data.findings.parts
    assert parts is not None
    spec = next(spec for spec in data.bundle.meta.result.segments if spec.label == lesion.label)
    picture, scale = _picture(data, lesion.key_slice)
    mask = parts[lesion.key_slice] == lesion.number
    others = (parts[lesion.key_slice] != 0) & ~mask
    height, width = picture.shape[:2]
    _outline(picture, others, tuple(int(0.55 * c) for c in spec.color), 1)
    _outline(picture, mask, spec.color, max(2, min(height, width) // 320))
    drawing = Pillow.fromarray(picture)
    if lesion.diameter_slice == lesion.key_slice and (lesion.longest_diameter_mm or lesion.longest_diameter_px):
        ends = [((x + 0.5) * scale[1], (y + 0.5) * scale[0]) for y, x in lesion.diameter_ends]
        ImageDraw.Draw(drawing).line(ends, fill=(255, 255, 255), width=1)
    name = _printable(lesion.name, "Finding")
    if spec.instances:
        name += f" {lesion.number}"
    count = len(data.findings.lesions)
    lines = [f"{name}: {measures(lesion)}", f"finding {lesion.number} of {count}"]
    if len(parts) > 1:
        plane = "slice" if isinstance(data.source, Volume) else "frame"
        lines[1] += f", {plane} {lesion.key_slice + 1} of {len(parts)}"
    pixels, rows = _framed(np.asarray(drawing), lines, spec.color, data)
    return KeyImage(pixels, rows, f"{name}, {lines[1]}", lesion, lesion.key_slice)


def _classified(data: ReportInput) -> KeyImage:
    scores = sorted(data.findings.scores, key=lambda score: -score.probability)
    index = 0
    table = data.findings.frame_probabilities
    if table is not None:
        index = int(table[:, scores[0].index].argmax())
    elif isinstance(data.source, Volume):
        index = len(data.source.voxels) // 2
    picture, _ = _picture(data, index)
    positive = [score for score in scores if score.positive]
    lines = [
        ", ".join(
            f"{_printable(score.name, f'class {score.index}')} {100 * score.probability:.1f} %" for score in scores[:3]
        )
    ]
    text = finding_text(data.bundle.meta.result.finding, data.findings)
    if text:
        lines.append(text)
    color = (255, 176, 0) if positive else (120, 200, 120)
    pixels, rows = _framed(picture, lines, color, data)
    return KeyImage(pixels, rows, lines[0], None, index)


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
    rgb = stored if stored.ndim == 3 else _display(stored.astype(np.float32) * slope + intercept, stored, source)
    rgb = rgb if rgb.ndim == 3 else np.repeat(rgb[:, :, np.newaxis], 3, axis=2)
    aspect = pixel[0] / pixel[1] if pixel else _aspect(data)
    height, width = rgb.shape[0] * max(aspect, 1.0), rgb.shape[1] * max(1 / aspect, 1.0)
    factor = max(1.0, _SHORT_SIDE / min(height, width))
    factor = min(factor, max(_LONG_SIDE / max(height, width), 0.1))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    picture = np.array(Pillow.fromarray(np.ascontiguousarray(rgb, np.uint8)).resize(size, Pillow.Resampling.BICUBIC))
    return picture, (size[1] / rgb.shape[0], size[0] / rgb.shape[1])


def _aspect(data: ReportInput) -> float:
    """Pixel Aspect Ratio (0028,0034), vertical over horizontal."""
    ratio = data.header.get("PixelAspectRatio")
    if ratio and len(ratio) == 2 and int(ratio[0]) > 0 and int(ratio[1]) > 0:
        return int(ratio[0]) / int(ratio[1])
    return 1.0


def _display(values: NDArray[np.float32], stored: NDArray[Any], source: Any) -> NDArray[np.uint8]:
    """Through the VOI window (PS3.3 C.11.2.1.2), or, where there is none, the 1st to 99th percentile."""
    window: Window | None = source.window
    if window is None or window.width < 1:
        padding = getattr(source, "padding_value", None)
        inside = values[stored != padding] if padding is not None else values.reshape(-1)
        low, high = np.percentile(inside, (1, 99)) if inside.size else (0.0, 1.0)
        return np.clip((values - low) * (255.0 / max(float(high - low), 1e-6)), 0, 255).astype(np.uint8)
    if window.function == "SIGMOID":
        return np.asarray(255.0 / (1.0 + np.exp(-4.0 * (values - window.center) / window.width)), np.uint8)
    if window.function == "LINEAR_EXACT":
        scaled = (values - window.center) / window.width + 0.5
    else:
        scaled = (values - (window.center - 0.5)) / max(window.width - 1.0, 1e-6) + 0.5
    return np.asarray(np.clip(scaled, 0.0, 1.0) * 255.0 + 0.5, np.uint8)


def _outline(picture: NDArray[np.uint8], mask: NDArray[np.bool_], color: tuple[int, ...], width: int) -> None:
    """Draw a line of ``width`` around the mask, outside of it, onto the enlarged picture."""
    if not mask.any():
        return
    size = (picture.shape[1], picture.shape[0])
    large = np.asarray(Pillow.fromarray(mask.astype(np.uint8) * 255).resize(size, Pillow.Resampling.NEAREST)) > 0
    # A gap of one pixel that shows the border itself, the line, and a dark rim for contrast on bright pictures.
    reach = [ndimage.binary_dilation(large)]
    for step in (width, 1):
        reach.append(ndimage.binary_dilation(reach[-1], structure=np.ones((3, 3), bool), iterations=step))
    picture[reach[1] & ~reach[0]] = color
    picture[reach[2] & ~reach[1]] = 0


def _framed(
    picture: NDArray[np.uint8], lines: list[str], color: tuple[int, ...], data: ReportInput
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Put text above and the warning below the picture; also which rows then are the picture."""
    height, width = picture.shape[:2]
    lines = [line.translate(_SUPERSCRIPTS) for line in lines]
    size = max(16, min(26, width // 26))
    line_height = round(size * 1.35)
    shown = [line for line in lines if _font_for(line, size) is not None]
    top = line_height * len(shown) + size // 2
    bottom = round(line_height * 2.2) + size // 2
    canvas = Pillow.new("RGB", (width, height + top + bottom))
    canvas.paste(Pillow.fromarray(picture), (0, top))
    drawing = ImageDraw.Draw(canvas)
    for row, line in enumerate(shown):
        fill = tuple(max(c, 90) for c in color) if row == 0 else (225, 225, 225)
        _write(drawing, (size // 2, size // 4 + row * line_height), line, size, fill, width - size)
    origin = height + top
    drawing.rectangle((0, origin, width, origin + bottom), fill=(110, 0, 0))
    _write(drawing, (size // 2, origin + size // 4), WARNING, round(size * 1.15), (255, 255, 255), width - size)
    model = f"{data.bundle.name} {data.bundle.version} on {data.provenance.device}"
    _write(
        drawing,
        (size // 2, origin + size // 4 + round(line_height * 1.15)),
        model,
        round(size * 0.8),
        (240, 210, 210),
        width - size,
    )
    for mark, place in _orientation_marks(data, width, height):
        font = _font(size)
        drawing.text(
            (place[0], place[1] + top),
            mark,
            fill=(255, 255, 0),
            font=font,
            anchor="mm",
            stroke_width=1,
            stroke_fill=(0, 0, 0),
        )
    return np.asarray(canvas), (top, top + height)


def _write(
    drawing: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, fill: tuple[int, ...], room: int
) -> None:
    """One line, made smaller until it fits into ``room`` pixels, and cut if that is not enough."""
    font = _font_for(text, size) or _font(size)
    while drawing.textlength(text, font=font) > room and size > 11:
        size -= 1
        font = _font_for(text, size) or _font(size)
    while drawing.textlength(text, font=font) > room and len(text) > 4:
        text = text[:-4] + "..."
    drawing.text(place, text, fill=fill, font=font)


def _orientation_marks(data: ReportInput, width: int, height: int) -> list[tuple[str, tuple[float, float]]]:
    """Letters of the patient's directions at the picture's left, right, top and bottom (PS3.3 C.7.6.1.1.1)."""
    source = data.source
    affine = (
        source.affine
        if isinstance(source, Volume)
        else plane_affine(source.frame)
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


def _printable(text: str, instead: str) -> str:
    return text if _font_for(text, 16) is not None else instead


def _font_for(text: str, size: int) -> Any:
    """A font that has the text's characters; None if there is none on this host."""
    if all(ord(c) < 0x250 for c in text):
        return _font(size)
    path = _cjk_font()
    return _truetype(path, size) if path else None


@lru_cache(maxsize=64)
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


@lru_cache(maxsize=64)
def _truetype(path: str, size: int) -> Any:
    return ImageFont.truetype(path, size)


@lru_cache(maxsize=1)
def _cjk_font() -> str | None:
    """Path of a font with Chinese characters, in the order of ``_CJK_FONTS``."""
    found: dict[str, str] = {}
    for folder in _FONT_FOLDERS:
        for path in Path(folder).expanduser().rglob("*.[to]t[cf]"):
            found.setdefault(path.name, str(path))
    return next((found[name] for name in _CJK_FONTS if name in found), None)
