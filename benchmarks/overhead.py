"""What bedside costs over calling the library directly: `bedside bench overhead`.

The same ONNX file and the same threads on both sides, in turn in every round. The library's side is its fastest: an
infer request whose input was bound before, and no check of anything. Networks have random weights (:mod:`.networks`).
"""

from __future__ import annotations

import gc
import mmap
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bedside.backends import cache
from bedside.backends.contract import Options, Program
from bedside.backends.library import load
from bedside.kernels import thread_budget
from bedside.runtime.bundle.schema import InfererSpec
from bedside.runtime.devices import list_devices, open_program
from bedside.runtime.inferer import infer, infer_cine
from bedside.runtime.stopwatch import Progress
from bedside.runtime.threads import beside
from bedside.runtime.transforms.online import OnlineRule
from bedside.runtime.transforms.resize import interpolate

from .networks import NETWORKS, Network
from .rows import Row, document

Call = Callable[[], object]
CPU = "openvino:CPU"
DEVICES = (CPU, "ort:cpu")
OURS = "ours"
TRIVIAL_LIMIT_US = 30.0
GOAL = 0.99
"""Under 1 % over the library, as a ratio."""
PIPELINED_GOAL = 1.25
COLD_LIMIT_S = 3.0
_CALLS = 200
"""Calls a sample of the trivial network, one of which is too short to be timed."""
_TIMES = {"resnet50": 6, "unet2d": 3, "unet3d": 1}
"""Rounds of a network, as a multiple of those asked for: the shorter it is the noisier."""
_CINE_NETWORKS, _FRAMES, _FRAME = {"cine": 48, "unet2d": 8}, 8, (480, 640)
"""Frames of the cine by network; different frames that it repeats; their rows and columns."""
_FIRST_RESULT = """
import sys
from pathlib import Path
import numpy as np
from bedside.runtime.devices import open_program
program = open_program(Path(sys.argv[1]), "openvino:CPU")
spec = program.inputs[0]
print(next(iter(program.run({spec.name: np.zeros(spec.shape, spec.dtype)}).values())).shape, flush=True)
"""
_FIRST_RESULT_ALONE = """
import sys
import numpy as np
import openvino
compiled = openvino.Core().compile_model(sys.argv[1], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
print(compiled(np.zeros(compiled.input().shape, np.float32))[0].shape, flush=True)
"""


def bench(threads: int = 0, rounds: int = 7, only: str = "", progress: Progress | None = None) -> dict[str, Any]:
    """Measure everything: the JSON object of the run.

    Parameters
    ----------
    threads
        Of both sides; 0 is the process's budget.
    rounds
        Timed rounds of the largest network; smaller ones have some times as many. One round more warms up.
    only
        Only parts whose name contains this: ``run``, ``cine``, ``copy``, ``cold start``, or a network's short name.
    progress
        Called with what is being run, how many parts are done and how many there are.

    Raises
    ------
    DeviceUnavailable
        ``onnx``, which the networks are made with, is not installed.
    """
    load("onnx>=1.17", device="bench overhead", mend="pip install 'bedside[bench]'")
    threads = threads or thread_budget()
    usable = [device.id for device in list_devices() if device.available and device.id in DEVICES]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name, _own_cache(Path(name) / "cache"):
        folder = Path(name)
        parts: dict[str, Callable[[], Iterator[Row]]] = {}
        for device in usable:
            parts[f"run trivial on {device}"] = partial(_trivial, folder, device, threads, 6 * rounds)
            for key, times in _TIMES.items():
                parts[f"run {key} on {device}"] = partial(_network, key, folder, device, threads, times * rounds)
        for key in _CINE_NETWORKS:
            parts[f"cine {key}"] = partial(_cine, key, folder, threads, rounds)
        parts["copy"] = partial(_copy, folder)
        parts["cold start"] = partial(_cold, folder, rounds)
        chosen = {title: part for title, part in parts.items() if only in title}
        for number, (title, part) in enumerate(chosen.items()):
            if progress is not None:
                progress(title, number, len(chosen))
            rows += part()
            gc.collect()
    return document(rows, threads_used=threads)


@contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """Keep what is compiled here out of the user's cache."""
    before = os.environ.get(cache.ENVIRONMENT)
    os.environ[cache.ENVIRONMENT] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[cache.ENVIRONMENT]
        else:
            os.environ[cache.ENVIRONMENT] = before


def in_turn(calls: Mapping[str, Call], rounds: int, per: int = 1) -> dict[str, list[float]]:
    """Seconds of each call by round, ``per`` calls a sample; whoever is first in one round is last in the next."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        order = list(calls.items())
        for name, call in order if number % 2 else reversed(order):
            start = time.perf_counter()
            for _ in range(per):
                call()
            if number:
                times[name].append((time.perf_counter() - start) / per)
    return times


def paired(name: str, times: Mapping[str, list[float]], peer: str, goal: float | None, scale: float, unit: str) -> Row:
    """Medians of both sides and the median of their ratios round by round: what slows the machine slows both."""
    ratio = statistics.median(theirs / ours for ours, theirs in zip(times[OURS], times[peer], strict=True))
    ours, theirs = (statistics.median(times[side]) * scale for side in (OURS, peer))
    met = None if goal is None else ratio >= goal
    return Row(name, ours, unit, theirs, peer, ratio, goal=goal, met=met, n=len(times[OURS]))


def within(name: str, ours: float, limit: float, unit: str, rounds: int) -> Row:
    """A figure that is to stay under a limit."""
    return Row(name, ours, unit, limit, "limit", limit / max(ours, 1e-9), goal=1.0, met=ours <= limit, n=rounds)


def _trivial(folder: Path, device: str, threads: int, rounds: int) -> Iterator[Row]:
    network = NETWORKS["trivial"]
    program, peers = _opened(network, folder, device, threads)
    feeds = {"image": network.image()}
    times = in_turn({OURS: lambda: program.run(feeds), **peers}, rounds, _CALLS)
    program.close()
    title = f"{network.title} on {device}"
    fastest = next(iter(peers))
    costs = [ours - theirs for ours, theirs in zip(times[OURS], times[fastest], strict=True)]
    yield within(f"{title}: run() over {fastest}", statistics.median(costs) * 1e6, TRIVIAL_LIMIT_US, "us", rounds)
    for peer in peers:
        yield paired(f"{title}: run()", times, peer, None, 1e6, "us")


def _network(key: str, folder: Path, device: str, threads: int, rounds: int) -> Iterator[Row]:
    network = NETWORKS[key]
    program, peers = _opened(network, folder, device, threads)
    feeds = {"image": network.image()}
    fastest = next(iter(peers))
    times = in_turn({OURS: lambda: program.run(feeds), fastest: peers[fastest]}, rounds)
    program.close()
    yield paired(f"{network.title} on {device}: run()", times, fastest, GOAL, 1e3, "ms")


def _opened(network: Network, folder: Path, device: str, threads: int) -> tuple[Program, dict[str, Call]]:
    """The network on a device of ours, and the library's own calls, the fastest one first."""
    path = network.write(folder)
    program = open_program(
        path, device, Options(threads=threads, extra={"model_cache": False} if device == CPU else {})
    )
    direct = _openvino if device == CPU else _onnxruntime
    return program, direct(path, network.image(), threads)


def _openvino(path: Path, image: np.ndarray[Any, Any], threads: int) -> dict[str, Call]:
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(image, shared_memory=True))
    return {
        "OpenVINO infer(), input bound before": lambda: request.infer(share_outputs=True),
        "OpenVINO compiled_model(image)": lambda: compiled(image),
    }


def _onnxruntime(path: Path, image: np.ndarray[Any, Any], threads: int) -> dict[str, Call]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return {"ONNX Runtime session.run()": lambda: session.run(["pred"], {"image": image})}


def _cine(key: str, folder: Path, threads: int, rounds: int) -> Iterator[Row]:
    """Frames through resizing, network and labels: one after the other, and with the next one under way."""
    network, count = NETWORKS[key], _CINE_NETWORKS[key]
    path, size = network.write(folder), network.shape[2:]
    spec, online = InfererSpec(kind="simple"), OnlineRule("argmax")
    stored = np.random.default_rng(0).integers(0, 256, (_FRAMES, 1, *_FRAME), np.uint8)
    one = open_program(path, CPU, Options(threads=threads))
    two = open_program(path, CPU, Options(threads=threads, in_flight=2, hint="throughput"))

    def frames(using: int) -> Iterator[np.ndarray[Any, Any]]:
        for index in range(count):
            scaled = stored[index % _FRAMES].astype(np.float32)
            yield interpolate(scaled, size, "bilinear", align_corners=False, threads=using)

    def by_frame() -> None:
        for frame in frames(threads):
            infer(one, frame, spec, online=online, threads=threads)

    def pipelined() -> None:
        for _ in infer_cine(two, frames(beside(two, threads)), spec, online=online, total=count, threads=threads):
            pass

    peer = "frame by frame"
    times = in_turn({OURS: pipelined, peer: by_frame}, rounds)
    for program in (one, two):
        program.close()
    title = f"cine of 480x640, {network.title} on {CPU}: submit(), a frame"
    yield paired(title, times, peer, PIPELINED_GOAL, 1e3 / count, "ms")


def _copy(folder: Path) -> Iterator[Row]:
    """How much of a large input is touched by a network that looks at little of it: a copy would touch all."""
    import openvino

    network = NETWORKS["corner"]
    path = network.write(folder)
    program = open_program(path, CPU)
    compiled = openvino.Core().compile_model(str(path), "CPU")
    warm = np.zeros(network.shape, np.float32)
    program.run({"image": warm})
    compiled(warm, share_inputs=False)
    touched = {
        OURS: _touched(network, lambda image: program.run({"image": image})),
        "OpenVINO compiled_model(image, share_inputs=False)": _touched(
            network, lambda image: compiled(image, share_inputs=False)
        ),
    }
    program.close()
    (ours, theirs), (_, peer) = touched.values(), touched
    size = warm.nbytes / 1e6
    name = f"input of {size:.0f} MB on {CPU}, of which the network reads 64 bytes: memory that a run touches"
    ratio = theirs / max(ours, mmap.PAGESIZE / 1e6)
    yield Row(name, ours, "MB", theirs, peer, ratio, goal=10.0, met=ours < size / 100, n=1)


def _touched(network: Network, call: Callable[[np.ndarray[Any, Any]], object]) -> float:
    """Megabytes of a fresh input whose pages came into being during a call."""
    memory = mmap.mmap(-1, 4 * int(np.prod(network.shape)))
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    image = np.frombuffer(memory, np.float32).reshape(network.shape)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call(image)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * mmap.PAGESIZE / 1e6


def _cold(folder: Path, rounds: int) -> Iterator[Row]:
    """From the start of a process to its first result; files are in the page cache."""
    network = NETWORKS["unet2d"]
    path = network.write(folder)
    fresh = iter(range(rounds + 1))
    empty, alone = "the same with an empty model cache", "OpenVINO alone, without a cache"
    calls: dict[str, Call] = {
        OURS: lambda: _first_result(_FIRST_RESULT, path, folder / "warm"),
        empty: lambda: _first_result(_FIRST_RESULT, path, folder / f"empty{next(fresh)}"),
        alone: lambda: _first_result(_FIRST_RESULT_ALONE, path, folder / "unused"),
    }
    times = in_turn(calls, rounds)
    title = f"process start to first result, {network.title} on {CPU}, warm model cache"
    yield within(title, statistics.median(times[OURS]), COLD_LIMIT_S, "s", rounds)
    for peer in (empty, alone):
        yield paired(title, times, peer, None, 1.0, "s")


def _first_result(program: str, path: Path, kept: Path) -> None:
    environment = {**os.environ, cache.ENVIRONMENT: str(kept)}
    with subprocess.Popen([sys.executable, "-c", program, str(path)], env=environment, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        said = child.stdout.readline()
        child.terminate()
    if not said:
        raise SystemExit("the process that was to be timed failed")
