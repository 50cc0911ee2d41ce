"""Order and affine as SimpleITK's GDCM series reader gives them, on real and on written series."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from bedside.runtime.geometry import check
from bedside.runtime.study import load_study

from .geometry_frames import AXIAL, CORONAL, SAGITTAL

sitk = pytest.importorskip("SimpleITK")


def itk_affine(folder: Path) -> tuple[list[str], np.ndarray]:
    """File names in ITK's order, and its geometry as index (z, y, x) to LPS mm."""
    (uid,) = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
    image = sitk.ReadImage(names)
    direction = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = direction[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return [Path(name).name for name in names], affine


def compare(folder: Path) -> None:
    (series,) = load_study(folder).series
    verdict = check(series.frames)
    assert verdict.accepted, verdict.message
    names, affine = itk_affine(folder)
    assert [series.frames[i].path.name for i in verdict.order] == names
    np.testing.assert_allclose(verdict.affine, affine, atol=1e-6)


def test_real_chest_ct(shared_data: Callable[[str], Path]):
    compare(shared_data("ct-chest-60"))


@pytest.mark.parametrize(
    "orientation",
    [AXIAL, CORONAL, SAGITTAL, (0.8, 0.6, 0.0, 0.0, 0.0, -1.0), (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
     (0.980067, -0.198669, 0.0, 0.190182, 0.938198, 0.289052)],
)  # fmt: skip
@pytest.mark.parametrize("descending", [False, True])
def test_written_series(tmp_path: Path, orientation: tuple[float, ...], descending: bool):
    normal = np.cross(orientation[:3], orientation[3:])
    study_uid, series_uid, reference_uid = generate_uid(), generate_uid(), generate_uid()
    names = [f"{i:04d}.dcm" for i in range(12)]
    random.Random(5).shuffle(names)
    for i, name in enumerate(names):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_uid, series_uid
        dataset.FrameOfReferenceUID = reference_uid
        dataset.Modality, dataset.SeriesNumber = "CT", 1
        dataset.InstanceNumber = 12 - i if descending else i + 1
        dataset.ImagePositionPatient = [float(f"{v:.6f}") for v in np.array([-31.5, 12.25, 700.1]) + normal * 2.5 * i]
        dataset.ImageOrientationPatient = list(orientation)
        dataset.PixelSpacing, dataset.SliceThickness = [0.8, 0.8], 2.5
        dataset.Rows, dataset.Columns = 6, 5
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        dataset.PixelData = np.full((6, 5), i, np.int16).tobytes()
        pydicom.dcmwrite(tmp_path / name, dataset, enforce_file_format=True)
    compare(tmp_path)
