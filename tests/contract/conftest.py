"""Small ONNX models for the contract suite, written as the tests run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.backends import cache
from bedside.backends.onnxruntime import tensorrt

onnx = pytest.importorskip("onnx", reason="the contract suite writes its models with onnx: pip install 'bedside[dev]'")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOAT = TensorProto.FLOAT


def _save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **stored: np.ndarray[Any, Any]) -> Path:
    tensors = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def _segmenter(path: Path, shape: list[Any], *, channels: int = 8, classes: int = 3) -> Path:
    """Conv 3x3, ReLU, Conv 1x1 over ``shape`` (a string is a free dimension), as a segmentation network has them."""
    rng = np.random.default_rng(7)
    dims = len(shape) - 2
    first = rng.standard_normal((channels, shape[1], *[3] * dims)).astype(np.float32)
    last = rng.standard_normal((classes, channels, *[1] * dims)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], pads=[1] * 2 * dims),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "last"], ["logits"]),
    ]
    inputs = [helper.make_tensor_value_info("image", FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("logits", FLOAT, [shape[0], classes, *shape[2:]])]
    return _save(path, nodes, inputs, outputs, first=first, last=last)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model files by name."""
    folder = tmp_path_factory.mktemp("models")

    def value(name: str, kind: int, shape: list[Any]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    made = {
        "fixed": _segmenter(folder / "fixed.onnx", [1, 1, 24, 20]),
        "dynamic": _segmenter(folder / "dynamic.onnx", ["n", 1, "h", "w"]),
        "volume": _segmenter(folder / "volume.onnx", [1, 2, 8, 9, 10]),
        "two": _save(
            folder / "two.onnx",
            [
                helper.make_node("Cast", ["count"], ["c"], to=FLOAT),
                helper.make_node("Mul", ["image", "c"], ["scaled"]),
                helper.make_node("Identity", ["image"], ["same"]),
                helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.array([1, 2], np.float32))),
            ],
            [value("image", FLOAT, [1, 4]), value("count", TensorProto.INT64, [1])],
            [value("scaled", FLOAT, [1, 4]), value("same", FLOAT, [1, 4]), value("k", FLOAT, [2])],
        ),
        "unknown-operator": folder / "unknown-operator.onnx",
        "bfloat16": _save(
            folder / "bfloat16.onnx",
            [helper.make_node("Cast", ["image"], ["out"], to=FLOAT)],
            [value("image", TensorProto.BFLOAT16, [1, 4])],
            [value("out", FLOAT, [1, 4])],
        ),
        "missing": folder / "missing.onnx",
    }
    graph = helper.make_graph(
        [helper.make_node("Frobnicate", ["image"], ["out"], domain="example.org")],
        "g",
        [value("image", FLOAT, [1, 4])],
        [value("out", FLOAT, [1, 4])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("example.org", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(made["unknown-operator"]))

    made["external-data-missing"] = folder / "external.onnx"
    onnx.save_model(
        onnx.load(str(made["fixed"])),
        str(made["external-data-missing"]),
        save_as_external_data=True,
        location="external.bin",
        size_threshold=0,
    )
    (folder / "external.bin").unlink()
    for name, content in {
        "truncated": made["fixed"].read_bytes()[:200],
        "not-onnx": b"hello, this is no model\n" * 20,
        "empty": b"",
    }.items():
        made[name] = folder / f"{name}.onnx"
        made[name].write_bytes(content)
    return made


STANDINS = Path(__file__).resolve().parent / "standins"


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``standin("cuda_driver", "INIT=0")`` is that C file of standins/, compiled as a shared library of its own."""
    compiler = shutil.which("cc") or shutil.which("c++")
    if compiler is None:
        pytest.skip("the stand-ins are written in C: apt-get install gcc")
    folder = tmp_path_factory.mktemp("standins")

    def build(name: str, *definitions: str) -> Path:
        library = folder / f"{name}-{len(list(folder.iterdir()))}.so"  # each has its own counters
        defined = [f"-D{definition}" for definition in definitions]
        source = str(STANDINS / f"{name}.c")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-x", "c", *defined, source, "-o", str(library), "-ldl"], check=True
        )
        return library

    return build


@pytest.fixture
def engine_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where TensorRT's engines of this test lie."""
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / "cache"))
    return tmp_path / "cache" / tensorrt.NAME
