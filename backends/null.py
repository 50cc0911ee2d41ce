"""The device ``null``: computes nothing, in a fixed time, and fails on request. For measuring and testing the rest.

``Options.extra``:

``latency_ms``
    How long a run takes; default 0.
``fault``
    ``timeout`` (no answer), ``lost`` (the device is gone, and stays so), ``nan`` (floating-point outputs are
    not-a-number) or ``shape`` (every output one element too long in its last dimension).
``after``
    Runs that succeed before the fault shows; default 0.
``hang_ms``
    How long the ``timeout`` fault keeps a run waiting before it is reported; default 1000.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from . import onnx_file
from .blocking import BlockingProgram
from .contract import Array, Device, DeviceFault, DeviceUnavailable, Options, Tensors
from .library import one_line

REQUIRES: tuple[str, ...] = onnx_file.REQUIRES
FAULTS = ("timeout", "lost", "nan", "shape")
_OPTIONS = ("latency_ms", "fault", "after", "hang_ms")
_DEVICE = Device("null", "computes nothing", True)


def probe() -> list[Device]:
    """The one device of this backend; it is always there."""
    return [_DEVICE]


def open(model: Path, device: str, options: Options = Options()) -> NullProgram:  # noqa: B008
    """Read an ONNX model's inputs and outputs; the outputs of every run will be zeros of the shapes it infers.

    Raises
    ------
    DeviceUnavailable
        A device string other than ``null``, an unknown option, or a fault that is none of :data:`FAULTS`.
    DeviceFault
        The model cannot be read.
    """
    if device != "null":
        raise DeviceUnavailable(f"{device}: unknown device", mend="the device string is 'null'")
    unknown = sorted(set(options.extra) - set(_OPTIONS))
    if unknown:
        raise DeviceUnavailable(f"null has no option {unknown[0]!r}", mend=f"one of {', '.join(_OPTIONS)}")
    fault = options.extra.get("fault")
    if fault is not None and fault not in FAULTS:
        raise DeviceUnavailable(f"null has no fault {fault!r}", mend=f"one of {', '.join(FAULTS)}")
    return NullProgram(onnx_file.read(model, device), model, options)


class NullProgram(BlockingProgram):
    """A model that is read and not computed."""

    def __init__(self, graph: Any, model: Path, options: Options) -> None:
        inputs = onnx_file.specs(graph.inputs, model, "null")
        outputs = onnx_file.specs(graph.outputs, model, "null")
        super().__init__(_DEVICE, inputs, outputs, options)
        self._graph = graph
        self._nodes = len(graph.get_ops()) - len(graph.inputs) - len(graph.outputs)
        self._latency = float(options.extra.get("latency_ms", 0)) / 1000
        self._hang = float(options.extra.get("hang_ms", 1000)) / 1000
        self._fault = options.extra.get("fault")
        self._healthy_runs = int(options.extra.get("after", 0))
        self._closing = threading.Event()

    def close(self) -> None:
        self._closing.set()
        super().close()

    def _infer(self, feeds: Tensors) -> dict[str, Array]:
        fault = self._fault if self._healthy_runs <= 0 else None
        self._healthy_runs -= 1
        if fault == "lost":
            raise DeviceFault("null: the device is lost")
        self._closing.wait(self._hang if fault == "timeout" else self._latency)
        if fault == "timeout":
            raise DeviceFault(f"null: no answer within {self._hang:g} s")
        return {
            spec.name: _output(shape, spec.dtype, fault)
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
        del self._graph


def _output(shape: tuple[int, ...], dtype: np.dtype[Any], fault: str | None) -> Array:
    if fault == "shape":
        shape = (*shape[:-1], shape[-1] + 1) if shape else (1,)
    if fault == "nan" and dtype.kind == "f":
        return np.full(shape, np.nan, dtype)
    return np.zeros(shape, dtype)
