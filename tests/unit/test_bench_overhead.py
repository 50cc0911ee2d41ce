"""The benchmark of the overhead: its networks are what they say, and every part gives its rows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from bedside.backends.contract import Options  # noqa: E402
from bedside.benchmarks import overhead  # noqa: E402
from bedside.benchmarks.networks import NETWORKS  # noqa: E402
from bedside.runtime.devices import open_program  # noqa: E402

MILLIONS = {"unet2d": 7.8, "unet3d": 5.6, "cine": 0.5}


@pytest.mark.parametrize("key", sorted(MILLIONS))
def test_a_network(key: str, tmp_path: Path) -> None:
    """Its size, and that a second run of the program makes the same file."""
    network = NETWORKS[key]
    path = network.write(tmp_path)
    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    assert sum(math.prod(tensor.dims) for tensor in model.graph.initializer) / 1e6 == pytest.approx(
        MILLIONS[key], abs=0.06
    )
    first = path.read_bytes()
    path.unlink()
    assert network.write(tmp_path).read_bytes() == first


def test_the_cine_network_has_sensible_numbers(tmp_path: Path) -> None:
    network = NETWORKS["cine"]
    program = open_program(network.write(tmp_path), "openvino:CPU", Options())
    found = program.run({"image": network.image()})["pred"]
    assert found.shape == (1, 2, 128, 128)
    assert np.isfinite(found).all() and 0.01 < found.std() < 100
    program.close()


def test_rows_of_the_trivial_network_and_of_the_cine() -> None:
    content = overhead.bench(rounds=1, only="trivial on openvino")
    (cost, *_) = content["rows"]
    assert (cost["unit"], cost["peer"], cost["n"]) == ("us", 30.0, 6)
    assert cost["met"] == (cost["ours"] <= 30.0)
    (row,) = overhead.bench(rounds=1, only="cine cine")["rows"]
    assert (row["peer_name"], row["goal"]) == ("frame by frame", 1.25)
    assert row["met"] == (row["ratio"] >= 1.25)


def test_whoever_is_first_is_last_in_the_next_round() -> None:
    said: list[str] = []
    times = overhead.in_turn({"a": lambda: said.append("a"), "b": lambda: said.append("b")}, rounds=2, per=2)
    assert "".join(said) == "bbaa" + "aabb" + "bbaa"
    assert [len(one) for one in times.values()] == [2, 2]


def test_the_ratio_is_that_of_the_rounds() -> None:
    times = {"ours": [1.0, 10.0, 2.0], "theirs": [2.0, 20.0, 2.2]}
    row = overhead.paired("x", times, "theirs", 1.5, 1e3, "ms")
    assert (row.ours, row.peer, row.ratio, row.met) == (2000.0, 2200.0, 2.0, True)
    assert overhead.within("x", 2.0, 3.0, "s", 5).met is True
    assert overhead.within("x", 4.0, 3.0, "s", 5).met is False
