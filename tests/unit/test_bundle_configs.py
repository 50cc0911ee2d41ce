"""metadata.json and inference.json: every fault is one line that names the place."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from bedside.runtime.bundle.load import load_bundle

from .bundle_maker import Content, make_bundle
from .bundle_refusals import ARGMAX, INVERT, Edit, post, refuse, step


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
