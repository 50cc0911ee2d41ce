"""The bundles that ship give their golden findings, from DICOM to findings, on every CPU backend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bedside.models import shipped
from bedside.phantoms import write_study
from bedside.runtime import load_bundle, run
from tests.golden.make_bundle_golden import agree, expectation

CASES = [
    pytest.param(name, index, device, marks=[pytest.mark.slow] if name.startswith("ct") else [])
    for name in shipped()
    for index in range(len(load_bundle(name).meta.golden))
    for device in ("openvino:CPU", "ort:cpu")
]


def test_both_ship() -> None:
    assert set(shipped()) == {"ct-lung-nodule", "us-breast-lesion"}


@pytest.mark.parametrize(("name", "index", "device"), CASES)
def test_golden_findings(name: str, index: int, device: str, tmp_path: Path) -> None:
    bundle = load_bundle(name)
    case = bundle.meta.golden[index]
    write_study(json.loads((bundle.root / case.study).read_text(encoding="utf-8")), tmp_path)
    expected = json.loads((bundle.root / case.expect).read_text(encoding="utf-8"))
    found = expectation(run(tmp_path, bundle, device))
    assert expected["lesions"] or expected["scores"]
    assert agree(expected, found), found
