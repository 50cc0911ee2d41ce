"""One image instance: what its header says of its pixels, checked against the bytes that are there, and its Frames."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydicom.datadict import dictionary_description
from pydicom.uid import UID, CTImageStorage

from ..image import Frame, Vector, Window
from .functional_groups import pixel_spacing, read_frames
from .header import FLOAT_PIXELS, INTEGER_PIXELS, TAGS, Header, HeaderError, file_name, shown

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
"""PS3.5 9.1, but for leading zeros, which some devices write and every reader takes."""
MAX_FRAME_PIXELS = 1 << 28
"""16384 x 16384: five times the largest mammogram; a frame of more is not believed."""
MAX_FRAMES = 1 << 20


@dataclass(frozen=True, slots=True)
class Instance:
    """The Image Pixel module (DICOM PS3.3 C.7.6.3) of one file, and where its pixels are."""

    path: Path
    sop_instance_uid: str
    transfer_syntax: str
    modality: str
    rows: int
    columns: int
    samples: int
    photometric: str
    planar: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    frames: int
    pixels: tuple[int, int, int, str]
    """Tag, offset, length and VR of the pixel data, see :class:`Header`."""
    file_size: int
    window: Window | None
    padding_value: int | None
    has_modality_lut: bool
    has_voi_lut: bool
    has_groups: bool
    """Are there functional groups (PS3.3 C.7.6.16), also of a single frame?"""
    laterality: str = ""
    """Image Laterality (0020,0062), or Laterality (0020,0060): L, R, U, B."""
    view_position: str = ""
    """View Position (0018,5101): CC, MLO, AP, LL and such."""
    frame_time_ms: float | None = None
    """Frame Time (0018,1063)."""

    @property
    def encapsulated(self) -> bool:
        """Is each frame a code stream in fragments (PS3.5 A.4), rather than plain pixels?"""
        return self.pixels[2] < 0

    @property
    def frame_bytes(self) -> int:
        """Bytes of one plain frame as stored. YBR_FULL_422 stores two samples a pixel (PS3.3 C.7.6.3.1.2)."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return (self.rows * self.columns * samples * self.bits_allocated + 7) // 8

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return file_name(self.path)


def read_instance(header: Header) -> Instance:
    """Check what the header says of the pixels.

    Raises
    ------
    HeaderError
        An attribute of the Image Pixel module is missing or impossible, the frame is larger than can be believed, or
        a UID that the results would refer to is none.
    """
    for name in _UIDS:
        value = header.raw(name).decode("latin-1")
        if value and (len(value) > 64 or not _UID.fullmatch(value)):
            raise HeaderError(f"{dictionary_description(TAGS[name])} is '{shown(value)}', which is no UID")
    if header.pixels is None:
        raise HeaderError("an image object without pixel data", truncated=True)
    rows, columns = header.short("Rows"), header.short("Columns")
    if rows == 0 or columns == 0:
        raise HeaderError("Rows or Columns is missing or zero")
    if rows * columns > MAX_FRAME_PIXELS:
        raise HeaderError(f"a frame of {columns} x {rows} pixels is not believed")
    frames = header.integer("NumberOfFrames") if header.raw("NumberOfFrames") else 1
    if frames is None or not 1 <= frames <= MAX_FRAMES:
        raise HeaderError(f"Number of Frames is '{shown(header.string('NumberOfFrames'))}'")
    allocated = header.short("BitsAllocated")
    if header.pixels[0] != INTEGER_PIXELS:
        allocated = 32 if header.pixels[0] == FLOAT_PIXELS else 64
        stored, high = allocated, allocated - 1
    else:
        stored = header.short("BitsStored", allocated)
        high = header.short("HighBit", stored - 1)
    if allocated not in (1, 8, 16, 32, 64):
        raise HeaderError(f"Bits Allocated is {allocated}")
    if not 1 <= stored <= allocated:
        raise HeaderError(f"Bits Stored is {stored} where Bits Allocated is {allocated}")
    if not stored - 1 <= high < allocated:
        raise HeaderError(f"High Bit is {high} where Bits Stored is {stored} and Bits Allocated {allocated}")
    signed = header.short("PixelRepresentation") == 1
    photometric = header.string("PhotometricInterpretation").upper()
    samples = header.short("SamplesPerPixel", 1)
    if not photometric:
        raise HeaderError("Photometric Interpretation is missing")
    if samples != (1 if photometric in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR") else 3):
        raise HeaderError(f"Samples per Pixel is {samples} where Photometric Interpretation is {shown(photometric)}")
    return Instance(
        path=header.path,
        sop_instance_uid=header.string("SOPInstanceUID"),
        transfer_syntax=header.transfer_syntax,
        modality=header.string("Modality"),
        rows=rows,
        columns=columns,
        samples=samples,
        photometric=photometric,
        planar=header.short("PlanarConfiguration"),
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=signed,
        frames=frames,
        pixels=header.pixels,
        file_size=header.file_size,
        window=read_window(header),
        padding_value=_padding(header, signed),
        has_modality_lut=header.has("ModalityLUTSequence"),
        has_voi_lut=header.has("VOILUTSequence"),
        has_groups=_has_groups(header),
        laterality=header.string("ImageLaterality") or header.string("Laterality"),
        view_position=header.string("ViewPosition"),
        frame_time_ms=header.number("FrameTime"),
    )


def read_window(header: Header) -> Window | None:
    """The first window of the VOI LUT module (PS3.3 C.11.2), or None."""
    center, width = header.number("WindowCenter"), header.number("WindowWidth")
    if center is None or width is None or width <= 0:
        return None
    return Window(center, width, header.string("VOILUTFunction") or "LINEAR")


def frames_of(header: Header, instance: Instance) -> tuple[Frame, ...]:
    """The Frames of an instance; those of an enhanced one have the geometry of their functional groups.

    Raises
    ------
    HeaderError
        The functional groups cannot be read, an attribute of the geometry or the rescale has no numbers, the slope is
        0, or a CT image has no rescale.
    """
    position = _numbers(header, "ImagePositionPatient", 3)
    orientation = _numbers(header, "ImageOrientationPatient", 6)
    thickness = _numbers(header, "SliceThickness", 1)
    slope, intercept = _rescale(header)
    first = Frame(
        path=header.path,
        sop_class_uid=header.string("SOPClassUID"),
        sop_instance_uid=instance.sop_instance_uid,
        number=1,
        instance_number=header.integer("InstanceNumber"),
        rows=instance.rows,
        columns=instance.columns,
        position=_vector(position),
        orientation=orientation if len(orientation) == 6 else None,
        spacing=pixel_spacing(_numbers(header, "PixelSpacing", 2)),
        thickness=thickness[0] if thickness else None,
        slope=slope,
        intercept=intercept,
        frame_of_reference_uid=header.string("FrameOfReferenceUID") or None,
        image_type=header.strings("ImageType"),
        gantry_tilt=header.number("GantryDetectorTilt"),
    )
    if instance.has_groups:
        return read_frames(header.path, first, instance.frames)
    if instance.frames == 1:
        return (first,)
    return read_frames(None, first, instance.frames)


def _numbers(header: Header, name: str, count: int) -> tuple[float, ...]:
    """``count`` numbers, or none where the attribute is absent or empty."""
    if not header.raw(name):
        return ()
    values = header.floats(name)
    if len(values) != count:
        wanted = "a number" if count == 1 else f"{count} numbers"
        raise HeaderError(f"{dictionary_description(TAGS[name])} is '{shown(_said(header, name))}', not {wanted}")
    return values


def _said(header: Header, name: str) -> str:
    return "\\".join(header.strings(name))


def _rescale(header: Header) -> tuple[float, float]:
    """Slope and intercept; 1 and 0 where they may be left out, which a CT image may not (PS3.3 C.8.2.1.1)."""
    slope, intercept = _numbers(header, "RescaleSlope", 1), _numbers(header, "RescaleIntercept", 1)
    if slope == (0.0,):
        raise HeaderError("Rescale Slope is 0")
    if header.string("SOPClassUID") == CTImageStorage and not header.has("ModalityLUTSequence"):
        absent = [said for said, value in (("Slope", slope), ("Intercept", intercept)) if not value]
        if absent:
            raise HeaderError(f"a CT image without Rescale {' and '.join(absent)}: its values are not known to be HU")
    return slope[0] if slope else 1.0, intercept[0] if intercept else 0.0


def _has_groups(header: Header) -> bool:
    return header.has("PerFrameFunctionalGroupsSequence") or header.has("SharedFunctionalGroupsSequence")


def syntax_name(uid: str) -> str:
    """A transfer syntax as a reader knows it: its name and UID, or the UID alone where pydicom knows no name."""
    name = UID(uid).name
    return shown(uid) if name == uid else f"{name} ({uid})"


def _vector(values: tuple[float, ...]) -> Vector | None:
    return (values[0], values[1], values[2]) if len(values) == 3 else None


def _padding(header: Header, signed: bool) -> int | None:
    """Pixel Padding Value is US or SS as Pixel Representation says (PS3.3 C.7.5.1.1.2)."""
    name = "PixelPaddingValue"
    if len(header.values.get(TAGS[name], b"")) < 2:
        return None
    return header.signed_short(name) if signed else header.short(name)
