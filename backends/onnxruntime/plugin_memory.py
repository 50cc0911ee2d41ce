"""Memory of devices that plug-in providers drive."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..contract import Array, TensorSpec
from .program import InputMemory, Memory


class WebGpuMemory(Memory):
    """WebGPU buffers, allocated by the session: they have no address, and only the session can copy them.

    Inputs are left to the session, which copies them into buffers that it keeps. To fill a tensor from outside, ONNX
    Runtime makes a copier that holds the GPU's context for as long as the process lives: a lost GPU could then not be
    opened again (seen with the provider 0.4).
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def tensor(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        return self._session.create_ortvalue_from_shape_and_type(list(shape), dtype.type, "webgpu")

    def bind_unknown(self, binding: Any, name: str) -> None:
        binding.bind_output(name, "webgpu")

    def download(self, binding: Any, outputs: tuple[TensorSpec, ...], on_host: frozenset[str]) -> list[Array]:
        return list(binding.copy_outputs_to_cpu())

    def close(self) -> None:
        del self._session


class PluginMemory(InputMemory):
    """Memory of a plug-in's device by its own allocator, copied by ONNX Runtime with the plug-in's own copying."""

    def __init__(self, library: Any, info: Any) -> None:
        """``info`` is the device's OrtMemoryInfo."""
        self._library = library
        self._info = info

    def tensor(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        return self._library.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype.type, memory_info=self._info)

    def bind_unknown(self, binding: Any, name: str) -> None:
        binding.bind_output(name, "cpu")

    def upload(self, name: str, array: Array, tensor: Any) -> None:
        self._library.copy_tensors([self._library.OrtValue.ortvalue_from_numpy(array)], [tensor])

    def download(self, binding: Any, outputs: tuple[TensorSpec, ...], on_host: frozenset[str]) -> list[Array]:
        return list(binding.copy_outputs_to_cpu())
