"""What memory is free, and that a large volume stays within bounds."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from bedside.runtime import memory
from bedside.runtime.memory import available_memory
from bedside.runtime.transforms.online import OnlineRule, discretise

from .bundle_maker import Content, make_bundle

LARGE = """
import resource, sys
from pathlib import Path
import numpy as np
import onnx
from onnx import TensorProto, helper
from bedside.runtime.bundle.schema import InfererSpec
from bedside.runtime.devices import open_program
from bedside.runtime.inferer import OnlineRule, infer

model, axes = Path(sys.argv[1]), sys.argv[2]
space = [96, 96, 96]
node = helper.make_node("Concat", ["image"] * 4, ["pred"], axis=1)
graph = helper.make_graph(
    [node], "g",
    [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, *space])],
    [helper.make_tensor_value_info("pred", TensorProto.FLOAT, [1, 4, *space])],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(model))
stored = np.full((600, 512, 512), 40, np.int16)
prepared = np.empty(stored.shape, np.float32)
np.multiply(stored, np.float32(0.001), out=prepared)
image = prepared[None] if axes == "zyx" else prepared.T[None]
spec = InfererSpec(kind="sliding", roi_size=(96, 96, 96), overlap=0.25, mode="gaussian")
result = infer(open_program(model, "null"), image, spec, online=OnlineRule("argmax"))
assert result.labels.shape == image.shape[1:] and not result.labels.any()
print(result.windows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""

INTERPOLATED = """
import resource, sys
import numpy as np
from bedside.runtime.bundle.load import load_bundle
from bedside.runtime.devices import open_program
from bedside.runtime.image import Volume
from bedside.runtime.inferer import infer

bundle = load_bundle(sys.argv[1])
stored = np.full((600, 512, 512), 40, np.int16)
affine = np.array([[0, 0, 0.7, 0], [0, 0.7, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]])
one, zero = np.ones(600, np.float32), np.zeros(600, np.float32)
prepared = bundle.plan.prepare(Volume(stored, affine, one, zero, (None,) * 600))
way = bundle.plan.way_back(prepared)
result = infer(
    open_program(bundle.model_path, "null"), prepared.array, bundle.inferer, online=bundle.plan.online, sink=way
)
prepared.array = np.empty(0, np.float32)
labels = bundle.plan.finish(way, prepared).labels
assert labels.shape == stored.shape and not labels.any()
print(*prepared.shape, result.windows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def _widen(metadata: Content, inference: Content) -> None:
    """MONAI's commonest chain; the network sees a grid slightly finer than the image."""
    transforms = inference["preprocessing"]["transforms"]
    next(t for t in transforms if t["_target_"] == "Spacingd")["pixdim"] = [0.697, 0.697, 0.995]
    post = inference["postprocessing"]["transforms"]
    next(t for t in post if t["_target_"] == "Invertd")["nearest_interp"] = False
    inference["inferer"]["roi_size"] = [96, 96, 96]


@pytest.mark.slow
def test_softmax_interpolation_and_argmax_of_4_classes_stay_under_4_gb(tmp_path: Path) -> None:
    """From the stored voxels to labels on their grid, by the chain whose logits alone take 2.5 GB."""
    if (available_memory() or 0) < 4e9:
        pytest.skip("less than 4 GB of memory are free")
    bundle = make_bundle(tmp_path / "bundle", out_channels=4, edit=_widen)
    done = subprocess.run(
        [sys.executable, "-c", INTERPOLATED, str(bundle)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *shape, windows, resident = map(int, done.stdout.split())
    assert shape == [514, 514, 603] and windows > 300
    assert resident < 4e9


@pytest.mark.slow
@pytest.mark.parametrize("axes", ["zyx", "xyz"])
def test_a_512x512x600_volume_of_4_classes_stays_under_4_gb(tmp_path: Path, axes: str) -> None:
    """int16 as stored, float32 as prepared, the accumulator, the labels and the interpreter, all in all."""
    if (available_memory() or 0) < 4e9:
        pytest.skip("less than 4 GB of memory are free")
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(tmp_path / "null.onnx"), axes], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    windows, resident = map(int, done.stdout.split())
    assert windows == 8 * 7 * 7
    assert resident < 4e9


@pytest.mark.parametrize("rule", [OnlineRule("argmax"), OnlineRule("threshold", 0.5)])
def test_labels_decided_plane_by_plane_need_little_beside_themselves(rule: OnlineRule) -> None:
    """Planes of 4 classes, each decided as it comes: under 1.2 times the label map, whose scores take 16 times it."""
    planes = 100
    tracemalloc.start()
    labels = np.empty((planes, 128, 128), np.uint8)
    scores = np.empty((4, 1, 128, 128), np.float32)
    for plane in range(planes):
        scores[...] = 0
        scores[plane % 4] = 1
        discretise(scores, rule, 2, labels[plane : plane + 1])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [int(plane.max()) for plane in labels[:4]] == ([0, 1, 2, 3] if rule.kind == "argmax" else [1, 2, 3, 4])
    assert peak < 1.2 * labels.nbytes


def _files(monkeypatch: pytest.MonkeyPatch, contents: dict[str, str]) -> None:
    monkeypatch.setattr(memory, "_read", lambda path: contents.get(str(path), ""))


def test_available_memory_here() -> None:
    free = available_memory()
    assert free is not None
    assert free > 0


def test_a_cgroup_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n",
        "/proc/self/cgroup": "0::/user/job\n",
        "/sys/fs/cgroup/user/memory.max": "3000000\n",
        "/sys/fs/cgroup/user/memory.current": "1000000\n",
        "/sys/fs/cgroup/user/memory.stat": "active_file 7\ninactive_file 500000\n",
        "/sys/fs/cgroup/user/job/memory.max": "max\n",
        "/sys/fs/cgroup/user/job/memory.current": "1000000\n",
    }
    _files(monkeypatch, files)
    assert available_memory() == 2_500_000
    _files(monkeypatch, {"/proc/meminfo": files["/proc/meminfo"]})
    assert available_memory() == 8_192_000
    _files(monkeypatch, {})
    assert available_memory() is None
