"""A model compiled by OpenVINO and its infer requests, whose tensors are the caller's own arrays."""

from __future__ import annotations

import math
import threading
import weakref
from typing import Any

import numpy as np

from ..contract import Array, Device, DeviceFault, Pending, Tensors, TensorSpec, check_feeds
from ..library import one_line
from .compiled import Loaded

_NOT_COMPUTE = {"Const", "Input", "Output"}
_SMALL = 1 << 14
"""Bytes of an output up to which a copy costs less than a tensor of its own."""


class OpenVinoProgram:
    """A compiled model with ``in_flight`` infer requests for :meth:`submit` and one for :meth:`run`."""

    def __init__(self, loaded: Loaded, device: Device, ran_on: tuple[str, ...], in_flight: int) -> None:
        self.device = device
        self.inputs = loaded.inputs
        self.outputs = loaded.outputs
        self.host_threads = _host_threads(loaded.compiled) if ran_on == ("CPU",) else 0
        """Threads of the host that one run keeps busy; what the budget has beyond them is for who runs beside it."""
        self._ran_on = ran_on
        self._loaded = loaded
        self._closed = False
        self._running = threading.Lock()
        self._submitting = threading.Lock()
        self._direct = _Request(self)
        self._requests = [_Request(self) for _ in range(max(1, in_flight))]
        self._turn = 0

    def run(self, feeds: Tensors) -> dict[str, Array]:
        self._check(feeds)
        with self._running:
            self._check_open()
            return self._direct.run(feeds)

    def submit(self, feeds: Tensors) -> Pending:
        self._check(feeds)
        with self._submitting:
            self._check_open()
            request = self._requests[self._turn]
            self._turn = (self._turn + 1) % len(self._requests)
            return request.start(feeds)

    @property
    def _compiled(self) -> Any:
        return self._loaded.compiled

    def placement(self) -> dict[str, int]:
        with self._running:
            self._check_open()
            nodes = self._compiled.get_runtime_model().get_ops()
        computing = sum(node.get_rt_info()["layerType"].astype(str) not in _NOT_COMPUTE for node in nodes)
        return {", ".join(self._ran_on): computing}

    def close(self) -> None:
        with self._submitting, self._running:
            if self._closed:
                return
            self._closed = True
            for request in self._requests:
                request.drain()
            del self._requests[:], self._direct, self._loaded

    def _check(self, feeds: Tensors) -> None:
        self._check_open()
        check_feeds(self.inputs, feeds)

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceFault(f"{self.device.id}: the program is closed")


def _host_threads(compiled: Any) -> int:
    """Threads of the host for each of the runs that are computed at once."""
    try:
        of_cpu = compiled.get_property("DEVICE_PROPERTIES")["CPU"]  # AUTO tells of the device it chose
    except RuntimeError:
        of_cpu = {name: compiled.get_property(name) for name in ("INFERENCE_NUM_THREADS", "NUM_STREAMS")}
    threads, streams = int(of_cpu["INFERENCE_NUM_THREADS"]), int(of_cpu["NUM_STREAMS"])
    return max(1, math.ceil(threads / max(1, streams)))


class _Request:
    """One infer request. Its tensors are the caller's arrays: no input is copied, nor an output that is worth it."""

    def __init__(self, program: OpenVinoProgram) -> None:
        from openvino import Tensor

        self._tensor = Tensor
        self.native = program._compiled.create_infer_request()
        self.device = program.device.id
        self._inputs = [(index, spec.name, None in spec.shape) for index, spec in enumerate(program.inputs)]
        self._outputs = [(index, spec.name, _to_bind(spec), spec.dtype) for index, spec in enumerate(program.outputs)]
        self._pending: _RequestPending | None = None
        # OpenVINO does not keep an array alive that a tensor was made from; these references do, while it computes.
        self._feeds: list[Any] = []
        self._results: dict[str, Array] = {}
        self._bound: list[weakref.ref[Array] | None] = [None] * len(self._inputs)

    def run(self, feeds: Tensors) -> dict[str, Array]:
        try:
            self._bind(feeds)
            self.native.infer(share_outputs=True)
            return self.collect()
        except Exception as error:
            raise self.fault(error) from error

    def start(self, feeds: Tensors) -> Pending:
        self.drain()
        try:
            self._bind(feeds)
            self.native.start_async()
        except Exception as error:
            raise self.fault(error) from error
        self._pending = _RequestPending(self)
        return self._pending

    def drain(self) -> None:
        """Wait for the run under way, whose outcome goes to its Pending."""
        if self._pending is not None:
            self._pending.finish(None)
            self._pending = None

    def collect(self) -> dict[str, Array]:
        results, self._results, self._feeds = self._results, {}, []
        return {
            name: np.array(self.native.get_output_tensor(index).data) if shape is None else results[name]
            for index, name, shape, _ in self._outputs
        }

    def fault(self, error: Exception) -> DeviceFault:
        return DeviceFault(f"{self.device} failed: {one_line(error)}")

    def _bind(self, feeds: Tensors) -> None:
        self._feeds = [feeds]
        for index, name, free in self._inputs:
            array, before = feeds[name], self._bound[index]
            if before is not None and before() is array and not free:
                continue  # it is the tensor of the run before
            # OpenVINO makes a shared tensor of a writeable array only; it does not write to its inputs.
            shared = array if array.flags.writeable else np.asarray(_Writeable(array))
            self._bound[index] = None
            self.native.set_input_tensor(index, self._tensor(shared, shared_memory=True))
            self._bound[index] = weakref.ref(array)
        self._results = {}
        for index, name, shape, dtype in self._outputs:
            if shape is not None:
                self._results[name] = np.empty(shape, dtype)
                self.native.set_output_tensor(index, self._tensor(self._results[name], shared_memory=True))


def _to_bind(spec: TensorSpec) -> tuple[int, ...] | None:
    """The shape of an output that OpenVINO writes into the caller's array; None where copying it is as quick."""
    shape = tuple(size for size in spec.shape if size is not None)
    fixed = len(shape) == len(spec.shape)
    return shape if fixed and math.prod(shape) * spec.dtype.itemsize > _SMALL else None


class _Writeable:
    """The memory of a read-only array, for :func:`numpy.asarray` to make a writeable one of."""

    def __init__(self, array: Array) -> None:
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}
        self._array = array  # whose memory it is


class _RequestPending:
    def __init__(self, request: _Request) -> None:
        self._request: _Request | None = request
        self._device = request.device
        self._lock = threading.Lock()
        self._outputs: dict[str, Array] = {}
        self._error: DeviceFault | None = None

    def result(self, timeout: float | None = None) -> dict[str, Array]:
        self.finish(timeout)
        if self._error is not None:
            raise self._error
        return self._outputs

    def finish(self, timeout: float | None) -> None:
        """Wait and take the outcome off the request, once; raises DeviceFault when the time is up."""
        if not self._lock.acquire(timeout=-1 if timeout is None else timeout):
            raise self._too_late(timeout)
        try:
            request = self._request
            if request is None:
                return
            try:
                if timeout is None:
                    request.native.wait()
                    done = True
                else:
                    done = request.native.wait_for(int(timeout * 1000))
                if done:
                    self._outputs = request.collect()
            except Exception as error:
                self._error, done = request.fault(error), True
            if not done:
                raise self._too_late(timeout)
            self._request = None
        finally:
            self._lock.release()

    def _too_late(self, timeout: float | None) -> DeviceFault:
        return DeviceFault(f"{self._device}: no answer within {timeout:g} s", kind="timeout")
