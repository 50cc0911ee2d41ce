"""`bedside bundle`: check, new and import as a user meets them."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dicom.make_bundles import make_bright

from .cli_calls import BUNDLE, DELIVERY, answer, call, refused


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare 3D segmentation model, as training leaves it."""
    bundle = _bright(tmp_path_factory.mktemp("onnx") / "bundle")
    return Path(shutil.copyfile(bundle / "models" / "model.onnx", bundle.parent / "liver.onnx"))


def _bright(root: Path) -> Path:
    orientation = {"_target_": "Orientationd", "axcodes": "RAS"}
    return make_bright(
        root, rank=3, modality="CT", low=-1000, high=1000, level=200, roi=(16, 16, 16), spatial=[orientation]
    )


def test_bundle_check(bright_bundle: Path, tmp_path: Path) -> None:
    content = answer("bundle", "check", bright_bundle)
    assert (content["name"], content["version"]) == ("bright", "1.0.0")
    shown = call("bundle", "check", bright_bundle)
    assert "is sound" in shown.stdout
    assert content["sha256"] in shown.stdout
    refused(call("bundle", "check", tmp_path / "none"), BUNDLE, "none")
    refused(call("bundle", "check", tmp_path), BUNDLE, "metadata.json")


def test_new_bundle_is_usable_once_it_is_filled_in(onnx_file: Path, marked: Path, tmp_path: Path) -> None:
    content = answer("bundle", "new", onnx_file, tmp_path / "liver")
    assert (tmp_path / "liver" / "models" / "model.onnx").is_file()
    wanted = " ".join(content["fill_in"])
    for place in ("segments[0].name", "segments[0].type", "domain", "preprocessing"):
        assert place in wanted
    refused(call("bundle", "check", tmp_path / "liver"), BUNDLE, "segments[0]", "name")
    _fill_in(tmp_path / "liver")
    assert call("bundle", "check", tmp_path / "liver").exit_code == 0
    result = call("run", tmp_path / "liver", marked, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    refused(call("bundle", "new", onnx_file, tmp_path / "liver"), DELIVERY, "not empty")


def test_new_bundle_from_what_is_no_model(onnx_file: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("no model")
    refused(call("bundle", "new", tmp_path / "model.onnx", tmp_path / "a"), BUNDLE, "model.onnx")
    refused(call("bundle", "new", tmp_path / "none.onnx", tmp_path / "a"), BUNDLE, "none.onnx")
    refused(call("bundle", "new", onnx_file, tmp_path / "a", "--kind", "detection"), BUNDLE, "detection")
    assert not (tmp_path / "a").exists()


def test_new_bundle_says_what_is_open(onnx_file: Path, tmp_path: Path) -> None:
    shown = call("bundle", "new", onnx_file, tmp_path / "liver")
    assert shown.exit_code == 0
    assert "was made" in shown.stdout
    assert "Still to be filled in" in shown.stdout


def _fill_in(bundle: Path) -> None:
    """What only the maker of a model knows."""
    path = bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["bedside"]["domain"] = "Upper abdomen, portal-venous phase."
    for segment in metadata["bedside"]["result"]["segments"]:
        segment["name"] = segment["name"] or "Liver"
        segment["type"] = {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}
    path.write_text(json.dumps(metadata), encoding="utf-8")


def monai_bundle(root: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """A bundle as MONAI's tools leave it: no ``bedside`` object, references, steps that save files."""
    _bright(root)
    path = root / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    del metadata["bedside"]
    metadata["network_data_format"]["inputs"]["image"].update(format="hounsfield", modality="CT")
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "background", "1": "spleen"}
    path.write_text(json.dumps(metadata), encoding="utf-8")
    config = {
        "imports": ["$import glob"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "window": {"a_min": -1000, "a_max": 1000},
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "reader": "ITKReader"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": "@window::a_min",
                    "a_max": "@window::a_max",
                    "b_min": 0,
                    "b_max": 1,
                    "clip": True,
                },
                {"_target_": "EnsureTyped", "keys": "image"},
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 4, "overlap": 0.5},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"},
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
            ],
        },
    }
    if change:
        change(config)
    (root / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    return root


@pytest.mark.parametrize("zipped", [False, True])
def test_import_of_a_monai_bundle(zipped: bool, marked: Path, tmp_path: Path) -> None:
    source = monai_bundle(tmp_path / "spleen_ct")
    refused(call("bundle", "check", source), BUNDLE, "bedside", "import")
    if zipped:
        archive = tmp_path / "spleen_ct.zip"
        with zipfile.ZipFile(archive, "w") as writer:
            for path in source.rglob("*"):
                writer.write(path, path.relative_to(tmp_path))
        source = archive
    content = answer("bundle", "import", source, tmp_path / "ours")
    assert any("SaveImaged" in step for step in content["dropped"])
    assert any("segments[0].type" in place for place in content["fill_in"])
    assert not any("segments[0].name" in place for place in content["fill_in"]), "channel_def has it"
    refused(call("bundle", "check", tmp_path / "ours"), BUNDLE, "segments[0].type")
    _fill_in(tmp_path / "ours")
    checked = answer("bundle", "check", tmp_path / "ours")
    assert checked["accepts"] == "CT"
    result = answer("run", tmp_path / "ours", marked, "-o", tmp_path / "out")
    assert [lesion["name"] for lesion in result["lesions"]] == ["spleen"]


def test_import_keeps_and_names_what_is_not_supported(tmp_path: Path) -> None:
    def exotic(config: dict[str, Any]) -> None:
        config["preprocessing"]["transforms"].insert(3, {"_target_": "HistogramNormalized", "keys": "image"})

    source = monai_bundle(tmp_path / "exotic", exotic)
    content = answer("bundle", "import", source, tmp_path / "ours")
    assert any("HistogramNormalized" in place for place in content["fill_in"])
    kept = json.loads((tmp_path / "ours" / "configs" / "inference.json").read_text())
    assert any(step["_target_"] == "HistogramNormalized" for step in kept["preprocessing"]["transforms"])
    _fill_in(tmp_path / "ours")
    refused(call("bundle", "check", tmp_path / "ours"), BUNDLE, "HistogramNormalized")


def test_import_of_what_is_no_bundle(bright_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 no zip")
    refused(call("bundle", "import", tmp_path / "broken.zip", tmp_path / "a"), BUNDLE, "broken.zip")
    refused(call("bundle", "import", tmp_path / "none", tmp_path / "a"), BUNDLE, "none")
    (tmp_path / "empty").mkdir()
    refused(call("bundle", "import", tmp_path / "empty", tmp_path / "a"), BUNDLE, "metadata.json")
    bare = monai_bundle(tmp_path / "bare")
    (bare / "models" / "model.onnx").unlink()
    refused(call("bundle", "import", bare, tmp_path / "a"), BUNDLE, "ONNX", "export")
    assert not (tmp_path / "a").exists()
