"""The ONNX file of a bundle: its weights, its shapes, and what a damaged one gives."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bedside.runtime.bundle.load import load_bundle
from bedside.runtime.errors import BundleError
from bedside.runtime.image import Volume
from bedside.runtime.onnx_header import read_onnx_header

from .bundle_maker import Content, make_bundle, write_onnx
from .bundle_refusals import ARGMAX, Edit, post, refuse, step


def test_external_weights(tmp_path: Path) -> None:
    root = make_bundle(tmp_path / "b")
    model = onnx.load(root / "models/model.onnx")
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones((2, 1, 1, 1, 1), np.float32), "weights"))
    onnx.save_model(
        model, root / "models/model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    weights = root / "models/weights.bin"

    def list_files(*names: str) -> None:
        config = json.loads((root / "configs/metadata.json").read_text())
        digest = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}
        config["bedside"]["files"] = digest
        (root / "configs/metadata.json").write_text(json.dumps(config))

    list_files("models/model.onnx")
    refuse(root, "'bedside.files' does not list models/weights.bin")
    list_files("models/model.onnx", "models/weights.bin")
    load_bundle(root)
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4])
    list_files("models/model.onnx", "models/weights.bin")
    refuse(root, "external data file weights.bin is too short")
    list_files("models/model.onnx")
    weights.unlink()
    refuse(root, "external data file weights.bin is missing")


def test_external_weights_wherever_a_model_keeps_them(tmp_path: Path) -> None:
    """Lists of tensors and of graphs, sparse initializers, functions of the model."""

    def outside(name: str) -> TensorProto:
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=f"{name}.bin")
        return tensor

    write_onnx(tmp_path / "model.onnx", 3, 1, 2)
    model = onnx.load(tmp_path / "model.onnx")
    inner = helper.make_graph([], "inner", [], [], [outside("inner")])
    node = model.graph.node.add(op_type="Custom")
    node.attribute.add(name="a", type=onnx.AttributeProto.TENSORS).tensors.append(outside("listed"))
    node.attribute.add(name="b", type=onnx.AttributeProto.GRAPHS).graphs.append(inner)
    node.attribute.add(name="c", type=onnx.AttributeProto.SPARSE_TENSOR).sparse_tensor.values.CopyFrom(outside("few"))
    model.graph.sparse_initializer.add(values=outside("sparse"), indices=outside("where"))
    function = model.functions.add(name="f", domain="d")
    function.node.add(op_type="Constant").attribute.add(name="value", t=outside("constant"))
    function.attribute_proto.add(name="p", t=outside("default"))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    found = {part.location for part in read_onnx_header(tmp_path / "model.onnx").external}
    names = ("inner", "listed", "few", "sparse", "where", "constant", "default")
    assert found == {f"{name}.bin" for name in names}


def test_graphs_in_graphs(tmp_path: Path) -> None:
    def field(number: int, content: bytes) -> bytes:
        size, digits = len(content), b""
        while size > 127:
            digits, size = digits + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + digits + bytes([size]) + content

    graph = field(12, field(1, b"pred"))
    for _ in range(1500):
        graph = field(1, field(5, field(6, graph))) + field(12, field(1, b"pred"))
    (tmp_path / "model.onnx").write_bytes(field(7, graph))
    with pytest.raises(BundleError, match="its graphs are nested over 64 levels deep"):
        read_onnx_header(tmp_path / "model.onnx")


def test_truncated_models(tmp_path: Path) -> None:
    """Cut anywhere, a model is refused or still says the same; nothing else happens."""
    path = tmp_path / "model.onnx"
    write_onnx(path, 3, 1, 2)
    whole, header = path.read_bytes(), read_onnx_header(path)
    refused = 0
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            assert read_onnx_header(path) == header
        except BundleError as error:
            assert "not a complete ONNX model" in str(error)
            refused += 1
    assert refused > 0.9 * len(whole)


def test_classification(tmp_path: Path) -> None:
    code = {"value": "86049000", "scheme": "SCT", "meaning": "Malignant"}

    def classes(*indices: int) -> Edit:
        def edit(meta: Content, config: Content) -> None:
            meta["bedside"]["result"] = {
                "kind": "classification",
                "classes": [{"index": index, "name": "x", "code": code} for index in indices],
            }
            config["inferer"] = {"_target_": "SimpleInferer"}

        return edit

    def bundle(name: str, steps: list[Content], *indices: int) -> Path:
        root = make_bundle(tmp_path / name, rank=2, post=steps, pre=[step("ScaleIntensityd")], edit=classes(*indices))
        model = onnx.load(root / "models/model.onnx")
        shape = model.graph.output[0].type.tensor_type.shape
        del shape.dim[2:]
        onnx.save(model, root / "models/model.onnx")
        config = json.loads((root / "configs/metadata.json").read_text())
        digest = hashlib.sha256((root / "models/model.onnx").read_bytes()).hexdigest()
        config["bedside"]["files"]["models/model.onnx"] = digest
        (root / "configs/metadata.json").write_text(json.dumps(config))
        return root

    plan = load_bundle(bundle("a", [post("Activationsd", softmax=True)], 1)).plan
    refuse(bundle("b", [ARGMAX], 1), "AsDiscreted does not fit a classification")
    refuse(bundle("c", [], 2), "'bedside.result.classes' names 2, the output goes up to 1")
    raw = load_bundle(bundle("d", [], 1)).plan
    scores = np.array([1.0, 3.0], np.float32)
    finished = plan.finish(scores, None)  # type: ignore[arg-type]
    assert finished.labels is None and finished.probabilities is not None
    np.testing.assert_allclose(finished.probabilities, np.exp(scores) / np.exp(scores).sum(), rtol=1e-6)
    with pytest.raises(BundleError, match="not probabilities"):
        raw.finish(scores, None)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="shape"):
        raw.finish(scores[:1], None)  # type: ignore[arg-type]


def test_output_shape_is_checked(tmp_path: Path) -> None:
    plan = load_bundle(make_bundle(tmp_path / "b")).plan
    ones = np.ones(6, np.float32)
    affine = np.diag([2.0, 1.0, 1.0, 1.0])[:, [0, 1, 2, 3]]
    volume = Volume(np.zeros((6, 8, 9), np.int16), affine, ones, 0 * ones, (None,) * 6)
    prepared = plan.prepare(volume)
    with pytest.raises(BundleError, match="the network gave an output of shape"):
        plan.finish(np.zeros((2, 3, 3, 3), np.float32), prepared)
