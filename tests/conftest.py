"""What several test folders share: where real data lies, and how a missing peer is said."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# How long an example takes is the machine's affair. The other profile is for emulated CPUs (scripts/check-kernels).
settings.register_profile("default", deadline=None)
settings.register_profile("emulated", deadline=None, max_examples=10)
settings.load_profile("default")

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = Path(os.environ.get("BEDSIDE_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))

APT_PACKAGE = {"dciodvfy": "dicom3tools", "Orthanc": "orthanc", "chromium": "chromium"}
"""Debian package of a program; every other program that tests use is in dcmtk."""


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is kept in the cache of whoever runs the tests, and nothing from there is used."""
    before = os.environ.get("BEDSIDE_CACHE")
    os.environ["BEDSIDE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["BEDSIDE_CACHE"]
    else:
        os.environ["BEDSIDE_CACHE"] = before


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that nothing is in yet."""
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """``install("acme", source)`` is a third party's package with that backend, for this process and its children."""

    def add(family: str, source: str) -> None:
        folder = tmp_path / "site"
        about = folder / f"bedside_{family}-1.0.dist-info"
        about.mkdir(parents=True)
        (folder / f"bedside_{family}.py").write_text(source, encoding="utf-8")
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: bedside-{family}\nVersion: 1.0\n", encoding="utf-8"
        )
        entry = f"[bedside.backends]\n{family} = bedside_{family}\n"
        (about / "entry_points.txt").write_text(entry, encoding="utf-8")
        monkeypatch.syspath_prepend(folder)

    return add


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """``shared_data("ct-chest-60")`` is that folder of real data, or the test is skipped and says so."""

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"real data '{name}' is not in {SHARED_DATA}; set BEDSIDE_SHARED_DATA")
        return path

    return find


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """``tool("dciodvfy")`` is the program's path, or the test is skipped with the apt line that installs it."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"'{name}' is not installed: apt-get install {APT_PACKAGE.get(name, 'dcmtk')}")
        return path

    return find


@pytest.fixture(scope="session")
def bright_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that needs no training: its network marks what is above 200 HU, in sliding windows of 16^3."""
    helper = pytest.importorskip("onnx").helper
    numpy_helper, onnx = pytest.importorskip("onnx").numpy_helper, pytest.importorskip("onnx")
    root = tmp_path_factory.mktemp("bundle") / "bright"
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    # Scaled to 0..1 over -1000..1000 HU, 200 HU is 0.6: two logits that cross there.
    weight = np.array([-1.0, 1.0], np.float32).reshape(2, 1, 1, 1, 1)
    bias = np.array([0.6, -0.6], np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weight", "bias"], ["pred"])],
        "bright",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", 1, "x", "y", "z"])],
        [helper.make_tensor_value_info("pred", onnx.TensorProto.FLOAT, ["n", 2, "x", "y", "z"])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, root / "models" / "model.onnx")
    digest = hashlib.sha256((root / "models" / "model.onnx").read_bytes()).hexdigest()
    tensor = {"type": "image", "format": "magnitude", "dtype": "float32", "spatial_shape": ["*", "*", "*"]}
    metadata = {
        "name": "bright",
        "version": "1.0.0",
        "network_data_format": {
            "inputs": {"image": {**tensor, "num_channels": 1}},
            "outputs": {"pred": {**tensor, "num_channels": 2}},
        },
        "bedside": {
            "schema": 1,
            "files": {"models/model.onnx": digest},
            "input": {"kind": "volume"},
            "accepts": {"modality": ["CT"], "min_frames": 4},
            "result": {
                "kind": "segmentation",
                "segments": [
                    {
                        "label": 1,
                        "name": "Bright",
                        "category": {"value": "123037004", "scheme": "SCT", "meaning": "Anatomical Structure"},
                        "type": {"value": "272673000", "scheme": "SCT", "meaning": "Bone"},
                        "instances": True,
                    }
                ],
                "finding": "高密度影",
            },
            "domain": "CT of any part of the body",
        },
    }
    inference = {
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": -1000,
                    "a_max": 1000,
                    "b_min": 0,
                    "b_max": 1,
                    "clip": True,
                },
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "overlap": 0.25, "mode": "gaussian"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {
                    "_target_": "Invertd",
                    "keys": "pred",
                    "transform": "@preprocessing",
                    "orig_keys": "image",
                    "nearest_interp": True,
                },
            ],
        },
    }
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata, ensure_ascii=False), encoding="utf-8")
    (root / "configs" / "inference.json").write_text(json.dumps(inference), encoding="utf-8")
    return root


SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")
"""Vulkan computed by the CPU, as Debian's chromium brings it."""


def software_vulkan(driver: Path = SWIFTSHADER) -> dict[str, str]:
    """The environment in which ``webgpu:0`` is a GPU that the CPU computes."""
    return {
        "VK_DRIVER_FILES": str(driver),
        "VK_ICD_FILENAMES": str(driver),  # the name that loaders before 1.3.207 know
        "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER": "1",
        "XDG_RUNTIME_DIR": tempfile.gettempdir(),
    }


@pytest.fixture
def software_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """``webgpu:0`` on SwiftShader for one test, or the test is skipped with the line that would make it possible."""
    if not SWIFTSHADER.exists():
        pytest.skip("no software Vulkan: apt-get install chromium libvulkan1")
    for name, value in software_vulkan().items():
        monkeypatch.setenv(name, value)
