"""A Program over a library whose only call blocks: a worker thread gives it submit()."""

from __future__ import annotations

import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue

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

_Run = tuple[Future[dict[str, Array]], Callable[[Tensors], dict[str, Array]], Tensors]


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
        self._worker = _Worker(device.id)

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
        future: Future[dict[str, Array]] = Future()
        future.add_done_callback(lambda _: self._free.release())
        if not self._worker.start(future, self._guarded, feeds):  # closed by another thread while this one waited
            self._free.release()
            raise self._is_closed()
        return _FuturePending(future, self.device.id)

    def placement(self) -> dict[str, int]:
        with self._one_at_a_time:
            self._check_open()
            return self._placement()

    def close(self) -> None:
        self._worker.finish()
        with self._one_at_a_time:
            if not self._closed:
                self._closed = True
                self._free_device()

    def _check_open(self) -> None:
        if self._closed:
            raise self._is_closed()

    def _is_closed(self) -> DeviceFault:
        return DeviceFault(f"{self.device.id}: the program is closed")

    def _guarded(self, feeds: Tensors) -> dict[str, Array]:
        try:
            with self._one_at_a_time:
                self._check_open()
                return self._infer(feeds)
        except BedsideError:
            raise
        except MemoryError as error:
            mend = "close other programs or use less"
            raise DeviceFault(f"{self.device.id}: out of memory", mend=mend, kind="memory") from error
        except Exception as error:
            raise DeviceFault(f"{self.device.id} failed: {one_line(error)}") from error


class _Worker:
    """A thread that computes runs in the order they were started.

    It is a daemon, which the interpreter does not wait for when it ends: a run that hangs in a driver does not keep
    the process from exiting, as it would in a ThreadPoolExecutor. Once its owner is gone it ends too.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._runs: SimpleQueue[_Run | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._finished = False

    def start(self, future: Future[dict[str, Array]], compute: Callable[..., dict[str, Array]], feeds: Tensors) -> bool:
        """Queue a run; False where :meth:`finish` came first."""
        with self._lock:
            if self._finished:
                return False
            if self._thread is None:
                self._thread = threading.Thread(target=_work, args=(self._runs,), name=self._name, daemon=True)
                self._thread.start()
                weakref.finalize(self, self._runs.put, None).atexit = False
            self._runs.put((future, compute, feeds))
            return True

    def finish(self) -> None:
        """Wait for the runs that were started; there are no more."""
        with self._lock:
            self._finished = True
            thread = self._thread
            self._runs.put(None)
        if thread is not None:
            thread.join()


def _work(runs: SimpleQueue[_Run | None]) -> None:
    while (run := runs.get()) is not None:
        future, compute, feeds = run
        try:
            outputs = compute(feeds)
        except BaseException as error:  # also what a library derives from it: whoever waits must hear of it
            future.set_exception(error)
        else:
            future.set_result(outputs)
            del outputs
        del run, future, compute, feeds  # an idle thread keeps neither the arrays nor the program alive


class _FuturePending:
    def __init__(self, future: Future[dict[str, Array]], device: str) -> None:
        self._future = future
        self._device = device

    def result(self, timeout: float | None = None) -> dict[str, Array]:
        try:
            return self._future.result(timeout)
        except TimeoutError:
            raise DeviceFault(f"{self._device}: no answer within {timeout:g} s", kind="timeout") from None
