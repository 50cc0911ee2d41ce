"""What is particular to one backend or to the table of backends."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import types
import weakref
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.backends import null, onnxruntime, openvino, reference
from bedside.backends.contract import Device, DeviceFault, DeviceUnavailable, Options
from bedside.backends.library import load, one_line
from bedside.backends.openvino.settings import check_compiled
from bedside.runtime import devices
from bedside.runtime.devices import list_devices, open_program

Models = dict[str, Path]


def test_openvino_computes_in_float32_whatever_the_host_would_prefer(models: Models) -> None:
    """OpenVINO's own default is bfloat16 where the CPU has it; ours is f32, in the graph and in the numbers."""
    program = openvino.open(models["volume"], "openvino:CPU")
    compiled = program._compiled
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    precisions = {
        node.get_rt_info()["runtimePrecision"].astype(str)
        for node in compiled.get_runtime_model().get_ops()
        if node.get_rt_info()["layerType"].astype(str) == "Convolution"
    }
    assert precisions == {"f32"}
    feed = {"image": np.random.default_rng(3).standard_normal((1, 2, 8, 9, 10)).astype(np.float32)}
    want = reference.open(models["volume"], "reference").run(feed)["logits"]
    worst = np.abs(program.run(feed)["logits"] - want).max() / np.abs(want).max()
    assert worst < 1e-6  # bfloat16 has 8 bits of mantissa: it would be off by more than 1e-3
    program.close()


def test_openvino_refuses_wrong_options(models: Models) -> None:
    for extra in ({"INFERENCE_PRECISION_HINT": "i4"}, {"NUM_STREAMS": "many"}, {"NUM_STREAM": 2}):
        with pytest.raises((DeviceUnavailable, DeviceFault), match=r"does not compute in 'i4'|streams|'NUM_STREAM'"):
            openvino.open(models["fixed"], "openvino:CPU", Options(extra=extra))


def test_openvino_options_and_threads_reach_the_library(models: Models) -> None:
    program = openvino.open(models["fixed"], "openvino:CPU", Options(threads=1, extra={"ENABLE_CPU_PINNING": False}))
    assert program._compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert program._compiled.get_property("ENABLE_CPU_PINNING") is False
    program.close()


def test_openvino_on_another_device_is_an_error(models: Models) -> None:
    class Compiled:
        def get_property(self, name: str) -> Any:
            return ["CPU"]

    with pytest.raises(DeviceFault, match="placed the model on CPU"):
        check_compiled(Compiled(), "GPU", "openvino:GPU")


def test_ort_threads_reach_the_library(models: Models) -> None:
    program = onnxruntime.open(models["fixed"], "ort:cpu", Options(threads=1))
    assert program._session.get_session_options().intra_op_num_threads == program.host_threads == 1
    assert program._session.get_providers() == ["CPUExecutionProvider"]
    program.close()


def test_ort_options(models: Models) -> None:
    feed = {"image": np.ones((1, 1, 24, 20), np.float32)}
    for extra in ({"graph_optimization_level": "disable"}, {"session.intra_op.allow_spinning": "0"}):
        program = onnxruntime.open(models["fixed"], "ort:cpu", Options(extra=extra))
        assert program.run(feed)["logits"].shape == (1, 3, 24, 20)
        program.close()
    with pytest.raises(DeviceUnavailable, match="graph_optimization_level cannot be 'most'"):
        onnxruntime.open(models["fixed"], "ort:cpu", Options(extra={"graph_optimization_level": "most"}))


@pytest.mark.parametrize(
    ("module", "name", "backend", "device", "pip"),
    [
        ("onnxruntime", "onnxruntime", onnxruntime, "ort:cpu", "pip install 'bedside[ort]'"),
        ("onnx", "onnx", reference, "reference", "pip install 'onnx>=1.17'"),
        ("openvino", "openvino", openvino, "openvino:CPU", "pip install 'openvino>=2025.4'"),
    ],
)
def test_a_missing_library_names_the_pip_line(
    monkeypatch: pytest.MonkeyPatch, models: Models, module: str, name: str, backend: Any, device: str, pip: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DeviceUnavailable, match=name) as caught:
        backend.open(models["fixed"], device)
    assert caught.value.mend == pip
    (first, *_) = backend.probe()
    assert (first.id, first.available, first.mend) == (device, False, pip)
    assert name in first.reason


def test_an_old_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    old = types.ModuleType("onnxruntime")
    old.__version__ = "1.9.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnxruntime", old)
    with pytest.raises(DeviceUnavailable, match=r"1.9.0 is too old, 1.24"):
        load("onnxruntime>=1.24", device="ort:cpu", mend="pip install 'bedside[ort]'")


def test_both_onnxruntime_wheels_at_once_are_refused(monkeypatch: pytest.MonkeyPatch, models: Models) -> None:
    monkeypatch.setattr(metadata, "version", lambda wheel: "1.30.0")
    with pytest.raises(DeviceUnavailable, match="onnxruntime and onnxruntime-gpu are both installed") as caught:
        onnxruntime.open(models["fixed"], "ort:cpu")
    assert caught.value.mend is not None
    assert caught.value.mend.startswith("pip uninstall -y onnxruntime onnxruntime-gpu")
    assert not onnxruntime.probe()[0].available


def feed() -> dict[str, Any]:
    return {"image": np.ones((1, 1, 24, 20), np.float32)}


def open_null(models: Models, **extra: Any) -> null.NullProgram:
    return null.open(models["fixed"], "null", Options(extra=extra))


def test_null_faults_come_after_the_healthy_runs(models: Models) -> None:
    program = open_null(models, fault="nan", after=2)
    assert [bool(np.isnan(program.run(feed())["logits"]).all()) for _ in range(4)] == [False, False, True, True]
    program = open_null(models, fault="shape", after=1)
    assert [program.run(feed())["logits"].shape[-1] for _ in range(3)] == [20, 21, 21]


def test_null_lost_stays_lost(models: Models) -> None:
    program = open_null(models, fault="lost", after=1)
    program.run(feed())
    for _ in range(2):
        with pytest.raises(DeviceFault, match="lost"):
            program.run(feed())
        with pytest.raises(DeviceFault, match="lost"):
            program.submit(feed()).result()


def test_null_timeout(models: Models) -> None:
    program = open_null(models, fault="timeout", hang_ms=80)
    with pytest.raises(DeviceFault, match=r"no answer within 0.08 s"):
        program.run(feed())
    pending = program.submit(feed())
    with pytest.raises(DeviceFault, match=r"no answer within 0.01 s"):
        pending.result(0.01)
    program.close()


def test_null_refuses_a_fault_it_does_not_have(models: Models) -> None:
    with pytest.raises(DeviceUnavailable, match="no fault 'explosion'"):
        open_null(models, fault="explosion")
    with pytest.raises(DeviceUnavailable, match="no step 'lunch'"):
        open_null(models, fault="oom", at="lunch")
    with pytest.raises(DeviceUnavailable, match="open has no outputs that could be wrong"):
        open_null(models, fault="nan", at="open")


def test_null_takes_its_settings_from_the_device_string(models: Models) -> None:
    program = open_program(models["fixed"], "null:fault=nan,after=1,latency_ms=1")
    assert program.device.id == "null:fault=nan,after=1,latency_ms=1"
    assert [bool(np.isnan(program.run(feed())["logits"]).all()) for _ in range(2)] == [False, True]
    for wrong, said in (
        ("null:colour=blue", "no option 'colour'"),
        ("null:after=some", "are numbers"),
        ("null:", "null"),
    ):
        with pytest.raises(DeviceUnavailable, match=said):
            open_program(models["fixed"], wrong)


@pytest.mark.parametrize("step", ["open", "run", "close"])
@pytest.mark.parametrize(("fault", "kind"), [("oom", "memory"), ("lost", "lost"), ("timeout", "timeout")])
def test_null_fails_at_every_step(models: Models, step: str, fault: str, kind: str) -> None:
    with pytest.raises(DeviceFault) as caught:
        program = open_null(models, fault=fault, at=step, hang_ms=10)
        program.run(feed())
        program.close()
    assert caught.value.kind == kind


@pytest.mark.parametrize(("fault", "number"), [("crash", 11), ("kill", 9)])
def test_null_takes_its_process_along(models: Models, fault: str, number: int) -> None:
    script = (
        "import sys, pathlib, numpy as np\n"
        "from bedside.backends import null\n"
        f"program = null.open(pathlib.Path(sys.argv[1]), 'null:fault={fault},after=1')\n"
        "for _ in range(2): program.run({'image': np.ones((1, 1, 24, 20), np.float32)}); print('ran', flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(models["fixed"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (-number, "ran\n")


def test_a_program_that_nobody_has_any_more_goes_with_its_thread(models: Models) -> None:
    """As it did in a ThreadPoolExecutor; and an idle thread keeps no arrays."""
    program = open_null(models)
    feeds = feed()
    program.submit(feeds).result()
    left, arrays = weakref.ref(program), weakref.ref(feeds["image"])
    del feeds
    deadline = time.monotonic() + 10
    while arrays() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    del program
    gc.collect()
    assert arrays() is None and left() is None


def test_openvino_timeout_then_result(models: Models) -> None:
    """A run that is late is an error; it is not lost, and the request is usable again."""
    program = openvino.open(models["dynamic"], "openvino:CPU", Options(threads=1))
    big = {"image": np.ones((1, 1, 1500, 1500), np.float32)}
    pending = program.submit(big)
    with pytest.raises(DeviceFault, match="openvino:CPU: no answer within 0 s"):
        pending.result(0)
    assert pending.result()["logits"].shape == (1, 3, 1500, 1500)
    assert program.submit(big).result()["logits"].shape == (1, 3, 1500, 1500)
    program.close()


class _Entry:
    def __init__(self, name: str, loaded: Any) -> None:
        self.name, self._loaded = name, loaded

    def load(self) -> Any:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


def test_a_third_party_backend(monkeypatch: pytest.MonkeyPatch, models: Models) -> None:
    module = types.SimpleNamespace(
        REQUIRES=(),
        probe=lambda: [Device("acme:0", "ACME", True)],
        open=lambda model, device, options: null.open(model, "null", options),
    )
    broken = _Entry("broken", ImportError("libacme.so: cannot open shared object file"))
    impostor = _Entry("openvino", module)
    monkeypatch.setattr(devices, "entry_points", lambda group: [_Entry("acme", module), broken, impostor])
    listed = {entry.id: entry for entry in list_devices()}
    assert listed["acme:0"].available
    assert listed["openvino:CPU"].name != "ACME"
    assert not listed["broken"].available
    assert "libacme.so" in listed["broken"].reason
    program = open_program(models["fixed"], "acme:0")
    assert program.run(feed())["logits"].shape == (1, 3, 24, 20)
    with pytest.raises(DeviceUnavailable, match="libacme"):
        open_program(models["fixed"], "broken:0")


def test_a_third_party_backend_that_raises_what_it_likes(monkeypatch: pytest.MonkeyPatch, models: Models) -> None:
    def fail(model: Path, device: str, options: Options) -> Any:
        raise KeyError("no such\nboard")

    module = types.SimpleNamespace(REQUIRES=(), probe=lambda: [], open=fail)
    monkeypatch.setattr(devices, "entry_points", lambda group: [_Entry("acme", module)])
    with pytest.raises(DeviceFault, match=r"acme:0 cannot load fixed.onnx: .*board") as caught:
        open_program(models["fixed"], "acme:0")
    assert "\n" not in caught.value.message


def test_a_broken_driver_does_not_hide_the_cpu(monkeypatch: pytest.MonkeyPatch, models: Models) -> None:
    import openvino as library

    class Core:
        available_devices = ("CPU", "GPU")

        def __init__(self) -> None:
            self._core = library_core()

        def get_property(self, name: str, key: str) -> Any:
            if name == "GPU":
                raise RuntimeError("clGetPlatformIDs failed")
            return self._core.get_property(name, key)

        def compile_model(self, *arguments: Any) -> Any:
            return self._core.compile_model(*arguments)

    library_core = library.Core
    monkeypatch.setattr(library, "Core", Core)
    listed = {entry.id: entry for entry in openvino.probe()}
    assert listed["openvino:CPU"].available
    assert not listed["openvino:GPU"].available
    assert "clGetPlatformIDs failed" in listed["openvino:GPU"].reason and "apt install" in listed["openvino:GPU"].mend
    openvino.open(models["fixed"], "openvino:CPU").close()
    with pytest.raises(DeviceFault, match=r"openvino:GPU cannot compile .*clGetPlatformIDs"):
        openvino.open(models["fixed"], "openvino:GPU")


def test_an_openvino_that_does_not_start(monkeypatch: pytest.MonkeyPatch, models: Models) -> None:
    import openvino as library

    def core() -> Any:
        raise RuntimeError("plugins.xml not found")

    monkeypatch.setattr(library, "Core", core)
    (device,) = openvino.probe()
    assert not device.available and "plugins.xml" in device.reason
    with pytest.raises(DeviceUnavailable, match=r"does not start: plugins.xml"):
        openvino.open(models["fixed"], "openvino:CPU")


def test_one_line() -> None:
    text = "Exception from src/core.cpp:84:\nCheck 'false' failed at a/b.cpp:47:\nLoading   the model\nfailed\n"
    assert one_line(RuntimeError(text)) == "Loading the model failed"
    assert one_line(RuntimeError("[ONNXRuntimeError] : 1 : FAIL : no such operator")) == "no such operator"
    assert one_line(KeyError()) == "KeyError"
    assert len(one_line(RuntimeError("x" * 1000))) == 240
