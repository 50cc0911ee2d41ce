"""Memory of an NVIDIA card: pinned staging buffers on the host, copies and computation in one stream."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np

from ..contract import Array, TensorSpec
from .cudart import TO_DEVICE, TO_HOST, CudaRuntime
from .program import InputMemory


class CudaMemory(InputMemory):
    """Everything goes into one stream, the provider's own computation too, so nothing waits before the end of a run.

    An input that lies in memory of :meth:`host` is copied from there; any other goes through a pinned buffer, since
    the driver would do the same more slowly, and wait. Outputs come through pinned buffers into the caller's arrays.
    """

    def __init__(
        self,
        library: Any,
        runtime: CudaRuntime,
        index: int,
        *,
        stream: int = 0,
        shrink: bool = False,
        kind: str = "cuda",
    ) -> None:
        """``stream`` is one of the caller's, or 0 for one of its own; ``kind`` is ONNX Runtime's name of the memory.

        With ``shrink`` the arena gives back after each run what the run did not need.
        """
        self._library = library
        self._runtime = runtime
        self._index = index
        self._kind = kind
        self._own = runtime.new_stream() if stream == 0 else 0
        self.stream = stream or self._own
        self._shrink = shrink
        self._staging: dict[str, Array] = {}
        self._pinned: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

    def tensor(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        return self._library.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype.type, self._kind, self._index)

    def bind_unknown(self, binding: Any, name: str) -> None:
        binding.bind_output(name, self._kind, self._index)

    def upload(self, name: str, array: Array, tensor: Any) -> None:
        if not array.nbytes:
            return
        source = array
        if not self._is_pinned(array):
            source = self._stage(f"in {name}", array.shape, array.dtype)
            np.copyto(source, array)
        self._runtime.copy(tensor.data_ptr(), source.ctypes.data, array.nbytes, TO_DEVICE, self.stream)

    def download(self, binding: Any, outputs: tuple[TensorSpec, ...], on_host: frozenset[str]) -> list[Array]:
        arrived = []
        for spec, tensor in zip(outputs, binding.get_outputs(), strict=True):
            if spec.name in on_host:
                arrived.append(tensor.numpy())
                continue
            array = self._stage(f"out {spec.name}", tuple(tensor.shape()), spec.dtype)
            if array.nbytes:
                self._runtime.copy(array.ctypes.data, tensor.data_ptr(), array.nbytes, TO_HOST, self.stream)
            arrived.append(array)
        self._runtime.wait(self.stream)
        return [array.copy() for array in arrived]

    def host(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        array = self._runtime.pinned(shape, dtype)
        self._pinned[array.ctypes.data] = array
        return array

    def run_options(self, fixed: bool) -> Any:
        options = self._library.RunOptions()
        options.log_severity_level = 4
        # The download waits for the stream; the provider need not wait for the whole card before that.
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        if not fixed:
            options.add_run_config_entry("gpu_graph_id", "-1")  # a CUDA graph is of one shape
        if self._shrink:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", f"gpu:{self._index}")
        return options

    def close(self) -> None:
        self._staging.clear()
        if self._own:
            self._runtime.end_stream(self._own)
            self._own = 0

    def _is_pinned(self, array: Array) -> bool:
        """Whether an array lies in a buffer of :meth:`host`: itself, or its beginning."""
        owner = self._pinned.get(array.ctypes.data)
        return owner is not None and array.nbytes <= owner.nbytes

    def _stage(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """A pinned array that is used again for everything of this name; it grows as needed."""
        size = math.prod(shape) * dtype.itemsize
        buffer = self._staging.get(name)
        if buffer is None or buffer.nbytes < size:
            buffer = self._staging[name] = self._runtime.pinned((size,), np.dtype(np.uint8))
        return buffer[:size].view(dtype).reshape(shape)
