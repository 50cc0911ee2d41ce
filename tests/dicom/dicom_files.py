"""DICOM files of every awkward kind, written by pydicom into a test's folder."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

STUDY, SERIES, FRAME_OF_REFERENCE = "2.25.11", "2.25.12", "2.25.13"
WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
"""The files that ship with pydicom."""


def header(**attributes: Any) -> Dataset:
    """The header of one axial CT slice of 8 x 6 pixels, 16 bits, uncompressed, changed by keyword."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = uid.CTImageStorage
    ds.SOPInstanceUID = "2.25.100"
    ds.StudyDate, ds.StudyTime = "20260102", "030405"
    ds.AccessionNumber = "A1"
    ds.Modality = "CT"
    ds.Manufacturer = "Maker"
    ds.StudyDescription, ds.SeriesDescription = "胸部平扫", "肺窗 1.0"
    ds.PatientName, ds.PatientID = "Wang^Xiaodong=王^小东", "P-17"
    ds.PatientBirthDate, ds.PatientSex = "19700101", "M"
    ds.BodyPartExamined = "CHEST"
    ds.SliceThickness = 2.5
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.StudyID = STUDY, SERIES, "S1"
    ds.SeriesNumber, ds.InstanceNumber = 3, 1
    ds.ImagePositionPatient = [-10.0, -20.0, 30.0]
    ds.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    ds.FrameOfReferenceUID = FRAME_OF_REFERENCE
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = 6, 8
    ds.PixelSpacing = [0.7, 0.8]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.WindowCenter, ds.WindowWidth = [40, -600], [400, 1500]
    ds.RescaleIntercept, ds.RescaleSlope = -1024, 1
    for name, value in attributes.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    return ds


def with_pixels(ds: Dataset, pixels: NDArray[Any], *, syntax: str = uid.ExplicitVRLittleEndian) -> Dataset:
    """Put uncompressed pixels into a header; sets size, samples, frames and bits allocated from the array."""
    shape = pixels.shape
    color = shape[-1] == 3 and pixels.ndim > 2
    ds.SamplesPerPixel = 3 if color else 1
    if color:
        ds.PlanarConfiguration = 0
        shape = shape[:-1]
    if len(shape) == 3:
        ds.NumberOfFrames = shape[0]
    ds.Rows, ds.Columns = shape[-2:]
    ds.BitsAllocated = pixels.dtype.itemsize * 8
    ds.file_meta.TransferSyntaxUID = syntax
    big = syntax == uid.ExplicitVRBigEndian
    raw = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 and syntax != uid.ImplicitVRLittleEndian else "OW"
    return ds


def with_streams(ds: Dataset, streams: list[bytes], syntax: str, **options: Any) -> Dataset:
    """Put one code stream a frame into a header."""
    ds.file_meta.TransferSyntaxUID = syntax
    if len(streams) > 1:
        ds.NumberOfFrames = len(streams)
    ds.PixelData = encapsulate(streams, **options)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return ds


def save(ds: Dataset, path: Path, *, character_set: str | None = None) -> Path:
    """Write a file of PS3.10."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if character_set is not None:
        ds.SpecificCharacterSet = character_set
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    syntax = uid.UID(str(ds.file_meta.TransferSyntaxUID))
    ds.save_as(
        path,
        enforce_file_format=True,
        **({"implicit_vr": False, "little_endian": True} if syntax.is_private or not syntax.is_transfer_syntax else {}),
    )
    return path


def write_slice(path: Path, pixels: NDArray[Any] | None = None, **attributes: Any) -> Path:
    """One CT slice, by default of 6 x 8 pixels that count up."""
    if pixels is None:
        pixels = np.arange(48, dtype=np.int16).reshape(6, 8)
    return save(with_pixels(header(**attributes), pixels), path)


def write_series(folder: Path, count: int = 5, **attributes: Any) -> list[Path]:
    """``count`` CT slices, 2.5 mm apart, slice i with voxels from 100 * i upwards; names do not tell the order."""
    paths = []
    for index in range(count):
        number = (index * 3) % count if count % 3 else index
        pixels = (np.arange(48, dtype=np.int16) + 100 * index).reshape(6, 8)
        changes = {
            "SOPInstanceUID": f"2.25.100{index}",
            "InstanceNumber": index + 1,
            "ImagePositionPatient": [-10.0, -20.0, 30.0 + 2.5 * index],
            **attributes,
        }
        paths.append(write_slice(folder / f"IM{number:03d}", pixels, **changes))
    return paths


def item(**attributes: Any) -> Dataset:
    """A sequence item."""
    ds = Dataset()
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds


def enhanced(frames: int = 4, **attributes: Any) -> Dataset:
    """An enhanced CT: orientation and pixel measures shared; position, rescale and window per frame."""
    ds = header(SOPClassUID=uid.EnhancedCTImageStorage, **attributes)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(ds, name)
    for name in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        delattr(ds, name)
    ds.SharedFunctionalGroupsSequence = Sequence(
        [
            item(
                PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])]),
                PixelMeasuresSequence=Sequence([item(PixelSpacing=[0.5, 0.6], SliceThickness=3.0)]),
            )
        ]
    )
    ds.PerFrameFunctionalGroupsSequence = Sequence(
        [
            item(
                PlanePositionSequence=Sequence([item(ImagePositionPatient=[1.0, 2.0 + 3 * i, 4.0])]),
                PixelValueTransformationSequence=Sequence(
                    [item(RescaleSlope=1 + i, RescaleIntercept=-1000 - i, RescaleType="HU")]
                ),
                FrameVOILUTSequence=Sequence([item(WindowCenter=50 + i, WindowWidth=350)]),
            )
            for i in range(frames)
        ]
    )
    pixels = np.arange(frames * 48, dtype=np.int16).reshape(frames, 6, 8)
    return with_pixels(ds, pixels)


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    """One element in explicit VR little endian, as it stands in a file."""
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return head + b"\0\0" + struct.pack("<I", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def nested_sequences(depth: int, *, defined: bool) -> bytes:
    """Sequences (0008,1140) in one another ``depth`` deep, of defined or undefined length, explicit VR."""
    if not defined:
        begin = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
        return begin * depth + end * depth
    content = b""
    for _ in range(depth):
        content = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(content)) + content
        content = b"\x08\x00\x40\x11SQ\0\0" + struct.pack("<I", len(content)) + content
    return content


def insert_before(path: Path, tag: int, raw: bytes) -> None:
    """Put raw bytes before the first top-level element of a file that is ``tag`` (explicit VR little endian)."""
    content = path.read_bytes()
    place = content.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF), 132)
    path.write_bytes(content[:place] + raw + content[place:])


def patch(path: Path, tag: int, old: bytes, new: bytes) -> None:
    """Change bytes of the value of an element of a file; both have one length."""
    content = path.read_bytes()
    place = content.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF), 132)
    found = content.index(old, place)
    path.write_bytes(content[:found] + new + content[found + len(old) :])
