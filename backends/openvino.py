"""OpenVINO: ``openvino:CPU``, and ``openvino:GPU``, ``openvino:NPU`` where OpenVINO finds them.

Numbers are float32 throughout: on hosts with AVX512-BF16 or AMX OpenVINO's own default is bfloat16, so the precision
is pinned and read back after compilation. The device asked for runs the model, or it is an error.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from . import onnx_file
from .contract import (
    Array,
    BedsideError,
    Device,
    DeviceFault,
    DeviceUnavailable,
    Options,
    Pending,
    Tensors,
    TensorSpec,
    check_feeds,
)
from .library import load, one_line

REQUIRES = onnx_file.REQUIRES

_PINNED = {"INFERENCE_PRECISION_HINT": "f32"}
_DRIVERS = {
    "GPU": "install the Intel GPU compute driver: apt install intel-opencl-icd",
    "NPU": "install the Intel NPU driver: https://github.com/intel/linux-npu-driver/releases",
}
_NOT_COMPUTE = {"Const", "Input", "Output"}


def probe() -> list[Device]:
    """The devices OpenVINO finds, and those of CPU, GPU and NPU that it does not, with the reason."""
    try:
        library = load(REQUIRES[0], device="openvino", mend=onnx_file.MEND)
        core = library.Core()
        names = list(core.available_devices)
    except DeviceUnavailable as error:
        return [Device("openvino:CPU", "OpenVINO", False, error.message, error.mend or "")]
    except Exception as error:
        return [
            Device("openvino:CPU", "OpenVINO", False, f"OpenVINO does not start: {one_line(error)}", onnx_file.MEND)
        ]
    found = [_probe(core, name, library.__version__) for name in names]
    families = {name.partition(".")[0] for name in names}
    absent = [
        Device(f"openvino:{family}", f"Intel {family}", False, f"OpenVINO finds no {family} on this host", mend)
        for family, mend in _DRIVERS.items()
        if family not in families
    ]
    return found + absent


def open(model: Path, device: str, options: Options = Options()) -> OpenVinoProgram:  # noqa: B008
    """Compile an ONNX model for an OpenVINO device, in float32.

    ``options.extra`` takes the device's own property names (``NUM_STREAMS``, ``PERFORMANCE_HINT``,
    ``ENABLE_CPU_PINNING``, ...); ``INFERENCE_PRECISION_HINT`` is pinned. With the default ``PERFORMANCE_HINT`` of
    LATENCY all threads work on one run.

    Raises
    ------
    DeviceUnavailable
        No OpenVINO, no such device, or a property the device does not have.
    DeviceFault
        The model cannot be loaded on the device, or was compiled for another device or precision.
    """
    name = device.partition(":")[2]
    library = load(REQUIRES[0], device=device, mend=onnx_file.MEND)
    try:
        core = library.Core()
        available = list(core.available_devices)
    except Exception as error:
        raise DeviceUnavailable(f"{device}: OpenVINO does not start: {one_line(error)}", mend=onnx_file.MEND) from error
    if name not in available and f"{name}.0" not in available and (name != "GPU.0" or "GPU" not in available):
        known = ", ".join(f"openvino:{entry}" for entry in available)
        mend = _DRIVERS.get(name.partition(".")[0])
        raise DeviceUnavailable(f"{device}: OpenVINO finds no such device, only {known}", mend=mend)
    graph = onnx_file.read(model, device)
    inputs = onnx_file.specs(graph.inputs, model, device)
    outputs = onnx_file.specs(graph.outputs, model, device)
    try:
        described = _describe(core, name, library.__version__)
        settings = _settings(core, name, device, options)
        compiled = core.compile_model(graph, name, settings)
        _check_compiled(compiled, name, device)
        return OpenVinoProgram(compiled, described, inputs, outputs, options.in_flight)
    except BedsideError:
        raise
    except Exception as error:
        raise DeviceFault(f"{device} cannot compile {model.name}: {one_line(error)}") from error


class OpenVinoProgram:
    """A compiled model with ``in_flight`` infer requests for :meth:`submit` and one for :meth:`run`."""

    def __init__(
        self,
        compiled: Any,
        device: Device,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        in_flight: int,
    ) -> None:
        self.device = device
        self.inputs = inputs
        self.outputs = outputs
        self._compiled = compiled
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

    def placement(self) -> dict[str, int]:
        with self._running:
            self._check_open()
            nodes = self._compiled.get_runtime_model().get_ops()
        computing = sum(node.get_rt_info()["layerType"].astype(str) not in _NOT_COMPUTE for node in nodes)
        return {self.device.id.partition(":")[2]: computing}

    def close(self) -> None:
        with self._submitting, self._running:
            if self._closed:
                return
            self._closed = True
            for request in self._requests:
                request.drain()
            del self._requests[:], self._direct, self._compiled

    def _check(self, feeds: Tensors) -> None:
        self._check_open()
        check_feeds(self.inputs, feeds)

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceFault(f"{self.device.id}: the program is closed")


class _Request:
    """One infer request. Its tensors are the caller's arrays: nothing is copied in, nor out where shapes are fixed."""

    def __init__(self, program: OpenVinoProgram) -> None:
        self.native = program._compiled.create_infer_request()
        self.device = program.device.id
        self._inputs = program.inputs
        self._outputs = program.outputs
        self._pending: _RequestPending | None = None
        # OpenVINO does not keep an array alive that a tensor was made from; these references do.
        self._feeds: list[Any] = []
        self._results: dict[str, Array] = {}
        self._tensors: list[Any] = []

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
        results, self._results = self._results, {}
        for index, spec in enumerate(self._outputs):
            if spec.name not in results:
                results[spec.name] = np.array(self.native.get_output_tensor(index).data)
        return {spec.name: results[spec.name] for spec in self._outputs}

    def fault(self, error: Exception) -> DeviceFault:
        return DeviceFault(f"{self.device} failed: {one_line(error)}")

    def _bind(self, feeds: Tensors) -> None:
        from openvino import Tensor

        tensors: list[Any] = []
        self._results = {}
        for index, spec in enumerate(self._inputs):
            array = feeds[spec.name]
            # A shared tensor needs a writeable array; a read-only one is copied.
            tensors.append(Tensor(array, shared_memory=array.flags.writeable))
            self.native.set_input_tensor(index, tensors[-1])
        for index, spec in enumerate(self._outputs):
            if None not in spec.shape:
                self._results[spec.name] = np.empty(spec.shape, spec.dtype)  # type: ignore[arg-type]
                tensors.append(Tensor(self._results[spec.name], shared_memory=True))
                self.native.set_output_tensor(index, tensors[-1])
        self._tensors, self._feeds = tensors, [*feeds.values(), *self._results.values()]


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
        return DeviceFault(f"{self._device}: no answer within {timeout:g} s")


def _probe(core: Any, name: str, version: str) -> Device:
    try:
        return _describe(core, name, version)
    except Exception as error:  # one broken driver does not hide the other devices
        reason = f"its driver does not answer: {one_line(error)}"
        return Device(f"openvino:{name}", name, False, reason, _DRIVERS.get(name.partition(".")[0], onnx_file.MEND))


def _describe(core: Any, name: str, version: str) -> Device:
    return Device(
        f"openvino:{name}", str(core.get_property(name, "FULL_DEVICE_NAME")), True, versions={"openvino": version}
    )


def _settings(core: Any, name: str, device: str, options: Options) -> dict[str, Any]:
    writable = {
        key for key, access in core.get_property(name, "SUPPORTED_PROPERTIES").items() if str(access) == "RW"
    } - set(_PINNED)
    unknown = sorted(set(options.extra) - writable)
    if unknown:
        raise DeviceUnavailable(f"{device} has no option {unknown[0]!r}", mend=f"one of {', '.join(sorted(writable))}")
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", **options.extra, **_PINNED}
    if options.threads and "INFERENCE_NUM_THREADS" in writable:
        settings["INFERENCE_NUM_THREADS"] = options.threads
    return settings


def _check_compiled(compiled: Any, name: str, device: str) -> None:
    """The right device and the right precision, or an error."""
    ran_on = [str(entry) for entry in compiled.get_property("EXECUTION_DEVICES")]
    if not ran_on or any(entry != name and not entry.startswith(f"{name}.") for entry in ran_on):
        raise DeviceFault(f"{device}: OpenVINO placed the model on {', '.join(ran_on) or 'no device'}")
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if precision != "f32":
        raise DeviceFault(f"{device}: OpenVINO compiled the model for {precision}, not f32")
