"""Every planar image class is read as an image, pixel for pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import uid

from bedside.runtime.study import load_study, read_image

from .dicom_files import header, save, with_pixels


@pytest.mark.parametrize(
    ("sop_class", "modality", "colour"),
    [
        (uid.ComputedRadiographyImageStorage, "CR", False),
        (uid.DigitalXRayImageStorageForPresentation, "DX", False),
        (uid.DigitalMammographyXRayImageStorageForPresentation, "MG", False),
        (uid.UltrasoundImageStorage, "US", True),
        (uid.VLPhotographicImageStorage, "XC", True),
        (uid.OphthalmicPhotography8BitImageStorage, "OP", True),
        (uid.VLEndoscopicImageStorage, "ES", True),
        (uid.SecondaryCaptureImageStorage, "OT", False),
        (uid.SecondaryCaptureImageStorage, "OT", True),
    ],
)
def test_every_planar_class_is_an_image(tmp_path: Path, sop_class: str, modality: str, colour: bool) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (9, 7, 3) if colour else (9, 7), dtype=np.uint8)
    photometric = "RGB" if colour else "MONOCHROME2"
    extra = {"SamplesPerPixel": 3, "PlanarConfiguration": 0} if colour else {}
    ds = header(SOPClassUID=sop_class, Modality=modality, PhotometricInterpretation=photometric, **extra)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        if keyword in ds:
            delattr(ds, keyword)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    save(with_pixels(ds, pixels), tmp_path / "a.dcm")
    (series,) = load_study(tmp_path).series
    assert (series.kind, series.modality) == ("image", modality)
    np.testing.assert_array_equal(read_image(series).pixels, pixels)
