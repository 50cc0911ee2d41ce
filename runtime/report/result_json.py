"""result.json: everything that is known about a result, for programs.

Patient name and ID are not in it; the DICOM results carry them. ``schema`` rises when a key changes its meaning or
goes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..image import Cine, Image, Volume
from ..study.header import file_name
from .context import ReportInput

if TYPE_CHECKING:
    from ..findings import ClassScore
    from . import WrittenFile

SCHEMA = 1


def build(data: ReportInput, files: list[WrittenFile]) -> dict[str, Any]:
    """The whole result as JSON values."""
    findings, bundle, provenance = data.findings, data.bundle, data.provenance
    header = data.header
    content = {
        "schema": SCHEMA,
        "created": (data.time or datetime.now()).isoformat(timespec="seconds"),
        "not_for_diagnosis": True,
        "bedside": data.software_version,
        "study_instance_uid": data.study_uid,
        "series_instance_uid": str(header.get("SeriesInstanceUID", "")),
        "modality": data.modality,
        "source": _source(data),
        "bundle": {
            "name": bundle.name,
            "version": bundle.version,
            "sha256": bundle.sha256,
            "precision": bundle.precision,
            "domain": bundle.meta.domain,
        },
        "kind": findings.kind,
        "lesions": findings.lesions,
        "scores": [_score(score) for score in findings.scores],
        "frame_probabilities": findings.frame_probabilities,
        "dropped": dict(findings.dropped),
        "notes": [*findings.notes, *provenance.notes],
        "device": {
            "id": provenance.device,
            "name": provenance.device_name,
            "placement": provenance.placement,
            "versions": provenance.versions,
            "proof": provenance.proof.to_json(),
        },
        "decision": provenance.decision,
        "device_failures": provenance.failures,
        "stage_ms": provenance.stage_ms,
        "geometry": provenance.verdict,
        "selection": provenance.selection,
        "input": {
            "files": provenance.input_files,
            "skipped": [{"file": f, "reason": r} for f, r in provenance.skipped],
        },
        "files": [
            {
                "name": file.path.name,
                "kind": file.kind,
                "bytes": file.size,
                "sha256": file.sha256,
                "sop_instance_uid": file.uid,
                "lesion": file.lesion,
            }
            for file in files
        ],
    }
    result = jsonable(content)
    assert isinstance(result, dict)
    return result


def _source(data: ReportInput) -> dict[str, Any]:
    source = data.source
    if isinstance(source, Volume):
        return {
            "type": "volume",
            "shape": source.voxels.shape,
            "spacing_mm": source.spacing,
            "affine_lps": source.affine,
        }
    if isinstance(source, Image):
        return {"type": "image", "shape": source.pixels.shape, "pixel_mm": source.frame.spacing}
    assert isinstance(source, Cine)
    return {
        "type": "cine",
        "shape": source.pixels.shape,
        "pixel_mm": source.frames[0].spacing,
        "frame_ms": source.frame_time_ms,
    }


def _score(score: ClassScore) -> dict[str, Any]:
    code = {"value": score.code.value, "scheme": score.code.scheme, "meaning": score.code.meaning}
    values = {item.name: getattr(score, item.name) for item in fields(score)}
    return {**values, "code": code}


def jsonable(value: Any) -> Any:
    """``value`` as JSON values: dataclasses and mappings to objects, arrays to lists, what is not a number to null.

    Raises
    ------
    TypeError
        A value that has no form in JSON.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic | np.ndarray):
        return jsonable(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return jsonable(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, Path):
        return file_name(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
