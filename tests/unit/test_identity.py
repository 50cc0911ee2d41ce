"""What a proof is of: its key changes when anything that numbers depend on does."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bedside.backends.contract import Device
from bedside.runtime import host, load_bundle
from bedside.runtime.identity import Identity, identity

DEVICE = Device("openvino:CPU", "a CPU", True, versions={"openvino": "2026.4.1"})


@pytest.fixture
def bundle_folder(bright_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bright_bundle, tmp_path / "bright"))


def test_the_same_has_the_same_key(bright_bundle: Path) -> None:
    first, second = (identity(load_bundle(bright_bundle), "f32", DEVICE) for _ in range(2))
    assert first == second
    assert first.key == second.key
    assert len(first.key) == 64
    assert Identity.from_json(json.loads(json.dumps(first.to_json()))) == first


@pytest.mark.parametrize(
    "device",
    [
        replace(DEVICE, versions={"openvino": "2026.4.2"}),
        replace(DEVICE, versions={"openvino": "2026.4.1", "driver": "24.1"}),
        replace(DEVICE, name="another CPU"),
        replace(DEVICE, id="openvino:GPU"),
    ],
)
def test_another_device_or_version_has_another_key(bright_bundle: Path, device: Device) -> None:
    bundle = load_bundle(bright_bundle)
    assert identity(bundle, "f32", device).key != identity(bundle, "f32", DEVICE).key


def test_another_host_or_package_has_another_key(bright_bundle: Path) -> None:
    one = identity(load_bundle(bright_bundle), "f32", DEVICE)
    changed = [replace(one, host="another"), replace(one, bedside="9"), replace(one, model_sha256="0" * 64)]
    assert len({one.key, *(other.key for other in changed)}) == 4


def test_other_transforms_have_another_key(bundle_folder: Path) -> None:
    before = identity(load_bundle(bundle_folder), "f32", DEVICE)
    path = bundle_folder / "configs" / "inference.json"
    path.write_text(path.read_text().replace("-1000", "-900"), encoding="utf-8")
    after = identity(load_bundle(bundle_folder), "f32", DEVICE)
    assert before.model_sha256 == after.model_sha256
    assert before.key != after.key


@pytest.mark.parametrize("content", [{}, {"device": 3}, {"versions": None}, {"versions": {"a": 1}}])
def test_what_is_no_identity_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not an identity"):
        Identity.from_json(content)


def test_the_host_is_told_by_more_than_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual machines of several generations share one model name."""
    told = []
    for flags in ("fpu sse2 avx2", "fpu sse2 avx2 avx512f amx_int8"):
        (tmp_path / "cpuinfo").write_text(
            f"processor\t: 0\ncpu family\t: 6\nmodel\t\t: 207\nmodel name\t: Xeon\nstepping\t: 2\nflags\t\t: {flags}\n"
        )
        monkeypatch.setattr(host, "_CPUINFO", tmp_path / "cpuinfo")
        told.append(host.fingerprint.__wrapped__())
    assert told[0] != told[1]
    assert all(text.startswith("Xeon, family 6, model 207, stepping 2, ") for text in told)
