"""Bundles: what loads, and that every fault is one line that names the place."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from bedside.runtime.bundle import load
from bedside.runtime.bundle.load import load_bundle

from .bundle_maker import make_bundle
from .bundle_refusals import refuse


def test_a_bundle_loads(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path / "b"))
    assert (bundle.name, bundle.version) == ("test", "0.1.0")
    assert bundle.meta.result.segments[0].color == (255, 0, 0)
    assert bundle.model_path == tmp_path / "b/models/model.onnx"
    assert bundle.sha256 == bundle.meta.files["models/model.onnx"]
    assert [step.name for step in bundle.preprocessing][2:] == ["Orientationd", "Spacingd", "ScaleIntensityRanged"]
    assert (bundle.inferer.kind, bundle.inferer.roi_size, bundle.inferer.overlap) == ("sliding", (32, 32, 32), 0.25)
    assert bundle.input.shape == (None, 1, None, None, None) and bundle.output.name == "pred"


def test_a_zip_loads_and_is_cleaned_up(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "in" / "b")
    archive = Path(shutil.make_archive(str(tmp_path / "b"), "zip", tmp_path / "in"))
    bundle = load_bundle(archive)
    root = bundle.root
    assert root != folder and root.name == "b" and bundle.model_path.is_file()
    del bundle
    assert not root.exists()


def test_shipped_bundles_are_named_where_there_is_none(tmp_path: Path) -> None:
    refuse(tmp_path / "nix", "nix does not exist", "give a folder")


def test_files(tmp_path: Path) -> None:
    refuse(tmp_path, "configs/metadata.json is missing")
    model = make_bundle(tmp_path / "a") / "models/model.onnx"
    model.write_bytes(model.read_bytes() + b"\x00")
    refuse(tmp_path / "a", "models/model.onnx has SHA-256", "altered")
    model.unlink()
    refuse(tmp_path / "a", "file models/model.onnx is missing")
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 not a zip")
    refuse(tmp_path / "b.zip", "b.zip cannot be unpacked")
    (tmp_path / "model.onnx").write_bytes(b"")
    refuse(tmp_path / "model.onnx", "is not a bundle")


def test_zip_cannot_write_outside(tmp_path: Path) -> None:
    for entry in ("../evil.txt", "b/../../evil.txt", "/tmp/evil.txt", "..\\evil.txt"):
        with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
            archive.writestr(entry, "x")
        refuse(tmp_path / "b.zip", "b.zip: entry", "leads outside the bundle")
    assert not (tmp_path / "evil.txt").exists()


def test_a_zip_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("configs/metadata.json", b" " * 2_000_000)
    monkeypatch.setattr(load, "_LARGEST", 1_000_000)
    refuse(tmp_path / "b.zip", "b.zip would unpack to 0.0 GB, more than a bundle may have")
    monkeypatch.undo()
    refuse(tmp_path / "b.zip", "not valid JSON")
    monkeypatch.setattr(load.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    refuse(tmp_path / "b.zip", "more than is free for temporary files")


@pytest.mark.parametrize("file", ["metadata", "inference"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"name": ', "not valid JSON: "),
        (b"[1]", "must hold a JSON object"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a": ' + b"7" * 5000 + b"}", "not valid JSON: Exceeds the limit (4300 digits)"),
    ],
)
def test_bad_json(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    root = make_bundle(tmp_path / "b")
    (root / f"configs/{file}.json").write_bytes(content)
    refuse(root, f"configs/{file}.json", message)


def test_yaml_is_named(tmp_path: Path) -> None:
    root = make_bundle(tmp_path / "b")
    (root / "configs/inference.json").rename(root / "configs/inference.yaml")
    refuse(root, "configs/inference.json is missing", "convert inference.yaml")
