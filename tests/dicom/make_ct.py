"""A small CT series with every attribute the standard asks for, written by pydicom, and the Volume it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from bedside.runtime.image import Frame, Volume, Window

STUDY_UID = "2.25.1001"
SERIES_UID = "2.25.1002"
FRAME_OF_REFERENCE_UID = "2.25.1003"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
# Rotated about x, then about z: no axis of the volume is an axis of the patient.
OBLIQUE = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)
CHINESE_NAME = "Wang^XiaoDong=王^小东"
BALL_HU, TISSUE_HU, AIR_HU = 60, 30, -1000


@dataclass(frozen=True)
class Series:
    """Headers with pixel data in slice order, and what they mean."""

    datasets: list[Dataset]
    volume: Volume
    paths: list[Path]


def voxels(slices: int, size: int) -> NDArray[np.int16]:
    """A disc of tissue in air with noise, stored values (HU + 1024)."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    body = np.hypot(y, x) < 0.45 * size
    values = np.where(body, TISSUE_HU, AIR_HU) + rng.integers(-8, 9, (slices, size, size))
    return (values + 1024).astype(np.int16)


def make_ct(
    folder: Path | None = None,
    *,
    slices: int = 12,
    size: int = 64,
    orientation: tuple[float, ...] = AXIAL,
    spacing: tuple[float, float] = (0.7, 0.7),
    step: float = 2.5,
    character_set: str = "GB18030",
    patient_name: str = CHINESE_NAME,
) -> Series:
    """Make the series; with ``folder`` its files are written there."""
    stored = voxels(slices, size)
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row, column)
    origin = np.array([-100.0, -80.5, 40.25])
    datasets, frames, paths = [], [], []
    for z in range(slices):
        position = tuple(float(round(v, 6)) for v in origin + z * step * normal)
        ds = _header(f"2.25.2{z:03d}", character_set, patient_name)
        ds.InstanceNumber = slices - z
        ds.Rows, ds.Columns = size, size
        ds.PixelSpacing, ds.SliceThickness = list(spacing), step
        ds.ImagePositionPatient, ds.ImageOrientationPatient = list(position), list(orientation)
        ds.PixelData = stored[z].tobytes()
        ds["PixelData"].VR = "OW"
        path = (folder or Path()) / f"ct-{slices - z:03d}.dcm"
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            ds.save_as(path, enforce_file_format=True)
        datasets.append(ds)
        paths.append(path)
        frames.append(
            Frame(
                path=path,
                sop_class_uid=CTImageStorage,
                sop_instance_uid=ds.SOPInstanceUID,
                instance_number=slices - z,
                rows=size,
                columns=size,
                position=position,
                orientation=orientation,
                spacing=spacing,
                thickness=step,
                intercept=-1024.0,
                frame_of_reference_uid=FRAME_OF_REFERENCE_UID,
                image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
            )
        )
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = normal * step, column * spacing[0], row * spacing[1]
    affine[:3, 3] = frames[0].position
    volume = Volume(
        voxels=stored,
        affine=affine,
        slope=np.ones(slices, np.float32),
        intercept=np.full(slices, -1024, np.float32),
        frames=tuple(frames),
        window=Window(40, 400),
    )
    return Series(datasets, volume, paths)


def _header(uid: str, character_set: str, patient_name: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = CTImageStorage, uid
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = character_set
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, uid
    ds.StudyDate, ds.SeriesDate, ds.AcquisitionDate, ds.ContentDate = ("20240229",) * 4
    ds.StudyTime, ds.SeriesTime, ds.AcquisitionTime, ds.ContentTime = ("101530",) * 4
    ds.AccessionNumber, ds.Modality = "A17", "CT"
    ds.Manufacturer, ds.ManufacturerModelName = "Phantom", "P1"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "胸部CT平扫" if character_set != "ISO_IR 6" else "Chest CT"
    ds.SeriesDescription = "Lung"
    ds.PatientName, ds.PatientID = patient_name, "P-0042"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "19580101", "M", "066Y"
    ds.BodyPartExamined, ds.KVP, ds.PatientPosition = "CHEST", 120, "HFS"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY_UID, SERIES_UID
    ds.StudyID, ds.SeriesNumber, ds.AcquisitionNumber = "S1", 2, 1
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE_UID, ""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
    ds.WindowCenter, ds.WindowWidth = 40, 400
    return ds
