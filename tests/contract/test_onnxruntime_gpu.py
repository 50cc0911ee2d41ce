"""The real wheel onnxruntime-gpu, in an environment of its own, on a host that has no card: what it refuses, and how.

It cannot be installed beside the CPU's wheel, so it gets a folder with nothing but numpy, and bedside's backends and
kernels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bedside.backends.contract
import bedside.kernels
from bedside.backends.onnxruntime import nvidia

pytestmark = pytest.mark.slow  # a wheel of 256 MB

REPOSITORY = Path(__file__).resolve().parents[2]
ASKED = """
import json, sys
from pathlib import Path
from bedside.backends import onnxruntime as backend
from bedside.backends.contract import BedsideError
from bedside.backends.onnxruntime import cuda, session, settings
from bedside.backends.contract import Options
import onnxruntime

def said(ask):
    try:
        ask()
        return None
    except BedsideError as error:
        return [type(error).__name__, error.message, error.mend]

def unguarded(cpu_nodes, provider):
    # As open() would without looking for the libraries first.
    def make(forbidden):
        options = settings.session_options(onnxruntime, Options(), {})
        session.forbid_fallback(options, forbidden)
        return onnxruntime.InferenceSession(str(model), options, providers=[provider], enable_fallback=0)
    return lambda: session.on_providers(make, model, "cuda:0", [provider], cpu_nodes=cpu_nodes)

model = Path(sys.argv[1])
json.dump({
    "version": onnxruntime.__version__,
    "devices": {device.id: [device.available, device.reason, device.mend] for device in backend.probe()},
    "cuda": said(lambda: backend.open(model, "cuda:0")),
    "tensorrt": said(lambda: backend.open(model, "tensorrt:0")),
    "strict": said(unguarded(0, "CUDAExecutionProvider")),
    "lenient": said(unguarded(99, "CUDAExecutionProvider")),
    "tensorrt-unguarded": said(unguarded(0, "TensorrtExecutionProvider")),
    "cpu": backend.open(model, "ort:cpu").placement(),
    "linked": backend.cuda.nvidia.needed(
        Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    ),
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path]) -> Any:
    """What the backend says with the real wheel, once for all tests."""
    try:
        nvidia.cards()
        pytest.skip("this host has a card: tests/device/cuda is for it")
    except nvidia.NoDriver:
        pass
    folder = tmp_path_factory.mktemp("onnxruntime-gpu")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    wanted = ["--target", str(folder), "--constraint", str(REPOSITORY / "constraints.txt"), "onnxruntime-gpu"]
    done = subprocess.run([*pip, *wanted], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip install onnxruntime-gpu is not possible here: {done.stderr.strip().splitlines()[-1:]}")
    packages = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (packages / name).exists():
            (folder / name).symlink_to(packages / name)
    (folder / "bedside" / "kernels").mkdir(parents=True)
    (folder / "bedside" / "backends").symlink_to(Path(bedside.backends.contract.__file__).parent)
    for file in (bedside.kernels.__file__, bedside.kernels._cpu.__file__):
        (folder / "bedside" / "kernels" / Path(file).name).symlink_to(file)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    ran = subprocess.run(
        [sys.executable, "-S", "-c", ASKED, str(models["fixed"])],  # -S: without the packages that are installed here
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_both_are_listed_with_all_that_is_missing(answers: Any) -> None:
    for device in ("cuda:0", "tensorrt:0"):
        available, reason, mend = answers["devices"][device]
        assert not available
        assert "NVIDIA driver" in reason and "apt install nvidia-driver" in mend
    assert answers["devices"]["ort:cpu"][0]


def test_cuda_is_refused_by_the_names_of_the_libraries(answers: Any) -> None:
    kind, message, mend = answers["cuda"]
    assert kind == "DeviceUnavailable"
    assert "libcublas.so" in message or "libcudnn.so" in message, message
    assert "pip install" in mend and "nvidia-" in mend
    assert "\n" not in message + mend


def test_tensorrt_is_refused_by_the_names_of_the_libraries(answers: Any) -> None:
    kind, message, mend = answers["tensorrt"]
    assert kind == "DeviceUnavailable"
    assert "libnvinfer.so" in message and "libnvonnxparser.so" in message
    assert "tensorrt-cu" in mend


def test_the_wheel_itself_would_have_run_on_the_cpu(answers: Any) -> None:
    """It only logs that the provider did not start; the checks of the session stop it all the same."""
    kind, message, _ = answers["lenient"]
    assert kind == "DeviceFault"
    assert "would run the model on CPUExecutionProvider, not CUDAExecutionProvider" in message
    kind, message, _ = answers["strict"]
    assert kind == "DeviceFault" and "CPU" in message
    assert answers["tensorrt-unguarded"][0] == "DeviceFault"


def test_its_own_cpu_provider_works(answers: Any) -> None:
    assert answers["cpu"] == {"CPUExecutionProvider": sum(answers["cpu"].values())}


def test_the_provider_is_linked_with_what_we_think(answers: Any) -> None:
    assert any(name.startswith("libcudart.so") for name in answers["linked"])
    assert nvidia.DRIVER in answers["linked"]
