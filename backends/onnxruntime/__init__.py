"""ONNX Runtime: ``ort:cpu``, ``cuda:N``, ``tensorrt:N``, ``webgpu:N`` and ``ort-plugin:NAME[:N]``.

Each family of device strings has its module; what they share is the session, which runs the whole model on the
provider that was asked for or is not made at all.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..contract import Device, DeviceUnavailable, Options
from . import cpu, cuda, plugin, wheels
from .program import BoundProgram, OrtProgram

__all__ = ["REQUIRES", "BoundProgram", "OrtProgram", "open", "probe"]

REQUIRES = wheels.REQUIRES
_KNOWN = (cpu.ID, "cuda:N", "tensorrt:N", "webgpu:N", "ort-plugin:NAME")


def probe() -> list[Device]:
    """The devices of every family; those that cannot be used with the reason and the command that mends it."""
    return [*cpu.probe(), *cuda.probe(), *plugin.probe()]


def open(model: Path, device: str, options: Options = Options()) -> OrtProgram:  # noqa: B008
    """Load an ONNX model into an ONNX Runtime session.

    ``options.extra`` of every family takes ``graph_optimization_level`` (disable, basic, extended, all; default all),
    ``session.intra_op.allow_spinning`` ("0" lets the cores of waiting threads to others; default "1") and
    ``session.x64quantprecision`` ("0" takes faster instructions for INT8 that saturate on some processors; default
    "1"); :data:`.cuda.CUDA`, :data:`.cuda.TENSORRT` and :data:`.plugin.OPTIONS` have more.

    Raises
    ------
    DeviceUnavailable
        ONNX Runtime, a library or the device is missing or unusable, or the option is unknown.
    DeviceFault
        The model cannot be loaded, or the provider would not run all of it.
    """
    if device == cpu.ID:
        return cpu.open(model, options)
    numbered = re.fullmatch(r"(cuda|tensorrt|webgpu):(\d{1,3})", device)
    if numbered and numbered[1] == "webgpu":
        return plugin.open(model, device, "webgpu", int(numbered[2]), options)
    if numbered:
        return cuda.open(model, cuda.FAMILIES[numbered[1]], int(numbered[2]), options)
    named = re.fullmatch(r"ort-plugin:([A-Za-z0-9_-]+)(?::(\d{1,3}))?", device)
    if named:
        return plugin.open(model, device, named[1], int(named[2] or 0), options)
    raise DeviceUnavailable(f"{device}: unknown device", mend=f"one of {', '.join(_KNOWN)}")
