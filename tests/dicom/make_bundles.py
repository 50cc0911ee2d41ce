"""Bundles that need no training: networks that mark what is brighter than a level, or say how bright a picture is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BONE = {"value": "272673000", "scheme": "SCT", "meaning": "Bone"}
STRUCTURE = {"value": "123037004", "scheme": "SCT", "meaning": "Anatomical Structure"}
Content = dict[str, Any]


def make_bright(
    root: Path,
    *,
    rank: int,
    modality: str,
    low: float,
    high: float,
    level: float,
    channels: int = 1,
    classes: bool = False,
    spatial: list[Content] | None = None,
    roi: tuple[int, ...] | None = None,
    instances: bool = False,
    min_frames: int | None = None,
    finding: str = "高亮区",
    axes: str = "xyz",
    look: tuple[int, ...] | None = None,
) -> Path:
    """Write a bundle whose network compares the mean of the channels, scaled from ``low``..``high``, with ``level``.

    As a segmentation it marks each voxel above the level (two logits, argmax); as a classification (``classes``) it
    gives the softmax of the picture's mean against the level: class 1 is bright. With ``look`` the voxel that it looks
    at lies so many array indices (-1, 0 or 1 an axis) beside the one it marks: such a network shows which way round
    the array was that it saw.
    """
    kind = "classification" if classes else "segmentation"
    share = (level - low) / (high - low)
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    _write_network(root / "models" / "model.onnx", rank, channels, share, pooled=classes, look=look)
    digest = hashlib.sha256((root / "models" / "model.onnx").read_bytes()).hexdigest()
    tensor = {"type": "image", "format": "magnitude", "dtype": "float32", "spatial_shape": ["*"] * rank}
    part = {"label": 1, "name": "Bright", "category": STRUCTURE, "type": BONE, "instances": instances}
    dark = {"value": "17621005", "scheme": "SCT", "meaning": "Normal"}
    names = [{"index": 0, "name": "dark", "code": dark}, {"index": 1, "name": "bright", "code": BONE}]
    metadata = {
        "name": "bright",
        "version": "1.0.0",
        "network_data_format": {
            "inputs": {"image": {**tensor, "num_channels": channels}},
            "outputs": {"pred": {**tensor, "num_channels": 2}},
        },
        "bedside": {
            "schema": 1,
            "files": {"models/model.onnx": digest},
            "input": {
                "kind": "volume" if rank == 3 else "image",
                "axes": axes,
                "photometric": "rgb" if channels == 3 else "monochrome",
            },
            "accepts": {"modality": [modality], "min_frames": min_frames},
            "result": {"kind": kind, "finding": finding, **({"classes": names} if classes else {"segments": [part]})},
            "domain": "Any picture: a test.",
        },
    }
    image, pred = {"keys": "image"}, {"keys": "pred"}
    scale = {"_target_": "ScaleIntensityRanged", "a_min": low, "a_max": high, "b_min": 0, "b_max": 1, "clip": True}
    pre = [
        {"_target_": "LoadImaged", **image},
        {"_target_": "EnsureChannelFirstd", **image},
        *({**step, **image} for step in spatial or []),
        {**scale, **image},
    ]
    back = {"_target_": "Invertd", "transform": "@preprocessing", "orig_keys": "image", "nearest_interp": True}
    post: list[Content] = [{"_target_": "Activationsd", **pred, "softmax": True}]
    if not classes:
        post = [{"_target_": "AsDiscreted", **pred, "argmax": True}, {**back, **pred}]
    whole = {"_target_": "SimpleInferer"}
    windows = {"_target_": "SlidingWindowInferer", "roi_size": list(roi or ()), "overlap": 0.25, "mode": "gaussian"}
    inference = {
        "preprocessing": {"_target_": "Compose", "transforms": pre},
        "inferer": windows if roi else whole,
        "postprocessing": {"_target_": "Compose", "transforms": post},
    }
    for name, content in (("metadata", metadata), ("inference", inference)):
        (root / "configs" / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return root


def _write_network(
    path: Path, rank: int, channels: int, share: float, *, pooled: bool, look: tuple[int, ...] | None
) -> None:
    onnx = pytest.importorskip("onnx")
    numpy_helper, helper = onnx.numpy_helper, onnx.helper
    slope = np.array([-1.0, 1.0], np.float32)[:, np.newaxis] * np.full(channels, 1 / channels, np.float32)
    weight = np.zeros((2, channels, *[3] * rank), np.float32)
    at: tuple[Any, ...] = (slice(None), slice(None), *(1 + step for step in look or (0,) * rank))
    weight[at] = slope
    bias = np.array([share, -share], np.float32)
    axes = ["x", "y", "z"][:rank]
    pads = [1] * (2 * rank)
    nodes = [helper.make_node("Conv", ["image", "weight", "bias"], ["map" if pooled else "pred"], pads=pads)]
    if pooled:
        nodes.append(helper.make_node("GlobalAveragePool", ["map"], ["mean"]))
        nodes.append(helper.make_node("Flatten", ["mean"], ["pred"]))
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", channels, *axes])],
        [helper.make_tensor_value_info("pred", onnx.TensorProto.FLOAT, ["n", 2, *([] if pooled else axes)])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
