"""Makes small bundles for tests: an ONNX file of one convolution or pooling, and the two configs."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

CODE = {"value": "85756007", "scheme": "SCT", "meaning": "Tissue"}
SEGMENT = {"label": 1, "name": "Lesion", "category": CODE, "type": CODE}
IMAGE = {"keys": "image"}
PRED = {"keys": "pred"}

Content = dict[str, Any]


def write_onnx(path: Path, rank: int, channels: int, out_channels: int, *, dtype: int = TensorProto.FLOAT) -> None:
    """A 1x1 convolution with dynamic batch and spatial size."""
    axes = ["d", "h", "w"][-rank:]
    weights = helper.make_tensor(
        "weights", dtype, [out_channels, channels] + [1] * rank, [0.5] * (out_channels * channels)
    )
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weights"], ["pred"])],
        "net",
        [helper.make_tensor_value_info("image", dtype, ["n", channels, *axes])],
        [helper.make_tensor_value_info("pred", dtype, ["n", out_channels, *axes])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


def metadata(digest: str) -> Content:
    """metadata.json of a two-class CT segmentation."""
    tensor = {"type": "image", "num_channels": 1, "spatial_shape": [32, 32, 32], "dtype": "float32"}
    return {
        "name": "test",
        "version": "0.1.0",
        "network_data_format": {"inputs": {"image": tensor}, "outputs": {"pred": {**tensor, "num_channels": 2}}},
        "bedside": {
            "schema": 1,
            "files": {"models/model.onnx": digest},
            "input": {"kind": "volume"},
            "accepts": {"modality": ["CT"]},
            "result": {"kind": "segmentation", "segments": [copy.deepcopy(SEGMENT)]},
            "domain": "Nothing: a test.",
        },
    }


def inference() -> Content:
    """inference.json of a usual MONAI segmentation bundle."""
    return {
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", **IMAGE},
                {"_target_": "EnsureChannelFirstd", **IMAGE},
                {"_target_": "Orientationd", **IMAGE, "axcodes": "RAS"},
                {"_target_": "Spacingd", **IMAGE, "pixdim": [1.5, 1.5, 1.5], "mode": "bilinear"},
                {
                    "_target_": "ScaleIntensityRanged",
                    **IMAGE,
                    "a_min": -1024,
                    "a_max": 324,
                    "b_min": 0.0,
                    "b_max": 1.0,
                    "clip": True,
                },
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32], "mode": "gaussian"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", **PRED, "softmax": True},
                {"_target_": "Invertd", **PRED, "transform": "@preprocessing", "orig_keys": "image"},
                {"_target_": "AsDiscreted", **PRED, "argmax": True},
            ],
        },
    }


def make_bundle(
    root: Path,
    *,
    rank: int = 3,
    channels: int = 1,
    out_channels: int = 2,
    edit: Callable[[Content, Content], None] | None = None,
    pre: list[Content] | None = None,
    post: list[Content] | None = None,
) -> Path:
    """Write a bundle; ``edit(metadata, inference)`` changes the configs first."""
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    model = root / "models" / "model.onnx"
    write_onnx(model, rank, channels, out_channels)
    meta, config = metadata(hashlib.sha256(model.read_bytes()).hexdigest()), copy.deepcopy(inference())
    meta["network_data_format"]["inputs"]["image"]["num_channels"] = channels
    meta["network_data_format"]["outputs"]["pred"]["num_channels"] = out_channels
    if rank == 2:
        meta["bedside"]["input"]["kind"] = "image"
        config["inferer"] = {"_target_": "SimpleInferer"}
    if pre is not None:
        config["preprocessing"] = {"_target_": "Compose", "transforms": pre}
    if post is not None:
        config["postprocessing"] = {"_target_": "Compose", "transforms": post}
    if edit:
        edit(meta, config)
    (root / "configs" / "metadata.json").write_text(json.dumps(meta))
    (root / "configs" / "inference.json").write_text(json.dumps(config))
    return root
