"""The way from a CT series to a SEG as it is usually written: pydicom, MONAI, scipy, highdicom.

The transforms and the inferer are those of the bundle's own inference.json, made by MONAI's own parser.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.sr.coding import Code
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from bedside.runtime.bundle.load import Bundle
from bedside.runtime.stopwatch import Stopwatch

from .no_network import Above


@dataclass(frozen=True)
class Measured:
    """One connected component."""

    voxels: int
    volume_mm3: float
    centroid: tuple[float, ...]
    longest_diameter_mm: float
    mean: float
    std: float


@dataclass(frozen=True)
class Answer:
    """What was found on the source grid."""

    labels: NDArray[np.uint8]
    """[z, y, x], 0 or 1."""
    parts: NDArray[np.uint8]
    """[z, y, x], number of the component, the largest first."""
    measured: list[Measured]


def naive(folder: Path, bundle: Bundle, network: Above, out: Path, clock: Stopwatch) -> Answer:
    """From the files in ``folder`` to the SEG ``out``."""
    torch: Any = import_module("torch")
    monai: Any = import_module("monai")
    bundles: Any = import_module("monai.bundle")
    parser = bundles.ConfigParser()
    parser.read_config(str(bundle.root / "configs" / "inference.json"))
    parser["preprocessing"]["transforms"] = [
        step for step in parser["preprocessing"]["transforms"] if step["_target_"] != "LoadImaged"
    ]

    with clock.stage("read"):
        slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
        slices.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
        slope, intercept = float(slices[0].RescaleSlope), float(slices[0].RescaleIntercept)
        hu = np.stack([ds.pixel_array for ds in slices]).astype(np.float32) * slope + intercept
        row, column = (float(v) for v in slices[0].PixelSpacing)
        first, last = (np.array(ds.ImagePositionPatient, float) for ds in (slices[0], slices[-1]))
        between = float(last[2] - first[2]) / (len(slices) - 1)
        affine = np.diag([-column, -row, between, 1.0])
        affine[:3, 3] = first * (-1, -1, 1)
    with clock.stage("prepare"):
        image = monai.data.MetaTensor(torch.from_numpy(hu.transpose(2, 1, 0)), affine=torch.from_numpy(affine))
        image.meta["original_channel_dim"] = float("nan")
        data = parser.get_parsed_content("preprocessing")({"image": image})
    with clock.stage("blend"), torch.no_grad():
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network.logits)[0]
    with clock.stage("back"):
        found = parser.get_parsed_content("postprocessing")(data)["pred"]
        labels = np.ascontiguousarray(found.numpy()[0].transpose(2, 1, 0)).astype(np.uint8)
    with clock.stage("measure"):
        spec = bundle.meta.result.segments[0]
        parts, measured = _measure(labels, hu, (between, row, column), spec.min_volume_mm3)
    with clock.stage("write"):
        _write(bundle, slices, parts, len(measured), out)
    return Answer(labels, parts, measured)


def _measure(
    labels: NDArray[np.uint8], hu: NDArray[np.float32], spacing: tuple[float, float, float], least_mm3: float
) -> tuple[NDArray[np.uint8], list[Measured]]:
    numbered, count = ndimage.label(labels, np.ones((3, 3, 3)))
    index = np.arange(1, count + 1)
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
    voxel = float(np.prod(spacing))
    kept = [n for n in index[np.argsort(-sizes, kind="stable")] if sizes[n - 1] * voxel >= least_mm3]
    boxes = ndimage.find_objects(numbered)
    parts = np.zeros(labels.shape, np.uint8)
    measured = []
    for number, n in enumerate(kept, start=1):
        box = boxes[n - 1]
        inside = numbered[box] == n
        parts[box][inside] = number
        values = hu[box][inside]
        centroid = tuple(float(c) + s.start for c, s in zip(ndimage.center_of_mass(inside), box, strict=True))
        diameter = max(_longest(plane, spacing[1:]) for plane in inside)
        voxels = int(sizes[n - 1])
        measured.append(
            Measured(voxels, voxels * voxel, centroid, diameter, float(values.mean(dtype=float)), float(values.std()))
        )
    return parts, measured


def _longest(plane: NDArray[np.bool_], spacing: tuple[float, float]) -> float:
    points = np.argwhere(plane) * spacing
    if len(points) < 2:
        return 0.0
    with suppress(QhullError, ValueError):  # points on one line have no hull
        points = points[ConvexHull(points).vertices]
    return float(pdist(points).max())


def _write(bundle: Bundle, slices: list[Any], parts: NDArray[np.uint8], count: int, out: Path) -> None:
    spec = bundle.meta.result.segments[0]
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=bundle.name, version=bundle.version, family=Code("123110", "DCM", "Artificial Intelligence")
    )
    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"{spec.name} {number}",
            segmented_property_category=Code(spec.category.value, spec.category.scheme, spec.category.meaning),
            segmented_property_type=Code(spec.type.value, spec.type.scheme, spec.type.meaning),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            tracking_uid=pydicom.uid.generate_uid(),
            tracking_id=f"{spec.name} {number}",
        )
        for number in range(1, count + 1)
    ]
    highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=parts,
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        series_instance_uid=pydicom.uid.generate_uid(),
        series_number=1,
        sop_instance_uid=pydicom.uid.generate_uid(),
        instance_number=1,
        manufacturer="benchmark",
        manufacturer_model_name="benchmark",
        software_versions="1",
        device_serial_number="1",
    ).save_as(out)
