"""Bundles: what loads, and that every fault is one line that names the place."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bedside.runtime.bundle import load
from bedside.runtime.bundle.load import load_bundle
from bedside.runtime.errors import BundleError
from bedside.runtime.image import Volume
from bedside.runtime.onnx_header import read_onnx_header

from .bundle_maker import IMAGE, PRED, Content, make_bundle, write_onnx

Edit = Callable[[Content, Content], None]


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


def refuse(path: Path, *parts: str) -> BundleError:
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text
    return caught.value


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


def put(path: str, value: Any) -> Edit:
    """An edit of metadata.json: the value at a dotted path; None removes the key."""

    def edit(meta: Content, _: Content) -> None:
        *parents, last = path.split(".")
        place: Any = meta
        for part in parents:
            place = place[int(part) if part.isdigit() else part]
        if value is None:
            del place[last]
        else:
            place[int(last) if last.isdigit() else last] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (put("bedside", None), "has no 'bedside' object"),
        (put("name", None), "key 'name' is missing"),
        (put("bedside.schema", 2), "'bedside.schema': Input should be 1, got 2"),
        (put("bedside.domain", None), "key 'bedside.domain' is missing"),
        (put("bedside.colour", "red"), "unknown key 'bedside.colour'"),
        (put("bedside.input.kind", "movie"), "'bedside.input.kind'"),
        (put("bedside.input.apply_voi", "yes"), "'bedside.input.apply_voi'"),
        (put("bedside.result.segments.0.label", 0), "'bedside.result.segments[0].label'"),
        (put("bedside.result.segments.0.label", 5), "'bedside.result.segments' names 5, the output goes up to 1"),
        (put("bedside.result.segments.0.color", [1, 2, 300]), "'bedside.result.segments[0].color[2]'"),
        (put("bedside.result.segments.0.type", {"value": "1"}), "key 'bedside.result.segments[0].type.scheme'"),
        (put("bedside.result.kind", "classification"), "'classes' must name at least one entry"),
        (put("bedside.result.segments.0.name", "a\\b"), "'bedside.result.segments[0].name': holds a backslash"),
        (put("bedside.result.segments.0.name", "a\x1b$B"), "holds the control character U+001B"),
        (put("bedside.result.segments.0.name", "two\nlines"), "holds the control character U+000A"),
        (put("bedside.result.segments.0.name", "blank "), "begins or ends with a blank"),
        (put("bedside.result.segments.0.name", "x" * 65), "'bedside.result.segments[0].name'"),
        (put("bedside.result.segments.0.category.value", "1\\2"), "'bedside.result.segments[0].category.value'"),
        (put("bedside.result.segments.0.category.value", "1" * 17), "'bedside.result.segments[0].category.value'"),
        (put("bedside.result.segments.0.category.scheme", "S\\T"), "'bedside.result.segments[0].category.scheme'"),
        (put("bedside.result.segments.0.category.meaning", "a\tb"), "'bedside.result.segments[0].category.meaning'"),
        (put("bedside.result.finding", "escape \x1b"), "'bedside.result.finding': holds the control character U+001B"),
        (put("name", "a\\b"), "'name': holds a backslash"),
        (put("version", "1\n2"), "'version': holds the control character U+000A"),
        (put("bedside.input.kind", "x" * 1000), ', got "' + "x" * 79 + "..."),
        (put("bedside.result.finding", "{countt}"), "'bedside.result.finding': '{countt}' is no placeholder; use only"),
        (put("bedside.result.finding", "{count[a]}"), "'{count[a]}' is no placeholder"),
        (put("bedside.result.finding", "{count.x}"), "'{count.x}' is no placeholder"),
        (put("bedside.result.finding", "{count:>9999999999}"), "'{count:>9999999999}' is no placeholder"),
        (put("bedside.result.finding", "{names!r}"), "'{names!r}' is no placeholder"),
        (put("bedside.result.finding", "{}"), "'{}' is no placeholder"),
        (put("bedside.result.finding", "{0}"), "'{0}' is no placeholder"),
        (put("bedside.result.finding", "{count"), "'bedside.result.finding': expected '}'"),
        (put("bedside.result.finding", "count}"), "'bedside.result.finding': Single '}'"),
        (put("bedside.accepts.slice_thickness_mm", [5, 1]), "'bedside.accepts.slice_thickness_mm'"),
        (put("bedside.files", {"../x": "0" * 64}), "must be a path inside the bundle"),
        (put("bedside.files", {"models/model.onnx": "abc"}), "is not a SHA-256"),
        (put("bedside.files", {"configs/inference.json": "0" * 64}), "must list models/model.onnx"),
        (put("bedside.golden", [{"study": "golden/1", "expect": "golden/1.json"}]), "golden case golden/1 is missing"),
        (put("bedside.input.photometric", "rgb"), "photometric 'rgb' does not go with a volume"),
        (put("network_data_format.inputs.image.num_channels", 4), "has 1 channels, configs/metadata.json says 4"),
        (put("network_data_format.outputs.pred.num_channels", 3), "has 2 channels, configs/metadata.json says 3"),
        (put("network_data_format.inputs.image.dtype", "float16"), "input 'image' is float32"),
        (put("network_data_format.inputs.label", {"num_channels": 1}), "'network_data_format.inputs'"),
    ],
)
def test_metadata(tmp_path: Path, edit: Edit, message: str) -> None:
    refuse(make_bundle(tmp_path / "b", edit=edit), "bundle b: ", message)


def step(name: str, **arguments: Any) -> Content:
    return {"_target_": name, **IMAGE, **arguments}


def post(name: str, **arguments: Any) -> Content:
    return {"_target_": name, **PRED, **arguments}


INVERT = post("Invertd", transform="@preprocessing", orig_keys="image")
ARGMAX = post("AsDiscreted", argmax=True)


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (step("RandFlipd"), "preprocessing[0]: transform 'RandFlipd' is not supported (supported: CastToTyped, "),
        (step("monai.transforms.Lambdad"), "'monai.transforms.Lambdad' is not supported"),
        (step("SaveImaged"), "the runtime writes the results itself"),
        (step("AsDiscreted"), "AsDiscreted belongs in 'postprocessing'"),
        ({"keys": "image"}, "preprocessing[0] must be an object with a '_target_'"),
        ({"_target_": "Spacingd", "pixdim": 1.0}, "Spacingd: argument 'keys' is missing"),
        ({"_target_": "Spacingd", "keys": ["image", "label"], "pixdim": 1.0}, "exactly one tensor"),
        ({"_target_": "Spacingd", "keys": "picture", "pixdim": 1.0}, "keys is 'picture'"),
        (step("Spacingd"), "argument 'pixdim' is missing"),
        (step("Spacingd", pixdim=1.0, mode="bicubic"), "argument 'mode': Input should be 'bilinear', 'nearest' or 3"),
        (step("Spacingd", pixdim=1.0, mode=2), "got 2"),
        (step("Spacingd", pixdim=1.0, mode=3, align_corners=True), "align_corners true with mode 3"),
        (step("Spacingd", pixdim=1.0, recompute_affine=True), "argument 'recompute_affine'"),
        (step("Spacingd", pixdim=1.0, lazy=True), "argument 'lazy'"),
        (step("Spacingd", pixdim="1"), "argument 'pixdim'"),
        (step("Spacingd", pixdim=1.0, speed=3), "unknown argument 'speed'"),
        (step("Spacingd", pixdim="$[1, 1, 1]"), "argument 'pixdim': python expression '$[1, 1, 1]' is not evaluated"),
        (step("Spacingd", pixdim="@spacing"), "reference '@spacing' points to nothing"),
        (step("Spacingd", pixdim="@loop"), "reference '@loop' leads back to itself"),
        (step("Spacingd", pixdim="%other"), "macro '%other' is not supported"),
        (step("Orientationd", axcodes="RAX"), "letter 'X'"),
        (step("Orientationd", axcodes="RLS"), "names one axis twice"),
        (step("Orientationd", axcodes="RA"), "must have three letters"),
        (step("Resized", spatial_size=[8, 8, 8], mode="area", align_corners=True), "align_corners has no meaning"),
        (step("CropForegroundd", source_key="label"), "source_key is 'label'"),
        (step("CropForegroundd", source_key="image", select_fn="$lambda x: x > 1"), "python expression"),
        (step("CenterSpatialCropd", roi_size=3, mode="edge"), "unknown argument 'mode'"),
        (step("Transposed", indices=[1, 0, 2, 3]), "keeps axis 0"),
        (step("RepeatChanneld", repeats=3), "preprocessing gives channels 3, configs/metadata.json says 1"),
        (step("CastToTyped", dtype="float16"), "preprocessing gives dtype float16, configs/metadata.json says float32"),
        (step("CastToTyped", dtype="complex64"), "argument 'dtype'"),
        (step("ScaleIntensityRanged", a_min=0, a_max=1, dtype="float16"), "argument 'dtype'"),
        (step("FundusFieldOfViewd"), "FundusFieldOfViewd needs an image or a cine"),
        ({**step("Spacingd", pixdim=1.0), "_requires_": "x"}, "'_requires_' is not supported"),
    ],
)
def test_preprocessing(tmp_path: Path, transform: Content, message: str) -> None:
    def edit(_: Content, config: Content) -> None:
        config["loop"] = "@pool"
        config["pool"] = "@loop"

    refuse(make_bundle(tmp_path / "b", pre=[transform], post=[INVERT, ARGMAX], edit=edit), "configs/inference", message)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([INVERT], "a segmentation needs AsDiscreted"),
        ([ARGMAX], "Orientationd of the preprocessing moves the grid, but no Invertd leads back"),
        ([INVERT, INVERT, ARGMAX], "Invertd may be given once"),
        ([INVERT, ARGMAX, ARGMAX], "argmax or threshold may be given once"),
        ([INVERT, post("AsDiscreted", rounding="torchrounding"), ARGMAX], "needs argmax or threshold"),
        ([ARGMAX, {**INVERT, "nearest_interp": False}], "would blend labels"),
        ([ARGMAX, post("Activationsd", softmax=True), INVERT], "Activationsd must not follow AsDiscreted"),
        ([INVERT, post("Activationsd", softmax=True, sigmoid=True), ARGMAX], "exclude each other"),
        ([INVERT, post("Activationsd", other="$torch.tanh"), ARGMAX], "python expression"),
        ([post("FillHolesd"), INVERT, ARGMAX], "FillHolesd must follow AsDiscreted"),
        ([INVERT, ARGMAX, post("FillHolesd", connectivity=4)], "connectivity is 4"),
        ([INVERT, ARGMAX, post("KeepLargestConnectedComponentd", is_onehot=True)], "is_onehot=true does not fit"),
        ([{**INVERT, "transform": "@postprocessing"}, ARGMAX], "argument 'transform'"),
        ([{**INVERT, "orig_keys": "label"}, ARGMAX], "orig_keys is 'label'"),
        ([INVERT, ARGMAX, post("SaveImaged", output_dir="x")], "postprocessing[2]: transform 'SaveImaged'"),
        ([{**ARGMAX, "keys": "logits"}], "keys is 'logits'"),
    ],
)
def test_postprocessing(tmp_path: Path, steps: list[Content], message: str) -> None:
    refuse(make_bundle(tmp_path / "b", post=steps), "configs/inference.json: postprocessing", message)


@pytest.mark.parametrize(
    ("inferer", "message"),
    [
        ({"_target_": "SliceInferer", "roi_size": 3}, "inferer 'SliceInferer' is not supported"),
        ({"_target_": "SlidingWindowInferer"}, "argument 'roi_size' is missing"),
        ({"_target_": "SlidingWindowInferer", "roi_size": [32, 32]}, "'roi_size' has 2 values, the image has 3 axes"),
        ({"_target_": "SlidingWindowInferer", "roi_size": 32, "overlap": 1.0}, "argument 'overlap'"),
        ({"_target_": "SlidingWindowInferer", "roi_size": 32, "mode": "cosine"}, "argument 'mode'"),
        ({"_target_": "SlidingWindowInferer", "roi_size": 32, "sigma_scale": 0.0}, "argument 'sigma_scale'"),
        ({"_target_": "SlidingWindowInferer", "roi_size": 32, "sigma_scale": [0.1, -1, 0.1]}, "argument 'sigma_scale'"),
        ({"_target_": "SlidingWindowInferer", "roi_size": 32, "sigma_scale": math.inf}, "argument 'sigma_scale'"),
        ({"_target_": "SlidingWindowInferer", "roi_size": 32, "cval": math.nan}, "argument 'cval'"),
        ({"_target_": "SlidingWindowInferer", "roi_size": 32, "cval": -math.inf}, "argument 'cval'"),
        ({"_target_": "SlidingWindowInferer", "roi_size": 32, "with_coord": True}, "with_coord"),
        ({"_target_": "SimpleInferer", "roi_size": 32}, "unknown argument 'roi_size'"),
    ],
)
def test_inferer(tmp_path: Path, inferer: Content, message: str) -> None:
    def edit(_: Content, config: Content) -> None:
        config["inferer"] = inferer

    refuse(make_bundle(tmp_path / "b", edit=edit), "configs/inference.json: inferer", message)


def test_a_window_as_large_as_the_image(tmp_path: Path) -> None:
    def edit(_: Content, config: Content) -> None:
        config["inferer"] = {"_target_": "SlidingWindowInferer", "roi_size": [32, None, -1]}

    assert load_bundle(make_bundle(tmp_path / "b", edit=edit)).inferer.roi_size == (32, None, -1)


def test_monai_spellings(tmp_path: Path) -> None:
    """Aliases, references of both kinds, disabled entries, dtype constants and devices, as bundles in the wild have."""

    def edit(_: Content, config: Content) -> None:
        config |= {
            "image": "image",
            "spacing": {"ct": [1.5, 1.5, 2.0]},
            "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
            "save": False,
            "preprocessing_transforms": [
                {"_target_": "LoadImaged", "keys": "@image", "reader": "ITKReader", "image_only": True},
                {"_target_": "monai.transforms.EnsureChannelFirstD", "keys": ["@image"]},
                {"_target_": "SpacingDict", "keys": "image", "pixdim": "@spacing#ct"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": "@spacing::ct::0", "_disabled_": "@save"},
                {"_target_": "EnsureTyped", "keys": "image", "device": "@device", "dtype": "$torch.float32"},
                {"_target_": "Orientationd", "keys": "image", "_disabled_": True},
            ],
            "preprocessing": {"_target_": "Compose", "transforms": "@preprocessing_transforms", "lazy": False},
        }
        config["inferer"] |= {"sw_device": "@device", "device": "@device", "progress": True}
        config["postprocessing"]["transforms"][1]["device"] = "@device"

    bundle = load_bundle(make_bundle(tmp_path / "b", edit=edit))
    names = [transform.name for transform in bundle.preprocessing]
    assert names == ["LoadImaged", "EnsureChannelFirstd", "Spacingd", "Spacingd", "EnsureTyped"]
    assert [getattr(t, "pixdim", None) for t in bundle.preprocessing][2:4] == [(1.5, 1.5, 2.0), 1.5]


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
