"""The device ``reference``: ONNX's own evaluator of the standard, in numpy. Slow, and what the others are held to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .blocking import BlockingProgram
from .contract import Array, Device, DeviceFault, DeviceUnavailable, Options, Tensors, TensorSpec
from .library import load, one_line
from .onnx_file import check_file

REQUIRES = ("onnx>=1.17",)
_MEND = "pip install 'onnx>=1.17'"
_NAME = "ONNX reference evaluator"


def probe() -> list[Device]:
    """The one device of this backend."""
    try:
        library = load(REQUIRES[0], device="reference", mend=_MEND)
    except DeviceUnavailable as error:
        return [Device("reference", _NAME, False, error.message, error.mend or "")]
    return [Device("reference", _NAME, True, versions={"onnx": library.__version__})]


def open(model: Path, device: str, options: Options = Options()) -> ReferenceProgram:  # noqa: B008
    """Load an ONNX model into ``onnx.reference.ReferenceEvaluator``; it uses one thread and has no options.

    Raises
    ------
    DeviceUnavailable
        No ``onnx``, a device string other than ``reference``, or an option.
    DeviceFault
        The model cannot be loaded.
    """
    if device != "reference":
        raise DeviceUnavailable(f"{device}: unknown device", mend="the device string is 'reference'")
    if options.extra:
        raise DeviceUnavailable(f"reference has no option {sorted(options.extra)[0]!r}", mend="it has none")
    onnx = load(REQUIRES[0], device="reference", mend=_MEND)
    from onnx.reference import ReferenceEvaluator

    check_file(model, device)
    try:
        proto = onnx.load(str(model))
        onnx.checker.check_model(proto)
        evaluator = ReferenceEvaluator(proto)
    except Exception as error:
        raise DeviceFault(f"reference cannot load {model.name}: {one_line(error)}") from error
    stored = {tensor.name for tensor in proto.graph.initializer}
    inputs = _specs((port for port in proto.graph.input if port.name not in stored), model)
    outputs = _specs(proto.graph.output, model)
    described = Device("reference", _NAME, True, versions={"onnx": onnx.__version__})
    return ReferenceProgram(evaluator, len(proto.graph.node), described, inputs, outputs, options)


class ReferenceProgram(BlockingProgram):
    """A model in the reference evaluator."""

    def __init__(
        self,
        evaluator: Any,
        nodes: int,
        device: Device,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        options: Options,
    ) -> None:
        super().__init__(device, inputs, outputs, options)
        self._evaluator = evaluator
        self._nodes = nodes

    def _infer(self, feeds: Tensors) -> dict[str, Array]:
        values = self._evaluator.run([spec.name for spec in self.outputs], dict(feeds))
        # Copied, because the evaluator hands out its stored constants and, through Identity or Reshape, the feeds.
        return {spec.name: np.array(value, order="C") for spec, value in zip(self.outputs, values, strict=True)}

    def _placement(self) -> dict[str, int]:
        return {"reference": self._nodes}

    def _free_device(self) -> None:
        del self._evaluator


def _specs(ports: Iterable[Any], model: Path) -> tuple[TensorSpec, ...]:
    from onnx import TensorProto
    from onnx.helper import tensor_dtype_to_np_dtype

    specs = []
    for port in ports:
        tensor = port.type.tensor_type
        name = TensorProto.DataType.Name(tensor.elem_type)
        dtype = np.dtype(tensor_dtype_to_np_dtype(tensor.elem_type)) if tensor.elem_type else np.dtype(object)
        if dtype.kind not in "biuf":  # bfloat16 and its like come as ml_dtypes, strings as objects
            raise DeviceFault(f"reference: '{port.name}' of {model.name} is {name}, which numpy does not have")
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
        specs.append(TensorSpec(port.name, shape, dtype))
    return tuple(specs)
