"""DICOM Segmentation (PS3.3 A.51 and C.8.20): one segment a lesion, BINARY, or LABELMAP (Supplement 243) on request.

Frames are ordered by segment, then against the slice normal (as highdicom orders them); slices without the lesion have
no frame. The planes are those of the source: in the source's frame of reference where there is one, else by reference
to the source image or frame only. An empty mask gives no SEG, because a SEG needs at least one frame; the SR then says
that nothing was found.
"""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from bedside.kernels import pack_bits

from ..findings import Labels, Lesion
from ..image import Frame
from ..uids import content_uid
from . import encode
from .context import (
    ReportInput,
    algorithm_item,
    code_item,
    code_of,
    instances,
    reference,
    result_dataset,
    set_lossy_compression,
)
from .planes import Planes, planes_of, source_frames

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
SERIES_NUMBER = 9001

_REFERENCED_SERIES = 0x00081115


@dataclass(frozen=True, slots=True)
class SegFrame:
    """One frame of a SEG: lesion ``number`` (0 in a label map) in slice ``z``."""

    number: int
    z: int


@dataclass(frozen=True)
class Segmentation:
    """A SEG ready to be written."""

    sop_class_uid: str
    sop_instance_uid: str
    frames: tuple[SegFrame, ...]
    head: Dataset
    """Everything but what follows."""
    series: bytes
    """Referenced Series Sequence (0008,1115), encoded."""
    per_frame: bytes
    """Per-Frame Functional Groups Sequence (5200,9230), encoded; only the pixel data come after it."""
    pixels: NDArray[np.uint8]
    """Pixel data, one dimension, even length."""

    def write(self, file: BinaryIO) -> None:
        """Write the DICOM file."""
        first, rest = BytesIO(), DicomBytesIO()
        before, after = self.head[:_REFERENCED_SERIES], self.head[_REFERENCED_SERIES:]
        before.file_meta = self.head.file_meta
        before.save_as(first, enforce_file_format=True)
        rest.is_little_endian, rest.is_implicit_VR = True, False
        write_dataset(rest, after, parent_encoding="ISO_IR 192")
        for content in (first.getbuffer(), self.series, rest.getvalue(), self.per_frame):
            file.write(content)
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, len(self.pixels)))
        file.write(self.pixels.data)


def build(data: ReportInput) -> Segmentation | None:
    """Make the SEG of the findings; None where there is no lesion.

    Raises
    ------
    ValueError
        The findings are not a segmentation.
    """
    parts, lesions = data.findings.parts, data.findings.lesions
    if parts is None:
        raise ValueError("a classification has no SEG")
    if not lesions:
        return None
    planes = planes_of(data)
    frames, pixels = (_label_map if data.label_map else _binary)(parts, lesions, planes, data.threads)
    sop_class = LABEL_MAP_SEGMENTATION if data.label_map else SEGMENTATION
    with ThreadPoolExecutor(1) as other:
        # The digest of the pixel data takes as long as encoding the frames' functional groups.
        digest = other.submit(
            content_uid,
            "segmentation",
            sop_class,
            data.series_uid("SEG"),
            data.provenance.device,
            data.provenance.proof.text,
            data.software_version,
            repr([(frame.number, frame.z) for frame in frames]),
            repr([(lesion.number, lesion.label, lesion.tracking_uid) for lesion in lesions]),
            pixels.data,
        )
        per_frame, series = _per_frame(data, planes, frames), _referenced_series(data)
        uid = digest.result()
    head = _head(data, planes, sop_class, uid, len(frames))
    return Segmentation(sop_class, uid, tuple(frames), head, series, per_frame, pixels)


def _binary(
    parts: Labels, lesions: tuple[Lesion, ...], planes: Planes, threads: int
) -> tuple[list[SegFrame], NDArray[np.uint8]]:
    """Frames and their bits, least significant first, without a gap between frames (PS3.5 8.1.1)."""
    frames: list[SegFrame] = []
    size = parts[0].size
    most = sum(lesion.bbox[0][1] - lesion.bbox[0][0] for lesion in lesions)
    aligned = size % 8 == 0
    pixels = np.empty((most, size // 8), np.uint8) if aligned else np.zeros(-(-most * size // 8) + 1, np.uint8)
    for lesion in lesions:
        there = slice(*lesion.bbox[0])
        order = np.argsort(planes.order[there], kind="stable")
        if aligned and np.array_equal(order, np.arange(len(order))[::-1]):
            stack, slices = parts[there][::-1], order + there.start
        else:
            stack, slices = parts[there], np.arange(there.start, there.stop)
        at = len(frames)
        if aligned:
            bits = pixels[at : at + len(stack)]
            shown = np.flatnonzero(pack_bits(stack, bits, lesion.number, threads=threads))
            shown = shown[np.argsort(planes.order[slices[shown]], kind="stable")]
            if not np.array_equal(shown, np.arange(len(shown))):
                bits[: len(shown)] = bits[shown]
        else:
            shown = occupied(stack, lesion.number, threads)
            shown = shown[np.argsort(planes.order[slices[shown]], kind="stable")]
            if len(shown):
                _append(pixels, at * size, stack[shown], lesion.number, threads)
        frames += [SegFrame(lesion.number, int(z)) for z in slices[shown]]
    used = len(frames) * size
    return frames, _even(pixels.reshape(-1)[: -(-used // 8)])


def occupied(stack: Labels, number: int, threads: int = 0) -> NDArray[np.intp]:
    """The slices of ``stack`` [z, y, x] in which ``number`` occurs."""
    return np.flatnonzero(pack_bits(stack, np.empty(-(-stack.size // 8), np.uint8), number, threads=threads))


def _append(pixels: NDArray[np.uint8], start: int, stack: Labels, number: int, threads: int) -> None:
    """Add the bits of ``stack == number`` to ``pixels`` from bit ``start`` on; frames may share a byte."""
    bits = np.empty(-(-stack.size // 8), np.uint8)
    pack_bits(stack, bits, number, threads=threads)
    byte, shift = divmod(start, 8)
    pixels[byte : byte + len(bits)] |= bits << np.uint8(shift)
    if shift:
        pixels[byte + 1 : byte + 1 + len(bits)] |= bits >> np.uint8(8 - shift)


def _label_map(
    parts: Labels, lesions: tuple[Lesion, ...], planes: Planes, threads: int
) -> tuple[list[SegFrame], NDArray[np.uint8]]:
    slices = {
        int(z) + lesion.bbox[0][0] for lesion in lesions for z in occupied(_span(parts, lesion), lesion.number, threads)
    }
    shown = np.array(sorted(slices, key=lambda z: (planes.order[z], z)), np.intp)
    return [SegFrame(0, int(z)) for z in shown], _even(parts[shown].reshape(-1))


def _span(parts: Labels, lesion: Lesion) -> Labels:
    return parts[slice(*lesion.bbox[0])]


def _even(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.append(data, np.uint8(0)) if len(data) % 2 else data


def _head(data: ReportInput, planes: Planes, sop_class: str, uid: str, count: int) -> Dataset:
    ds = result_dataset(data, sop_class, uid, "SEG", SERIES_NUMBER, f"{data.bundle.name}: segmentation")
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.ContentLabel = "SEGMENTATION"
    ds.ContentDescription = f"{data.bundle.name} {data.bundle.version}"[:64]
    ds.ContentCreatorName = ""
    if any(frame is None for frame in source_frames(data)):
        # Resampled slices have no source image of their own, so the instance as a whole refers to the series.
        ds.SourceImageSequence = [_whole_source(*pair) for pair in instances(data.frames)]
    if planes.positions is not None:
        ds.FrameOfReferenceUID = data.frame_of_reference_uid
        ds.PositionReferenceIndicator = str(data.header.get("PositionReferenceIndicator", "") or "")
    else:
        ds.PatientOrientation = data.header.get("PatientOrientation", "")
    parts = data.findings.parts
    assert parts is not None
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.NumberOfFrames, ds.Rows, ds.Columns = count, parts.shape[1], parts.shape[2]
    bits = 8 if data.label_map else 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits, bits - 1, 0
    if data.label_map:
        ds.PixelPaddingValue = 0
    set_lossy_compression(ds, data)
    ds.SegmentationType = "LABELMAP" if data.label_map else "BINARY"
    ds.SegmentsOverlap = "NO"
    ds.PresentationLUTShape = "IDENTITY"
    ds.SegmentSequence = _segments(data)
    _dimensions(ds, data, planes, uid)
    ds.SharedFunctionalGroupsSequence = [_shared(planes)]
    return ds


def _referenced_series(data: ReportInput) -> bytes:
    """Common Instance Reference Module (PS3.3 C.12.2) for the source series, encoded."""
    items = [encode.item(*encode.reference(*pair)) for pair in instances(data.frames)]
    series = [
        encode.sequence(0x0008114A, items),
        encode.element(0x0020000E, b"UI", str(data.header.SeriesInstanceUID).encode("ascii")),
    ]
    return encode.sequence(_REFERENCED_SERIES, [encode.item(*series)])


def _whole_source(sop_class: str, uid: str) -> Dataset:
    item = reference(sop_class, uid)
    item.PurposeOfReferenceCodeSequence = [code_item("121322", "DCM", "Source image for image processing operation")]
    item.SpatialLocationsPreserved = "NO"
    return item


def _segments(data: ReportInput) -> Sequence:
    specs = {spec.label: spec for spec in data.bundle.meta.result.segments}
    items = []
    if data.label_map:
        background = Dataset()
        background.SegmentedPropertyCategoryCodeSequence = [code_item("125040", "DCM", "Background")]
        background.SegmentNumber, background.SegmentLabel = 0, "Background"
        background.SegmentAlgorithmType, background.SegmentAlgorithmName = "AUTOMATIC", data.bundle.name[:64]
        background.RecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(0, 0, 0).value)
        background.SegmentedPropertyTypeCodeSequence = [code_item("125040", "DCM", "Background")]
        items.append(background)
    for lesion in data.findings.lesions:
        spec = specs[lesion.label]
        item = Dataset()
        item.SegmentNumber = lesion.number
        item.SegmentLabel = lesion.tracking_id[:64]
        item.SegmentAlgorithmType, item.SegmentAlgorithmName = "AUTOMATIC", data.bundle.name[:64]
        item.SegmentationAlgorithmIdentificationSequence = [algorithm_item(data)]
        item.SegmentedPropertyCategoryCodeSequence = [code_of(spec.category)]
        item.SegmentedPropertyTypeCodeSequence = [code_of(spec.type)]
        if spec.anatomy is not None:
            item.AnatomicRegionSequence = [code_of(spec.anatomy)]
        item.RecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(*spec.color).value)
        item.TrackingID, item.TrackingUID = lesion.tracking_id, lesion.tracking_uid
        items.append(item)
    return Sequence(items)


def _dimensions(ds: Dataset, data: ReportInput, planes: Planes, uid: str) -> None:
    """Multi-frame Dimension Module (PS3.3 C.7.6.17)."""
    organization = content_uid("dimensions", uid)
    ds.DimensionOrganizationSequence = [Dataset()]
    ds.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    pointers = []
    if not data.label_map:
        pointers.append((0x0062000B, 0x0062000A, "Referenced Segment Number"))
    if planes.positions is not None:
        pointers.append((0x00200032, 0x00209113, "Image Position Patient"))
    else:
        pointers.append((0x00209128, 0x00209111, "Temporal Position Index"))
    ds.DimensionIndexSequence = []
    for pointer, group, label in pointers:
        item = Dataset()
        item.DimensionOrganizationUID = organization
        item.DimensionIndexPointer, item.FunctionalGroupPointer = pointer, group
        item.DimensionDescriptionLabel = label
        ds.DimensionIndexSequence.append(item)


def _shared(planes: Planes) -> Dataset:
    shared = Dataset()
    if planes.positions is None or planes.orientation is None or planes.spacing is None:
        return shared
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = [encode.decimal_string(v) for v in planes.orientation]
    if planes.thickness is not None:
        measures.SliceThickness = encode.decimal_string(planes.thickness)
    if planes.between is not None:
        measures.SpacingBetweenSlices = encode.decimal_string(planes.between)
    measures.PixelSpacing = [encode.decimal_string(v) for v in planes.spacing]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    return shared


def _per_frame(data: ReportInput, planes: Planes, frames: list[SegFrame]) -> bytes:
    """Per-Frame Functional Groups Sequence (PS3.3 C.7.6.16), encoded."""
    sources = source_frames(data)
    rank = {int(order): n for n, order in enumerate(sorted({int(planes.order[f.z]) for f in frames}), start=1)}
    purpose = encode.code(0x0040A170, "121322", "DCM", "Source image for image processing operation")
    derivation = encode.code(0x00089215, "113076", "DCM", "Segmentation")
    # What depends on the slice only is the same for every lesion in it.
    derived = {z: _derivation(data, sources[z], purpose, derivation) for z in {frame.z for frame in frames}}
    placed = {z: _position(planes, z) for z in derived}
    identified = {number: _segment(number) for number in {frame.number for frame in frames}}
    items = []
    for frame in frames:
        z = frame.z
        segment = [] if data.label_map else [frame.number]
        index = encode.longs([*segment, rank[int(planes.order[z])] if planes.positions is not None else z + 1])
        content = encode.item(_time(planes, z), encode.element(0x00209157, b"UL", index))
        groups = (derived[z], encode.sequence(0x00209111, [content]), placed[z])
        items.append(encode.item(*groups, b"" if data.label_map else identified[frame.number]))
    return encode.sequence(0x52009230, items)


def _derivation(data: ReportInput, source: Frame | None, purpose: bytes, derivation: bytes) -> bytes:
    """Derivation Image Functional Group of a frame, encoded; nothing where its slice was resampled."""
    if source is None:
        return b""
    image = encode.reference(source.sop_class_uid, source.sop_instance_uid, data.frame_number(source))
    image += [encode.element(0x0028135A, b"CS", b"YES"), purpose]
    return encode.sequence(0x00089124, [encode.item(encode.sequence(0x00082112, [encode.item(*image)]), derivation)])


def _time(planes: Planes, z: int) -> bytes:
    """Temporal Position Index, where there are no plane positions."""
    return encode.element(0x00209128, b"UL", encode.longs([z + 1])) if planes.positions is None else b""


def _position(planes: Planes, z: int) -> bytes:
    """Plane Position (Patient) Functional Group, where the slices have one, encoded."""
    if planes.positions is None:
        return b""
    return encode.sequence(
        0x00209113, [encode.item(encode.element(0x00200032, b"DS", encode.decimals(planes.positions[z])))]
    )


def _segment(number: int) -> bytes:
    """Segment Identification Functional Group, encoded."""
    return encode.sequence(0x0062000A, [encode.item(encode.element(0x0062000B, b"US", encode.short(number)))])
