"""Reading an uncompressed CT series beside its peers and the bytes alone: ``python -m bedside.benchmarks.read_study``.

Every candidate goes from the folder's files to one array [z, y, x] in file order and reads geometry and rescale of
every slice. The files are in the page cache. One interleaved run, so the ratios hold on a busy machine. The generated
series has the header of a CT: some 60 elements, sequences and a private block.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydicom
import typer
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from bedside.runtime.study import load_study
from bedside.runtime.study.pixels import read_volume

from .rows import Row, absent, compare, document, interleaved, markdown, write

SLICES, EDGE = 300, 512
REAL = Path(os.environ.get("BEDSIDE_SHARED_DATA", "no-such-folder")) / "ct-chest-60"
"""A real chest CT, where the variable names a folder that has it."""

Candidates = dict[str, Callable[[], object]]


def write_series(folder: Path, slices: int = SLICES) -> None:
    """A CT series of ``slices`` files of 512 x 512, 16 bits of which 12 are stored, explicit VR little endian."""
    rng = np.random.default_rng(0)
    base = np.add.outer(np.arange(EDGE), np.arange(EDGE)) * 2 + rng.integers(0, 400, (EDGE, EDGE))
    for index in range(slices):
        ds = _header(index)
        ds.PixelData = ((base + 7 * index) % 4096).astype("<u2").tobytes()
        ds["PixelData"].VR = "OW"
        ds.save_as(folder / f"{index:04d}.dcm", enforce_file_format=True)


def _header(index: int) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "GB18030"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID, ds.SOPInstanceUID = uid.CTImageStorage, f"2.25.1000{index}"
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    for name in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(ds, name, "20260102")
    for name in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"):
        setattr(ds, name, "030405.123456")
    ds.AccessionNumber, ds.Modality, ds.Manufacturer = "A000017", "CT", "Maker"
    ds.InstitutionName, ds.StationName, ds.ManufacturerModelName = "医院", "CT01", "Model"
    ds.StudyDescription, ds.SeriesDescription = "胸部平扫", "肺 1.0"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Phantom=体模", "PHANTOM", "19700101", "O"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = uid.CTImageStorage, "2.25.7"
    ds.ReferencedImageSequence = Sequence([reference, reference])
    ds.BodyPartExamined, ds.SliceThickness, ds.KVP = "CHEST", 1.0, 120
    ds.DataCollectionDiameter, ds.ReconstructionDiameter = 500, 360
    ds.GantryDetectorTilt, ds.TableHeight, ds.RotationDirection = 0, 150, "CW"
    ds.ExposureTime, ds.XRayTubeCurrent, ds.Exposure, ds.ConvolutionKernel = 500, 200, 100, "B70f"
    ds.PatientPosition = "HFS"
    block = ds.private_block(0x0019, "MAKER PRIVATE", create=True)
    for element in range(20):
        block.add_new(element, "LO", f"private value {element}")
    block.add_new(0x80, "OB", bytes(2000))
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "2.25.1", "2.25.2", "2.25.3"
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "1", 2, index + 1
    ds.ImagePositionPatient = [-180.0, -180.0, float(index)]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.SliceLocation = float(index)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns, ds.PixelSpacing = EDGE, EDGE, [0.703125, 0.703125]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth, ds.RescaleIntercept, ds.RescaleSlope = [40, -600], [400, 1500], -1024, 1
    return ds


def candidates(folder: Path) -> Candidates:
    """The readers, checked to give the same voxels."""
    files = sorted(path for path in folder.iterdir() if path.suffix == ".dcm")
    largest = max(path.stat().st_size for path in files)
    buffer = bytearray(largest)

    def ours(threads: int = 0) -> NDArray[Any]:
        series = load_study(folder).series[0]
        return read_volume(series, series.frames, np.eye(4), threads=threads).voxels

    def by_pydicom() -> NDArray[Any]:
        volume: NDArray[Any] | None = None
        for index, path in enumerate(files):
            ds = pydicom.dcmread(path)
            pixels = ds.pixel_array
            if volume is None:
                volume = np.empty((len(files), *pixels.shape), pixels.dtype)
            volume[index] = pixels
            _ = (ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing, ds.RescaleSlope)
        assert volume is not None
        return volume

    def the_bytes() -> None:
        for path in files:
            descriptor = os.open(path, os.O_RDONLY)
            os.readv(descriptor, [buffer])
            os.close(descriptor)

    found: Candidates = {
        "ours": ours,
        "ours, one thread": lambda: ours(1),
        "pydicom": by_pydicom,
        "reading the bytes": the_bytes,
    }
    expected = ours()
    np.testing.assert_array_equal(expected, by_pydicom())
    try:
        dicomsdl = import_module("dicomsdl")
    except ImportError:
        return found

    def by_dicomsdl() -> NDArray[Any]:
        volume = np.empty(expected.shape, expected.dtype)
        for index, path in enumerate(files):
            ds = dicomsdl.open(str(path))
            ds.copyFrameData(0, volume[index])
            _ = (ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing, ds.RescaleSlope)
        return volume

    np.testing.assert_array_equal(expected, by_dicomsdl())
    return {**found, "dicomsdl": by_dicomsdl}


def rows(rounds: int) -> Iterator[Row]:
    """The generated series, then the real one where it is."""
    with tempfile.TemporaryDirectory() as name:
        write_series(Path(name))
        yield from _compared(f"read a CT series of {SLICES} slices, a slice", Path(name), SLICES, rounds)
    if REAL.is_dir():
        count = sum(1 for path in REAL.iterdir() if path.suffix == ".dcm")
        yield from _compared(f"read a real CT series of {count} slices, a slice", REAL, count, rounds)


def _compared(name: str, folder: Path, count: int, rounds: int) -> Iterator[Row]:
    found = candidates(folder)
    times = interleaved(found, rounds)
    yield from compare(name, times, rounds, per=count, goals={"dicomsdl": 1.0})
    if "dicomsdl" not in found:
        yield absent(name, "dicomsdl", "not installed: pip install 'bedside[bench]'")


def main(
    json: Annotated[Path | None, typer.Option(help="Write the rows and the environment to this file.")] = None,
    rounds: Annotated[int, typer.Option(help="Timed rounds a candidate.", min=1)] = 7,
) -> None:
    """Time the reading of a series beside its peers."""
    found = list(rows(rounds))
    content = document(found)
    typer.echo(markdown(content), nl=False)
    write(json, content)


if __name__ == "__main__":
    typer.run(main)
