"""bundle check, new and import: what is made is complete but for what only its maker knows."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from bedside.runtime.bundle import make
from bedside.runtime.bundle.check import check_bundle
from bedside.runtime.bundle.load import load_bundle
from bedside.runtime.bundle.make import import_bundle, new_bundle
from bedside.runtime.errors import BundleError, DeliveryError
from bedside.runtime.onnx_header import read_onnx_header

from .bundle_maker import CODE, Content, make_bundle, write_onnx


def fill(root: Path) -> None:
    """Do what the report asks for."""
    path = root / "configs/metadata.json"
    content = json.loads(path.read_text())
    bedside = content["bedside"]
    bedside["domain"] = "A test."
    for entry in bedside["result"].get("segments", []):
        entry |= {"name": entry["name"] or "thing", "type": CODE}
    for entry in bedside["result"].get("classes", []):
        entry |= {"name": entry["name"] or "thing", "code": CODE}
    path.write_text(json.dumps(content))


def test_check(tmp_path: Path) -> None:
    report = check_bundle(make_bundle(tmp_path / "b"))
    assert report["preprocessing"][0] == "LoadImaged" and report["labels_while_running"] == "argmax"
    json.dumps(report)


def test_check_loads_the_model(tmp_path: Path) -> None:
    """A graph that OpenVINO does not take is said in one line."""
    root = make_bundle(tmp_path / "b")
    model = onnx.load(root / "models/model.onnx")
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, root / "models/model.onnx")
    content = json.loads((root / "configs/metadata.json").read_text())
    digest = hashlib.sha256((root / "models/model.onnx").read_bytes()).hexdigest()
    content["bedside"]["files"]["models/model.onnx"] = digest
    (root / "configs/metadata.json").write_text(json.dumps(content))
    with pytest.raises(BundleError) as caught:
        check_bundle(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rank", "channels", "outputs", "modality"),
    [(3, 1, 2, "CT"), (3, 2, 1, "MR"), (2, 3, 1, "OP"), (2, 1, 4, "US")],
)
def test_new_bundles_load_once_filled_in(tmp_path: Path, rank: int, channels: int, outputs: int, modality: str) -> None:
    write_onnx(tmp_path / "net.onnx", rank, channels, outputs)
    report = new_bundle(tmp_path / "net.onnx", tmp_path / "out/b", modality=modality)
    assert any("domain" in line for line in report["fill_in"])
    assert not list((tmp_path / "out").glob(".*"))
    with pytest.raises(BundleError, match="bedside"):
        load_bundle(tmp_path / "out/b")
    fill(tmp_path / "out/b")
    if channels == 2:  # two MR channels: what they are is not for us to guess
        with pytest.raises(BundleError, match="preprocessing gives channels 1"):
            load_bundle(tmp_path / "out/b")
        return
    bundle = load_bundle(tmp_path / "out/b")
    assert bundle.name == "net" and bundle.meta.accepts.modality == (modality,)


def write_cast(path: Path, dtype: int, outputs: tuple[str, ...] = ("pred",)) -> None:
    """A network whose input is not float32, or that has several outputs."""
    helper, shape = onnx.helper, ["n", 1, "x", "y", "z"]
    nodes = [helper.make_node("Cast", ["image"], [name], to=onnx.TensorProto.FLOAT) for name in outputs]
    graph = helper.make_graph(
        nodes,
        "cast",
        [helper.make_tensor_value_info("image", dtype, shape)],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in outputs],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.mark.parametrize("dtype", ["FLOAT16", "UINT8", "INT8"])
def test_new_casts_to_what_the_network_takes(tmp_path: Path, dtype: str) -> None:
    write_cast(tmp_path / "net.onnx", onnx.TensorProto.DataType.Value(dtype))
    new_bundle(tmp_path / "net.onnx", tmp_path / "b")
    fill(tmp_path / "b")
    assert load_bundle(tmp_path / "b").preprocessing[-1].name == "CastToTyped"


def test_new_says_which_output_it_took(tmp_path: Path) -> None:
    write_cast(tmp_path / "net.onnx", onnx.TensorProto.FLOAT, ("mask", "edge"))
    report = new_bundle(tmp_path / "net.onnx", tmp_path / "b")
    assert any("mask, edge" in line for line in report["fill_in"])
    fill(tmp_path / "b")
    assert load_bundle(tmp_path / "b").output.name == "mask"


def test_new_refuses_a_dtype_that_no_cast_gives(tmp_path: Path) -> None:
    write_cast(tmp_path / "net.onnx", onnx.TensorProto.INT64)
    with pytest.raises(BundleError, match="is int64, supported"):
        new_bundle(tmp_path / "net.onnx", tmp_path / "b")


def unreadable(path: Path, mode: str = "r") -> Any:
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_new_refuses(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        new_bundle(tmp_path / "none.onnx", tmp_path / "b")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(BundleError, match="not a complete ONNX model"):
        new_bundle(tmp_path / "text.onnx", tmp_path / "b")
    write_onnx(tmp_path / "net.onnx", 3, 1, 2)
    header = read_onnx_header(tmp_path / "net.onnx")
    with pytest.raises(BundleError, match="kind 'detection' is not known"):
        new_bundle(tmp_path / "net.onnx", tmp_path / "b", kind="detection")
    (tmp_path / "full").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", unreadable)  # the superuser may read everything
        with pytest.raises(BundleError, match=r"net.onnx cannot be read: Permission denied"):
            new_bundle(tmp_path / "net.onnx", tmp_path / "b")
        patch.setattr(make, "read_onnx_header", lambda _: header)
        with pytest.raises(BundleError, match=r"net.onnx cannot be read: Permission denied"):
            new_bundle(tmp_path / "net.onnx", tmp_path / "b")
    (tmp_path / "full/file").touch()
    with pytest.raises(DeliveryError, match="not empty"):
        new_bundle(tmp_path / "net.onnx", tmp_path / "full")
    assert not (tmp_path / "b").exists()


def monai_bundle(root: Path) -> Path:
    """As MONAI's model zoo writes them."""
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    (root / "docs").mkdir()
    (root / "docs/README.md").write_text("# Spleen\n")
    (root / "LICENSE").write_text("Apache-2.0\n")
    write_onnx(root / "models/model.onnx", 3, 1, 2)
    metadata = {
        "schema": "https://example.org/meta_schema.json",
        "version": "0.5.9",
        "monai_version": "1.4.0",
        "task": "Decathlon spleen segmentation",
        "name": "Spleen CT segmentation",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "hounsfield",
                    "modality": "CT",
                    "num_channels": 1,
                    "spatial_shape": [96, 96, 96],
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": True,
                    "channel_def": {"0": "image"},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": 2,
                    "spatial_shape": [96, 96, 96],
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": True,
                    "channel_def": {"0": "background", "1": "spleen"},
                }
            },
        },
    }
    pred: Content = {"keys": "pred"}
    inference: Content = {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": "UNet", "spatial_dims": 3},
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"},
                {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -57, "a_max": 164}
                | {"b_min": 0, "b_max": 1, "clip": True},
                {"_target_": "EnsureTyped", "keys": "image", "device": "@device"},
            ],
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [96, 96, 96],
            "sw_batch_size": 4,
            "overlap": 0.5,
            "sw_device": "@device",
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", **pred, "softmax": True},
                {"_target_": "Invertd", **pred, "transform": "@preprocessing", "orig_keys": "image"}
                | {"meta_key_postfix": "meta_dict", "nearest_interp": False, "to_tensor": True, "device": "@device"},
                {"_target_": "AsDiscreted", **pred, "argmax": True},
                {"_target_": "SaveImaged", **pred, "output_dir": "@output_dir"},
            ],
        },
    }
    (root / "configs/metadata.json").write_text(json.dumps(metadata))
    (root / "configs/inference.json").write_text(json.dumps(inference))
    return root


@pytest.mark.parametrize("zipped", [False, True])
def test_import(tmp_path: Path, zipped: bool) -> None:
    source = monai_bundle(tmp_path / "in/spleen_ct_segmentation")
    if zipped:
        source = Path(shutil.make_archive(str(tmp_path / "spleen"), "zip", tmp_path / "in"))
    report = import_bundle(source, tmp_path / "out")
    assert report["dropped"] == ["configs/inference.json: postprocessing[3] SaveImaged"]
    assert len(report["fill_in"]) == 2, report["fill_in"]
    fill(tmp_path / "out")
    bundle = load_bundle(tmp_path / "out")
    assert bundle.name == "Spleen CT segmentation" and bundle.version == "0.5.9"
    assert bundle.metadata["task"] == "Decathlon spleen segmentation"
    segment = bundle.meta.result.segments[0]
    assert (segment.label, segment.name) == (1, "spleen") and bundle.meta.accepts.modality == ("CT",)
    assert (bundle.inferer.overlap, bundle.inferer.sw_batch_size) == (0.5, 4)
    assert (tmp_path / "out/card.md").read_text() == "# Spleen\n" and (tmp_path / "out/LICENSE").is_file()
    assert len(bundle.preprocessing) == 6


def test_import_lists_what_is_not_supported(tmp_path: Path) -> None:
    source = monai_bundle(tmp_path / "in")
    path = source / "configs/inference.json"
    content: Any = json.loads(path.read_text())
    content["preprocessing"]["transforms"].insert(3, {"_target_": "HistogramNormalized", "keys": "image"})
    content["inferer"]["roi_size"] = "$(96, 96, 96)"
    path.write_text(json.dumps(content))
    report = import_bundle(source, tmp_path / "out")
    text = "\n".join(report["fill_in"])
    assert "transform 'HistogramNormalized' is not supported" in text
    assert "'$(96, 96, 96)' is not evaluated" in text
    fill(tmp_path / "out")
    with pytest.raises(BundleError, match="HistogramNormalized"):
        load_bundle(tmp_path / "out")


@pytest.mark.parametrize("names", [["background", "spleen"], "spleen", [], None, 3])
def test_import_takes_channel_names_as_they_come(tmp_path: Path, names: Any) -> None:
    source = monai_bundle(tmp_path / "in")
    path = source / "configs/metadata.json"
    content: Any = json.loads(path.read_text())
    content["network_data_format"]["outputs"]["pred"]["channel_def"] = names
    path.write_text(json.dumps(content))
    import_bundle(source, tmp_path / "out")
    made = json.loads((tmp_path / "out/configs/metadata.json").read_text())
    (segment,) = made["bedside"]["result"]["segments"]
    assert segment["name"] == ("spleen" if names == ["background", "spleen"] else "")


def test_import_refuses(tmp_path: Path) -> None:
    source = monai_bundle(tmp_path / "in")
    (source / "models/model.onnx").rename(source / "models/model.ts")
    with pytest.raises(BundleError, match=r"0 ONNX models in models/ \(export one"):
        import_bundle(source, tmp_path / "out")
    (source / "configs/inference.json").rename(source / "configs/inference.yaml")
    with pytest.raises(BundleError, match=r"convert inference\.yaml to JSON"):
        import_bundle(source, tmp_path / "out")
    with pytest.raises(BundleError, match="does not exist"):
        import_bundle(tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()
