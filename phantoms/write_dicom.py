"""Phantoms as DICOM files: CT Image Storage series and Ultrasound Image Storage instances of a fictional patient.

UIDs are made from the content ("2.25." and a number from SHA-256), so the same phantom always has the same UIDs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, UltrasoundImageStorage

from .breast_us import BreastPhantom
from .ct_chest import ChestPhantom

IMPLEMENTATION = UID("2.25.148029746553181105107423137364317452631")
CT_OFFSET = -1024


@dataclass(frozen=True)
class Patient:
    """A fictional patient. The name has an alphabetic and an ideographic group (DICOM PS3.5 6.2.1.1)."""

    name: str = "Wang^Xiaohe=王^小荷"
    id: str = "PHANTOM-0001"
    birth_date: str = "19620214"
    sex: str = "F"
    age: str = "064Y"


def write_chest_ct(
    phantom: ChestPhantom,
    folder: Path,
    *,
    patient: Patient | None = None,
    character_set: str = "GB18030",
    description: str = "胸部CT平扫 Chest CT",
) -> list[Path]:
    """Write a chest phantom as a CT series, one file a slice, feet first.

    Parameters
    ----------
    folder
        Where the files go; made if it is not there.
    character_set
        Specific Character Set (0008,0005): ``GB18030``, ``GBK`` or ``ISO_IR 192``.

    Returns
    -------
    list of Path
        The files, from the feet to the head.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(phantom.voxels.tobytes()).hexdigest()
    seed = f"ct {phantom.seed} {phantom.voxels.shape} {digest} {character_set}"
    step, row_step, column_step = phantom.spacing
    stored = (np.clip(phantom.voxels, -1024, 3071) - CT_OFFSET).astype("<u2")
    paths = []
    for k in range(len(stored)):
        ds = _instance(CTImageStorage, seed, k, patient or Patient(), character_set)
        _study(ds, seed, "CT", description, "CHEST")
        ds.SeriesDescription = "肺窗 Lung"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.ManufacturerModelName = "Chest CT phantom"
        ds.KVP, ds.PatientPosition, ds.AcquisitionNumber = "120", "HFS", 1
        ds.ConvolutionKernel, ds.GantryDetectorTilt = "LUNG", "0"
        ds.XRayTubeCurrent, ds.ExposureTime = 150, 500
        ds.SliceThickness = _decimal(step)
        ds.PixelSpacing = [_decimal(row_step), _decimal(column_step)]
        ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = _uid(seed, "frame of reference"), ""
        position = phantom.affine @ np.array([k, 0, 0, 1.0])
        ds.ImagePositionPatient = [_decimal(v) for v in position[:3]]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.SliceLocation = _decimal(position[2])
        _pixels(ds, stored[k], bits=12, allocated=16)
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(CT_OFFSET), "1", "HU"
        ds.WindowCenter, ds.WindowWidth = ["-500", "40"], ["1500", "400"]
        ds.WindowCenterWidthExplanation = ["LUNG", "MEDIASTINUM"]
        paths.append(_save(ds, folder / f"CT{k + 1:04d}.dcm"))
    return paths


def write_breast_us(
    phantom: BreastPhantom,
    path: Path,
    *,
    patient: Patient | None = None,
    character_set: str = "GB18030",
    description: str = "乳腺超声 Breast ultrasound",
) -> Path:
    """Write a breast phantom as one Ultrasound Image Storage file, with its calibrated region.

    Parameters
    ----------
    path
        The file; its folder is made if it is not there.
    character_set
        Specific Character Set (0008,0005): ``GB18030``, ``GBK`` or ``ISO_IR 192``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = f"us {phantom.seed} {hashlib.sha256(phantom.pixels.tobytes()).hexdigest()} {character_set}"
    ds = _instance(UltrasoundImageStorage, seed, 0, patient or Patient(), character_set)
    _study(ds, seed, "US", description, "BREAST")
    ds.Laterality = "R"
    ds.SeriesDescription = "右乳 Right breast"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "BREAST", "0001"]
    ds.ManufacturerModelName = "Breast US phantom"
    ds.PatientOrientation = ""
    ds.UltrasoundColorDataPresent = 0
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    x0, y0, x1, y1 = phantom.region
    region.RegionLocationMinX0, region.RegionLocationMinY0 = x0, y0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = x1, y1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # cm
    region.PhysicalDeltaX = region.PhysicalDeltaY = phantom.mm_per_pixel / 10
    region.ReferencePixelX0, region.ReferencePixelY0 = (x1 - x0) // 2, 0
    region.ReferencePixelPhysicalValueX = region.ReferencePixelPhysicalValueY = 0.0
    ds.SequenceOfUltrasoundRegions = [region]
    _pixels(ds, phantom.pixels, bits=8, allocated=8)
    ds.WindowCenter, ds.WindowWidth = "127.5", "255"
    return _save(ds, path)


def _instance(sop_class: UID, seed: str, number: int, patient: Patient, character_set: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = _uid(seed, "instance", str(number))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = "BEDSIDE_PHANTOM"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = character_set
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    ds.InstanceNumber = number + 1
    ds.PatientName, ds.PatientID = patient.name, patient.id
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = patient.birth_date, patient.sex, patient.age
    ds.PatientComments = "Generated phantom: no person was examined."
    return ds


def _study(ds: FileDataset, seed: str, modality: str, description: str, body_part: str) -> None:
    ds.StudyInstanceUID, ds.SeriesInstanceUID = _uid(seed, "study"), _uid(seed, "series")
    ds.StudyID, ds.SeriesNumber, ds.AccessionNumber = "1", 2, ""
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20260301"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "083000"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription, ds.Modality, ds.BodyPartExamined = description, modality, body_part
    ds.InstitutionName = "县人民医院（虚构） County Hospital (fictional)"
    ds.Manufacturer, ds.SoftwareVersions = "bedside", "1"
    ds.DeviceSerialNumber = "0"


def _pixels(ds: FileDataset, pixels: np.ndarray, *, bits: int, allocated: int) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = allocated, bits, bits - 1, 0
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    ds.PixelData = np.ascontiguousarray(pixels).tobytes()
    ds["PixelData"].VR = "OW" if allocated > 8 else "OB"


def _save(ds: FileDataset, path: Path) -> Path:
    ds.save_as(path, enforce_file_format=True)
    return path


def _uid(*parts: str) -> UID:
    """A UUID-derived UID (DICOM PS3.5 B.2) from what it names."""
    return UID(f"2.25.{int.from_bytes(hashlib.sha256('|'.join(parts).encode()).digest()[:16], 'big')}")


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters."""
    return f"{value:.10g}"[:16]
