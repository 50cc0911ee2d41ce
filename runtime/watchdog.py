"""Every wait for a device ends: the device is called on a thread of its own, and the caller waits so long, not longer.

Python cannot stop a thread that is inside a driver. One that is overdue is left to itself, and with it whatever arrays
it still holds; its outcome goes nowhere. The threads are daemons, so the interpreter does not wait for them at its end;
libraries may, in their own clean-up, so a program with :func:`overdue` calls had better leave by :func:`os._exit`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from bedside.backends.contract import (
    Array,
    BedsideError,
    Device,
    DeviceFault,
    OwnBuffers,
    Pending,
    Program,
    Tensors,
    TensorSpec,
)
from bedside.backends.library import one_line

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """How long a device may take, in seconds."""

    open: float = 600.0
    """To load the model; a compiler for a GPU takes minutes the first time."""
    run: float = 600.0
    """For one run of the network."""
    close: float = 30.0


class _Thread:
    """A daemon thread that makes one call after the other."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        threading.Thread(target=self._work, name="bedside-device", daemon=True).start()

    def _work(self) -> None:
        while True:
            future, call = self.calls.get()
            try:
                result = call()
            except BaseException as error:
                _idle.append(self)
                future.set_exception(error)
            else:
                _idle.append(self)  # before the caller is told: its next call finds this thread
                future.set_result(result)
                del result
            del future, call


_idle: list[_Thread] = []
_overdue: set[Future[Any]] = set()
# In a forked child the threads are gone.
os.register_at_fork(after_in_child=_idle.clear)
os.register_at_fork(after_in_child=_overdue.clear)


def overdue() -> int:
    """How many calls into a device have neither come back nor anyone who waits for them."""
    return len(_overdue)


def within(seconds: float, call: Callable[[], T], late: str) -> T:
    """What ``call`` returns, or raises.

    Raises
    ------
    DeviceFault
        It has not come back after so many seconds: ``late`` and the time. It may still be running.
    """
    return _wait(_start(call), seconds, late)


def _wait(future: Future[T], seconds: float, late: str) -> T:
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():  # it is the call's own, or came just now
            return future.result()
        raise DeviceFault(f"{late} within {seconds:g} s", kind="timeout") from None
    finally:
        if not future.done():  # late, or the caller was interrupted
            _leave(future)


def _start(call: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()
    try:
        thread = _idle.pop()
    except IndexError:
        thread = _Thread()
    thread.calls.put((future, call))
    return future


def _leave(future: Future[Any]) -> None:
    _overdue.add(future)
    future.add_done_callback(_overdue.discard)


def open_watched(device: str, open_device: Callable[[], Program], limits: Limits = Limits()) -> WatchedProgram:
    """Call ``open_device``, which loads a model on ``device``, and watch the program it returns.

    Raises
    ------
    DeviceFault
        Loading the model takes too long, or fails in a way that is beyond the contract.
    BedsideError
        What ``open_device`` raises.
    """
    future = _start(open_device)
    try:
        return WatchedProgram(_wait(future, limits.open, f"{device} did not load the model"), limits)
    except BedsideError:
        raise
    except Exception as error:
        raise _beyond_contract(device, error) from error
    finally:
        if not future.done():
            future.add_done_callback(_close_late)


def _close_late(opened: Future[Program]) -> None:
    """A program that came too late is nobody's."""
    if opened.exception() is None:
        _leave(_start(opened.result().close))


def _beyond_contract(device: str, error: Exception) -> DeviceFault:
    """The fault that a backend should have raised: a third party's module may break its promise."""
    if isinstance(error, MemoryError):
        return DeviceFault(f"{device}: out of memory", mend="close other programs or use less", kind="memory")
    return DeviceFault(f"{device} failed: {one_line(error)}")


class WatchedProgram:
    """A :class:`~bedside.backends.contract.Program` that answers in time or is given up.

    Once given up it is not asked again, and is not waited for when it is closed. Whatever a backend raises beyond the
    contract comes out as :class:`DeviceFault`.
    """

    def __init__(self, program: Program, limits: Limits) -> None:
        self._program = program
        self._limits = limits
        self._given_up = False
        self.device: Device = program.device
        self.inputs: tuple[TensorSpec, ...] = program.inputs
        self.outputs: tuple[TensorSpec, ...] = program.outputs
        self.host_threads: int = getattr(program, "host_threads", 0)
        """As :func:`bedside.runtime.threads.beside` asks."""

    def run(self, feeds: Tensors) -> dict[str, Array]:
        return self.call(lambda: self._program.run(feeds), self._limits.run, "gave no answer")

    def submit(self, feeds: Tensors) -> Pending:
        pending = self.call(lambda: self._program.submit(feeds), self._limits.run, "took no input")
        return _WatchedPending(self, pending, self._limits.run)

    def placement(self) -> dict[str, int]:
        return self.call(self._program.placement, self._limits.run, "did not say what runs where")

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Zeros in memory of the device's choice where it has one (:class:`~bedside.backends.contract.OwnBuffers`)."""
        program = self._program
        if not isinstance(program, OwnBuffers):
            return np.zeros(shape, dtype)
        return self.call(lambda: program.allocate(shape, dtype), self._limits.run, "gave no memory")

    def close(self) -> None:
        """Close the program; one that was given up is closed once it comes back, if it ever does.

        Raises
        ------
        DeviceFault
            It does not close in time, or fails.
        """
        if self._given_up:
            _leave(_start(self._program.close))
            return
        self.call(self._program.close, self._limits.close, "did not close")

    def call(self, call: Callable[[], T], seconds: float, late: str, *, final: bool = True) -> T:
        """Call into the backend, as :func:`within` does; with ``final`` the program is given up when time is up."""
        device = self.device.id
        if self._given_up:
            raise DeviceFault(f"{device} was given up after it did not answer", kind="timeout")
        try:
            return within(seconds, call, f"{device} {late}")
        except DeviceFault as error:
            self._given_up = final and error.kind == "timeout"
            raise
        except (BedsideError, ValueError):
            raise
        except Exception as error:
            raise _beyond_contract(device, error) from error
        except BaseException:
            self._given_up = True  # interrupted: what is under way is not waited for
            raise


class _WatchedPending:
    def __init__(self, program: WatchedProgram, pending: Pending, limit: float) -> None:
        self._program = program
        self._pending = pending
        self._limit = limit

    def result(self, timeout: float | None = None) -> dict[str, Array]:
        """The outputs; where the caller sets a time of its own, it may ask again after that."""
        final = timeout is None or timeout >= self._limit
        seconds = self._limit if timeout is None or final else timeout
        # The backend counts the time too, and may know more than that it is up.
        late = "gave no answer"
        return self._program.call(lambda: self._pending.result(seconds), seconds + _GRACE, late, final=final)


_GRACE = 0.05
"""Seconds that a backend has to say itself that the time is up."""
