"""OpenVINO: ``openvino:CPU``, ``openvino:GPU``, ``openvino:NPU`` where OpenVINO finds them, and ``openvino:AUTO``.

Numbers are float32 unless another precision is asked for: on hosts with AVX512-BF16 or AMX OpenVINO's own default is
bfloat16, so the precision is pinned and read back after compilation. The device asked for runs the model, or it is an
error; ``openvino:AUTO`` leaves the choice to OpenVINO, once, when the model is opened, and names what was chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from .. import onnx_file
from ..contract import BedsideError, Device, DeviceFault, DeviceUnavailable, Options
from ..library import load, one_line
from .compiled import Loaded, entry
from .program import OpenVinoProgram
from .settings import AUTO, MODEL_CACHE, PRECISION, check_compiled, properties

REQUIRES = onnx_file.REQUIRES

_DRIVERS = {
    "GPU": "install the Intel GPU compute driver: apt install intel-opencl-icd",
    "NPU": "install the Intel NPU driver: https://github.com/intel/linux-npu-driver/releases",
}


def probe() -> list[Device]:
    """The devices OpenVINO finds, and those of CPU, GPU and NPU that it does not, with the reason."""
    try:
        library = load(REQUIRES[0], device="openvino", mend=onnx_file.MEND)
        core = _core(library.Core)
        names = list(core.available_devices)
    except DeviceUnavailable as error:
        return [Device("openvino:CPU", "OpenVINO", False, error.message, error.mend or "")]
    except Exception as error:
        return [
            Device("openvino:CPU", "OpenVINO", False, f"OpenVINO does not start: {one_line(error)}", onnx_file.MEND)
        ]
    found = [_probe(core, name, library.__version__) for name in names]
    families = {name.partition(".")[0] for name in names}
    absent = [
        Device(f"openvino:{family}", f"Intel {family}", False, f"OpenVINO finds no {family} on this host", mend)
        for family, mend in _DRIVERS.items()
        if family not in families
    ]
    return found + absent


def open(model: Path, device: str, options: Options = Options()) -> OpenVinoProgram:  # noqa: B008
    """Compile an ONNX model for an OpenVINO device, or take it from the cache of compiled models.

    ``options.extra`` takes the device's own property names (``NUM_STREAMS``, ``PERFORMANCE_HINT``,
    ``ENABLE_CPU_PINNING``, ...). ``INFERENCE_PRECISION_HINT`` is f32 unless it is among them. ``model_cache`` False
    compiles anew and keeps nothing.

    With the hint ``latency`` all threads work on one run. With ``throughput`` the threads are shared out among as many
    runs as may be in flight, which are computed at once; :meth:`Program.run` then has one such share.

    Raises
    ------
    DeviceUnavailable
        No OpenVINO, no such device, a property the device does not have, or a precision it does not compute in.
    DeviceFault
        The model cannot be loaded on the device, or was compiled for another device or precision.
    """
    name = device.partition(":")[2]
    library = load(REQUIRES[0], device=device, mend=onnx_file.MEND)
    try:
        core = _core(library.Core)
        available = list(core.available_devices)
    except Exception as error:
        raise DeviceUnavailable(f"{device}: OpenVINO does not start: {one_line(error)}", mend=onnx_file.MEND) from error
    if name != AUTO:
        _require(name, available, device)
    onnx_file.check_file(model, device)
    try:
        settings = properties(core, name, device, options)
        kept = entry(core, name, model, library.__version__, settings) if options.extra.get(MODEL_CACHE, True) else None
        found = None if kept is None else kept.load(core, name, settings)
        loaded = found or _compile(core, name, model, device, settings)
        ran_on = check_compiled(loaded.compiled, name, device, settings[PRECISION])
        if kept is not None and found is None:
            kept.store(loaded)
        described = _describe(core, ran_on[0] if name == AUTO else name, library.__version__)
        return OpenVinoProgram(loaded, replace(described, id=device), ran_on, options.in_flight)
    except BedsideError:
        raise
    except Exception as error:
        raise DeviceFault(f"{device} cannot compile {model.name}: {one_line(error)}") from error


@cache
def _core(make: Callable[[], Any]) -> Any:
    """The one core of the process: a new one each time crashed now and then where models of an earlier one lived on."""
    return make()


def _compile(core: Any, name: str, model: Path, device: str, settings: dict[str, Any]) -> Loaded:
    graph = onnx_file.read(model, device)
    inputs = onnx_file.specs(graph.inputs, model, device)
    outputs = onnx_file.specs(graph.outputs, model, device)
    return Loaded(core.compile_model(graph, name, settings), inputs, outputs)


def _require(name: str, available: list[str], device: str) -> None:
    """Raise DeviceUnavailable unless OpenVINO has the device ``name``, with or without its number."""
    if name in available or f"{name}.0" in available or (name == "GPU.0" and "GPU" in available):
        return
    known = ", ".join(f"openvino:{entry}" for entry in available)
    mend = _DRIVERS.get(name.partition(".")[0])
    raise DeviceUnavailable(f"{device}: OpenVINO finds no such device, only {known}", mend=mend)


def _probe(core: Any, name: str, version: str) -> Device:
    try:
        return _describe(core, name, version)
    except Exception as error:  # one broken driver does not hide the other devices
        reason = f"its driver does not answer: {one_line(error)}"
        return Device(f"openvino:{name}", name, False, reason, _DRIVERS.get(name.partition(".")[0], onnx_file.MEND))


def _describe(core: Any, name: str, version: str) -> Device:
    return Device(
        f"openvino:{name}", str(core.get_property(name, "FULL_DEVICE_NAME")), True, versions={"openvino": version}
    )
