"""Writing a DICOM SEG beside highdicom, 300 slices of 512x512: ``python -m bedside.benchmarks.write_seg --json FILE``.

Both write the same frames, segments and references to a file on the same disk, and the pixel data of both are compared
before anything is timed. highdicom spends its time on datasets: a nested pydicom item a frame, built, checked against
the standard's tables and encoded one element after the other. Ours encodes those items as bytes and packs the bits in
the kernel. What is left over the packing of the bits and the writing of the bytes is ``limit_share``.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import highdicom
import numpy as np
import typer
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import CTImageStorage

from bedside.kernels import pack_bits
from bedside.phantoms.ct_chest import ChestPhantom
from bedside.phantoms.write_dicom import write_chest_ct
from bedside.runtime.bundle.schema import ResultSpec
from bedside.runtime.findings import find
from bedside.runtime.image import Frame, Volume
from bedside.runtime.report import Provenance, ReportInput, seg, seg_check

from .rows import Row, compare, document, interleaved, markdown, write

SLICES, EDGE = 300, 512
STEP_MM, PIXEL_MM = 1.0, 0.7
NODULE = Code("27925004", "SCT", "Nodule")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")


def headers(folder: Path) -> list[Dataset]:
    """Headers of a CT series, without pixels."""
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, :3] = [[0, 0, PIXEL_MM], [0, PIXEL_MM, 0], [STEP_MM, 0, 0]]
    empty = ChestPhantom(np.zeros((1, EDGE, EDGE), np.int16), affine, np.zeros((1, EDGE, EDGE), np.uint8), (), 0)
    (path,) = write_chest_ct(empty, folder)
    first = dcmread(path, stop_before_pixels=True)
    series: list[Dataset] = []
    for z in range(SLICES):
        ds = copy.deepcopy(first)
        ds.SOPInstanceUID, ds.InstanceNumber = f"2.25.{10**9 + z}", z + 1
        ds.ImagePositionPatient = [0, 0, z * STEP_MM]
        series.append(ds)
    return series


def organ() -> NDArray[np.uint8]:
    """One label in every slice."""
    y, x = np.mgrid[:EDGE, :EDGE]
    return np.stack([((y - 256) ** 2 + (x - 180 - z / 4) ** 2 < (80 + z / 6) ** 2) for z in range(SLICES)]).astype(
        np.uint8
    )


def nodules(count: int = 20) -> NDArray[np.uint8]:
    """Balls of 12 mm."""
    labels = np.zeros((SLICES, EDGE, EDGE), np.uint8)
    z, y, x = np.mgrid[-6:7, -9:10, -9:10]
    ball = (z * STEP_MM) ** 2 + (y * PIXEL_MM) ** 2 + (x * PIXEL_MM) ** 2 <= 36
    rng = np.random.default_rng(0)
    for n in range(count):
        z0, y0, x0 = 10 + n * 14, *rng.integers(40, EDGE - 60, 2)
        labels[z0 : z0 + 13, y0 : y0 + 19, x0 : x0 + 19] |= ball
    return labels


def report_input(series: list[Dataset], labels: NDArray[np.uint8]) -> ReportInput:
    code = {"value": NODULE.value, "scheme": "SCT", "meaning": NODULE.meaning}
    category = {"value": ABNORMAL.value, "scheme": "SCT", "meaning": ABNORMAL.meaning}
    segment = {"label": 1, "name": "Nodule", "category": category, "type": code, "instances": True}
    result = ResultSpec.model_validate({"kind": "segmentation", "segments": [segment]})
    facts: Any = SimpleNamespace(name="benchmark", version="1", sha256="0" * 64, meta=SimpleNamespace(result=result))
    frames = tuple(
        Frame(
            path=Path("slice.dcm"),
            sop_class_uid=CTImageStorage,
            sop_instance_uid=ds.SOPInstanceUID,
            rows=EDGE,
            columns=EDGE,
            position=(0.0, 0.0, z * STEP_MM),
            orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            spacing=(PIXEL_MM, PIXEL_MM),
            thickness=STEP_MM,
        )
        for z, ds in enumerate(series)
    )
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, PIXEL_MM], [0, PIXEL_MM, 0], [STEP_MM, 0, 0]]
    scale = np.ones(SLICES, np.float32)
    volume = Volume(np.zeros(labels.shape, np.int16), affine, scale, scale * 0, frames)
    return ReportInput(series[0], volume, find(labels, volume, facts), facts, Provenance("none"))


def with_highdicom(data: ReportInput, series: list[Dataset], path: Path) -> None:
    """The same SEG by highdicom's constructor."""
    assert data.findings.parts is not None
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="benchmark", version="1", family=Code("123110", "DCM", "Artificial Intelligence")
    )
    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=lesion.number,
            segment_label=lesion.tracking_id,
            segmented_property_category=ABNORMAL,
            segmented_property_type=NODULE,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            tracking_uid=lesion.tracking_uid,
            tracking_id=lesion.tracking_id,
        )
        for lesion in data.findings.lesions
    ]
    highdicom.seg.Segmentation(
        source_images=series,
        pixel_array=data.findings.parts,
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        series_instance_uid="2.25.1",
        series_number=1,
        sop_instance_uid="2.25.2",
        instance_number=1,
        manufacturer="benchmark",
        manufacturer_model_name="benchmark",
        software_versions="1",
        device_serial_number="1",
    ).save_as(path)


def ours(data: ReportInput, path: Path) -> None:
    segmentation = seg.build(data)
    assert segmentation is not None
    with path.open("wb") as file:
        segmentation.write(file)


def limit(data: ReportInput, path: Path) -> Callable[[], None]:
    """Nothing but packing the bits of each lesion's slices and writing as many bytes as the SEG has."""
    parts = data.findings.parts
    assert parts is not None
    size = path.stat().st_size

    def run() -> None:
        packed = []
        for lesion in data.findings.lesions:
            z0, z1 = lesion.bbox[0]
            bits = np.empty((z1 - z0, EDGE * EDGE // 8), np.uint8)
            pack_bits(parts[z0:z1], bits, lesion.number)
            packed.append(bits)
        with path.open("wb") as file:
            for bits in packed:
                file.write(bits.data)
            file.write(bytes(max(0, size - sum(bits.size for bits in packed))))

    return run


def candidates(data: ReportInput, series: list[Dataset], folder: Path) -> dict[str, Callable[[], object]]:
    """Who writes the SEG, and the least that any of them has to do."""
    mine, theirs, least = folder / "ours.dcm", folder / "highdicom.dcm", folder / "limit"
    ours(data, mine)
    with_highdicom(data, series, theirs)
    if dcmread(mine).PixelData != dcmread(theirs).PixelData:
        raise SystemExit("ours and highdicom's pixel data differ")
    least.write_bytes(mine.read_bytes())

    def ours_checked() -> None:
        ours(data, mine)
        seg_check.check(mine, data)

    def theirs_read() -> None:
        with_highdicom(data, series, theirs)
        _ = highdicom.seg.segread(theirs).pixel_array

    return {
        "ours": lambda: ours(data, mine),
        "highdicom": lambda: with_highdicom(data, series, theirs),
        "limit": limit(data, least),
        "ours, read back": ours_checked,
        "highdicom, read back": theirs_read,
    }


def rows(rounds: int = 5) -> Iterator[Row]:
    """The comparison; the rows of one mask are one interleaved run."""
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        series = headers(folder / "ct")
        for what, labels in (("one organ", organ()), ("20 nodules", nodules())):
            times = interleaved(candidates(report_input(series, labels), series, folder), rounds)
            title = f"write a SEG of {SLICES}x{EDGE}x{EDGE}, {what}"
            writing = {peer: times[peer] for peer in ("ours", "highdicom")}
            yield from compare(title, writing, rounds, limit_share=times["limit"] / times["ours"])
            reading = {peer: times[f"{peer}, read back"] for peer in ("ours", "highdicom")}
            yield from compare(f"{title}, and read it back", reading, rounds)


def main(
    json: Annotated[Path | None, typer.Option(help="Write the rows and the environment to this file.")] = None,
    rounds: Annotated[int, typer.Option(help="Timed rounds a candidate.", min=1)] = 5,
) -> None:
    """Time the writing of a SEG beside highdicom."""
    found = list(rows(rounds))
    content = document(found)
    typer.echo(markdown(content), nl=False)
    write(json, content)


if __name__ == "__main__":
    typer.run(main)
