"""A colour photograph as a DICOM image: fundus camera (OP) or any other camera (XC), plain or as JPEG baseline."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    OphthalmicPhotography8BitImageStorage,
    VLPhotographicImageStorage,
)

CHINESE_NAME = "Zhao^Min=赵^敏"


def make_photograph(
    path: Path,
    pixels: NDArray[np.uint8],
    *,
    modality: str = "OP",
    jpeg: bytes | None = None,
    laterality: str = "L",
) -> Path:
    """Write ``pixels`` as Ophthalmic Photography 8 Bit Image (PS3.3 A.41) or, for XC, VL Photographic Image (A.32.4).

    Parameters
    ----------
    pixels
        [y, x, 3], RGB; written as they are where there is no ``jpeg``.
    jpeg
        A baseline JPEG of the picture with chrominance halved along x (YBR_FULL_422), stored as it is.
    """
    ds = _photograph(modality, pixels.shape[0], pixels.shape[1])
    if modality == "OP":
        _fundus_camera(ds, laterality)
    else:
        ds.Laterality = ""
    if jpeg is None:
        ds.file_meta.TransferSyntaxUID, ds.PhotometricInterpretation = ExplicitVRLittleEndian, "RGB"
        data = pixels.tobytes()
        ds.PixelData = data + b"\0" * (len(data) % 2)
        ds["PixelData"].VR = "OB"
    else:
        ds.file_meta.TransferSyntaxUID, ds.PhotometricInterpretation = JPEGBaseline8Bit, "YBR_FULL_422"
        ds.LossyImageCompression, ds.LossyImageCompressionMethod = "01", "ISO_10918_1"
        ds.LossyImageCompressionRatio = round(pixels.nbytes / len(jpeg), 1)
        ds.PixelData = encapsulate([jpeg])
        ds["PixelData"].is_undefined_length = True
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = 95) -> bytes:
    """Baseline JPEG with chrominance halved along x, as YBR_FULL_422 asks."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:2")
    return buffer.getvalue()


def _photograph(modality: str, rows: int, columns: int) -> Dataset:
    ds = Dataset()
    sop_class = OphthalmicPhotography8BitImageStorage if modality == "OP" else VLPhotographicImageStorage
    ds.file_meta = FileMetaDataset()
    ds.SpecificCharacterSet = "GB18030"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, "2.25.4001"
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = sop_class, ds.SOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.StudyID = "2.25.4002", "2.25.4003", "S7"
    ds.StudyDate, ds.SeriesDate, ds.ContentDate = "20240301", "20240301", "20240301"
    ds.StudyTime, ds.SeriesTime, ds.ContentTime = "091500", "091500", "091500"
    ds.AcquisitionDateTime = "20240301091500"
    ds.AccessionNumber, ds.ReferringPhysicianName = "A18", ""
    ds.StudyDescription, ds.SeriesDescription = "眼底照相", "Fundus" if modality == "OP" else "Photograph"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = CHINESE_NAME, "P-0044", "19660203", "F"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = modality, 1, 1
    ds.Manufacturer, ds.ManufacturerModelName = "Camera", "C1"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "1", "1"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.PatientOrientation = ["L", "F"]
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    ds.AcquisitionContextSequence = []
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PlanarConfiguration = rows, columns, 3, 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    return ds


def _fundus_camera(ds: Dataset, laterality: str) -> None:
    """Ophthalmic Photography Image, Parameters and Ocular Region Imaged (PS3.3 C.8.17.2 to C.8.17.5)."""
    ds.ImageType = ["ORIGINAL", "PRIMARY", "", "COLOR"]
    ds.NumberOfFrames, ds.FrameIncrementPointer = 1, 0x00181063
    ds.FrameTime = 0
    ds.ImageLaterality = laterality
    ds.AnatomicRegionSequence = [_code("5665001", "SCT", "Retina")]
    ds.AcquisitionDeviceTypeCodeSequence = [_code("409898007", "SCT", "Fundus Camera")]
    ds.IlluminationTypeCodeSequence, ds.LightPathFilterTypeStackCodeSequence = [], []
    ds.ImagePathFilterTypeStackCodeSequence, ds.LensesCodeSequence = [], []
    ds.PatientEyeMovementCommanded, ds.EmmetropicMagnification, ds.IntraOcularPressure = None, None, None
    ds.HorizontalFieldOfView, ds.PupilDilated, ds.RefractiveStateSequence = 45.0, None, []
    ds.SynchronizationFrameOfReferenceUID, ds.SynchronizationTrigger = "2.25.4004", "NO TRIGGER"
    ds.AcquisitionTimeSynchronized = "N"
    ds.DetectorType = "CCD"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
