"""A Program over a library whose only call blocks: a worker thread gives it submit()."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from .contract import (
    Array,
    BedsideError,
    Device,
    DeviceFault,
    Options,
    Pending,
    Tensors,
    TensorSpec,
    check_feeds,
)
from .library import one_line


class BlockingProgram(ABC):
    """Everything of :class:`~.contract.Program` but the inference itself, which :meth:`_infer` does.

    Runs are computed one at a time; ``Options.in_flight`` bounds how many submitted ones are computed or wait.
    """

    def __init__(
        self, device: Device, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], options: Options
    ) -> None:
        self.device = device
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._closed = False
        self._one_at_a_time = threading.Lock()
        self._free = threading.BoundedSemaphore(max(1, options.in_flight))
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=device.id)

    @abstractmethod
    def _infer(self, feeds: Tensors) -> dict[str, Array]:
        """Compute the outputs, as arrays of the caller's own; any exception is taken for the device's."""

    @abstractmethod
    def _placement(self) -> dict[str, int]:
        """The counts that :meth:`placement` returns."""

    @abstractmethod
    def _free_device(self) -> None:
        """Let go of the library's objects; called once, when nothing is under way."""

    def run(self, feeds: Tensors) -> dict[str, Array]:
        self._check_open()
        check_feeds(self.inputs, feeds)
        return self._guarded(feeds)

    def submit(self, feeds: Tensors) -> Pending:
        self._check_open()
        check_feeds(self.inputs, feeds)
        self._free.acquire()
        try:
            future = self._worker.submit(self._guarded, feeds)
        except RuntimeError:  # closed by another thread while this one waited
            self._free.release()
            raise DeviceFault(f"{self.device.id}: the program is closed") from None
        future.add_done_callback(lambda _: self._free.release())
        return _FuturePending(future, self.device.id)

    def placement(self) -> dict[str, int]:
        with self._one_at_a_time:
            self._check_open()
            return self._placement()

    def close(self) -> None:
        self._worker.shutdown(wait=True)
        with self._one_at_a_time:
            if not self._closed:
                self._closed = True
                self._free_device()

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceFault(f"{self.device.id}: the program is closed")

    def _guarded(self, feeds: Tensors) -> dict[str, Array]:
        try:
            with self._one_at_a_time:
                self._check_open()
                return self._infer(feeds)
        except BedsideError:
            raise
        except MemoryError as error:
            raise DeviceFault(f"{self.device.id}: out of memory", mend="close other programs or use less") from error
        except Exception as error:
            raise DeviceFault(f"{self.device.id} failed: {one_line(error)}") from error


class _FuturePending:
    def __init__(self, future: Future[dict[str, Array]], device: str) -> None:
        self._future = future
        self._device = device

    def result(self, timeout: float | None = None) -> dict[str, Array]:
        try:
            return self._future.result(timeout)
        except TimeoutError:
            raise DeviceFault(f"{self._device}: no answer within {timeout:g} s") from None
