"""The compiled module as a whole: its stub, its threads, its instruction sets."""

from __future__ import annotations

import ast
import inspect
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bedside.kernels
from bedside.kernels import (
    _cpu,
    active_isa,
    crop_pad,
    extract_bits,
    look_up,
    mirror,
    resample,
    rescale,
    sigmoid_window,
    to_gray,
    to_planes,
    ybr_to_rgb,
)

STUB = Path(__file__).resolve().parents[2] / "kernels" / "_cpu.pyi"


def stub_signatures() -> dict[str, tuple[list[str], list[str]]]:
    """Name -> positional and keyword-only parameters, as the stub says."""
    found = {}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = ([a.arg for a in node.args.args], [a.arg for a in node.args.kwonlyargs])
    return found


def module_signature(function: Any) -> tuple[list[str], list[str]]:
    """The same from the first line of a pybind11 docstring: ``name(a: type, *, b: type = value) -> type``."""
    line = inspect.getdoc(function).splitlines()[0]
    arguments = ast.parse(f"def {line}: ...".replace("numpy.ndarray[", "ndarray[")).body[0].args  # type: ignore[attr-defined]
    return [a.arg for a in arguments.args], [a.arg for a in arguments.kwonlyargs]


def test_the_stub_has_what_the_module_has() -> None:
    public = {name for name in vars(_cpu) if not name.startswith("_")}
    stub = ast.parse(STUB.read_text(encoding="utf-8")).body
    assert {node.name for node in stub if isinstance(node, ast.FunctionDef | ast.ClassDef)} == public


@pytest.mark.parametrize("name", sorted(stub_signatures()))
def test_a_signature_of_the_stub(name: str) -> None:
    assert stub_signatures()[name] == module_signature(getattr(_cpu, name))


def test_the_package_exports_every_name_and_each_is_documented() -> None:
    for name in bedside.kernels.__all__:
        assert len(inspect.getdoc(getattr(bedside.kernels, name)).splitlines()) > 2, name


def kernel_results() -> list[np.ndarray]:
    src = np.random.default_rng(0).integers(-1024, 3000, (9, 130, 141)).astype(np.int16)
    scaled, sampled = np.empty(src.shape, np.float32), np.empty((11, 90, 97), np.float32)
    rescale(src, scaled, slope=1.3, intercept=-7.0, low=-500.0, high=900.0, scale=0.01, offset=0.1, threads=2)
    matrix = np.array([[0.73, 0.01, 0, 0.2], [0, 1.43, 0.02, 0.1], [0, 0, 1.47, -0.3]])
    resample(src, sampled, matrix, threads=2)
    half, byte, bright = (np.empty(src.shape, dtype) for dtype in (np.float16, np.uint8, np.float32))
    rescale(src, half, slope=1.3, intercept=-7.0, padding_value=0, threads=2)
    rescale(src, byte, slope=1.3, intercept=-7.0, quant_scale=3.7, zero_point=5, threads=2)
    sigmoid_window(src, bright, center=40.0, width=400.0, threads=2)
    rgb = src[:, :, :141].astype(np.uint8).reshape(9, 130, 47, 3)
    gray, planes, converted = np.empty(rgb.shape[:3], np.float32), np.empty((9, 3, 130, 47), np.float32), rgb.copy()
    to_gray(rgb, gray, scale=0.3, threads=2)
    to_planes(rgb, planes, scale=0.3, threads=2)
    ybr_to_rgb(converted, converted, threads=2)
    boxed, bits, mirrored = np.empty((9, 140, 130), np.float32), np.empty_like(src), src.copy()
    crop_pad(src, boxed, (0, -3, 7), slope=1.3, threads=2)
    extract_bits(src, bits, shift=1, bits=9, threads=2)
    mirror(mirrored, 100, padding_value=3, threads=2)
    looked_up = np.empty(src.shape, np.uint16)
    look_up(src, looked_up, np.arange(500, dtype=np.uint16) * 7, first=-20, threads=2)
    results = [scaled, sampled, half, byte, bright, gray, planes, converted, boxed, bits, mirrored, looked_up]
    return results


def child(connection: Any) -> None:
    connection.send([result.tobytes() for result in kernel_results()])


def test_a_forked_child_has_threads_of_its_own() -> None:
    expected = [result.tobytes() for result in kernel_results()]
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(sender,))
    process.start()
    assert receiver.poll(30), "the child hangs"
    assert receiver.recv() == expected
    process.join(30)
    assert process.exitcode == 0


def test_calls_from_several_threads_at_once() -> None:
    expected = kernel_results()

    def work(_: int) -> bool:
        return all(np.array_equal(a, b) for a, b in zip(kernel_results(), expected, strict=True))

    with ThreadPoolExecutor(4) as workers:
        assert all(workers.map(work, range(80)))


@pytest.mark.parametrize("isa", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_every_instruction_set_gives_the_same_numbers(isa: str, tmp_path: Path) -> None:
    program = (
        "import numpy as np\n"
        "from bedside.kernels import *\n"
        + inspect.getsource(kernel_results).replace(" -> list[np.ndarray]", "")
        + f"\nnp.savez({str(tmp_path / 'results.npz')!r}, *kernel_results(), isa=active_isa())\n"
    )
    environment = dict(os.environ, BEDSIDE_KERNEL_ISA=isa)
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    if ran.returncode != 0 and "this CPU has" in ran.stderr:
        pytest.skip(ran.stderr.strip().splitlines()[-1])
    assert ran.returncode == 0, ran.stderr
    with np.load(tmp_path / "results.npz") as results:
        assert str(results["isa"]) == isa
        for number, expected in enumerate(kernel_results()):
            np.testing.assert_array_equal(results[f"arr_{number}"], expected)


def test_an_unknown_instruction_set_is_refused() -> None:
    environment = dict(os.environ, BEDSIDE_KERNEL_ISA="mmx")
    ran = subprocess.run(
        [sys.executable, "-c", "import numpy, bedside.kernels as k; k.minmax(numpy.zeros(3, numpy.uint8))"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode != 0
    assert f"RuntimeError: BEDSIDE_KERNEL_ISA is 'mmx'; this CPU has: {active_isa()}" in ran.stderr
