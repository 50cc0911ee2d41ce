"""Every wait for a device ends, and a thread that hangs in a driver keeps nothing from going on or from ending."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.backends.contract import Device, DeviceFault, DeviceUnavailable, Options, Program
from bedside.runtime import watchdog
from bedside.runtime.devices import open_program
from bedside.runtime.watchdog import Limits, WatchedProgram, open_watched, overdue, within

FEEDS = {"image": np.ones((1, 1, 6, 6), np.float32)}
SHORT = Limits(open=0.1, run=0.1, close=0.1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, 6, 6]) for name in ("image", "pred")]
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["pred"])], "g", ports[:1], ports[1:])
    path = tmp_path_factory.mktemp("model") / "relu.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def opened(model: Path, device: str, limits: Limits = SHORT) -> WatchedProgram:
    return open_watched(device, lambda: open_program(model, device), limits)


def test_a_program_that_is_watched_is_the_contract(model: Path) -> None:
    program = open_watched("openvino:CPU", lambda: open_program(model, "openvino:CPU", Options(in_flight=2)))
    assert isinstance(program, Program)
    assert (program.device.id, program.inputs[0].name, program.outputs[0].name) == ("openvino:CPU", "image", "pred")
    pending = [program.submit(FEEDS) for _ in range(2)]
    for outputs in (program.run(FEEDS), pending[1].result(5), pending[0].result(), pending[0].result()):
        np.testing.assert_array_equal(outputs["pred"], FEEDS["image"])
    assert sum(program.placement().values()) > 0
    with pytest.raises(ValueError, match="inputs must be"):
        program.run({})
    program.close()
    program.close()
    with pytest.raises(DeviceFault, match="closed"):
        program.run(FEEDS)


def test_what_the_call_returns_or_raises_comes_out() -> None:
    assert within(5, lambda: 7, "late") == 7
    for error in (ValueError("a"), TimeoutError("its own"), DeviceUnavailable("gone")):
        with pytest.raises(type(error), match=str(error)):
            within(5, lambda error=error: (_ for _ in ()).throw(error), "late")  # type: ignore[misc]


def test_a_run_that_hangs_is_given_up(model: Path) -> None:
    program = opened(model, "null:fault=hang,after=1")
    program.run(FEEDS)
    start = time.monotonic()
    with pytest.raises(DeviceFault, match=r"null\S* gave no answer within 0\.1 s") as caught:
        program.run(FEEDS)
    assert caught.value.kind == "timeout"
    with pytest.raises(DeviceFault, match="was given up"):
        program.submit(FEEDS)
    program.close()
    assert time.monotonic() - start < 5
    assert overdue() > 0


@pytest.mark.parametrize(("step", "said"), [("open", "did not load the model"), ("close", "did not close")])
def test_other_steps_that_hang(model: Path, step: str, said: str) -> None:
    with pytest.raises(DeviceFault, match=said):
        opened(model, f"null:fault=hang,at={step}").close()


def test_a_submit_that_blocks_is_given_up(model: Path) -> None:
    program = opened(model, "null:fault=hang")
    program.submit(FEEDS)
    with pytest.raises(DeviceFault, match="took no input within"):
        program.submit(FEEDS)


def test_a_wait_that_the_caller_cut_short_can_be_repeated(model: Path) -> None:
    program = opened(model, "null:latency_ms=150", Limits(run=10))
    pending = program.submit(FEEDS)
    with pytest.raises(DeviceFault, match="no answer within"):
        pending.result(0.01)
    assert pending.result()["pred"].shape == (1, 1, 6, 6)
    program.close()


class _Odd:
    """A third party's program that does what it likes."""

    device = Device("odd:0", "odd", True)
    inputs = outputs = ()

    def __init__(self, act: Callable[[], Any]) -> None:
        self.run = self.submit = lambda feeds: act()
        self.closed = threading.Event()

    def placement(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        self.closed.set()


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [(MemoryError(), "memory", "out of memory"), (KeyError("no\nboard"), "failed", r"failed: .*board")],
)
def test_what_is_beyond_the_contract_is_a_fault(error: Exception, kind: str, said: str) -> None:
    def act() -> None:
        raise error

    program = WatchedProgram(_Odd(act), SHORT)  # type: ignore[arg-type]
    with pytest.raises(DeviceFault, match=said) as caught:
        program.run({})
    assert caught.value.kind == kind and "\n" not in str(caught.value)
    with pytest.raises(DeviceFault, match=said):
        open_watched("odd:0", act, SHORT)  # type: ignore[arg-type]


def test_a_program_that_comes_too_late_is_closed() -> None:
    come, program = threading.Event(), _Odd(lambda: None)

    def load() -> Any:
        come.wait(20)
        return program

    with pytest.raises(DeviceFault, match="odd:0 did not load the model within"):
        open_watched("odd:0", load, SHORT)
    come.set()
    assert program.closed.wait(20)


def test_threads_are_used_again() -> None:
    for _ in range(5):
        within(5, lambda: None, "late")
    before = threading.active_count()
    for _ in range(50):
        within(5, lambda: None, "late")
    assert threading.active_count() <= before + 1
    assert len(watchdog._idle) < 20


def test_a_process_ends_although_a_device_hangs(model: Path) -> None:
    """A worker of concurrent.futures would be joined when the interpreter ends."""
    script = (
        "import sys, pathlib, numpy as np\n"
        "from bedside.backends.contract import DeviceFault\n"
        "from bedside.runtime.devices import open_program\n"
        "from bedside.runtime.watchdog import Limits, open_watched\n"
        "load = lambda: open_program(pathlib.Path(sys.argv[1]), 'null:fault=hang')\n"
        "program = open_watched('null', load, Limits(run=0.1))\n"
        "pending = program.submit({'image': np.ones((1, 1, 6, 6), np.float32)})\n"
        "try: pending.result()\n"
        "except DeviceFault as error: print(error)\n"
    )
    command = [sys.executable, "-c", script, str(model)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (0, "") and "no answer within 0.1 s" in run.stdout
