"""What only a card can show. ``tests/device/cuda/run`` sets everything up; without a card all of it is skipped."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bedside.models
from bedside.backends import cache
from bedside.backends.contract import DeviceFault, Options, Program
from bedside.backends.onnxruntime import nvidia, tensorrt
from bedside.backends.onnxruntime.program import BoundProgram
from bedside.runtime.devices import list_devices, open_program

try:
    nvidia.cards()
except nvidia.NoDriver as error:
    pytest.skip(f"{error}: {nvidia.DRIVER_MEND}", allow_module_level=True)

MODELS = sorted(Path(folder) for folder in bedside.models.__path__)
BUNDLES = ("ct-lung-nodule", "us-breast-lesion")


def model_of(bundle: str) -> Path:
    return next(folder / bundle / "models" / "model.onnx" for folder in MODELS if (folder / bundle).is_dir())


@pytest.fixture(params=["cuda:0", "tensorrt:0"])
def card(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A device string of a card that is there, with a cache of engines of its own."""
    found = {entry.id: entry for entry in list_devices()}[request.param]
    if not found.available:
        pytest.skip(f"{found.reason}: {found.mend}")
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path))
    return str(request.param)


@contextmanager
def opened(model: Path, device: str, **extra: Any) -> Iterator[Program]:
    program = open_program(model, device, Options(extra=extra))
    try:
        yield program
    finally:
        program.close()


def feeds_of(program: Program, seed: int = 0) -> dict[str, Any]:
    (spec,) = program.inputs
    shape = [size or 1 for size in spec.shape[:2]] + [size or 64 for size in spec.shape[2:]]
    return {spec.name: np.random.default_rng(seed).random(shape, dtype=np.float32)}


def worst(found: dict[str, Any], want: dict[str, Any]) -> float:
    """The largest difference, as a share of the largest value."""
    return max(float(np.abs(found[name] - want[name]).max() / np.abs(want[name]).max()) for name in want)


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_numbers_of_the_cpu(card: str, bundle: str) -> None:
    """Float32 throughout: with TF32 the difference would be some 1e-3."""
    with opened(model_of(bundle), "openvino:CPU") as cpu, opened(model_of(bundle), card) as program:
        for seed in range(3):
            feeds = feeds_of(cpu, seed)
            assert worst(program.run(feeds), cpu.run(feeds)) < 1e-4
            assert worst(program.submit(feeds).result(600), cpu.run(feeds)) < 1e-4


@pytest.mark.parametrize("bundle", BUNDLES)
def test_no_node_runs_on_the_cpu(card: str, bundle: str) -> None:
    with opened(model_of(bundle), card) as program:
        placed = program.placement()
    assert "CPUExecutionProvider" not in placed
    assert sum(placed.values()) > 0


def test_runs_repeat_bit_for_bit(card: str) -> None:
    with opened(model_of(BUNDLES[0]), card) as program:
        feeds = feeds_of(program)
        first = program.run(feeds)
        for _ in range(5):
            assert all(np.array_equal(array, first[name]) for name, array in program.run(feeds).items())


def test_the_graph_gives_the_numbers_of_single_launches(card: str) -> None:
    with (
        opened(model_of(BUNDLES[0]), card, enable_cuda_graph=1) as graph,
        opened(model_of(BUNDLES[0]), card, enable_cuda_graph=0) as launches,
    ):
        for seed in range(3):
            feeds = feeds_of(graph, seed)
            assert worst(graph.run(feeds), launches.run(feeds)) < 1e-6


def test_pinned_memory_is_taken(card: str) -> None:
    with opened(model_of(BUNDLES[0]), card) as program:
        assert isinstance(program, BoundProgram)
        ((name, array),) = feeds_of(program).items()
        pinned = program.allocate(array.shape, array.dtype)
        pinned[...] = array
        assert worst(program.run({name: pinned}), program.run({name: array})) == 0


def test_a_stream_of_the_callers(card: str) -> None:
    library = next((name for name in ("libcudart.so.13", "libcudart.so.12") if _loads(name)), None)
    if library is None:
        pytest.skip("CUDA's runtime is not where the linker looks")
    runtime, stream = ctypes.CDLL(library), ctypes.c_void_p()
    assert runtime.cudaStreamCreate(ctypes.byref(stream)) == 0
    with (
        opened(model_of(BUNDLES[0]), card) as own,
        opened(model_of(BUNDLES[0]), card, user_compute_stream=stream.value) as given,
    ):
        feeds = feeds_of(own)
        assert worst(given.run(feeds), own.run(feeds)) < 1e-6
    assert runtime.cudaStreamDestroy(stream) == 0


def test_memory_is_bounded_and_given_back(card: str) -> None:
    with opened(model_of(BUNDLES[0]), card, arena_shrink=1, enable_cuda_graph=0) as program:
        feeds = feeds_of(program)
        assert worst(program.run(feeds), program.run(feeds)) == 0
    with pytest.raises(DeviceFault, match="memory"), opened(model_of(BUNDLES[0]), card, gpu_mem_limit=1024) as program:
        program.run(feeds)


@pytest.fixture
def tensorrt_only(card: str) -> str:
    if not card.startswith("tensorrt"):
        pytest.skip("of TensorRT alone")
    return card


def test_an_engine_is_built_once(tensorrt_only: str) -> None:
    def engines() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in cache.folder(tensorrt.NAME).rglob("*.engine")}

    for _ in range(2):
        with opened(model_of(BUNDLES[0]), tensorrt_only) as program:
            program.run(feeds_of(program))
        built = engines()
        assert built
    broken = next(iter(built))
    broken.write_bytes(b"no engine")
    with opened(model_of(BUNDLES[0]), tensorrt_only) as program:
        program.run(feeds_of(program))


def test_half_precision_is_asked_for_and_near(tensorrt_only: str) -> None:
    with (
        opened(model_of(BUNDLES[0]), tensorrt_only) as exact,
        opened(model_of(BUNDLES[0]), tensorrt_only, trt_fp16_enable=1) as half,
    ):
        feeds = feeds_of(exact)
        assert 0 < worst(half.run(feeds), exact.run(feeds)) < 0.05


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
