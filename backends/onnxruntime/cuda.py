"""``cuda:N`` and ``tensorrt:N``: NVIDIA cards through ONNX Runtime's providers of those names.

Numbers are float32 unless asked otherwise: TF32, which ONNX Runtime switches on by default, is off, and so are
TensorRT's FP16 and INT8. What TensorRT does not take runs on the same card through CUDA; ``placement()`` says how much.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contract import BedsideError, Device, DeviceFault, DeviceUnavailable, Options
from ..library import one_line
from ..onnx_file import check_file
from . import nvidia, settings, tensorrt, wheels
from . import session as sessions
from .cuda_memory import CudaMemory
from .cudart import CudaRuntime
from .program import BoundProgram

_CUDA, _TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"

CUDA: Mapping[str, settings.Check] = {
    **settings.ACCELERATOR,
    "arena_extend_strategy": settings.one_of("kSameAsRequested", "kNextPowerOfTwo"),
    "arena_shrink": settings.flag,
    "cudnn_conv_algo_search": settings.one_of("HEURISTIC", "EXHAUSTIVE", "DEFAULT"),
    "cudnn_conv_use_max_workspace": settings.flag,
    "enable_cuda_graph": settings.flag,
    "gpu_mem_limit": settings.whole,
    "prefer_nhwc": settings.flag,
    "use_tf32": settings.flag,
    "user_compute_stream": settings.whole,
}
"""Options of ``cuda:N``, by ONNX Runtime's names, and ``arena_shrink``: give memory back after every run."""

TENSORRT: Mapping[str, settings.Check] = {
    **CUDA,
    "cache_bytes": settings.whole,
    "trt_builder_optimization_level": settings.whole,
    "trt_fp16_enable": settings.flag,
    "trt_int8_calibration_table_name": settings.any_text,
    "trt_int8_enable": settings.flag,
    "trt_max_workspace_size": settings.whole,
    "trt_profile_max_shapes": settings.any_text,
    "trt_profile_min_shapes": settings.any_text,
    "trt_profile_opt_shapes": settings.any_text,
}
"""Options of ``tensorrt:N``: those of CUDA too, and ``cache_bytes``, the size of the cache of engines."""


@dataclass(frozen=True)
class Family:
    """A kind of device string and what it takes."""

    name: str
    providers: tuple[str, ...]
    """In order; the first runs what it can, the next what that leaves."""
    libraries: tuple[str, ...]
    """The providers' own files beside ONNX Runtime's module."""
    opened: tuple[str, ...]
    """Libraries that they open as they run and are not linked with: a convolution without cuDNN fails."""
    options: Mapping[str, settings.Check]

    @property
    def install(self) -> str:
        return f"pip install 'bedside[{self.name}]'"


_CUDNN = "libcudnn.so.9"
_LIBRARY = "libonnxruntime_providers_{}.so"
FAMILIES = {
    "cuda": Family("cuda", (_CUDA,), (_LIBRARY.format("cuda"),), (_CUDNN,), CUDA),
    "tensorrt": Family(
        "tensorrt",
        (_TENSORRT, _CUDA),
        (_LIBRARY.format("tensorrt"), _LIBRARY.format("cuda")),
        (_CUDNN,),
        TENSORRT,
    ),
}


@dataclass(frozen=True)
class Station:
    """What a family needs on this host, found."""

    library: Any
    cards: tuple[nvidia.Card, ...]
    linked: tuple[str, ...]
    """Names of the shared libraries that the providers are linked with."""

    def linked_as(self, front: str) -> str | None:
        """The name of the linked library that begins so, e.g. ``libcudart.so.12`` for ``libcudart``."""
        return next((name for name in self.linked if name.startswith(front)), None)

    def describe(self, family: Family, index: int) -> Device:
        card = self.cards[index]
        versions = {
            "onnxruntime": str(self.library.__version__),
            "cuda": str(self.library.cuda_version),
            "cudnn": nvidia.cudnn_version(_CUDNN),
            "driver": card.driver,
        }
        if family.name == "tensorrt":
            versions["tensorrt"] = tensorrt.version(self.linked_as("libnvinfer.") or "libnvinfer.so")
        return Device(f"{family.name}:{index}", card.name, True, versions=versions)


def probe() -> list[Device]:
    """One Device a family and card, or one a family that says what is missing."""
    return [device for family in FAMILIES.values() for device in _probe(family)]


def open(model: Path, family: Family, index: int, options: Options) -> BoundProgram:
    """Load a model on card ``index``.

    Raises
    ------
    DeviceUnavailable
        A wheel, a library, the driver or the card is missing, or an option is unknown.
    DeviceFault
        The model cannot be loaded, or not all of it would run on the card.
    """
    device = f"{family.name}:{index}"
    if family.name == "tensorrt" and options.extra.get("use_tf32", 0) not in (1, "1"):
        # TensorRT has TF32 on, and its provider no option for it; NVIDIA's libraries read this when they are loaded.
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    station = require(family, device)
    if index >= len(station.cards):
        raise DeviceUnavailable(f"{device}: there is no such card", mend=f"{family.name}:0 is {station.cards[0].name}")
    values = settings.read(options, family.options, device)
    check_file(model, device)
    described = station.describe(family, index)
    runtime = CudaRuntime(station.linked_as("libcudart") or "libcudart.so", index)
    memory = CudaMemory(
        station.library,
        runtime,
        index,
        stream=int(values.get("user_compute_stream", 0)),
        shrink=values.get("arena_shrink") == "1",
    )
    try:
        if family.name == "tensorrt":
            most = int(values.get("cache_bytes", tensorrt.MOST_BYTES))
            chosen = tensorrt_options(index, memory.stream, values)
            # The stream is another one every time, and nothing of the engine.
            lasting = {name: value for name, value in chosen.items() if name != "user_compute_stream"}
            with tensorrt.engines(model, station.cards[index], described.versions, lasting, most) as kept:
                session = _with_kept_engine(station, model, family, index, options, values, memory.stream, kept)
        else:
            session = _session(station, model, family, index, options, values, memory.stream, {})
        inputs, outputs = sessions.specs(session, model, device)
        return BoundProgram(session, memory, described, inputs, outputs, options)
    except BaseException:
        memory.close()
        raise


def require(family: Family, device: str) -> Station:
    """Everything a family needs; raises DeviceUnavailable that names all that is missing, in one line."""
    reasons, mends = [], []
    cards: tuple[nvidia.Card, ...] = ()
    try:
        cards = tuple(nvidia.cards())
    except nvidia.NoDriver as error:
        reasons.append(str(error))
        mends.append(nvidia.DRIVER_MEND)
    try:
        library = wheels.with_provider(device, family.install, *family.providers)
    except DeviceUnavailable as error:
        reasons.append(error.message.removeprefix(f"{device}: "))
        mends.append(error.mend or family.install)
        raise _unavailable(device, reasons, mends) from error
    folder = Path(library.__file__).parent / "capi"
    linked: list[str] = []
    for name in family.libraries:
        if not (folder / name).is_file():
            raise DeviceUnavailable(
                f"{device}: ONNX Runtime's {name} is missing", mend=f"{family.install} --force-reinstall"
            )
        linked += nvidia.needed(folder / name)
    missing = nvidia.load_libraries([*linked, *family.opened])
    if missing:
        reasons.append(f"missing libraries: {', '.join(missing)}")
        mends.append(nvidia.pip_line(missing, str(library.cuda_version)))
    if reasons:
        raise _unavailable(device, reasons, mends)
    return Station(library, cards, tuple(linked))


def _unavailable(device: str, reasons: list[str], mends: list[str]) -> DeviceUnavailable:
    return DeviceUnavailable(f"{device}: {'; '.join(reasons)}", mend="; ".join(mends))


def cuda_options(index: int, stream: int, values: Mapping[str, str], *, graph: bool) -> dict[str, str]:
    """Options of the CUDA provider, by its own names; ``graph`` says whether runs are captured as a CUDA graph."""
    made = {
        "device_id": str(index),
        "user_compute_stream": str(stream),
        "do_copy_in_default_stream": "1",
        # By heuristics the choice is the same every time; a search picks what was fastest in that very process, so
        # that numbers could differ in the last bits from those of the run that was proved.
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": "1",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
        "enable_cuda_graph": str(int(graph)),
    }
    for name in CUDA:
        if name in values and name not in settings.ACCELERATOR and name not in ("arena_shrink", "enable_cuda_graph"):
            made[name] = values[name]
    made["user_compute_stream"] = str(stream)
    return made


def tensorrt_options(index: int, stream: int, values: Mapping[str, str]) -> dict[str, str]:
    """Options of the TensorRT provider, by its own names, but for those of the cache of engines."""
    made = {
        "device_id": str(index),
        "user_compute_stream": str(stream),
        "trt_fp16_enable": "0",
        "trt_int8_enable": "0",
    }
    made.update({name: value for name, value in values.items() if name.startswith("trt_")})
    return made


def _probe(family: Family) -> list[Device]:
    device = f"{family.name}:0"
    name = "NVIDIA card" + (" with TensorRT" if family.name == "tensorrt" else "")
    try:
        station = require(family, device)
        return [station.describe(family, index) for index in range(len(station.cards))]
    except DeviceUnavailable as error:
        return [Device(device, name, False, error.message.removeprefix(f"{device}: "), error.mend or "")]
    except Exception as error:
        return [Device(device, name, False, one_line(error), family.install)]


def _with_kept_engine(
    station: Station,
    model: Path,
    family: Family,
    index: int,
    options: Options,
    values: Mapping[str, str],
    stream: int,
    kept: Mapping[str, str],
) -> Any:
    """A session of TensorRT; an engine of the cache that cannot be read is built again, once."""
    try:
        return _session(station, model, family, index, options, values, stream, kept)
    except DeviceFault:
        if not tensorrt.forget(kept):
            raise
        return _session(station, model, family, index, options, values, stream, kept)


def _session(
    station: Station,
    model: Path,
    family: Family,
    index: int,
    options: Options,
    values: Mapping[str, str],
    stream: int,
    kept: Mapping[str, str],
) -> Any:
    cpu_nodes = int(values.get("cpu_nodes", 0))

    def make(graph: bool, forbidden: bool) -> Any:
        session_options = settings.session_options(station.library, options, values)
        sessions.forbid_fallback(session_options, forbidden)
        cuda = (_CUDA, cuda_options(index, stream, values, graph=graph and family.name == "cuda"))
        providers = [cuda]
        if family.name == "tensorrt":
            own = {**tensorrt_options(index, stream, values), "trt_cuda_graph_enable": str(int(graph)), **kept}
            providers.insert(0, (_TENSORRT, own))
        return station.library.InferenceSession(str(model), session_options, providers=providers, enable_fallback=0)

    def on_card(graph: bool) -> Any:
        return sessions.on_providers(
            lambda forbidden: make(graph, forbidden),
            model,
            f"{family.name}:{index}",
            family.providers,
            cpu_nodes=cpu_nodes,
        )

    # A graph can be captured of what runs on the card alone and has no branches; ONNX Runtime refuses it else.
    asked = values.get("enable_cuda_graph")
    if asked is not None or cpu_nodes:
        return on_card(asked == "1")
    try:
        return on_card(True)
    except BedsideError as error:
        if "graph capture" not in error.message:
            raise
        return on_card(False)
