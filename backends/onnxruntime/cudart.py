"""The few calls of the CUDA runtime that input and output need: a stream, pinned memory, copies that do not wait.

Through ctypes, because ONNX Runtime's Python module has no pinned memory and only copies that wait. The library is the
one that the provider of ONNX Runtime is linked with. Signatures are those of ``cuda_runtime_api.h`` of CUDA 12 and 13.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ..contract import Array

TO_DEVICE, TO_HOST = 1, 2
_NON_BLOCKING = 1  # cudaStreamNonBlocking: does not wait for the legacy default stream


class CudaError(Exception):
    """A call failed; worded as ONNX Runtime words the failures of its own calls."""


class CudaRuntime:
    """CUDA's runtime library on one card. Every call may raise :class:`CudaError`."""

    def __init__(self, library: str, index: int) -> None:
        """``library`` is its file name, e.g. ``libcudart.so.12``."""
        self._index = index
        self._library = ctypes.CDLL(library)
        self._library.cudaGetErrorString.restype = ctypes.c_char_p

    def new_stream(self) -> int:
        """A stream of its own, as the address that ONNX Runtime takes for ``user_compute_stream``."""
        stream = ctypes.c_void_p()
        self._select()
        self._check(self._library.cudaStreamCreateWithFlags(ctypes.byref(stream), ctypes.c_uint(_NON_BLOCKING)))
        return int(stream.value or 0)

    def end_stream(self, stream: int) -> None:
        self._library.cudaStreamDestroy(ctypes.c_void_p(stream))  # at close: a lost device has nothing left to free

    def wait(self, stream: int) -> None:
        """Wait until everything that was put into ``stream`` is done; errors of those calls show here."""
        self._check(self._library.cudaStreamSynchronize(ctypes.c_void_p(stream)))

    def copy(self, to: int, source: int, size: int, direction: int, stream: int) -> None:
        """Start copying ``size`` bytes between addresses; truly asynchronous where the host side is pinned."""
        self._select()
        self._check(
            self._library.cudaMemcpyAsync(
                ctypes.c_void_p(to),
                ctypes.c_void_p(source),
                ctypes.c_size_t(size),
                ctypes.c_int(direction),
                ctypes.c_void_p(stream),
            )
        )

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array of zeros in page-locked host memory, freed with the last view of it."""
        size = max(1, math.prod(shape) * dtype.itemsize)
        address = ctypes.c_void_p()
        self._select()
        self._check(self._library.cudaHostAlloc(ctypes.byref(address), ctypes.c_size_t(size), ctypes.c_uint(0)))
        start = int(address.value or 0)
        memory = (ctypes.c_ubyte * size).from_address(start)
        # numpy keeps `memory` alive for as long as any view of the array lives.
        weakref.finalize(memory, _free(self._library.cudaFreeHost), start)
        array: Array = np.frombuffer(memoryview(memory), dtype, math.prod(shape)).reshape(shape)
        array[...] = 0
        return array

    def _select(self) -> None:
        """The current device is a property of the thread, and any thread may call."""
        self._check(self._library.cudaSetDevice(ctypes.c_int(self._index)))

    def _check(self, code: int) -> None:
        if code:
            text = (self._library.cudaGetErrorString(code) or b"").decode(errors="replace")
            raise CudaError(f"CUDA failure {code}: {text or 'unknown error'}")


def _free(function: Callable[[ctypes.c_void_p], int]) -> Callable[[int], None]:
    def free(address: int) -> None:
        function(ctypes.c_void_p(address))

    return free
