"""Programs over a session: run from host memory, or with inputs and outputs bound to memory of the device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import numpy as np

from bedside.kernels import thread_budget

from ..blocking import BlockingProgram
from ..contract import Array, BedsideError, Device, DeviceFault, Options, Tensors, TensorSpec
from . import session as sessions
from .faults import fault

_MOST_SHAPES = 4
"""Input shapes whose buffers on the device are kept; those used longest ago go first."""


class OrtProgram(BlockingProgram):
    """A session that takes its inputs from host memory and gives its outputs there."""

    def __init__(
        self, session: Any, device: Device, inputs: list[TensorSpec], outputs: list[TensorSpec], options: Options
    ) -> None:
        super().__init__(device, inputs, outputs, options)
        self.host_threads = (options.threads or thread_budget()) if device.id == "ort:cpu" else 0
        """Threads of the host that a run keeps busy; what the budget has beyond them is for who runs beside it."""
        self._session = session
        self._names = [spec.name for spec in outputs]
        self._lost: tuple[str, str | None] | None = None

    def _infer(self, feeds: Tensors) -> dict[str, Array]:
        if self._lost is not None:
            raise DeviceFault(self._lost[0], mend=self._lost[1], kind="lost")
        try:
            return self._compute(feeds)
        except BedsideError:
            raise
        except Exception as error:
            found = fault(self.device.id, error)
            if found.kind == "lost":
                self._lost = found.message, found.mend  # a device does not come back by being asked again
            # Without the traceback, whose frames would hold the session beyond close() for as long as somebody holds
            # the exception: a lost device can be opened again only when nothing of it is left.
            raise found from error.with_traceback(None)

    def _compute(self, feeds: Tensors) -> dict[str, Array]:
        return dict(zip(self._names, self._session.run(self._names, feeds), strict=True))

    def _placement(self) -> dict[str, int]:
        return dict(sessions.placement(self._session))

    def _free_device(self) -> None:
        del self._session


class Memory(ABC):
    """The memory of a device, as tensors of ONNX Runtime (``OrtValue``)."""

    @abstractmethod
    def tensor(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """A tensor on the device, not filled."""

    @abstractmethod
    def bind_unknown(self, binding: Any, name: str) -> None:
        """Bind an output whose shape is not known before the run to memory that ONNX Runtime allocates there."""

    @abstractmethod
    def download(self, binding: Any, outputs: tuple[TensorSpec, ...], on_host: frozenset[str]) -> list[Array]:
        """The outputs of the run that was started last, in their order, as arrays of the caller's own.

        Those named in ``on_host`` lie in host memory already, in tensors of this run.
        """

    def host(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Host memory, zeroed, that inputs are copied from fastest."""
        return np.zeros(shape, dtype)

    def run_options(self, fixed: bool) -> Any:
        """ONNX Runtime's RunOptions, or None; ``fixed`` says that all shapes are known beforehand."""
        return None

    def close(self) -> None:
        """Free what the tensors do not hold themselves."""
        return


class InputMemory(Memory):
    """Memory that inputs are uploaded to; of other memory, inputs stay where they lie and the session copies them."""

    @abstractmethod
    def upload(self, name: str, array: Array, tensor: Any) -> None:
        """Put the array of an input into its tensor, before the next run that is started."""


class BoundProgram(OrtProgram):
    """A session whose inputs and outputs stay on the device: one buffer each, allocated once a shape.

    What a run costs besides the network is one copy in and one copy out.
    """

    def __init__(
        self,
        session: Any,
        memory: Memory,
        device: Device,
        inputs: list[TensorSpec],
        outputs: list[TensorSpec],
        options: Options,
    ) -> None:
        super().__init__(session, device, inputs, outputs, options)
        self._memory = memory
        self._bindings: OrderedDict[tuple[tuple[int, ...], ...], _Binding] = OrderedDict()

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Host memory, zeroed, that this device is fed from without a copy in between."""
        self._check_open()
        try:
            return self._memory.host(shape, dtype)
        except Exception as error:
            raise fault(self.device.id, error) from error

    def _compute(self, feeds: Tensors) -> dict[str, Array]:
        binding = self._binding(feeds)
        binding.fill(feeds)
        self._session.run_with_iobinding(binding.native, binding.run_options)
        downloaded = self._memory.download(binding.native, self.outputs, binding.outputs_on_host)
        return dict(zip(self._names, downloaded, strict=True))

    def _binding(self, feeds: Tensors) -> _Binding:
        key = tuple(feeds[spec.name].shape for spec in self.inputs)
        binding = self._bindings.get(key)
        if binding is None:
            while len(self._bindings) >= _MOST_SHAPES:
                self._bindings.popitem(last=False)
            binding = self._bindings[key] = _Binding(self._session, self._memory, feeds, self.inputs, self.outputs)
        self._bindings.move_to_end(key)
        return binding

    def _free_device(self) -> None:
        self._bindings.clear()
        super()._free_device()
        self._memory.close()


class _Binding:
    """The buffers of one set of input shapes, on the device or, for what the CPU's nodes take or give, on the host.

    Where an input or output belongs is the session's word: bound elsewhere, ONNX Runtime would copy it, which costs
    and with the WebGPU provider 0.4 of an int64 even gave zeros.
    """

    def __init__(
        self,
        session: Any,
        memory: Memory,
        feeds: Tensors,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
    ) -> None:
        self.native = session.io_binding()
        self._memory = memory
        self._inputs_on_host = frozenset(spec.name for spec in inputs)
        self.outputs_on_host = _on_host(outputs, session.get_output_memory_infos())
        self._inputs: dict[str, Any] = {}
        if isinstance(memory, InputMemory):
            self._inputs_on_host = _on_host(inputs, session.get_input_memory_infos())
            for spec in inputs:
                if spec.name not in self._inputs_on_host:
                    self._inputs[spec.name] = memory.tensor(feeds[spec.name].shape, spec.dtype)
                    self.native.bind_ortvalue_input(spec.name, self._inputs[spec.name])
        self._unknown: list[str] = []
        self.outputs: dict[str, Any] = {}  # a binding does not keep alive what is bound to it in every version
        for spec in outputs:
            shape = tuple(size for size in spec.shape if size is not None)
            if spec.name in self.outputs_on_host:
                self.native.bind_output(spec.name, "cpu")
            elif len(shape) == len(spec.shape):
                self.outputs[spec.name] = memory.tensor(shape, spec.dtype)
                self.native.bind_ortvalue_output(spec.name, self.outputs[spec.name])
            else:
                self._unknown.append(spec.name)
                memory.bind_unknown(self.native, spec.name)
        self.run_options = memory.run_options(all(None not in spec.shape for spec in (*inputs, *outputs)))

    def fill(self, feeds: Tensors) -> None:
        """Put the inputs where they belong, and take back the outputs that the last run allocated."""
        if isinstance(self._memory, InputMemory):
            for name, tensor in self._inputs.items():
                self._memory.upload(name, feeds[name], tensor)
        for name in self._inputs_on_host:
            self.native.bind_cpu_input(name, feeds[name])
        for name in self.outputs_on_host:
            self.native.bind_output(name, "cpu")
        for name in self._unknown:
            self._memory.bind_unknown(self.native, name)


def _on_host(ports: tuple[TensorSpec, ...], memories: Iterable[Any]) -> frozenset[str]:
    """The names of the ports whose memory is the host's, by the OrtMemoryInfo of each."""
    return frozenset(
        spec.name
        for spec, memory in zip(ports, memories, strict=True)
        if memory.name.startswith("Cpu") or memory.name.endswith("Pinned")
    )
