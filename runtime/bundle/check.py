"""Checking a bundle: what ``bedside bundle check`` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bedside.backends.contract import DeviceFault

from ..devices import open_program
from ..errors import BundleError
from ..onnx_header import shape_text
from .load import load_bundle

CHECK_DEVICE = "openvino:CPU"


def check_bundle(path: Path | str) -> dict[str, Any]:
    """Load a bundle, load its model on the CPU, and say what it is.

    Raises
    ------
    BundleError
        What :func:`bedside.runtime.load_bundle` refuses, or a model that OpenVINO cannot load.
    """
    bundle = load_bundle(path)
    try:
        open_program(bundle.model_path, CHECK_DEVICE).close()
    except DeviceFault as error:
        raise BundleError(f"bundle {bundle.name}: {error.message}", mend=error.mend) from error
    rule = bundle.plan.online
    return {
        "name": bundle.name,
        "version": bundle.version,
        "kind": f"{bundle.meta.result.kind} of {bundle.meta.input.kind}",
        "accepts": ", ".join(bundle.meta.accepts.modality) or "any modality",
        "model": bundle.model_path.relative_to(bundle.root).as_posix(),
        "sha256": bundle.sha256,
        "precisions": [*bundle.variants],
        "input": f"{bundle.input.name} {bundle.input.dtype} {shape_text(bundle.input.shape)}",
        "output": f"{bundle.output.name} {bundle.output.dtype} {shape_text(bundle.output.shape)}",
        "preprocessing": [step.name for step in bundle.preprocessing],
        "inferer": bundle.inferer.kind,
        "postprocessing": [step.name for step in bundle.postprocessing],
        "labels_while_running": rule.kind if rule else "no",
        "files": len(bundle.meta.files),
        "golden_cases": len(bundle.meta.golden),
        "domain": bundle.meta.domain,
    }
