"""Reading an ONNX file with OpenVINO's front end, which the base install has: names, dtypes and shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .contract import DeviceFault, TensorSpec
from .library import load, one_line

REQUIRES = ("openvino>=2025.4",)
MEND = "pip install 'openvino>=2025.4'"

# By OpenVINO's element type names. Its own to_dtype() calls bf16 a float16, so what is not listed is refused.
_DTYPES = {
    "f16": np.float16, "f32": np.float32, "f64": np.float64,
    "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64,
    "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64,
    "boolean": np.bool_,
}  # fmt: skip


def check_file(model: Path, device: str) -> None:
    """Raise DeviceFault unless ``model`` is a readable, non-empty file."""
    if not model.is_file():
        raise DeviceFault(f"{device} cannot load {model.name}: no such file")
    if model.stat().st_size == 0:
        raise DeviceFault(f"{device} cannot load {model.name}: the file is empty")


def read(model: Path, device: str) -> Any:
    """The ``openvino.Model`` of an ONNX file.

    Only the ONNX front end is asked: ``Core.read_model`` offers an unreadable file to every other front end too, and
    one of them writes to stderr.

    Raises
    ------
    DeviceUnavailable
        No OpenVINO, or too old a one.
    DeviceFault
        The file is missing or corrupted, its external data is missing, or it has an operator OpenVINO does not know.
    """
    load(REQUIRES[0], device=device, mend=MEND)
    from openvino.frontend import FrontEndManager

    check_file(model, device)
    try:
        front_end = FrontEndManager().load_by_framework("onnx")
        graph = front_end.convert(front_end.load(str(model)))
    except Exception as error:
        raise DeviceFault(f"{device} cannot load {model.name}: {_explain(error)}") from error
    if not graph.inputs or not graph.outputs:
        raise DeviceFault(f"{device} cannot load {model.name}: it has no inputs or no outputs")
    return graph


def specs(ports: Iterable[Any], model: Path, device: str) -> tuple[TensorSpec, ...]:
    """The TensorSpec of each OpenVINO port; raises DeviceFault for a dtype numpy lacks or a rank that is open."""
    return tuple(_spec(port, model, device) for port in ports)


def _spec(port: Any, model: Path, device: str) -> TensorSpec:
    type_name = port.element_type.get_type_name()
    if type_name not in _DTYPES:
        raise DeviceFault(f"{device}: '{port.any_name}' of {model.name} is {type_name}, which numpy does not have")
    shape = port.partial_shape
    if shape.rank.is_dynamic:
        raise DeviceFault(f"{device}: '{port.any_name}' of {model.name} has no fixed number of dimensions")
    dimensions = tuple(None if dim.is_dynamic else int(dim.get_length()) for dim in shape)
    return TensorSpec(port.any_name, dimensions, np.dtype(_DTYPES[type_name]))


def _explain(error: Exception) -> str:
    text = one_line(error)
    external = re.search(r"externally stored data in file \(([^,)]+)", text)
    if external:
        return f"its external data file '{external.group(1)}' is missing or too short"
    if "can't be parsed" in text:
        return "it is not an ONNX file, or is truncated"
    return text
