"""Devices by name: the part of a device string before the colon names the backend module.

Backends that are not built in register a module in the entry-point group ``bedside.backends``, the entry's name being
that part of the string.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from bedside.backends.contract import (
    Backend,
    BedsideError,
    Device,
    DeviceFault,
    DeviceUnavailable,
    Options,
    Program,
)
from bedside.backends.library import one_line

from .threads import set_once

ENTRY_POINTS = "bedside.backends"

_ONNXRUNTIME = "bedside.backends.onnxruntime"
_BUILT_IN = {
    "openvino": "bedside.backends.openvino",
    "ort": _ONNXRUNTIME,
    "cuda": _ONNXRUNTIME,
    "tensorrt": _ONNXRUNTIME,
    "webgpu": _ONNXRUNTIME,
    "ort-plugin": _ONNXRUNTIME,
    "null": "bedside.backends.null",
    "reference": "bedside.backends.reference",
}


def list_devices() -> list[Device]:
    """Every device that a backend knows of on this host, usable or not, built-in backends first. Never raises."""
    devices: list[Device] = []
    asked: list[Backend] = []
    for family, loader in _loaders().items():
        try:
            backend = loader()
            if any(backend is other for other in asked):
                continue  # one module may have several families, and lists them all
            asked.append(backend)
            devices += backend.probe()
        except Exception as error:  # a third party's module may break its promise; the others are still listed
            reason = f"the backend does not load: {one_line(error)}"
            devices.append(Device(family, family, False, reason, f"repair or remove the package that adds '{family}'"))
    return devices


def open_program(model_path: Path, device: str, options: Options = Options()) -> Program:  # noqa: B008
    """Load an ONNX model on the device that a device string names, e.g. ``openvino:CPU``.

    Without ``options.threads`` the backend is told the process's thread budget.

    Raises
    ------
    BedsideError
        ``$BEDSIDE_THREADS`` is no number.
    DeviceUnavailable
        No backend has that name, or the device or an option is not to be had on this host.
    DeviceFault
        The device cannot load the model.
    """
    options = replace(options, threads=options.threads or set_once().threads)
    family = device.partition(":")[0]
    loaders = _loaders()
    if family not in loaders:
        raise DeviceUnavailable(f"unknown device '{device}'", mend=f"one of {', '.join(_known_ids())}")
    try:
        backend = loaders[family]()
    except Exception as error:
        raise DeviceUnavailable(f"{device}: the backend does not load: {one_line(error)}") from error
    try:
        return backend.open(model_path, device, options)
    except BedsideError:
        raise
    except Exception as error:  # a third party's module may break its promise
        raise DeviceFault(f"{device} cannot load {model_path.name}: {one_line(error)}") from error


def _loaders() -> dict[str, Callable[[], Backend]]:
    """How to get each backend module, by family; a third party's entry does not replace a built-in one."""

    def built_in(module: str) -> Callable[[], Backend]:
        return lambda: cast(Backend, import_module(module))

    loaders = {family: built_in(module) for family, module in _BUILT_IN.items()}
    for entry in entry_points(group=ENTRY_POINTS):
        loaders.setdefault(entry.name, entry.load)
    return loaders


def _known_ids() -> list[str]:
    return [device.id for device in list_devices() if device.available]
