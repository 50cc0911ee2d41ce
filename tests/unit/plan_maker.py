"""Compiled plans and volumes to put through them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from bedside.runtime.bundle.schema import Metadata
from bedside.runtime.image import Frame, Volume
from bedside.runtime.transforms.plan import Plan, compile_plan
from bedside.runtime.transforms.registry import parse

from .bundle_maker import IMAGE, PRED, Content, metadata

INVERT: Content = {"_target_": "Invertd", **PRED, "transform": "@preprocessing"}
ARGMAX: Content = {"_target_": "AsDiscreted", **PRED, "argmax": True}
HALF: Content = {"_target_": "AsDiscreted", **PRED, "threshold": 0.5}
FRAME = Frame(path=Path("x.dcm"), sop_class_uid="1.2", sop_instance_uid="1.2.3")
Matrix = np.ndarray[Any, np.dtype[np.float64]]


def step(name: str, **arguments: Any) -> Content:
    return {"_target_": name, **IMAGE, **arguments}


def plan_of(
    pre: list[Content],
    post: list[Content] | None = None,
    *,
    spec: Content | None = None,
    channels: int = 1,
    outputs: int = 1,
    dtype: str = "float32",
) -> Plan:
    meta = metadata("0" * 64)
    meta["bedside"]["input"] = {"kind": "volume", **(spec or {})}
    tensors = meta["network_data_format"]
    tensors["inputs"]["image"] |= {"num_channels": channels, "dtype": dtype}
    tensors["outputs"]["pred"]["num_channels"] = outputs
    parsed = Metadata.model_validate_json(json.dumps(meta), strict=True)
    return compile_plan(
        [parse(config, "preprocessing", f"pre[{i}]") for i, config in enumerate(pre)],
        [parse(config, "postprocessing", f"post[{i}]") for i, config in enumerate(post or [INVERT, HALF])],
        parsed.bedside,
        parsed.network_data_format,
    )


def volume(voxels: Any, affine: Any = None, slope: Any = 1.0, intercept: Any = 0.0, **more: Any) -> Volume:
    count = len(voxels)
    affine = np.diag([3.0, 0.8, 0.7, 1.0])[:, [2, 1, 0, 3]] if affine is None else affine
    spread = [np.broadcast_to(np.asarray(v, np.float32), count).copy() for v in (slope, intercept)]
    return Volume(voxels, affine, spread[0], spread[1], (None,) * count, **more)


def orientations() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [
        (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
    ]


def oriented(order: tuple[int, ...], signs: tuple[int, ...], spacing: tuple[float, ...]) -> Matrix:
    """LPS affine whose array axis i runs along patient axis order[i]."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis in range(3):
        affine[order[axis], axis] = signs[axis] * spacing[axis]
    affine[:3, 3] = (-31.0, 17.5, 400.25)
    return affine


def marked(shape: tuple[int, ...], corner: tuple[int, ...], box: int) -> Any:
    """1 in a box at one corner, 0 elsewhere."""
    out = np.zeros(shape, np.int16)
    out[tuple(slice(0, box) if end == 0 else slice(n - box, n) for end, n in zip(corner, shape, strict=True))] = 1
    return out
