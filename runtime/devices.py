"""Devices by name: the part of a device string before the colon names the backend module.

Backends that are not built in register a module in the entry-point group ``bedside.backends``, the entry's name being
that part of the string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
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
    """Every device that a backend knows of on this host, usable or not, built-in backends first. Never raises.

    It asks drivers in this process: a driver that crashes takes the process with it. :mod:`.probing` has a child ask.
    """
    return [device for family, devices in probe_families(families()) for device in devices or ()]


def families() -> tuple[str, ...]:
    """The part before the colon of every device string that there is a backend for, built-in backends first."""
    return tuple(_loaders())


def probe_families(wanted: Sequence[str]) -> Iterator[tuple[str, list[Device] | None]]:
    """Probe backends one after the other, in this process: each family with None before, with its devices after.

    A backend of several families lists them all under the first one that is wanted.
    """
    asked: list[Backend] = []
    loaders = _loaders()
    for family in wanted:
        yield family, None
        try:
            backend = loaders[family]()
            new = not any(backend is other for other in asked)
            asked.append(backend)
            devices = backend.probe() if new else []
        except Exception as error:  # a third party's module may break its promise; the others are still listed
            reason = f"the backend does not load: {one_line(error)}"
            devices = [Device(family, family, False, reason, f"repair or remove the package that adds '{family}'")]
        yield family, devices


def requirements(device: str) -> tuple[str, ...]:
    """Names of the Python packages that a device's backend needs; none where there is no such backend."""
    loader = _loaders().get(device.partition(":")[0])
    if loader is None:
        return ()
    try:
        needed = loader().REQUIRES
    except Exception:  # it does not load: open_program says so
        return ()
    return tuple(re.split(r"[^\w.-]", requirement.strip())[0] for requirement in needed)


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
        raise DeviceUnavailable(f"unknown device '{device}'", mend="`bedside devices` lists what is there")
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
