"""What an ONNX file says of itself, read from the protobuf wire format without loading weights.

Field numbers are those of onnx.proto3 (ONNX IR specification). Only what a bundle check needs is read: inputs, outputs,
and the files that hold external tensor data.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .errors import BundleError

_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE = 1, 5, 11, 12, 15
_FUNCTION_NODE, _FUNCTION_ATTRIBUTE = 7, 11
_NODE_ATTRIBUTE = 5
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_SPARSE_TENSORS = (1, 2)
_TENSOR_NAME, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 8, 13, 14

_DEEPEST = 64
"""Graphs inside graphs; networks have a few levels, of If and Loop."""

_DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}
"""TensorProto.DataType to numpy's name."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output; a dimension that is symbolic or unknown is None, an unknown rank gives shape None."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class ExternalData:
    """A stretch of a file beside the model that holds weights."""

    location: str
    offset: int = 0
    length: int | None = None


@dataclass(slots=True)
class OnnxHeader:
    """Inputs (without initializers), outputs and external data of a model."""

    inputs: list[TensorInfo] = field(default_factory=list)
    outputs: list[TensorInfo] = field(default_factory=list)
    external: list[ExternalData] = field(default_factory=list)


class _Malformed(Exception):
    pass


def shape_text(shape: tuple[int | None, ...] | None) -> str:
    """A tensor's shape in words, for messages."""
    return "of unknown shape" if shape is None else " x ".join("?" if size is None else str(size) for size in shape)


def read_onnx_header(path: Path) -> OnnxHeader:
    """Read the header of an ONNX file.

    Raises
    ------
    BundleError
        The file cannot be read, is empty, truncated, or not an ONNX model, or nests graphs over 64 levels deep.
    """
    try:
        with path.open("rb") as file:
            # Closed when the last view of it goes, not before.
            header = _model(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except OSError as error:
        raise BundleError(f"{path.name} cannot be read: {error.strerror}") from None
    except (_Malformed, ValueError) as error:
        raise BundleError(f"{path.name} is not a complete ONNX model: {error}", mend="export it again") from None
    if not header.outputs:
        raise BundleError(f"{path.name} is not a complete ONNX model: it has no output", mend="export it again")
    return header


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _Malformed(f"the file ends or breaks at byte {at}")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field number and value: an int for a varint, a view for everything that has a length."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise _Malformed(f"wire type {wire} is not protobuf")
        if at + size > len(data):
            raise _Malformed("the file ends too early")
        yield number, data[at : at + size]
        at += size


def _model(data: memoryview) -> OnnxHeader:
    header = OnnxHeader()
    graph = None
    for number, value in _fields(data):
        if number == _MODEL_GRAPH and isinstance(value, memoryview):
            graph = value
        elif number == _MODEL_FUNCTION and isinstance(value, memoryview):
            _function(value, header)
    if graph is None:
        raise _Malformed("it has no graph")
    initializers: set[str] = set()
    _graph(graph, header, initializers, 0)
    header.inputs = [tensor for tensor in header.inputs if tensor.name not in initializers]
    return header


def _graph(data: memoryview, header: OnnxHeader, initializers: set[str], depth: int) -> None:
    """The network's graph at depth 0, or one inside a node of another; ``initializers`` takes names of the former."""
    if depth > _DEEPEST:
        raise _Malformed(f"its graphs are nested over {_DEEPEST} levels deep")
    top = depth == 0
    for number, value in _fields(data):
        if not isinstance(value, memoryview):
            continue
        if number == _GRAPH_INITIALIZER:
            name = _tensor(value, header)
            if top:
                initializers.add(name)
        elif number == _GRAPH_NODE:
            _node(value, header, depth)
        elif number == _GRAPH_SPARSE:
            _sparse(value, header)
        elif top and number == _GRAPH_INPUT:
            header.inputs.append(_value_info(value))
        elif top and number == _GRAPH_OUTPUT:
            header.outputs.append(_value_info(value))


def _function(data: memoryview, header: OnnxHeader) -> None:
    for number, value in _fields(data):
        if isinstance(value, memoryview):
            if number == _FUNCTION_NODE:
                _node(value, header, 0)
            elif number == _FUNCTION_ATTRIBUTE:
                _attribute(value, header, 0)


def _node(data: memoryview, header: OnnxHeader, depth: int) -> None:
    for number, value in _fields(data):
        if number == _NODE_ATTRIBUTE and isinstance(value, memoryview):
            _attribute(value, header, depth)


def _attribute(data: memoryview, header: OnnxHeader, depth: int) -> None:
    for number, value in _fields(data):
        if isinstance(value, memoryview):
            if number in _ATTRIBUTE_TENSORS:
                _tensor(value, header)
            elif number in _ATTRIBUTE_GRAPHS:
                _graph(value, header, set(), depth + 1)
            elif number in _ATTRIBUTE_SPARSE:
                _sparse(value, header)


def _sparse(data: memoryview, header: OnnxHeader) -> None:
    for number, value in _fields(data):
        if number in _SPARSE_TENSORS and isinstance(value, memoryview):
            _tensor(value, header)


def _tensor(data: memoryview, header: OnnxHeader) -> str:
    name = ""
    external: dict[str, str] = {}
    is_external = False
    for number, value in _fields(data):
        if number == _TENSOR_NAME and isinstance(value, memoryview):
            name = _text(value)
        elif number == _TENSOR_EXTERNAL and isinstance(value, memoryview):
            entry = dict(_fields(value))
            external[_text(entry.get(1))] = _text(entry.get(2))
        elif number == _TENSOR_LOCATION:
            is_external = value == 1
    if is_external:
        length = external.get("length")
        header.external.append(
            ExternalData(
                external.get("location", ""), int(external.get("offset", "0")), int(length) if length else None
            )
        )
    return name


def _value_info(data: memoryview) -> TensorInfo:
    name, dtype, shape = "", "unknown", None
    for number, value in _fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2 and isinstance(value, memoryview):
            tensor = dict(_fields(value)).get(1)
            if not isinstance(tensor, memoryview):
                continue
            for part, content in _fields(tensor):
                if part == 1 and isinstance(content, int):
                    dtype = _DTYPES.get(content, f"type {content}")
                elif part == 2 and isinstance(content, memoryview):
                    shape = tuple(_dimension(dim) for _, dim in _fields(content))
    return TensorInfo(name, dtype, shape)


def _dimension(data: int | memoryview) -> int | None:
    size = dict(_fields(data)).get(1) if isinstance(data, memoryview) else None
    return size if isinstance(size, int) and 0 < size < 1 << 63 else None


def _text(value: int | memoryview | None) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, memoryview) else ""
