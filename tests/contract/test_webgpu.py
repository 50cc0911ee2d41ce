"""``webgpu:0`` and other plug-in providers, really run: on SwiftShader, the Vulkan that the CPU computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.backends.contract import DeviceFault, DeviceUnavailable, Options
from bedside.backends.onnxruntime import plugin, vulkan
from bedside.backends.onnxruntime import session as sessions
from bedside.backends.onnxruntime.plugin_memory import PluginMemory
from bedside.backends.onnxruntime.program import BoundProgram
from bedside.runtime.devices import list_devices, open_program
from tests.conftest import SWIFTSHADER, software_vulkan

Models = dict[str, Path]


def image(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def webgpu(software_gpu: None) -> None:
    found = {entry.id: entry for entry in list_devices()}["webgpu:0"]
    if not found.available:
        pytest.skip(f"{found.reason}: {found.mend}")


@pytest.fixture
def installed(webgpu: None) -> plugin.Plugin:
    found = plugin.find("webgpu")
    assert found is not None
    return found


def test_the_gpu_is_named_with_its_versions(webgpu: None) -> None:
    found = {entry.id: entry for entry in list_devices()}["webgpu:0"]
    assert "SwiftShader" in found.name
    assert {"onnxruntime", "onnxruntime-ep-webgpu", "driver"} == set(found.versions)


def test_every_node_runs_on_the_gpu_from_bound_memory(webgpu: None, models: Models) -> None:
    program = open_program(models["fixed"], "webgpu:0")
    assert isinstance(program, BoundProgram)
    assert program.placement() == {"WebGpuExecutionProvider": sum(program.placement().values())}
    for seed in (0, 1):
        program.run({"image": image(1, 1, 24, 20, seed=seed)})
    (binding,) = program._bindings.values()
    assert [tensor.device_name() for tensor in binding.outputs.values()] == ["webgpu"]
    assert program.allocate((2, 3), np.dtype(np.float32)).shape == (2, 3)
    program.close()


def test_a_node_that_only_the_cpu_has_is_an_error_unless_allowed(webgpu: None, models: Models) -> None:
    """Without int64 the Cast of an int64 is the CPU's."""
    off = {"ep.enableInt64": "0"}
    with pytest.raises(
        DeviceFault, match=r"webgpu:0: 1 of 3 nodes of two.onnx would run on the CPU \(Cast\)"
    ) as caught:
        open_program(models["two"], "webgpu:0", Options(extra=off))
    assert caught.value.mend is not None and "'cpu_nodes': 1" in caught.value.mend
    program = open_program(models["two"], "webgpu:0", Options(extra={**off, "cpu_nodes": 1}))
    assert program.placement() == {"WebGpuExecutionProvider": 2, "CPUExecutionProvider": 1}
    feeds = {"image": image(1, 4), "count": np.array([3], np.int64)}
    np.testing.assert_array_equal(program.run(feeds)["scaled"], 3 * feeds["image"])
    program.close()


def test_memory_by_a_plugins_own_allocator(installed: plugin.Plugin, models: Models) -> None:
    """The way of any plug-in that has memory of its own; WebGPU's sessions have a better one."""
    _, library, (device, *_) = plugin._require("webgpu", "webgpu:0")
    memory = PluginMemory(library, device.memory_info(library.OrtDeviceMemoryType.DEFAULT))
    for model, shapes in (("fixed", [(1, 1, 24, 20)] * 2), ("dynamic", [(1, 1, 9, 8), (2, 1, 7, 5)])):
        other = open_program(models[model], "webgpu:0")
        inputs, outputs = list(other.inputs), list(other.outputs)
        assert isinstance(other, BoundProgram)
        program = BoundProgram(other._session, memory, other.device, inputs, outputs, Options())
        for seed, shape in enumerate(shapes):
            feeds = {"image": image(*shape, seed=seed)}
            np.testing.assert_array_equal(program.run(feeds)["logits"], other.run(feeds)["logits"])
        program.close()
        other.close()


def test_a_plugin_by_its_name(webgpu: None, models: Models) -> None:
    program = open_program(models["fixed"], "ort-plugin:webgpu")
    assert program.device.id == "ort-plugin:webgpu"
    assert program.run({"image": image(1, 1, 24, 20)})["logits"].shape == (1, 3, 24, 20)
    program.close()
    with pytest.raises(DeviceUnavailable, match="has no such device"):
        open_program(models["fixed"], "webgpu:7")


def test_a_plugin_that_is_not_installed(models: Models) -> None:
    with pytest.raises(DeviceUnavailable, match="onnxruntime-ep-acme is not installed") as caught:
        open_program(models["fixed"], "ort-plugin:acme")
    assert caught.value.mend == "pip install onnxruntime-ep-acme"


def test_a_plugin_is_found_by_the_front_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def named(*names: str) -> None:
        found = [plugin.Plugin(name, f"onnxruntime-ep-{name}", "1") for name in names]
        monkeypatch.setattr(plugin, "installed", lambda: found)

    named("nv-tensorrt-rtx-cu13", "openvino")
    assert plugin.find("nv_tensorrt_rtx") == plugin.Plugin(
        "nv-tensorrt-rtx-cu13", "onnxruntime-ep-nv-tensorrt-rtx-cu13", "1"
    )
    assert plugin.find("nv") is not None and plugin.find("open") is None
    named("nv-tensorrt-rtx-cu12", "nv-tensorrt-rtx-cu13")
    assert plugin.find("nv-tensorrt-rtx") is None


def test_a_plugin_that_does_not_load(installed: plugin.Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnxruntime_ep_broken.py").write_text(
        f"def get_library_path(): return {str(tmp_path / 'nothing.so')!r}\ndef get_ep_names(): return ['Broken']\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    broken = plugin.Plugin("broken", "onnxruntime-ep-broken", "1.0")
    monkeypatch.setattr(plugin, "installed", lambda: [broken])
    with pytest.raises(DeviceUnavailable, match=r"onnxruntime-ep-broken 1.0 does not load: .*nothing.so") as caught:
        open_program(tmp_path / "m.onnx", "ort-plugin:broken")
    assert caught.value.mend is not None and "--force-reinstall onnxruntime-ep-broken" in caught.value.mend
    assert [entry.id for entry in plugin.probe() if not entry.available] == ["webgpu:0", "ort-plugin:broken"]


def test_no_adapter_no_device(webgpu: None, models: Models, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER")
    with pytest.raises(DeviceUnavailable, match=r"no GPU, only SwiftShader.*, which the CPU computes") as caught:
        open_program(models["fixed"], "webgpu:0")
    assert caught.value.mend is not None and "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1" in caught.value.mend
    for name in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES"):
        monkeypatch.setenv(name, str(tmp_path / "none.json"))
    with pytest.raises(DeviceUnavailable, match="Vulkan finds no GPU") as caught:
        open_program(models["fixed"], "webgpu:0")
    assert caught.value.mend == vulkan.DRIVER_MEND
    monkeypatch.setattr(vulkan, "LOADER", "libvulkan-that-is-not-there.so.1")
    with pytest.raises(DeviceUnavailable, match=r"Vulkan loader .* is not installed") as caught:
        open_program(models["fixed"], "webgpu:0")
    assert caught.value.mend == vulkan.LOADER_MEND


REFUSED = """
import sys
from pathlib import Path
from bedside.backends import onnxruntime
from bedside.backends.contract import DeviceUnavailable
try:
    onnxruntime.open(Path(sys.argv[1]), "webgpu:0")
except DeviceUnavailable as error:
    print(error)
"""


def test_an_adapter_that_webgpu_refuses(webgpu: None, models: Models) -> None:
    """Mesa's software Vulkan lacks what WebGPU needs; the provider says so when the first session is made."""
    found = [path for path in Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json")]
    if not found:
        pytest.skip("Mesa's software Vulkan is not there: apt-get install mesa-vulkan-drivers")
    said = run(REFUSED, software_vulkan(found[0]), models["fixed"])
    assert "webgpu:0: Failed to get a WebGPU adapter" in said and "install a Vulkan driver" in said


LOST = """
import ctypes, sys
from pathlib import Path
import numpy as np
from bedside.backends import onnxruntime
from bedside.backends.contract import DeviceFault
model, driver = Path(sys.argv[1]), ctypes.CDLL(sys.argv[2])
feeds = {"image": np.ones((1, 1, 24, 20), np.float32)}
program = onnxruntime.open(model, "webgpu:0")
want = program.run(feeds)["logits"]
driver.lose_device(1)
for start in (program.run, lambda feeds: program.submit(feeds).result(60), program.run):
    try:
        start(feeds)
        print("no error")
    except DeviceFault as error:
        print(error)
        held = error  # as somebody may who writes a report
program.close()
driver.lose_device(0)
again = onnxruntime.open(model, "webgpu:0")
print("the same" if np.array_equal(again.run(feeds)["logits"], want) else "other numbers")
again.close()
"""


def test_a_lost_gpu_is_a_fault_and_can_be_opened_again(
    webgpu: None, models: Models, standin: Any, tmp_path: Path
) -> None:
    real = json.loads(SWIFTSHADER.read_text())["ICD"]["library_path"]
    shim = standin("vulkan_icd", f'REAL="{SWIFTSHADER.parent / real}"')
    driver = tmp_path / "icd.json"
    described = {"file_format_version": "1.0.0", "ICD": {"library_path": str(shim), "api_version": "1.1.0"}}
    driver.write_text(json.dumps(described))
    *lost, again = run(LOST, software_vulkan(driver), models["fixed"], shim).splitlines()
    assert len(lost) == 3
    assert all(line.startswith("webgpu:0: the device is lost") for line in lost), lost
    assert again == "the same"


def run(program: str, environment: dict[str, str], *arguments: Path) -> str:
    """What a Python program of its own process prints: what becomes of a device that is lost stays there."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


OTHER = """
import sys
from pathlib import Path
import numpy as np
from bedside.runtime.devices import list_devices, open_program
(device,) = [entry for entry in list_devices() if entry.id == "ort-plugin:openvino"]
print(device.available, device.versions["onnxruntime-ep-openvino"], device.reason)
feeds = {"image": np.random.default_rng(3).standard_normal((1, 2, 8, 9, 10)).astype(np.float32)}
answers = []
for name in ("ort-plugin:openvino", "openvino:CPU", "ort:cpu"):
    program = open_program(Path(sys.argv[1]), name)
    answers.append(program.run(feeds)["logits"])
    print(name, program.placement())
    program.close()
print(max(float(np.abs(answers[-1] - other).max() / np.abs(answers[-1]).max()) for other in answers) < 1e-6)
"""


@pytest.mark.slow  # a wheel of 53 MB
def test_a_plugin_of_another_vendor(models: Models, tmp_path: Path) -> None:
    """It computes in host memory, in float32: bfloat16, its own choice on some hosts, would be off by 1e-3."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    constraints = Path(__file__).resolve().parents[2] / "constraints.txt"
    wanted = ["--target", str(tmp_path), "--constraint", str(constraints), "onnxruntime-ep-openvino"]
    if subprocess.run([*pip, *wanted], capture_output=True).returncode:
        pytest.skip("pip install onnxruntime-ep-openvino is not possible here")
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(tmp_path)]))
    listed, placed, *_, near = run(OTHER, {"PYTHONPATH": path}, models["volume"]).splitlines()
    assert listed.startswith("True 1.")
    assert placed.startswith("ort-plugin:openvino {'OpenVINOExecutionProvider':") and "CPUExecution" not in placed
    assert near == "True"


def test_providers_are_compared() -> None:
    with pytest.raises(DeviceFault, match="not WebGpuExecutionProvider"):
        sessions.check_providers(["CPUExecutionProvider"], ["WebGpuExecutionProvider"], "webgpu:0")
