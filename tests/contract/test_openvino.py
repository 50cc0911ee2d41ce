"""What is particular to OpenVINO: hints, streams, threads, AUTO, tensors that are not copied, the cache of models."""

from __future__ import annotations

import mmap
import multiprocessing
import resource
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.backends import cache, openvino
from bedside.backends.contract import DeviceFault, DeviceUnavailable, Options
from bedside.backends.openvino import compiled, program
from bedside.backends.openvino.settings import check_compiled, properties
from bedside.kernels import thread_budget

CPU = "openvino:CPU"
PAGE = mmap.PAGESIZE

Models = dict[str, Path]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache; the folder of the compiled models in it."""
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openvino"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that OpenVINO's ONNX front end was asked to read."""
    read, asked = openvino.onnx_file.read, []

    def counted(model: Path, device: str) -> Any:
        asked.append(model.name)
        return read(model, device)

    monkeypatch.setattr(openvino.onnx_file, "read", counted)
    return asked


def image(*shape: int, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    return {"image": np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(), {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}),
        (Options(threads=2, in_flight=2, hint="throughput"), {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": 2}),
        (Options(threads=1, in_flight=4, hint="throughput"), {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}),
        (Options(threads=1, extra={"ENABLE_CPU_PINNING": True}), {"ENABLE_CPU_PINNING": True}),
        (Options(extra={"ENABLE_CPU_PINNING": False}), {"ENABLE_CPU_PINNING": False}),
        (Options(extra={"NUM_STREAMS": 2, "PERFORMANCE_HINT": "THROUGHPUT"}), {"NUM_STREAMS": 2}),
    ],
    ids=["latency", "throughput", "no more streams than threads", "pinned", "not pinned", "its own names"],
)
@pytest.mark.usefixtures("kept")
def test_options_are_those_of_the_compiled_model(models: Models, options: Options, expected: dict[str, Any]) -> None:
    """Compiled anew, and taken from the cache: both times what was asked for."""
    for _ in range(2):
        program = openvino.open(models["fixed"], CPU, options)
        for name, value in expected.items():
            found = program._compiled.get_property(name)
            assert getattr(found, "name", found) == value, name
        threads = program._compiled.get_property("INFERENCE_NUM_THREADS")
        assert threads == (options.threads or thread_budget())
        program.close()


def test_streams_compute_at_once_and_give_the_same_numbers(models: Models) -> None:
    latency = openvino.open(models["volume"], CPU)
    program = openvino.open(models["volume"], CPU, Options(threads=2, in_flight=2, hint="throughput"))
    feeds = [image(1, 2, 8, 9, 10, seed=seed) for seed in range(6)]
    pending = [program.submit(feed) for feed in feeds]
    for feed, one in zip(feeds, pending, strict=True):
        np.testing.assert_allclose(one.result(10)["logits"], latency.run(feed)["logits"], rtol=1e-5, atol=1e-6)
    assert program.host_threads == 1
    assert latency.host_threads == thread_budget()


@pytest.mark.parametrize("precision", ["f16", "bf16"])
def test_another_precision_only_where_it_is_asked_for(models: Models, precision: str) -> None:
    try:
        program = openvino.open(models["volume"], CPU, Options(extra={"INFERENCE_PRECISION_HINT": precision}))
    except DeviceUnavailable as error:
        assert f"does not compute in {precision}" in str(error) and "INFERENCE_PRECISION_HINT of f32" in str(error)
        return
    assert program._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == precision
    program.close()
    assert (
        openvino.open(models["volume"], CPU)._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    )


class Core:
    """One whose device computes in half precision only."""

    def get_property(self, name: str, key: str) -> Any:
        return {"SUPPORTED_PROPERTIES": {}, "OPTIMIZATION_CAPABILITIES": ["FP16", "INT8", "EXPORT_IMPORT"]}[key]


def test_a_device_without_f32_says_so() -> None:
    with pytest.raises(DeviceUnavailable, match=r"openvino:NPU does not compute in f32 .*PRECISION_HINT of f16"):
        properties(Core(), "NPU", "openvino:NPU", Options())
    asked = Options(in_flight=4, hint="throughput", extra={"INFERENCE_PRECISION_HINT": "f16"})
    assert properties(Core(), "NPU", "openvino:NPU", asked) == {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": "f16",
    }


def test_auto_names_what_it_chose(models: Models) -> None:
    program = openvino.open(models["fixed"], "openvino:AUTO", Options(threads=1))
    assert program.device.id == "openvino:AUTO"
    assert program.device.name == openvino.probe()[0].name
    assert set(program.placement()) == {"CPU"}
    chosen = program._compiled.get_property("DEVICE_PROPERTIES")["CPU"]
    assert chosen["INFERENCE_NUM_THREADS"] == 1
    assert chosen["INFERENCE_PRECISION_HINT"].get_type_name() == "f32"
    feed = image(1, 1, 24, 20)
    expected = openvino.open(models["fixed"], CPU).run(feed)["logits"]
    np.testing.assert_allclose(program.run(feed)["logits"], expected, rtol=1e-5, atol=1e-5)
    program.close()


def test_auto_keeps_to_its_choice() -> None:
    asked = properties(Core(), "AUTO", "openvino:AUTO", Options())
    assert asked["ENABLE_STARTUP_FALLBACK"] is asked["ENABLE_RUNTIME_FALLBACK"] is False


def test_auto_in_another_precision_is_an_error() -> None:
    class Kind:
        def get_type_name(self) -> str:
            return "bf16"

    class Compiled:
        def get_property(self, name: str) -> Any:
            return ["GPU"] if name == "EXECUTION_DEVICES" else {"GPU": {"INFERENCE_PRECISION_HINT": Kind()}}

    with pytest.raises(DeviceFault, match="compiled the model for bf16, not f32"):
        check_compiled(Compiled(), "AUTO", "openvino:AUTO")


@pytest.fixture(scope="module")
def corner(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[int, ...]]:
    """A network that looks at 16 numbers of an input of 64 MB, and that input's shape."""
    onnx = pytest.importorskip("onnx")
    shape, helper = (1, 1, 4096, 4096), onnx.helper
    stored = [
        onnx.numpy_helper.from_array(np.array(values, np.int64), name)
        for name, values in {"from": [0, 0, 0, 0], "to": [1, 1, 1, 16]}.items()
    ]
    graph = helper.make_graph(
        [helper.make_node("Slice", ["image", "from", "to"], ["cut"]), helper.make_node("Relu", ["cut"], ["pred"])],
        "corner",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("pred", onnx.TensorProto.FLOAT, [1, 1, 1, 16])],
        stored,
    )
    path = tmp_path_factory.mktemp("corner") / "corner.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path, shape


def untouched(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Zeros whose pages do not exist before somebody reads or writes them."""
    memory = mmap.mmap(-1, 4 * int(np.prod(shape)))
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.float32).reshape(shape)


def pages_touched(call: Callable[[], object]) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.parametrize("way", ["run", "submit", "run, read-only"])
def test_the_input_is_not_copied(corner: tuple[Path, tuple[int, ...]], way: str) -> None:
    """A copy, ours or OpenVINO's, would read every page of the input, and the first reading of a page is a fault."""
    model, shape = corner
    program = openvino.open(model, CPU)
    program.run({"image": np.zeros(shape, np.float32)})
    array = untouched(shape)
    array.flags.writeable = "read-only" not in way
    pages = array.nbytes // PAGE
    if way == "submit":
        touched = pages_touched(lambda: program.submit({"image": array}).result())
    else:
        touched = pages_touched(lambda: program.run({"image": array}))
    assert touched < pages // 20
    assert pages_touched(lambda: array.max()) > pages // 2  # a reader of all of it is seen
    program.close()


def test_a_large_output_is_written_where_the_caller_finds_it(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_SMALL", 0)
    opened = openvino.open(models["fixed"], CPU)
    outputs = opened.run(image(1, 1, 24, 20))["logits"]
    assert opened._direct.native.get_output_tensor(0).data.ctypes.data == outputs.ctypes.data
    assert opened.run(image(1, 1, 24, 20))["logits"].ctypes.data != outputs.ctypes.data
    opened.close()


@pytest.mark.parametrize("writeable", [True, False])
def test_an_array_that_is_given_again_is_looked_at_again(models: Models, writeable: bool) -> None:
    opened = openvino.open(models["fixed"], CPU)
    other = openvino.open(models["fixed"], CPU)
    stored = image(1, 1, 24, 20)["image"]
    array = stored.view()
    array.flags.writeable = writeable
    for turn in range(3):
        stored += turn
        expected = other.run({"image": stored.copy()})["logits"]
        np.testing.assert_array_equal(opened.run({"image": array})["logits"], expected)
        np.testing.assert_array_equal(opened.submit({"image": array}).result()["logits"], expected)


def test_an_array_is_not_kept_alive_by_the_program(models: Models) -> None:
    opened = openvino.open(models["fixed"], CPU)
    array = image(1, 1, 24, 20)["image"]
    alive = weakref.ref(array)
    opened.run({"image": array})
    opened.submit({"image": array}).result()
    del array
    assert alive() is None
    assert opened.run(image(1, 1, 24, 20))["logits"].shape == (1, 3, 24, 20)


def test_a_compiled_model_is_kept(models: Models, kept: Path, compilations: list[str]) -> None:
    feeds = {"two": {**image(1, 4), "count": np.array([3], np.int64)}, "dynamic": image(2, 1, 9, 13)}
    for number, (name, feed) in enumerate(feeds.items()):
        first = openvino.open(models[name], CPU)
        second = openvino.open(models[name], CPU)
        assert compilations == list(f"{one}.onnx" for one in feeds)[: number + 1]
        assert (second.inputs, second.outputs, second.device) == (first.inputs, first.outputs, first.device)
        expected, found = first.run(feed), second.run(feed)
        assert list(found) == list(expected)
        for key in expected:
            np.testing.assert_array_equal(found[key], expected[key])
        assert second.placement() == first.placement()
    assert len(list(kept.iterdir())) == 2


def test_what_compiling_depends_on_is_another_entry(models: Models, kept: Path, tmp_path: Path) -> None:
    for options in (Options(), Options(threads=1), Options(threads=2, in_flight=2, hint="throughput")):
        openvino.open(models["fixed"], CPU, options).close()
    copy = tmp_path / "renamed.onnx"
    copy.write_bytes(models["fixed"].read_bytes())
    openvino.open(copy, CPU).close()
    entries = 3 if thread_budget() > 1 else 2
    assert len(list(kept.iterdir())) == entries
    copy.write_bytes(models["volume"].read_bytes())
    openvino.open(copy, CPU).close()
    assert len(list(kept.iterdir())) == entries + 1
    openvino.open(models["two"], CPU, Options(extra={"model_cache": False})).close()
    assert len(list(kept.iterdir())) == entries + 1


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "other"])
def test_a_damaged_entry_is_made_anew(models: Models, kept: Path, compilations: list[str], damage: str) -> None:
    feed = image(1, 1, 24, 20)
    expected = openvino.open(models["fixed"], CPU).run(feed)["logits"]
    (file,) = kept.iterdir()
    sound = file.read_bytes()
    middle = len(sound) // 2
    file.write_bytes(
        {
            "cut": sound[:-100],
            "empty": b"",
            "flipped": sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :],
            "other": b"not an entry at all" * 100,
        }[damage]
    )
    np.testing.assert_array_equal(openvino.open(models["fixed"], CPU).run(feed)["logits"], expected)
    assert len(compilations) == 2
    np.testing.assert_array_equal(openvino.open(models["fixed"], CPU).run(feed)["logits"], expected)
    assert len(compilations) == 2
    assert [one.name for one in kept.iterdir()] == [file.name]


def test_a_sound_entry_that_openvino_does_not_take_is_made_anew(
    models: Models, kept: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino as library

    openvino.open(models["fixed"], CPU).close()

    def refuse(*arguments: Any) -> Any:
        raise RuntimeError("of another build")

    with monkeypatch.context() as patched:
        patched.setattr(library.Core, "import_model", refuse)
        openvino.open(models["fixed"], CPU).close()
    openvino.open(models["fixed"], CPU).close()
    assert len(compilations) == 2


def test_the_least_used_entry_goes_when_there_are_too_many(
    models: Models, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino.open(models["fixed"], CPU).close()
    (first,) = kept.iterdir()
    monkeypatch.setattr(compiled, "MOST", first.stat().st_size * 3 // 2)
    openvino.open(models["volume"], CPU).close()
    assert [one for one in kept.iterdir() if one != first] and not first.exists()


def test_without_a_folder_for_it_models_are_compiled(
    models: Models, compilations: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        openvino.open(models["fixed"], CPU).close()
    assert len(compilations) == 2


def test_a_full_disk_is_no_error(models: Models, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write", full)
    openvino.open(models["fixed"], CPU).close()
    assert not list(kept.iterdir())


def _open_and_run(model: str, connection: Any) -> None:
    program = openvino.open(Path(model), CPU, Options(threads=1))
    connection.send(program.run(image(1, 1, 24, 20))["logits"].tobytes())


def test_processes_that_open_the_same_model_at_once(models: Models, kept: Path) -> None:
    context = multiprocessing.get_context("spawn")
    children = []
    for _ in range(3):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_open_and_run, args=(str(models["fixed"]), sender))
        process.start()
        children.append((process, receiver))
    answers = []
    for process, receiver in children:
        assert receiver.poll(60), "a child does not answer"
        answers.append(receiver.recv())
        process.join(60)
    assert answers[0] == answers[1] == answers[2]
    assert len(list(kept.iterdir())) == 1


def test_threads_that_open_the_same_model_at_once(models: Models, kept: Path) -> None:
    feed, answers = image(1, 1, 24, 20), []

    def work() -> None:
        for _ in range(3):
            program = openvino.open(models["fixed"], CPU, Options(threads=1))
            answers.append(program.run(feed)["logits"].tobytes())
            program.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 9 and len(set(answers)) == 1
    assert len(list(kept.iterdir())) == 1
