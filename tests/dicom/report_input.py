"""What the report tests hand to the report: a bundle's facts and findings in the small CT series."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from bedside.runtime.bundle.schema import BundleMeta
from bedside.runtime.findings import find
from bedside.runtime.image import Cine, Image, Volume
from bedside.runtime.report import Provenance, ReportInput

from .make_ct import make_ct

NODULE = {
    "label": 1,
    "name": "Nodule",
    "category": {"value": "49755003", "scheme": "SCT", "meaning": "Morphologically Abnormal Structure"},
    "type": {"value": "27925004", "scheme": "SCT", "meaning": "Nodule"},
    "anatomy": {"value": "39607008", "scheme": "SCT", "meaning": "Lung"},
    "color": [255, 120, 40],
    "min_volume_mm3": 20.0,
    "instances": True,
}
BODY = {
    "label": 2,
    "name": "Body",
    "category": {"value": "123037004", "scheme": "SCT", "meaning": "Anatomical Structure"},
    "type": {"value": "39607008", "scheme": "SCT", "meaning": "Lung"},
    "color": [0, 160, 255],
}
CHINESE_FINDING = "发现 {count} 个结节，最大长径 {largest}。"
CLASSES = [
    {"index": 0, "name": "benign", "code": {"value": "30807003", "scheme": "SCT", "meaning": "Benign"}},
    {"index": 1, "name": "malignant", "code": {"value": "21594007", "scheme": "SCT", "meaning": "Malignant"}},
]
TIME = datetime(2024, 3, 1, 12, 30, 15)


@dataclass(frozen=True)
class Facts:
    """What findings and report read of a bundle."""

    meta: BundleMeta
    name: str = "phantom-nodule"
    version: str = "1.2.0"
    sha256: str = "ab" * 32
    precision: str = "f32"


def bundle(result: dict[str, Any]) -> Any:
    """A bundle with this ``bedside.result``."""
    meta = {
        "schema": 1,
        "files": {"models/model.onnx": "ab" * 32},
        "input": {"kind": "volume"},
        "result": result,
        "domain": "phantoms",
    }
    return Facts(BundleMeta.model_validate(meta))


def segmenter(*segments: dict[str, Any], finding: str = CHINESE_FINDING) -> Any:
    return bundle({"kind": "segmentation", "segments": list(segments or (NODULE, BODY)), "finding": finding})


def classifier(finding: str = "{class}: {probability}") -> Any:
    return bundle({"kind": "classification", "classes": CLASSES, "finding": finding})


def report_input(
    header: Dataset, source: Volume | Image | Cine, output: NDArray[Any], facts: Any, **more: Any
) -> ReportInput:
    """Findings of ``output`` with all else a report needs, at a fixed time."""
    provenance = Provenance(
        device="openvino:CPU",
        device_name="a CPU",
        placement={"CPU": 41},
        versions={"openvino": "2026.4.1"},
        stage_ms={"read": 12.5},
        input_files=12,
    )
    return ReportInput(
        **{
            "header": header,
            "source": source,
            "findings": find(output, source, facts),
            "bundle": facts,
            "provenance": provenance,
            "time": TIME,
            "software_version": "0.1.0",
            "multi_frame": frozenset([header.SOPInstanceUID] if "NumberOfFrames" in header else ()),
            **more,
        }
    )


def two_nodules(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Two balls of label 1, a speck of one voxel that is too small, and a box of label 2."""
    z, y, x = np.indices(shape)
    labels = np.zeros(shape, np.uint8)
    labels[((z - 4) * 2.5) ** 2 + ((y - 20) * 0.7) ** 2 + ((x - 40) * 0.7) ** 2 <= 36] = 1
    labels[((z - 8) * 2.5) ** 2 + ((y - 45) * 0.7) ** 2 + ((x - 20) * 0.7) ** 2 <= 9] = 1
    labels[1, 60, 3] = 1
    labels[2:9, 50:60, 40:60] = 2
    return labels


def ct_input(**more: Any) -> ReportInput:
    series = make_ct(**{key: more.pop(key) for key in ("orientation", "size", "spacing") if key in more})
    labels = two_nodules(series.volume.voxels.shape)
    return report_input(series.datasets[0], series.volume, labels, segmenter(), **more)


def planar_input(make: Callable[[], Any], **more: Any) -> ReportInput:
    header, source = make()
    shape = source.pixels.shape[: 3 if source.pixels.ndim == 4 else 2]
    labels = np.zeros(shape, np.uint8)
    labels[..., 10:22, 12:25] = 1
    labels[..., 40:44, 40:45] = 1
    if labels.ndim == 3:
        labels[0] = labels[3] = 0
    return report_input(header, source, labels, segmenter(NODULE), **more)


def dciodvfy_errors(program: str, path: Path, iod: str) -> list[str]:
    """What dciodvfy (dicom3tools) calls an error, once it has taken the file for an instance of ``iod``."""
    run = subprocess.run([program, "-new", path], capture_output=True, text=True, timeout=60, check=False)
    lines = [line.strip() for line in (run.stdout + run.stderr).splitlines()]
    assert iod in lines, lines
    return [line for line in lines if line.startswith("Error")]
