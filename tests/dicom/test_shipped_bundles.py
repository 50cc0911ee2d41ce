"""The bundles that ship give their golden findings, from DICOM to findings, on every CPU backend."""

from __future__ import annotations

import pytest

from bedside.models import shipped
from bedside.runtime import list_devices, load_bundle, prove

CASES = [
    pytest.param(name, device, marks=[pytest.mark.slow] if name.startswith("ct") else [])
    for name in shipped()
    for device in ("openvino:CPU", "ort:cpu")
]


def test_both_ship() -> None:
    assert set(shipped()) == {"ct-lung-nodule", "us-breast-lesion"}


@pytest.mark.parametrize(("name", "device"), CASES)
def test_golden_findings(name: str, device: str) -> None:
    if device == "ort:cpu":
        pytest.importorskip("onnxruntime")
    bundle = load_bundle(name)
    proof = prove(bundle, device)
    assert proof.proved, proof.reason
    assert len(proof.cases) == len(bundle.meta.golden)
    assert proof.max_error is not None and proof.cosine is not None
    if bundle.meta.result.kind == "segmentation":
        assert proof.dice is not None and proof.dice > 0.999
    else:
        assert proof.probability_change is not None and proof.auc_change == 0


def test_a_gpu_that_the_cpu_computes_is_proved(software_gpu: None) -> None:
    """From DICOM to findings on WebGPU, every node of it."""
    found = {entry.id: entry for entry in list_devices()}["webgpu:0"]
    if not found.available:
        pytest.skip(f"{found.reason}: {found.mend}")
    bundle = load_bundle("us-breast-lesion")
    proof = prove(bundle, "webgpu:0")
    assert proof.proved, proof.reason
    assert len(proof.cases) == len(bundle.meta.golden)
