"""What every backend must do; one suite over all of them (backends/contract.py)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.backends.blocking import BlockingProgram
from bedside.backends.contract import (
    Array,
    BedsideError,
    Device,
    DeviceFault,
    DeviceUnavailable,
    Options,
    Program,
    Tensors,
)
from bedside.runtime import probing
from bedside.runtime.devices import open_program

# Others may be named in the environment: tests/device/cuda/run names cards.
OTHERS = tuple(filter(None, os.environ.get("BEDSIDE_TEST_DEVICES", "").split(",")))
DEVICES = ("null", "reference", "openvino:CPU", "ort:cpu", "webgpu:0", *OTHERS)
COMPUTING = tuple(device for device in DEVICES if device != "null")
BROKEN = ("missing", "empty", "not-onnx", "truncated", "external-data-missing", "unknown-operator", "bfloat16")

Models = dict[str, Path]


@cache
def host_devices(software_gpu: bool) -> dict[str, Device]:
    """The devices of this host, looked for once and in a process of its own, as users do it."""
    return {entry.id: entry for entry in probing.list_devices()}


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "webgpu:0":
        request.getfixturevalue("software_gpu")
    found = host_devices(request.param == "webgpu:0")[request.param]
    if not found.available:
        pytest.skip(f"{found.reason}: {found.mend}")
    return str(request.param)


@pytest.fixture
def program(device: str, models: Models) -> Iterator[Program]:
    program = open_program(models["fixed"], device)
    yield program
    program.close()


def image(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def expected(model: Path, feeds: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    reference = open_program(model, "reference")
    try:
        return reference.run(feeds)
    finally:
        reference.close()


def test_program_is_the_contract(program: Program, device: str) -> None:
    assert isinstance(program, Program)
    assert program.device.id == device
    assert program.device.available


def test_specs(program: Program) -> None:
    (spec,) = program.inputs
    assert (spec.name, spec.shape, spec.dtype) == ("image", (1, 1, 24, 20), np.float32)
    (spec,) = program.outputs
    assert (spec.name, spec.shape, spec.dtype) == ("logits", (1, 3, 24, 20), np.float32)


def test_specs_of_free_dimensions_and_several_tensors(device: str, models: Models) -> None:
    program = open_program(models["dynamic"], device)
    assert program.inputs[0].shape == (None, 1, None, None)
    assert program.outputs[0].shape == (None, 3, None, None)
    program.close()
    program = open_program(models["two"], device)
    assert [(spec.name, spec.shape, spec.dtype) for spec in program.inputs] == [
        ("image", (1, 4), np.float32),
        ("count", (1,), np.int64),
    ]
    assert [spec.name for spec in program.outputs] == ["scaled", "same", "k"]
    program.close()


@pytest.mark.parametrize("device", COMPUTING, indirect=True)
@pytest.mark.parametrize(("model", "shape"), [("fixed", (1, 1, 24, 20)), ("volume", (1, 2, 8, 9, 10))])
def test_same_numbers_as_the_reference(device: str, models: Models, model: str, shape: tuple[int, ...]) -> None:
    feeds = {"image": image(*shape)}
    want = expected(models[model], feeds)["logits"]
    program = open_program(models[model], device)
    np.testing.assert_allclose(program.run(feeds)["logits"], want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(program.submit(feeds).result()["logits"], want, rtol=1e-5, atol=1e-5)
    program.close()


@pytest.mark.parametrize("device", COMPUTING, indirect=True)
def test_free_dimensions_change_from_run_to_run(device: str, models: Models) -> None:
    program = open_program(models["dynamic"], device, Options(in_flight=2))
    for shape in ((1, 1, 16, 16), (2, 1, 9, 13), (1, 1, 16, 16)):
        feeds = {"image": image(*shape)}
        want = expected(models["dynamic"], feeds)["logits"]
        np.testing.assert_allclose(program.run(feeds)["logits"], want, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(program.submit(feeds).result()["logits"], want, rtol=1e-5, atol=1e-5)
    program.close()


def test_free_dimensions_give_the_right_output_shape(device: str, models: Models) -> None:
    program = open_program(models["dynamic"], device)
    for shape in ((1, 1, 16, 16), (2, 1, 9, 13), (1, 1, 16, 16)):
        output = program.run({"image": image(*shape)})["logits"]
        assert output.shape == (shape[0], 3, *shape[2:])
        assert output.dtype == np.float32
    program.close()


@pytest.mark.parametrize(
    ("feeds", "named"),
    [
        ({}, "image"),
        ({"image": image(1, 1, 24, 20), "other": image(1)}, "other"),
        ({"picture": image(1, 1, 24, 20)}, "picture"),
        ({"image": image(1, 1, 24, 20).astype(np.float64)}, "float64"),
        ({"image": image(1, 1, 20, 24)}, "(1, 1, 20, 24)"),
        ({"image": image(1, 24, 20)}, "(1, 24, 20)"),
        ({"image": image(1, 1, 20, 24).transpose(0, 1, 3, 2)}, "contiguous"),
    ],
    ids=["none", "one too many", "wrong name", "dtype", "shape", "rank", "strides"],
)
def test_wrong_inputs(program: Program, feeds: dict[str, Any], named: str) -> None:
    for start in (program.run, program.submit):
        with pytest.raises(ValueError, match=r"image|inputs") as caught:
            start(feeds)
        assert named in str(caught.value)
    program.run({"image": image(1, 1, 24, 20)})


def test_feeds_are_neither_changed_nor_returned(device: str, models: Models) -> None:
    feeds = {"image": image(1, 4), "count": np.array([3], np.int64)}
    kept = {name: array.copy() for name, array in feeds.items()}
    program = open_program(models["two"], device)
    for outputs in (program.run(feeds), program.submit(feeds).result()):
        for output in outputs.values():
            assert not any(np.shares_memory(output, array) for array in feeds.values())
            assert output.flags.writeable
            output[...] = 99
    assert all(np.array_equal(feeds[name], kept[name]) for name in feeds)
    program.close()


def test_outputs_belong_to_the_caller(device: str, models: Models) -> None:
    feeds = {"image": image(1, 4), "count": np.array([3], np.int64)}
    for model, given in (("two", feeds), ("dynamic", {"image": image(1, 1, 8, 8)})):
        program = open_program(models[model], device, Options(in_flight=2))
        first = program.run(given)
        kept = {name: array.copy() for name, array in first.items()}
        for array in first.values():
            array[...] = 99
        again = [program.run(given), program.submit(given).result(), program.submit(given).result()]
        for outputs in again:
            assert all(np.array_equal(outputs[name], kept[name]) for name in kept)
            assert not any(np.shares_memory(outputs[name], first[name]) for name in kept)
        program.close()
        assert all(np.array_equal(again[-1][name], kept[name]) for name in kept)


def test_a_read_only_feed_is_taken(program: Program) -> None:
    feed = image(1, 1, 24, 20)
    writable = program.run({"image": feed})["logits"]
    feed.flags.writeable = False
    np.testing.assert_array_equal(program.run({"image": feed})["logits"], writable)


@pytest.mark.parametrize("in_flight", [1, 3])
def test_submitted_runs_keep_their_own_results(device: str, models: Models, in_flight: int) -> None:
    """More are submitted than may be in flight, and none is asked for before the last: submit waits, nothing locks."""
    program = open_program(models["fixed"], device, Options(in_flight=in_flight))
    feeds = [{"image": image(1, 1, 24, 20, seed=seed)} for seed in range(7)]
    pending = [program.submit(feed) for feed in feeds]
    for feed, one in reversed(list(zip(feeds, pending, strict=True))):
        np.testing.assert_array_equal(one.result(10)["logits"], program.run(feed)["logits"])
    assert pending[0].result() is not None
    program.close()


class _Gated(BlockingProgram):
    """A program whose runs wait until the gate opens."""

    def __init__(self, in_flight: int) -> None:
        super().__init__(Device("gated", "gated", True), (), (), Options(in_flight=in_flight))
        self.gate = threading.Event()

    def _infer(self, feeds: Tensors) -> dict[str, Array]:
        self.gate.wait()
        return {}

    def _placement(self) -> dict[str, int]:
        return {}

    def _free_device(self) -> None:
        pass


def test_submit_waits_while_the_bound_is_reached() -> None:
    program = _Gated(in_flight=2)
    pending = [program.submit({}) for _ in range(2)]
    third = threading.Thread(target=lambda: pending.append(program.submit({})))
    third.start()
    third.join(0.05)
    assert third.is_alive()
    program.gate.set()
    third.join()
    assert [one.result() for one in pending] == [{}, {}, {}]
    program.close()


def test_many_threads(device: str, models: Models) -> None:
    """Any thread may call any method; the results are those of one thread."""
    program = open_program(models["fixed"], device, Options(in_flight=2))
    feeds = [{"image": image(1, 1, 24, 20, seed=seed)} for seed in range(8)]
    want = [program.run(feed)["logits"] for feed in feeds]
    wrong: list[str] = []

    def work(number: int) -> None:
        for index in range(len(feeds)):
            one = (index + number) % len(feeds)
            got = program.submit(feeds[one]).result(20) if number % 2 else program.run(feeds[one])
            if not np.array_equal(got["logits"], want[one]):
                wrong.append(f"thread {number}, feed {one}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    program.close()


def test_placement_counts_nodes(program: Program) -> None:
    placed = program.placement()
    assert len(placed) == 1
    assert all(count > 0 for count in placed.values())


def test_close(device: str, models: Models) -> None:
    program = open_program(models["fixed"], device, Options(in_flight=2))
    feed = {"image": image(1, 1, 24, 20)}
    under_way = program.submit(feed)
    program.close()
    program.close()
    assert under_way.result(5)["logits"].shape == (1, 3, 24, 20)
    with pytest.raises(DeviceFault, match="closed"):
        program.run(feed)
    with pytest.raises(DeviceFault, match="closed"):
        program.submit(feed)
    with pytest.raises(DeviceFault, match="closed"):
        program.placement()


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_change_the_numbers(device: str, models: Models, threads: int) -> None:
    feed = {"image": image(1, 2, 8, 9, 10)}
    program = open_program(models["volume"], device, Options(threads=threads))
    other = open_program(models["volume"], device)
    np.testing.assert_allclose(program.run(feed)["logits"], other.run(feed)["logits"], rtol=1e-5, atol=1e-6)
    program.close()
    other.close()


@pytest.mark.parametrize("broken", BROKEN)
def test_a_model_that_cannot_be_loaded(
    device: str, models: Models, broken: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeviceFault) as caught:
        open_program(models[broken], device)
    assert models[broken].name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert capfd.readouterr() == ("", "")


def test_unknown_option(device: str, models: Models) -> None:
    with pytest.raises(DeviceUnavailable, match="no option 'colour'"):
        open_program(models["fixed"], device, Options(extra={"colour": "blue"}))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "foo",
            "foo:0",
            "openvino",
            "openvino:XPU",
            "openvino:AUTO:CPU",
            "ort",
            "ort:gpu",
            "null:1",
            "reference:0",
        ),
        *("cuda", "cuda:x", "tensorrt:-1", "webgpu", "webgpu:0:1", "ort-plugin", "ort-plugin:", "ort-plugin:nothing"),
    ],
)
def test_unknown_device(models: Models, name: str) -> None:
    with pytest.raises(DeviceUnavailable) as caught:
        open_program(models["fixed"], name)
    assert f"{name}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_device_is_listed_with_what_it_needs() -> None:
    listed = probing.list_devices()
    assert {*DEVICES} <= {entry.id for entry in listed}
    for entry in listed:
        assert entry.available == (not entry.reason)
        assert entry.available or entry.mend


def test_errors_are_of_one_family() -> None:
    assert issubclass(DeviceFault, BedsideError)
    assert issubclass(DeviceUnavailable, BedsideError)
    assert (DeviceUnavailable.exit_code, DeviceFault.exit_code) == (5, 7)
