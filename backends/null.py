"""The device ``null``: computes nothing, in a fixed time, and fails on request. For measuring and testing the rest.

Settings, as ``Options.extra`` or in the device string, ``null:fault=nan,after=3``:

``latency_ms``
    How long a run takes; default 0.
``fault``
    ``timeout`` (says after ``hang_ms`` that there is no answer), ``hang`` (never answers at all), ``lost`` (the device
    is gone, and stays so), ``oom`` (out of memory), ``crash`` and ``kill`` (the process dies, of a segmentation fault
    or killed), ``nan`` (floating-point outputs are not-a-number) or ``shape`` (every output one element too long in its
    last dimension).
``at``
    ``open``, ``run`` (the default) or ``close``: where it fails. Outputs are wrong at ``run`` only.
``after``
    Runs that succeed before the fault shows; default 0.
``hang_ms``
    How long the ``timeout`` fault keeps a run waiting before it is reported; default 1000.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import onnx_file
from .blocking import BlockingProgram
from .contract import Array, Device, DeviceFault, DeviceUnavailable, Options, Tensors
from .library import one_line

REQUIRES: tuple[str, ...] = onnx_file.REQUIRES
FAULTS = ("timeout", "hang", "lost", "oom", "crash", "kill", "nan", "shape")
STEPS = ("open", "run", "close")
_WRONG = ("nan", "shape")
_NUMBERS = ("latency_ms", "after", "hang_ms")
_OPTIONS = (*_NUMBERS, "fault", "at")
_NAME = "computes nothing"


def probe() -> list[Device]:
    """The one device of this backend; it is always there."""
    return [Device("null", _NAME, True)]


def open(model: Path, device: str, options: Options = Options()) -> NullProgram:  # noqa: B008
    """Read an ONNX model's inputs and outputs; the outputs of every run will be zeros of the shapes it infers.

    Raises
    ------
    DeviceUnavailable
        A device string other than ``null`` and its settings, an unknown one, a fault that is none of :data:`FAULTS`, a
        step that is none of :data:`STEPS` or has no such fault.
    DeviceFault
        The model cannot be read, or to fail at ``open`` was asked for.
    """
    settings = _settings(device, options.extra)
    fault = _Fault(device, settings)
    fault.show("open")
    return NullProgram(onnx_file.read(model, device), model, Device(device, _NAME, True), settings, fault, options)


def _settings(device: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    _, colon, text = device.partition(":")
    for part in text.split(",") if colon else ():
        key, equals, value = part.partition("=")
        if not equals:
            mend = "the device string is 'null', or 'null:fault=nan,after=3'"
            raise DeviceUnavailable(f"{device}: unknown device", mend=mend)
        given[key] = value
    given.update(extra)
    unknown = sorted(set(given) - set(_OPTIONS))
    if unknown:
        raise DeviceUnavailable(f"{device} has no option {unknown[0]!r}", mend=f"one of {', '.join(_OPTIONS)}")
    try:
        return {key: float(value) if key in _NUMBERS else value for key, value in given.items()}
    except ValueError:
        raise DeviceUnavailable(f"{device}: {', '.join(_NUMBERS)} are numbers") from None


class _Fault:
    """What goes wrong, and where."""

    def __init__(self, device: str, settings: Mapping[str, Any]) -> None:
        self.kind = settings.get("fault")
        self._device = device
        self._step = settings.get("at", "run")
        self._hang = settings.get("hang_ms", 1000) / 1000
        if self.kind is not None and self.kind not in FAULTS:
            raise DeviceUnavailable(f"{device} has no fault {self.kind!r}", mend=f"one of {', '.join(FAULTS)}")
        if self._step not in STEPS:
            raise DeviceUnavailable(f"{device} has no step {self._step!r}", mend=f"one of {', '.join(STEPS)}")
        if self._step != "run" and self.kind in _WRONG:
            raise DeviceUnavailable(f"{device}: {self._step} has no outputs that could be wrong")

    def show(self, step: str, closing: threading.Event | None = None) -> None:
        """Fail, if it is at this step that it goes wrong; wrong outputs are the caller's to make.

        A ``timeout`` ends early when ``closing`` is set, a ``hang`` never.
        """
        if step != self._step or self.kind is None or self.kind in _WRONG:
            return
        if self.kind == "lost":
            raise DeviceFault(f"{self._device}: the device is lost", kind="lost")
        if self.kind == "oom":
            raise DeviceFault(f"{self._device}: out of memory", mend="close other programs or use less", kind="memory")
        if self.kind == "crash":
            signal.raise_signal(signal.SIGSEGV)
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        (closing if closing is not None and self.kind == "timeout" else threading.Event()).wait(
            self._hang if self.kind == "timeout" else None
        )
        raise DeviceFault(f"{self._device}: no answer within {self._hang:g} s", kind="timeout")


class NullProgram(BlockingProgram):
    """A model that is read and not computed."""

    def __init__(
        self, graph: Any, model: Path, device: Device, settings: Mapping[str, Any], fault: _Fault, options: Options
    ) -> None:
        inputs = onnx_file.specs(graph.inputs, model, device.id)
        outputs = onnx_file.specs(graph.outputs, model, device.id)
        super().__init__(device, inputs, outputs, options)
        self._graph = graph
        self._nodes = len(graph.get_ops()) - len(graph.inputs) - len(graph.outputs)
        self._latency = settings.get("latency_ms", 0) / 1000
        self._fault = fault
        self._healthy_runs = int(settings.get("after", 0))
        self._closing = threading.Event()

    def close(self) -> None:
        self._closing.set()
        super().close()

    def _infer(self, feeds: Tensors) -> dict[str, Array]:
        healthy = self._healthy_runs > 0
        self._healthy_runs -= 1
        if not healthy:
            self._fault.show("run", self._closing)
        self._closing.wait(self._latency)
        wrong = None if healthy else self._fault.kind
        return {
            spec.name: _output(shape, spec.dtype, wrong)
            for spec, shape in zip(self.outputs, self._shapes(feeds), strict=True)
        }

    def _shapes(self, feeds: Tensors) -> list[tuple[int, ...]]:
        from openvino import PartialShape

        dynamic = any(None in spec.shape for spec in (*self.inputs, *self.outputs))
        if dynamic:
            try:
                self._graph.reshape({spec.name: PartialShape(list(feeds[spec.name].shape)) for spec in self.inputs})
            except Exception as error:
                raise DeviceFault(f"null: the model does not take these shapes: {one_line(error)}") from error
        shapes = []
        for spec, port in zip(self.outputs, self._graph.outputs, strict=True):
            if port.partial_shape.is_dynamic:
                raise DeviceFault(f"null: the shape of '{spec.name}' depends on values, which are not computed")
            shapes.append(tuple(int(size) for size in port.shape))
        return shapes

    def _placement(self) -> dict[str, int]:
        return {"null": self._nodes}

    def _free_device(self) -> None:
        self._fault.show("close")
        del self._graph


def _output(shape: tuple[int, ...], dtype: np.dtype[Any], fault: str | None) -> Array:
    if fault == "shape":
        shape = (*shape[:-1], shape[-1] + 1) if shape else (1,)
    if fault == "nan" and dtype.kind == "f":
        return np.full(shape, np.nan, dtype)
    return np.zeros(shape, dtype)
