"""ONNX Runtime: ``ort:cpu``.

A family of device strings is one row of ``_FAMILIES``: the execution provider that must run the whole model. The
session is made with that provider alone, so nothing falls back to another one unseen.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from .blocking import BlockingProgram
from .contract import Array, Device, DeviceFault, DeviceUnavailable, Options, Tensors, TensorSpec
from .library import load, one_line
from .onnx_file import check_file

REQUIRES = ("onnxruntime>=1.24.1",)


@dataclass(frozen=True)
class _Family:
    provider: str
    name: str
    install: str


_FAMILIES = {"ort:cpu": _Family("CPUExecutionProvider", "ONNX Runtime on the CPU", "pip install 'bedside[ort]'")}
_WHEELS = ("onnxruntime", "onnxruntime-gpu")
_DTYPES = {
    "float16": np.float16, "float": np.float32, "double": np.float64,
    "int8": np.int8, "int16": np.int16, "int32": np.int32, "int64": np.int64,
    "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64,
    "bool": np.bool_,
}  # fmt: skip
_LEVELS = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
_OPTIONS = ("graph_optimization_level", "session.intra_op.allow_spinning")


def probe() -> list[Device]:
    """One Device a family of device strings, with the pip line where its wheel is missing."""
    return [_probe_family(device, family) for device, family in _FAMILIES.items()]


def open(model: Path, device: str, options: Options = Options()) -> OrtProgram:  # noqa: B008
    """Load an ONNX model into an ONNX Runtime session.

    ``options.extra`` takes ``graph_optimization_level`` (disable, basic, extended, all; default all) and
    ``session.intra_op.allow_spinning`` ("0" lets the cores of waiting threads to others; default "1").

    Raises
    ------
    DeviceUnavailable
        ONNX Runtime is missing, too old or doubly installed, the provider is not in it, or the option is unknown.
    DeviceFault
        The model cannot be loaded, or the provider would not run all of it.
    """
    if device not in _FAMILIES:
        raise DeviceUnavailable(f"{device}: unknown device", mend=f"one of {', '.join(_FAMILIES)}")
    family = _FAMILIES[device]
    library = _library(device, family)
    settings = _settings(library, device, options)
    check_file(model, device)
    try:
        session = library.InferenceSession(str(model), settings, providers=[family.provider])
    except Exception as error:
        raise DeviceFault(f"{device} cannot load {model.name}: {one_line(error)}") from error
    if session.get_providers() != [family.provider]:
        raise DeviceFault(f"{device}: ONNX Runtime would run the model on {', '.join(session.get_providers())}")
    described = Device(device, family.name, True, versions={"onnxruntime": library.__version__})
    inputs = [_spec(port, model, device) for port in session.get_inputs()]
    outputs = [_spec(port, model, device) for port in session.get_outputs()]
    return OrtProgram(session, described, inputs, outputs, options)


class OrtProgram(BlockingProgram):
    """An ONNX Runtime session."""

    def __init__(
        self, session: Any, device: Device, inputs: list[TensorSpec], outputs: list[TensorSpec], options: Options
    ) -> None:
        super().__init__(device, inputs, outputs, options)
        self._session = session
        self._names = [spec.name for spec in outputs]

    def _infer(self, feeds: Tensors) -> dict[str, Array]:
        return dict(zip(self._names, self._session.run(self._names, feeds), strict=True))

    def _placement(self) -> dict[str, int]:
        counted: Counter[str] = Counter()
        for subgraph in self._session.get_provider_graph_assignment_info():
            counted[subgraph.ep_name] += len(subgraph.get_nodes())
        return dict(counted)

    def _free_device(self) -> None:
        del self._session


def _library(device: str, family: _Family) -> Any:
    both = [wheel for wheel in _WHEELS if _installed(wheel)]
    if len(both) > 1:
        raise DeviceUnavailable(
            f"{device}: {' and '.join(both)} are both installed and overwrite each other's files",
            mend=f"pip uninstall -y {' '.join(both)} && {family.install}",
        )
    library = load(REQUIRES[0], device=device, mend=family.install)
    if family.provider not in library.get_available_providers():
        raise DeviceUnavailable(f"{device}: this onnxruntime is built without {family.provider}", mend=family.install)
    return library


def _installed(wheel: str) -> bool:
    try:
        metadata.version(wheel)
    except metadata.PackageNotFoundError:
        return False
    return True


def _probe_family(device: str, family: _Family) -> Device:
    try:
        library = _library(device, family)
    except DeviceUnavailable as error:
        return Device(device, family.name, False, error.message, error.mend or "")
    except Exception as error:
        return Device(device, family.name, False, one_line(error), family.install)
    return Device(device, family.name, True, versions={"onnxruntime": library.__version__})


def _settings(library: Any, device: str, options: Options) -> Any:
    extra: Mapping[str, Any] = options.extra
    unknown = sorted(set(extra) - set(_OPTIONS))
    if unknown:
        raise DeviceUnavailable(f"{device} has no option {unknown[0]!r}", mend=f"one of {', '.join(_OPTIONS)}")
    level = str(extra.get("graph_optimization_level", "all"))
    if level not in _LEVELS:
        raise DeviceUnavailable(
            f"{device}: graph_optimization_level cannot be {level!r}", mend=f"one of {', '.join(_LEVELS)}"
        )
    settings = library.SessionOptions()
    settings.log_severity_level = 4  # what matters comes as an exception too
    # Left to itself ONNX Runtime counts the host's cores and pins to them, whatever the process's affinity mask says.
    settings.intra_op_num_threads = options.threads or len(os.sched_getaffinity(0))
    settings.inter_op_num_threads = 1
    settings.graph_optimization_level = getattr(library.GraphOptimizationLevel, _LEVELS[level])
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    # Where uint8 times int8 saturates (x86-64 without VNNI) other instructions are taken; elsewhere this does nothing.
    settings.add_session_config_entry("session.x64quantprecision", "1")
    spinning = extra.get("session.intra_op.allow_spinning", "1")
    settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    return settings


def _spec(port: Any, model: Path, device: str) -> TensorSpec:
    kind = str(port.type)
    element = kind.removeprefix("tensor(").removesuffix(")")
    if element not in _DTYPES:
        raise DeviceFault(f"{device}: '{port.name}' of {model.name} is {kind}, which is no numpy array")
    shape = tuple(dim if isinstance(dim, int) else None for dim in port.shape)
    return TensorSpec(port.name, shape, np.dtype(_DTYPES[element]))
