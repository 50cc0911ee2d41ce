"""The ``bedside`` object of a bundle's configs/metadata.json, and what of MONAI's metadata the runtime reads."""

from __future__ import annotations

import math
import re
import string
import unicodedata
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _relative(path: str) -> str:
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts or "\\" in path:
        raise ValueError(f"'{path}' must be a path inside the bundle, with forward slashes")
    return path


def _digest(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError(f"'{value}' is not a SHA-256 (64 lower-case hex digits)")
    return value


PLACEHOLDERS = ("count", "names", "largest", "volume", "class", "probability")
"""What a finding text may use in braces.

``count`` of lesions, their ``names``, ``largest`` diameter and total ``volume`` with units; most probable ``class`` and
its ``probability`` in percent."""


_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories of control characters, lone surrogates, and the separators of lines and paragraphs."""


def _unprintable(text: str, *, allowed: str = "") -> None:
    for char in text:
        if char not in allowed and unicodedata.category(char) in _UNPRINTABLE:
            raise ValueError(f"holds the control character U+{ord(char):04X}")


def _one_value(text: str) -> str:
    """A text that is one value of an SH or LO (DICOM PS3.5 6.2): there a backslash begins the next value, and blanks
    at the ends do not count.
    """
    _unprintable(text)
    if "\\" in text:
        raise ValueError("holds a backslash, which separates values in DICOM")
    if text != text.strip():
        raise ValueError("begins or ends with a blank")
    return text


def _template(text: str) -> str:
    """A text that :meth:`str.format_map` fills in from :data:`PLACEHOLDERS` alone, whatever their values are."""
    _unprintable(text, allowed="\n\r\t")
    allowed = "use only {" + "}, {".join(PLACEHOLDERS) + "}, and {{ }} for braces"
    try:
        fields = [field for field in string.Formatter().parse(text) if field[1] is not None]
    except ValueError as error:
        raise ValueError(f"{error}; {allowed}") from None
    for _, name, width, conversion in fields:
        # Formats and attributes of a value could fail, or ask for gigabytes of blanks, once the network has run.
        if name not in PLACEHOLDERS or width or conversion:
            shown = f"{name}{'!' if conversion else ''}{conversion or ''}{':' if width else ''}{width or ''}"
            raise ValueError(f"'{{{shown}}}' is no placeholder; {allowed}")
    return text


BundlePath = Annotated[str, AfterValidator(_relative)]
Sha256 = Annotated[str, AfterValidator(_digest)]
Byte = Annotated[int, Field(ge=0, le=255)]
OneValue = Annotated[str, Field(min_length=1), AfterValidator(_one_value)]
"""A text that goes into DICOM as one value, cut to the length there is."""
Name = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_one_value)]
"""A Long String, LO."""
ShortName = Annotated[str, Field(min_length=1, max_length=16), AfterValidator(_one_value)]
"""A Short String, SH."""
Template = Annotated[str, AfterValidator(_template)]


class Code(_Strict):
    """A coded concept: code value, coding scheme designator, code meaning (DICOM PS3.3 8.8, PS3.16)."""

    value: ShortName
    scheme: ShortName
    meaning: Name


class InputSpec(_Strict):
    """What the transforms and the network see."""

    kind: Literal["volume", "image", "cine"]
    axes: Literal["xyz", "zyx"] = "xyz"
    """Order of the spatial array axes; MONAI's LoadImaged gives x, y(, z), numpy-trained models see (z, )y, x."""
    photometric: Literal["monochrome", "rgb"] = "monochrome"
    apply_voi: bool = False
    """Map the values through the VOI window to 0..255 (DICOM PS3.3 C.11.2) before the first transform."""


class Accepts(_Strict):
    """Which series the bundle is made for; an empty list or null accepts any."""

    modality: tuple[Name, ...] = ()
    body_part: tuple[Name, ...] = ()
    orientation: Literal["axial", "coronal", "sagittal"] | None = None
    slice_thickness_mm: tuple[float, float] | None = None
    min_frames: Annotated[int, Field(ge=1)] | None = None

    @field_validator("slice_thickness_mm")
    @classmethod
    def _ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 <= value[0] <= value[1]:
            raise ValueError(f"must be [min, max] with 0 <= min <= max, got {list(value)}")
        return value


class SegmentSpec(_Strict):
    """One label of the mask (DICOM PS3.3 C.8.20.4)."""

    label: Annotated[int, Field(ge=1, le=255)]
    name: Name
    category: Code
    type: Code
    anatomy: Code | None = None
    color: tuple[Byte, Byte, Byte] = (255, 0, 0)
    """sRGB, 0..255."""
    min_volume_mm3: Annotated[float, Field(ge=0)] = 0.0
    """Connected components smaller than this are not reported."""
    instances: bool = False
    """Each connected component is a lesion of its own."""


class ClassSpec(_Strict):
    """One class of a classifier."""

    index: Annotated[int, Field(ge=0)]
    """Channel of the network's output."""
    name: Name
    code: Code
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Positive from this probability on."""


class ResultSpec(_Strict):
    """What the network's output means."""

    kind: Literal["segmentation", "classification"]
    segments: tuple[SegmentSpec, ...] = ()
    classes: tuple[ClassSpec, ...] = ()
    finding: Template = ""
    """Text template for the report; any script. :data:`PLACEHOLDERS` are filled in."""

    @model_validator(mode="after")
    def _fits_kind(self) -> ResultSpec:
        wanted, other = ("segments", "classes") if self.kind == "segmentation" else ("classes", "segments")
        if not getattr(self, wanted):
            raise ValueError(f"'{wanted}' must name at least one entry where kind is '{self.kind}'")
        if getattr(self, other):
            raise ValueError(f"'{other}' must be empty where kind is '{self.kind}'")
        numbers = [s.label for s in self.segments] + [c.index for c in self.classes]
        twice = sorted({n for n in numbers if numbers.count(n) > 1})
        if twice:
            raise ValueError(f"'{wanted}' lists number {twice[0]} more than once")
        return self


class GoldenCase(_Strict):
    """A case that proves a device: a study and the findings it must give."""

    study: BundlePath
    expect: BundlePath


Precision = Literal["f32", "f16", "int8"]
"""Numbers that a network computes with; ``f32`` is the model as it was exported."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


class VariantSpec(_Strict):
    """The same network in other numbers, made by ``bedside quantize``."""

    model: BundlePath
    card: BundlePath | None = None
    """What it was measured to give beside f32, as JSON."""
    of: Sha256
    """SHA-256 of the f32 model that it was made from."""
    reduced_range: bool = False
    """Its weights have 7 bits, so that no product of theirs saturates on a processor without VNNI."""


class BundleMeta(_Strict):
    """The ``bedside`` object."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    files: Annotated[dict[BundlePath, Sha256], Field(min_length=1)]
    input: InputSpec
    accepts: Accepts = Accepts()
    result: ResultSpec
    golden: tuple[GoldenCase, ...] = ()
    variants: dict[Literal["f16", "int8"], VariantSpec] = {}
    domain: Annotated[str, Field(min_length=1)]
    """One sentence: what input the model was made for."""


class TensorFormat(BaseModel):
    """One tensor of MONAI's ``network_data_format``; keys the runtime does not read are kept as they are."""

    model_config = ConfigDict(extra="allow", frozen=True)

    num_channels: Annotated[int, Field(ge=1)]
    dtype: str = "float32"
    spatial_shape: tuple[Any, ...] = ()


class NetworkDataFormat(BaseModel):
    """MONAI's ``network_data_format`` of a network with one input and one output."""

    model_config = ConfigDict(extra="allow", frozen=True)

    inputs: Annotated[dict[str, TensorFormat], Field(min_length=1, max_length=1)]
    outputs: Annotated[dict[str, TensorFormat], Field(min_length=1, max_length=1)]

    @property
    def image_key(self) -> str:
        """Name that the preprocessing's ``keys`` use."""
        return next(iter(self.inputs))

    @property
    def pred_key(self) -> str:
        """Name that the postprocessing's ``keys`` use."""
        return next(iter(self.outputs))

    @property
    def input(self) -> TensorFormat:
        return self.inputs[self.image_key]

    @property
    def output(self) -> TensorFormat:
        return self.outputs[self.pred_key]


class Metadata(BaseModel):
    """configs/metadata.json."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: OneValue
    version: OneValue
    network_data_format: NetworkDataFormat
    bedside: BundleMeta


class InfererSpec(_Strict):
    """How the network is run over the image: the arguments of MONAI's SlidingWindowInferer or SimpleInferer."""

    kind: Literal["sliding", "simple"]
    roi_size: tuple[int | None, ...] = ()
    """Window size along the spatial axes; null or a value below 1 means the image's own size."""
    sw_batch_size: Annotated[int, Field(ge=1)] = 1
    overlap: float | tuple[float, ...] = 0.25
    mode: Literal["constant", "gaussian"] = "constant"
    sigma_scale: float | tuple[float, ...] = 0.125
    padding_mode: Literal["constant", "reflect", "replicate", "circular"] = "constant"
    cval: Annotated[float, Field(allow_inf_nan=False)] = 0.0

    @field_validator("overlap")
    @classmethod
    def _fraction(cls, value: float | tuple[float, ...]) -> float | tuple[float, ...]:
        if any(not 0 <= v < 1 for v in (value if isinstance(value, tuple) else (value,))):
            raise ValueError("must be at least 0 and below 1")
        return value

    @field_validator("sigma_scale")
    @classmethod
    def _width(cls, value: float | tuple[float, ...]) -> float | tuple[float, ...]:
        # With 0 the weights are not-a-number, and so is everything that is blended with them.
        if any(not 0 < v < math.inf for v in (value if isinstance(value, tuple) else (value,))):
            raise ValueError("must be above 0 and finite")
        return value
