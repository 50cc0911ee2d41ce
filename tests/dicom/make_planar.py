"""Sources without a place in the patient: an ultrasound image, a fundus photograph, an ultrasound cine, a chest
radiograph.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from bedside.runtime.image import Cine, Frame, Image, UltrasoundRegion

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
ULTRASOUND_CINE = "1.2.840.10008.5.1.4.1.1.3.1"
FUNDUS = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
RADIOGRAPH = "1.2.840.10008.5.1.4.1.1.1"


def header(sop_class: str, modality: str, rows: int, columns: int) -> Dataset:
    """What a report reads of the source."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO 2022 IR 58"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, "2.25.3001"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "2.25.3002", "2.25.3003"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20240229", "101530", "", ""
    ds.ReferringPhysicianName = ""
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Li^Na=李^娜", "P-0043", "19700101", "F"
    ds.Modality, ds.Rows, ds.Columns = modality, rows, columns
    ds.LossyImageCompression, ds.LossyImageCompressionRatio, ds.LossyImageCompressionMethod = "01", 12, "ISO_10918_1"
    return ds


def frame(ds: Dataset, number: int = 1, spacing: tuple[float, float] | None = None) -> Frame:
    return Frame(
        path=Path("planar.dcm"),
        sop_class_uid=ds.SOPClassUID,
        sop_instance_uid=ds.SOPInstanceUID,
        number=number,
        rows=ds.Rows,
        columns=ds.Columns,
        spacing=spacing,
    )


def ultrasound(rows: int = 60, columns: int = 75) -> tuple[Dataset, Image]:
    """Grey, with a calibrated region over the whole of it; an odd number of pixels."""
    ds = header(ULTRASOUND, "US", rows, columns)
    pixels = np.random.default_rng(1).integers(0, 200, (rows, columns), np.uint8)
    region = UltrasoundRegion(0, 0, columns - 1, rows - 1, mm_per_pixel_x=0.2, mm_per_pixel_y=0.2, data_type=1)
    return ds, Image(pixels, frame(ds), regions=(region,))


def fundus(size: int = 64) -> tuple[Dataset, Image]:
    """Colour, no pixel size at all."""
    ds = header(FUNDUS, "OP", size, size)
    pixels = np.zeros((size, size, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = 180, 90
    return ds, Image(pixels, frame(ds))


def radiograph(size: int = 64) -> tuple[Dataset, Image]:
    """12 bit, pixel size known, no position."""
    ds = header(RADIOGRAPH, "CR", size, size)
    ds.PatientOrientation = ["L", "F"]
    pixels = np.random.default_rng(2).integers(0, 4096, (size, size)).astype(np.uint16)
    return ds, Image(pixels, frame(ds, spacing=(0.2, 0.2)))


def cine(count: int = 6, rows: int = 50, columns: int = 70) -> tuple[Dataset, Cine]:
    """Colour frames of one instance."""
    ds = header(ULTRASOUND_CINE, "US", rows, columns)
    ds.NumberOfFrames = count
    pixels = np.random.default_rng(3).integers(0, 120, (count, rows, columns, 3)).astype(np.uint8)
    return ds, Cine(pixels, tuple(frame(ds, n + 1) for n in range(count)), 40.0)
