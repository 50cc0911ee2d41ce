"""The whole contract between the runtime and a device, on one page.

A backend is a module with three names:

``REQUIRES``
    pip requirements with minimum versions, e.g. ``("openvino>=2025.4",)``.
``probe() -> list[Device]``
    The devices this backend knows of on this host. Never raises: a device that cannot be used is listed
    with the reason and the command that mends it.
``open(model, device, options) -> Program``
    Load an ONNX model on a device, or raise :class:`DeviceUnavailable` (the device, or what was asked of it, is not to
    be had here) or :class:`DeviceFault` (it is, and cannot load this model or failed).

The module must import without its library: the library is looked for in ``probe`` and ``open``. Backends import
:mod:`bedside.kernels` and each other's helpers in this folder, nothing else of bedside. Third-party backends register
such a module in the entry-point group ``bedside.backends`` under the part of the device string before the colon.
``tests/contract`` is the suite every backend passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tensors = Mapping[str, Array]


class BedsideError(Exception):
    """Root of every error a user can meet: one line that says what is wrong, and how to mend it where that is known."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, mend: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message} ({self.mend})" if self.mend else self.message


class DeviceUnavailable(BedsideError):
    """The device asked for cannot be used on this host; ``mend`` is the command or setting that would change that."""

    exit_code = 5


FaultKind = Literal["failed", "lost", "memory", "timeout", "nan", "shape", "crash"]
"""What happened: it said so (failed), it is gone, out of memory, no answer, not-a-number or infinity, a wrong shape or
dtype, or the process that used it died.
"""


class DeviceFault(BedsideError):
    """A device that was open failed: time-out, lost, out of memory, wrong shape, not-a-number."""

    exit_code = 7

    def __init__(self, message: str, *, mend: str | None = None, kind: FaultKind = "failed") -> None:
        super().__init__(message, mend=mend)
        self.kind: FaultKind = kind


@dataclass(frozen=True)
class Device:
    """One device as :func:`probe` found it."""

    id: str
    """Device string, e.g. ``openvino:CPU``, ``cuda:0``, ``fpga:sim``."""
    name: str
    """What the vendor calls it."""
    available: bool
    reason: str = ""
    """Why it is not available; empty if it is."""
    mend: str = ""
    """The command or setting that would make it available."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Library and driver versions."""


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape, dtype and layout of one input or output; a dimension that the caller may choose is ``None``."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    layout: str = ""
    """One letter a dimension, as ``NCDHW``, where the model says so; empty else, and ONNX models do not."""


@dataclass(frozen=True)
class Options:
    """What a caller may ask of a device; ``open`` raises :class:`DeviceUnavailable` for what it cannot honour."""

    threads: int = 0
    """Host threads for the network, at most; 0 is the process's budget, :func:`bedside.kernels.thread_budget`."""
    in_flight: int = 1
    """How many :meth:`Program.submit` calls may be under way at once."""
    hint: Literal["latency", "throughput"] = "latency"
    """What the backend should arrange its threads for: that one run is over soon, or that ``in_flight`` of them, which
    may then be computed at once, are. One that cannot choose takes no notice."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Settings of one backend, by that backend's own names; an unknown one is an error."""


class Pending(Protocol):
    """One inference under way."""

    def result(self, timeout: float | None = None) -> dict[str, Array]:
        """Wait, at most ``timeout`` seconds, and return the outputs by name; asked again, it answers the same.

        Raises
        ------
        DeviceFault
            When the time is up or the device failed.
        """
        ...


@runtime_checkable
class Program(Protocol):
    """A model loaded on a device.

    Any thread may call any method. Runs are computed in the order they were started, one at a time unless
    ``Options.hint`` or the backend's own options say otherwise; the results are the same as from one thread.

    A program that computes on the host's processor may have an attribute ``host_threads``, how many threads one run
    keeps busy: whoever works beside it keeps to the others. Default: 0.
    """

    @property
    def device(self) -> Device:
        """The device that runs this program: the one that was asked for."""
        ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    def run(self, feeds: Tensors) -> dict[str, Array]:
        """Run once. ``feeds`` holds C-contiguous arrays by input name; the arrays returned belong to the caller.

        A returned array shares memory neither with a feed nor with what an earlier or later run returns.

        Raises
        ------
        ValueError
            Missing or unknown input name, wrong dtype or shape.
        DeviceFault
            The device failed.
        """
        ...

    def submit(self, feeds: Tensors) -> Pending:
        """Start once and return; blocks while ``Options.in_flight`` runs are under way. Same errors as :meth:`run`.

        ``feeds`` must stay unchanged until the result is taken.
        """
        ...

    def placement(self) -> dict[str, int]:
        """How many graph nodes run on which device or provider, e.g. ``{"CPUExecutionProvider": 41}``."""
        ...

    def close(self) -> None:
        """Wait for what is under way and free the device; then run and submit raise :class:`DeviceFault`.

        Closing twice is allowed, and so is taking the results of runs that were under way.
        """
        ...


@runtime_checkable
class OwnBuffers(Protocol):
    """What a Program may have besides: host memory that its device is fed from fastest, such as pinned memory.

    Feeds need not lie there. Those that do are copied once less.
    """

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array of zeros, of the caller's own; usable after :meth:`Program.close` too."""
        ...


class Backend(Protocol):
    """The three names of a backend module, for type checkers."""

    REQUIRES: tuple[str, ...]

    def probe(self) -> list[Device]: ...

    def open(self, model: Path, device: str, options: Options = ...) -> Program: ...


def check_feeds(inputs: tuple[TensorSpec, ...], feeds: Tensors) -> None:
    """Raise ValueError, naming the input, unless ``feeds`` fits ``inputs`` by name, dtype and shape."""
    if len(feeds) != len(inputs) or any(spec.name not in feeds for spec in inputs):
        raise ValueError(f"inputs must be {sorted(spec.name for spec in inputs)}, got {sorted(feeds)}")
    for spec in inputs:
        array = feeds[spec.name]
        if array.dtype != spec.dtype:
            raise ValueError(f"input '{spec.name}' must be {spec.dtype}, got {array.dtype}")
        shape = array.shape
        if shape != spec.shape and (
            len(shape) != len(spec.shape)
            or any(want is not None and want != have for want, have in zip(spec.shape, shape, strict=True))
        ):
            raise ValueError(f"input '{spec.name}' must have shape {spec.shape}, got {array.shape}")
        if not array.flags.c_contiguous:
            raise ValueError(f"input '{spec.name}' must be C-contiguous")
