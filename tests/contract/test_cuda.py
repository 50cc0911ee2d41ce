"""Everything of ``cuda:N`` and ``tensorrt:N`` that runs without a card: what is asked for, what is refused, and why.

The driver and CUDA's runtime are stand-ins in C (``standins/``) that answer as a host with cards would; sessions are
real ones of the CPU's provider. tests/device/cuda is for a host with a card.
"""

from __future__ import annotations

import contextlib
import ctypes
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.backends.contract import DeviceFault, DeviceUnavailable, Options
from bedside.backends.onnxruntime import cuda, faults, nvidia, settings
from bedside.backends.onnxruntime import session as sessions
from bedside.backends.onnxruntime.cuda_memory import CudaMemory
from bedside.backends.onnxruntime.cudart import CudaError, CudaRuntime
from bedside.backends.onnxruntime.program import BoundProgram
from bedside.runtime.devices import list_devices, open_program

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: pip install 'bedside[ort]'")

Models = dict[str, Path]
CARD = nvidia.Card(0, "Card A", (8, 0), 8 << 30, "580.65.06")


def image(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# The driver and its cards.


def test_no_driver(tmp_path: Path) -> None:
    with pytest.raises(nvidia.NoDriver, match=r"not installed \(.*libcuda-that-is-not-there.so.1 is missing\)"):
        nvidia.cards(str(tmp_path / "libcuda-that-is-not-there.so.1"))


def test_cards_of_the_driver(standin: Any) -> None:
    first, second = nvidia.cards(str(standin("cuda_driver", "INIT=0")))
    assert (first.index, first.name, first.compute, first.memory_bytes) == (0, "Card A", (8, 0), 8 << 30)
    assert (second.index, second.name, second.compute, second.memory_bytes) == (1, "Card B", (8, 1), 16 << 30)
    if not Path("/sys/module/nvidia/version").exists():
        assert first.driver == "CUDA 13.2"


@pytest.mark.parametrize(
    ("code", "said"), [(100, "finds no card"), (803, "does not start: system has unsupported"), (999, "error 999")]
)
def test_a_driver_that_refuses(standin: Any, code: int, said: str) -> None:
    with pytest.raises(nvidia.NoDriver, match=said):
        nvidia.cards(str(standin("cuda_driver", f"INIT={code}")))


# The libraries that a provider is linked with.


def test_needed_libraries_of_an_elf_file(standin: Any, tmp_path: Path) -> None:
    linked = standin("vulkan_icd", 'REAL="none"')
    assert any(name.startswith("libc.so") for name in nvidia.needed(linked))
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(ValueError, match="no 64-bit ELF"):
        nvidia.needed(tmp_path / "text.so")


def test_missing_libraries_are_named() -> None:
    linked = ["libc.so.6", "libcublas.so.999", "libcublasLt.so.999", "libcudnn.so.999", "libstdc++.so.6"]
    assert nvidia.load_libraries(linked) == ["libcublas.so.999", "libcublasLt.so.999", "libcudnn.so.999"]


def test_a_library_of_a_pip_package_is_loaded(standin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "nvidia" / "cuda_runtime" / "lib"
    folder.mkdir(parents=True)
    (folder / "libcudart.so.998").write_bytes(standin("cuda_runtime").read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path))
    assert nvidia.load_libraries(["libcudart.so.998"]) == []


@pytest.mark.parametrize(
    ("missing", "version", "line"),
    [
        (["libcublas.so.12", "libcublasLt.so.12"], "12.8", "pip install nvidia-cublas-cu12"),
        (["libcudart.so.13", "libcudnn.so.9"], "13.0", "pip install 'nvidia-cudnn-cu13==9.*' nvidia-cuda-runtime"),
        (["libnvinfer.so.10", "libnvonnxparser.so.10"], "12.8", "pip install 'tensorrt-cu12==10.*'"),
        (["libcurand.so.10", "libcufft.so.11", "libnvrtc.so.12"], "12.8",
         "pip install nvidia-cuda-nvrtc-cu12 nvidia-cufft-cu12 nvidia-curand-cu12"),
    ],
)  # fmt: skip
def test_the_pip_line_of_missing_libraries(missing: list[str], version: str, line: str) -> None:
    assert nvidia.pip_line(missing, version) == line


def test_the_real_runtime_of_cuda_refuses_without_a_card() -> None:
    if nvidia.load_libraries(["libcudart.so.13"]):
        pytest.skip("CUDA's runtime is not installed: pip install nvidia-cuda-runtime")
    with contextlib.suppress(nvidia.NoDriver):
        nvidia.cards()
        pytest.skip("this host has a card: tests/device/cuda is for it")
    with pytest.raises(CudaError, match=r"CUDA failure \d+: .*driver"):
        CudaRuntime("libcudart.so.13", 0).new_stream()


# What is asked of the providers.


def test_options_of_cuda() -> None:
    made = cuda.cuda_options(1, 4096, {}, graph=True)
    assert made == {
        "device_id": "1",
        "user_compute_stream": "4096",
        "do_copy_in_default_stream": "1",
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": "1",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
        "enable_cuda_graph": "1",
    }
    asked = {
        "use_tf32": "1", "gpu_mem_limit": "1024", "cudnn_conv_algo_search": "EXHAUSTIVE", "arena_shrink": "1",
        "cpu_nodes": "3", "user_compute_stream": "7", "prefer_nhwc": "1",
    }  # fmt: skip
    made = cuda.cuda_options(0, 7, asked, graph=False)
    assert made["use_tf32"] == "1" and made["gpu_mem_limit"] == "1024" and made["prefer_nhwc"] == "1"
    assert made["cudnn_conv_algo_search"] == "EXHAUSTIVE" and made["enable_cuda_graph"] == "0"
    assert made["user_compute_stream"] == "7"
    assert not {"arena_shrink", "cpu_nodes"} & set(made)


def test_options_of_tensorrt() -> None:
    made = cuda.tensorrt_options(0, 9, {"trt_fp16_enable": "1", "use_tf32": "0", "cache_bytes": "1"})
    assert made == {
        "device_id": "0", "user_compute_stream": "9", "trt_fp16_enable": "1", "trt_int8_enable": "0",
    }  # fmt: skip
    asked = {"trt_int8_enable": "1", "trt_int8_calibration_table_name": "calibration.flatbuffers"}
    made = cuda.tensorrt_options(0, 9, asked)
    assert made["trt_int8_enable"] == "1" and made["trt_int8_calibration_table_name"] == "calibration.flatbuffers"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"colour": "blue"}, "cuda:0 has no option 'colour'"),
        ({"use_tf32": "yes"}, "use_tf32 cannot be 'yes'"),
        ({"gpu_mem_limit": -1}, "gpu_mem_limit cannot be '-1'"),
        ({"cudnn_conv_algo_search": "BEST"}, "cudnn_conv_algo_search cannot be 'BEST'"),
        ({"trt_fp16_enable": True}, "cuda:0 has no option 'trt_fp16_enable'"),
    ],
)
def test_options_that_are_refused(extra: dict[str, Any], said: str) -> None:
    with pytest.raises(DeviceUnavailable, match=said) as caught:
        settings.read(Options(extra=extra), cuda.CUDA, "cuda:0")
    assert caught.value.mend


def test_options_are_read_as_text() -> None:
    read = settings.read(Options(extra={"use_tf32": True, "gpu_mem_limit": 1 << 30}), cuda.CUDA, "cuda:0")
    assert read == {"use_tf32": "1", "gpu_mem_limit": str(1 << 30)}


# Where the nodes run.


def test_another_provider_than_asked_for_is_an_error() -> None:
    sessions.check_providers(["CUDAExecutionProvider", "CPUExecutionProvider"], ["CUDAExecutionProvider"], "cuda:0")
    for found in (["CPUExecutionProvider"], ["TensorrtExecutionProvider", "CUDAExecutionProvider"], []):
        with pytest.raises(DeviceFault, match=r"cuda:0: ONNX Runtime would run the model on .*, not CUDAExec"):
            sessions.check_providers(found, ["CUDAExecutionProvider"], "cuda:0")


class _Placed:
    """A session as one of a card looks: its assignment to providers."""

    def __init__(self, providers: list[str], **nodes: list[str]) -> None:
        self._providers, self._nodes = providers, nodes

    def get_providers(self) -> list[str]:
        return self._providers

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return [
            types.SimpleNamespace(
                ep_name=f"{name}ExecutionProvider",
                get_nodes=lambda nodes=nodes: [types.SimpleNamespace(op_type=node) for node in nodes],
            )
            for name, nodes in self._nodes.items()
        ]


BOTH = ["CUDAExecutionProvider", "CPUExecutionProvider"]
SPLIT = _Placed(BOTH, CUDA=["Conv"] * 9, CPU=["Shape", "Gather", "Shape"])


def on_cuda(session: _Placed, cpu_nodes: int) -> Any:
    def make(forbidden: bool) -> _Placed:
        if forbidden and sessions.placement(session)["CPUExecutionProvider"]:
            raise RuntimeError(
                "This session contains graph nodes that are assigned to the default CPU EP, but fallback to CPU EP has "
                "been explicitly disabled by the user."
            )
        return session

    asked = ["CUDAExecutionProvider"]
    return sessions.on_providers(make, Path("m.onnx"), "cuda:0", asked, cpu_nodes=cpu_nodes)


@pytest.mark.parametrize("allowed", [0, 2])
def test_nodes_on_the_cpu_are_an_error_that_names_them(allowed: int) -> None:
    with pytest.raises(DeviceFault, match=r"cuda:0: 3 of 12 nodes of m.onnx would run on the CPU \(Shape, Gather\)"):
        on_cuda(SPLIT, allowed)


def test_as_many_nodes_on_the_cpu_as_allowed() -> None:
    assert on_cuda(SPLIT, 3) is SPLIT
    assert sessions.placement(SPLIT) == {"CUDAExecutionProvider": 9, "CPUExecutionProvider": 3}


def test_a_provider_that_takes_nothing_is_an_error() -> None:
    with pytest.raises(DeviceFault, match=r"CUDAExecutionProvider takes no node of m.onnx \(1 on CPUExec"):
        on_cuda(_Placed(BOTH, CPU=["Conv"]), 5)


def test_a_provider_that_is_left_out_is_an_error() -> None:
    with pytest.raises(DeviceFault, match="would run the model on CPUExecutionProvider, not CUDAExecutionProvider"):
        on_cuda(_Placed(["CPUExecutionProvider"], CPU=["Conv"]), 1)


# What a failure means.


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("CUDA failure 719: unspecified launch failure ; GPU=0", "lost"),
        ("CUDA failure 700: an illegal memory access was encountered", "lost"),
        ("vkQueueSubmit failed with VK_ERROR_DEVICE_LOST", "lost"),
        ("[Device] is lost. Device was lost.", "lost"),
        ("Failed to allocate memory for requested buffer of size 1073741824", "memory"),
        ("CUDA failure 2: out of memory", "memory"),
        ("CUDNN_STATUS_ALLOC_FAILED", "memory"),
        ("Got invalid dimensions for input", "failed"),
    ],
)
def test_what_a_failure_means(text: str, kind: str) -> None:
    assert faults.kind_of(RuntimeError(text)) == kind
    assert faults.fault("cuda:0", RuntimeError(text)).kind == kind
    assert faults.fault("cuda:0", RuntimeError(text)).message.startswith("cuda:0")


# Input and output, with a card whose memory is the host's.


class _Bench:
    """A BoundProgram over a CPU session with CudaMemory, and the stand-in's counters."""

    def __init__(self, library: Path, model: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.native = ctypes.CDLL(str(library))
        self.memory = CudaMemory(onnxruntime, CudaRuntime(str(library), 3), 0, kind="cpu", **options)
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        self.seen_options: list[Any] = []
        real = session.run_with_iobinding

        def run(binding: Any, run_options: Any) -> None:
            self.native.arrive()  # on a card the stream would see to this order
            self.seen_options.append(run_options)
            real(binding)

        monkeypatch.setattr(session, "run_with_iobinding", run)
        for ports in ("input", "output"):  # of a session on a card
            infos = [types.SimpleNamespace(name="Cuda") for _ in getattr(session, f"get_{ports}s")()]
            monkeypatch.setattr(session, f"get_{ports}_memory_infos", lambda infos=infos: infos)
        inputs, outputs = sessions.specs(session, model, "cuda:3")
        described = open_program(model, "null").device
        self.program = BoundProgram(session, self.memory, described, inputs, outputs, Options())

    def count(self, name: str) -> int:
        return ctypes.c_int.in_dll(self.native, name).value

    def fail(self, code: int) -> None:
        ctypes.c_int.in_dll(self.native, "code").value = code


@pytest.fixture
def bench(standin: Any, models: Models, monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda model, **options: _Bench(standin("cuda_runtime"), models[model], monkeypatch, **options)


def test_a_run_is_one_copy_in_and_one_copy_out(bench: Any, models: Models) -> None:
    card = bench("fixed")
    want = open_program(models["fixed"], "ort:cpu")
    for seed in range(3):
        feeds = {"image": image(1, 1, 24, 20, seed=seed)}
        np.testing.assert_array_equal(card.program.run(feeds)["logits"], want.run(feeds)["logits"])
        assert card.count("copies") == 2 * (seed + 1)
        assert card.count("waits") == seed + 1
    assert card.count("pinned") == 2  # one buffer for the input, one for the output, however many runs
    assert card.count("selected") == 3
    card.program.close()
    assert card.count("streams") == 0
    assert card.count("pinned") == 0
    want.close()


def test_an_input_in_pinned_memory_is_not_staged(bench: Any, models: Models) -> None:
    card = bench("fixed")
    buffer = card.program.allocate((1, 1, 24, 20), np.dtype(np.float32))
    assert buffer.shape == (1, 1, 24, 20) and not buffer.any()
    assert card.count("pinned") == 1
    buffer[...] = image(1, 1, 24, 20)
    want = open_program(models["fixed"], "ort:cpu").run({"image": np.array(buffer)})["logits"]
    np.testing.assert_array_equal(card.program.run({"image": buffer})["logits"], want)
    assert card.count("pinned") == 2  # the output's; none for the input
    del buffer
    card.program.close()
    assert card.count("pinned") == 0


def test_shapes_that_change_have_their_own_buffers(bench: Any, models: Models) -> None:
    card = bench("dynamic")
    want = open_program(models["dynamic"], "ort:cpu")
    for shape in ((1, 1, 16, 16), (2, 1, 9, 13), (1, 1, 8, 8), (1, 1, 16, 16), (1, 1, 5, 6), (1, 1, 6, 5)):
        feeds = {"image": image(*shape)}
        np.testing.assert_array_equal(card.program.run(feeds)["logits"], want.run(feeds)["logits"])
    assert len(card.program._bindings) == 4
    assert {options.get_run_config_entry("gpu_graph_id") for options in card.seen_options} == {"-1"}
    card.program.close()
    assert card.count("pinned") == 0


def test_run_options(bench: Any) -> None:
    card = bench("fixed", shrink=True)
    card.program.run({"image": image(1, 1, 24, 20)})
    (options,) = card.seen_options
    assert options.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "gpu:0"
    assert options.get_run_config_entry("disable_synchronize_execution_providers") == "1"
    with pytest.raises(RuntimeError):
        options.get_run_config_entry("gpu_graph_id")


def test_a_stream_of_the_callers_is_used_and_left(bench: Any) -> None:
    card = bench("fixed", stream=0x1000)
    assert card.memory.stream == 0x1000
    card.program.run({"image": image(1, 1, 24, 20)})
    card.program.close()
    assert card.count("streams") == 0


def test_a_lost_card_stays_lost(bench: Any) -> None:
    card = bench("fixed")
    card.program.run({"image": image(1, 1, 24, 20)})
    card.fail(719)
    for _ in range(2):
        with pytest.raises(DeviceFault, match="unspecified launch failure"):
            card.program.run({"image": image(1, 1, 24, 20)})
        card.fail(0)
    card.program.close()


def test_a_card_without_memory(bench: Any) -> None:
    card = bench("fixed")
    card.fail(2)
    with pytest.raises(DeviceFault, match="out of memory") as caught:
        card.program.run({"image": image(1, 1, 24, 20)})
    assert caught.value.mend
    card.fail(0)
    assert card.program.run({"image": image(1, 1, 24, 20)})["logits"].shape == (1, 3, 24, 20)


@pytest.mark.parametrize("family", ["cuda", "tensorrt"])
def test_a_session_that_cannot_be_made_leaves_nothing(
    family: str, standin: Any, models: Models, monkeypatch: pytest.MonkeyPatch, engine_cache: Path
) -> None:
    """Everything is found but a provider in the wheel: the whole way of open(), down to the check of the session."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime is built with CUDA")
    runtime = standin("cuda_runtime")
    # Found by its path, which the linker takes where a name is expected.
    monkeypatch.setattr(cuda.Station, "linked_as", lambda self, front: str(runtime))
    station = cuda.Station(onnxruntime, (CARD,), ())
    monkeypatch.setattr(cuda, "require", lambda family, device: station)
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(DeviceFault, match=rf"{family}:0: 3 of 3 nodes of fixed.onnx would run on the CPU"),
    ):
        cuda.open(models["fixed"], cuda.FAMILIES[family], 0, Options())
    assert ctypes.c_int.in_dll(ctypes.CDLL(str(runtime)), "streams").value == 0
    with pytest.raises(DeviceUnavailable, match="there is no such card") as caught:
        cuda.open(models["fixed"], cuda.FAMILIES[family], 1, Options())
    assert caught.value.mend == f"{family}:0 is Card A"
    described = station.describe(cuda.FAMILIES[family], 0)
    assert (described.id, described.name) == (f"{family}:0", "Card A")
    assert described.versions["driver"] == "580.65.06" and described.versions["cudnn"]
    assert ("tensorrt" in described.versions) == (family == "tensorrt")


# On this host.


@pytest.mark.parametrize("device", ["cuda:0", "tensorrt:0"])
def test_without_a_card_the_device_is_listed_and_refused(device: str, models: Models) -> None:
    found = {entry.id: entry for entry in list_devices()}[device]
    if found.available:
        pytest.skip("this host has a card: tests/device/cuda is for it")
    assert found.reason and found.mend
    with pytest.raises(DeviceUnavailable) as caught:
        open_program(models["fixed"], device)
    assert (caught.value.message, caught.value.mend) == (f"{device}: {found.reason}", found.mend)


def test_the_wheel_of_the_cpu_is_named(models: Models) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime is built with CUDA")
    with pytest.raises(
        DeviceUnavailable, match=r"the installed wheel onnxruntime .* is built without CUDAExec"
    ) as caught:
        open_program(models["fixed"], "cuda:0")
    assert caught.value.mend is not None
    assert caught.value.mend.endswith("pip uninstall -y onnxruntime && pip install 'bedside[cuda]'")
