"""The table of measurements: what is in it, that it can be kept and pinned, and devices that fail while measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedside.runtime import BundleError, DeliveryError, DeviceUnavailable, load_bundle, measure
from bedside.runtime.bundle.load import Bundle
from bedside.runtime.bundle.schema import InfererSpec
from bedside.runtime.measure import QUICK, Effort, input_shape, load_table, milliseconds, percentile
from bedside.runtime.measure import measure as measure_devices


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(measure, "QUICK", Effort(colds=1, rounds=3, turn_ms=1, budget_s=5))


@pytest.fixture(scope="module")
def bundle(bright_bundle: Path) -> Bundle:
    return load_bundle(bright_bundle)


@pytest.mark.slow
def test_rows_of_devices_that_work_and_of_those_that_do_not(bundle: Bundle) -> None:
    steps: list[tuple[str, int, int]] = []
    devices = [
        "openvino:CPU",
        "null:latency_ms=2",
        "null:fault=crash",
        "null:fault=oom,after=4",
        "null:fault=kill,at=open",
    ]
    table = measure_devices(bundle, devices, quick=True, timeout=60, progress=lambda *step: steps.append(step))
    rows = {row.device: row for row in table.rows}
    assert list(rows) == devices and steps[-1] == ("measure", 6, 6)
    good = rows["openvino:CPU"]
    assert good.shape == (1, 1, 16, 16, 16) and good.precision == "f32" and good.fault == ""
    assert good.cold_p50 and good.warm_p50 and good.warm_p99 and good.cold_p50 > good.warm_p50
    assert good.warm_p99 >= good.warm_p50 > 0 and good.runs >= 3 and good.colds == 1
    assert good.memory and good.memory > 1_000_000
    assert good.joules is not None or good.joules_source.startswith("not measured: ")
    assert good.proof == "not proved" and len(good.key) == 64
    assert rows["null:latency_ms=2"].warm_p50 and rows["null:latency_ms=2"].warm_p50 >= 2
    assert rows["null:latency_ms=2"].joules is None
    assert "SIGSEGV" in rows["null:fault=crash"].fault and rows["null:fault=crash"].warm_p50 is None
    assert "out of memory" in rows["null:fault=oom,after=4"].fault
    assert "killed" in rows["null:fault=kill,at=open"].fault


def test_the_table_is_kept_and_merged(bundle: Bundle) -> None:
    assert load_table(bundle) is None
    measure_devices(bundle, ["null"], quick=True)
    table = measure_devices(bundle, ["null:latency_ms=1"], quick=True)
    assert [row.device for row in table.rows] == ["null", "null:latency_ms=1"]
    assert load_table(bundle) == table
    again = measure_devices(bundle, ["null"], quick=True, threads=1)
    assert [(row.device, row.threads) for row in again.rows] == [("null", 0), ("null:latency_ms=1", 0), ("null", 1)]
    assert again.place is not None
    content = json.loads(again.place.read_text())
    assert set(content) >= {"environment", "rows", "bundle", "model_sha256"}
    assert set(content["rows"][0]) >= {"name", "ours", "unit", "n", "device", "warm_p99", "joules_source"}
    again.place.write_text("{")
    assert load_table(bundle) is None


def test_a_table_that_is_pinned(bundle: Bundle, tmp_path: Path) -> None:
    table = measure_devices(bundle, ["null"], quick=True)
    pinned = tmp_path / "table.json"
    content = table.to_json()
    pinned.write_text(json.dumps(content))
    found = load_table(bundle, pinned)
    assert found is not None and found.rows == table.rows and found.place == pinned
    pinned.write_text(json.dumps({**content, "model_sha256": "0" * 64}))
    with pytest.raises(DeliveryError, match="measured with another model"):
        load_table(bundle, pinned)
    wrong: list[Any] = [{"schema": 2}, [], {**content, "rows": [{}]}, {**content, "rows": 5}]
    wrong.append({**content, "rows": [{**content["rows"][0], "warm_p50": "fast"}]})
    for other in wrong:
        pinned.write_text(json.dumps(other))
        with pytest.raises(DeliveryError, match=r"table\.json is no table of measurements"):
            load_table(bundle, pinned)
    with pytest.raises(DeliveryError, match="no table"):
        load_table(bundle, tmp_path / "missing.json")


def test_a_cache_that_cannot_be_written(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(measure.BedsideError, match="BEDSIDE_CACHE"):
        measure_devices(bundle, ["null"], quick=True)
    assert measure_devices(bundle, ["null"], quick=True, must_keep=False).rows[0].warm_p50 is not None


def test_devices_that_there_are_not(bundle: Bundle) -> None:
    with pytest.raises(DeviceUnavailable, match="unknown device 'abacus:0'"):
        measure_devices(bundle, ["abacus:0"], quick=True)
    (row,) = measure_devices(bundle, ["openvino:XPU"], quick=True).rows
    assert "no such device" in row.fault


def test_the_input_is_that_of_the_bundle(bundle: Bundle) -> None:
    assert input_shape(bundle) == (1, 1, 16, 16, 16)
    four = replace(bundle, inferer=bundle.inferer.model_copy(update={"sw_batch_size": 4}))
    assert input_shape(four) == (4, 1, 16, 16, 16)
    whole = replace(bundle, inferer=InfererSpec(kind="simple"))
    with pytest.raises(BundleError, match="each image has its own size"):
        input_shape(whole)
    tensor = bundle.network.input.model_copy(update={"spatial_shape": (8, 9, 10)})
    told = bundle.network.model_copy(update={"inputs": {"image": tensor}})
    assert input_shape(replace(whole, network=told)) == (1, 1, 8, 9, 10)


def test_figures() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50, 99, 7)
    assert percentile([], 0.5) is None
    assert [milliseconds(value) for value in (0.01234, 12.345, 1911.4)] == ["0.0123", "12.3", "1911"]
    assert QUICK.colds == 1
