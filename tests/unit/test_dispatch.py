"""Which device a policy chooses, and what it says of the others."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedside.backends.contract import Device, DeviceFault
from bedside.runtime import BedsideError, BundleError, DeviceUnavailable, ProofFailed, dispatch, load_bundle, quarantine
from bedside.runtime.bundle.load import Bundle
from bedside.runtime.bundle.schema import GoldenCase
from bedside.runtime.dispatch import Policy, choose
from bedside.runtime.identity import identity
from bedside.runtime.measure import Row, Table

OPENVINO, ORT, GPU = "openvino:CPU", "ort:cpu", "cuda:0"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def bundle(bright_bundle: Path) -> Bundle:
    """A bundle with a golden case; nobody looks into it."""
    loaded = load_bundle(bright_bundle)
    golden = (GoldenCase(study="configs/metadata.json", expect="configs/metadata.json"),)
    return replace(loaded, meta=loaded.meta.model_copy(update={"golden": golden}))


class Host:
    """The devices of a host, their proofs, and what is measured when nobody has yet."""

    def __init__(self, *devices: str) -> None:
        self.devices = [Device(name, name, True, versions={"library": "1"}) for name in devices]
        self.failed: dict[str, str] = {}
        self.asked: list[str] = []
        self.stored: set[str] = set()
        self.measured: Callable[..., Table] = lambda *given, **named: pytest.fail("nothing is to be measured")

    def verdict(self, device: str) -> Any:
        why = self.failed.get(device, "")
        return types.SimpleNamespace(proved=not why, text=why or "proved", status="failed" if why else "proved")

    def prove(self, bundle: Bundle, device: str, **named: Any) -> Any:
        self.asked.append(device)
        return self.verdict(device)

    def look_up(self, bundle: Bundle, device: Device, precision: str = "f32") -> Any:
        return self.verdict(device.id) if device.id in self.stored else None


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host("null", OPENVINO, ORT, GPU, "reference")
    monkeypatch.setattr(dispatch, "list_devices", lambda: host.devices)
    monkeypatch.setattr(dispatch.proof, "prove", host.prove)
    monkeypatch.setattr(dispatch.proof, "stored", host.look_up)
    monkeypatch.setattr(dispatch, "measure", lambda *given, **named: host.measured(*given, **named))
    return host


def row(bundle: Bundle, device: Device, p50: float | None, **more: Any) -> Row:
    values: dict[str, Any] = {
        "device": device.id,
        "device_name": device.name,
        "precision": "f32",
        "threads": 0,
        "hint": "throughput",
        "shape": (1, 1, 16, 16, 16),
        "cold_p50": 100.0,
        "cold_p99": 100.0,
        "colds": 1,
        "warm_p50": p50,
        "warm_p99": None if p50 is None else 1.5 * p50,
        "runs": 10,
        "memory": 1,
        "joules": None,
        "joules_source": "not measured: no counter",
        "proof": "proved",
        "key": identity(bundle, "f32", device).key,
        "measured_at": "2026-11-24T12:00:00+00:00",
    }
    return Row(**{**values, **more})


def table(bundle: Bundle, host: Host, p50: Mapping[str, float | None], **more: Any) -> Table:
    rows = [row(bundle, one, p50[one.id], **more.get(one.id, {})) for one in host.devices if one.id in p50]
    return Table(bundle.name, bundle.sha256, {}, tuple(rows))


@pytest.mark.parametrize(
    "text", ["", "quickest", "deadline", "deadline:", "deadline:0ms", "deadline:33", "pin", "pin:"]
)
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(BedsideError, match="there is no policy") as caught:
        Policy.parse(text)
    assert caught.value.mend and "deadline:33ms" in caught.value.mend


@pytest.mark.parametrize(("text", "ms"), [("deadline:33ms", 33), ("deadline:0.5s", 500), ("deadline:12.5ms", 12.5)])
def test_deadlines(text: str, ms: float) -> None:
    assert Policy.parse(text).deadline_ms == ms


def test_the_fastest_is_first_and_the_others_take_over(bundle: Bundle, host: Host) -> None:
    decision = choose(bundle, "fastest", table=table(bundle, host, {OPENVINO: 12.0, ORT: 10.0, GPU: 200.0}))
    assert decision.devices == (ORT, OPENVINO, GPU)
    assert decision.reasons[ORT] == "p50 10 ms a run"
    assert decision.reasons[OPENVINO] == "p50 12 ms a run, 20% slower"
    assert decision.choices[0].limits.run == 60 and decision.choices[2].limits.run == 60
    assert decision.to_json()["devices"][0] == {"device": ORT, "reason": "p50 10 ms a run"}
    slow = choose(bundle, "fastest", table=table(bundle, host, {OPENVINO: 4000.0, ORT: 10.0, GPU: 11.0}))
    assert slow.choices[2].limits.run == 50 * 6.0


def test_openvino_where_nothing_was_measured(bundle: Bundle, host: Host) -> None:
    host.devices.sort(key=lambda device: device.id)
    host.measured = lambda *given, **named: table(bundle, host, {})
    decision = choose(bundle, "fastest")
    assert decision.devices == (OPENVINO, GPU, ORT)
    assert decision.reasons[OPENVINO] == "not measured, OpenVINO by default"


def test_a_device_that_could_not_be_measured_comes_after_those_that_were(bundle: Bundle, host: Host) -> None:
    faulty = {GPU: {"fault": "cuda:0 hangs"}}
    found = table(bundle, host, {OPENVINO: 12.0, ORT: 14.0, GPU: None}, **faulty)
    decision = choose(bundle, "fastest", table=found)
    assert decision.devices == (OPENVINO, ORT, GPU)
    assert decision.reasons[GPU] == "could not be measured: cuda:0 hangs"


def test_without_a_table_it_is_measured_once(bundle: Bundle, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def measured(found: Bundle, devices: list[str], **named: Any) -> Table:
        calls.append((devices, named["quick"], named["precisions"]))
        return table(bundle, host, {OPENVINO: 2.0, ORT: 1.0, GPU: 3.0})

    host.measured = measured
    assert choose(bundle, "fastest").devices[0] == ORT
    assert calls == [([OPENVINO, ORT, GPU], True, ("f32",))]
    kept = table(bundle, host, {OPENVINO: 1.0, ORT: 2.0, GPU: 3.0})
    monkeypatch.setattr(dispatch, "load_table", lambda bundle: kept)
    assert choose(bundle, "fastest").devices[0] == OPENVINO
    assert len(calls) == 1


def test_a_table_of_another_driver_counts_only_where_it_is_pinned(
    bundle: Bundle, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = table(bundle, host, {OPENVINO: 2.0, ORT: 1.0, GPU: 3.0})
    host.devices = [replace(device, versions={"library": "2"}) for device in host.devices]
    monkeypatch.setattr(dispatch, "load_table", lambda bundle: old)
    host.measured = lambda *given, **named: table(bundle, host, {OPENVINO: 1.0, ORT: 2.0, GPU: 3.0})
    assert choose(bundle, "fastest").devices[0] == OPENVINO
    assert choose(bundle, "fastest", table=old).devices[0] == ORT


def test_one_device_needs_no_measurement(bundle: Bundle, host: Host) -> None:
    host.devices = [device for device in host.devices if device.id in ("null", OPENVINO)]
    assert choose(bundle, "fastest").devices == (OPENVINO,)


def test_only_proved_devices_are_chosen(bundle: Bundle, host: Host) -> None:
    host.failed[ORT] = "failed its proof: Dice 0.4"
    host.stored.add(GPU)
    decision = choose(bundle, "fastest", table=table(bundle, host, {OPENVINO: 2.0, ORT: 1.0, GPU: 3.0}))
    assert decision.devices == (OPENVINO, GPU)
    assert decision.left_out == {ORT: "failed its proof: Dice 0.4"}
    assert host.asked == [OPENVINO, ORT]
    host.asked.clear()
    loose = choose(
        bundle, "fastest", require_proof=False, table=table(bundle, host, {OPENVINO: 2.0, ORT: 1.0, GPU: 3.0})
    )
    assert loose.devices[0] == ORT and host.asked == []
    host.failed.update({OPENVINO: "failed", GPU: "crashed"})
    with pytest.raises(ProofFailed, match=r"no device .* proved for bright: .*ort:cpu: failed its proof") as caught:
        choose(bundle, "fastest")
    assert caught.value.exit_code == 6 and "bedside prove" in str(caught.value.mend)


def test_a_bundle_without_golden_cases(bright_bundle: Path, host: Host) -> None:
    plain = load_bundle(bright_bundle)
    with pytest.raises(BundleError, match="no golden cases"):
        choose(plain, "fastest")
    assert choose(plain, "pin:ort:cpu", require_proof=False).devices[0] == ORT


def test_the_pinned_device_is_first(bundle: Bundle, host: Host) -> None:
    decision = choose(bundle, "pin:ort:cpu", table=table(bundle, host, {OPENVINO: 2.0, ORT: 9.0, GPU: 1.0}))
    assert decision.devices == (ORT, GPU, OPENVINO)
    assert decision.reasons == {
        ORT: "pinned",
        GPU: "takes over; p50 1 ms a run",
        OPENVINO: "takes over; p50 2 ms a run, 100% slower",
    }
    with pytest.raises(DeviceUnavailable, match="webgpu:0, which is pinned, is no device of this host"):
        choose(bundle, "pin:webgpu:0")
    host.failed[ORT] = "crashed in its proof"
    with pytest.raises(ProofFailed, match="crashed in its proof"):
        choose(bundle, "pin:ort:cpu")
    host.devices = [replace(host.devices[1]), Device(GPU, GPU, False, "no driver", "apt install it")]
    with pytest.raises(BedsideError, match="no driver"):
        choose(bundle, "pin:cuda:0")


def test_the_fewest_joules_among_those_that_were_measured(bundle: Bundle, host: Host) -> None:
    p50 = {OPENVINO: 2.0, ORT: 1.0, GPU: 0.5}
    counted = {"joules_source": "counter, package"}
    more = {OPENVINO: {"joules": 3.0, **counted}, ORT: {"joules": 4.0, **counted}}
    decision = choose(bundle, "least-energy", table=table(bundle, host, p50, **more))
    assert decision.devices == (OPENVINO, ORT, GPU)
    assert decision.reasons[OPENVINO] == "3 J a run (counter, package)"
    assert "energy was not measured" in decision.reasons[GPU]
    with pytest.raises(DeviceUnavailable, match=r"energy of no device is known \(not measured: no counter"):
        choose(bundle, "least-energy", table=table(bundle, host, p50))


def test_deadline(bundle: Bundle, host: Host) -> None:
    p50 = {OPENVINO: 20.0, ORT: 15.0, GPU: 40.0}  # 99th percentile 30, 22.5, 60
    decision = choose(bundle, "deadline:33ms", table=table(bundle, host, p50))
    assert decision.devices == (ORT, OPENVINO, GPU)
    assert decision.reasons[ORT] == "p99 22.5 ms, within 33 ms; energy not measured"
    assert "too late" in decision.reasons[GPU]
    frugal = table(bundle, host, p50, **{OPENVINO: {"joules": 1.0}, ORT: {"joules": 2.0}})
    assert choose(bundle, "deadline:33ms", table=frugal).devices[0] == OPENVINO
    with pytest.raises(DeviceUnavailable, match=r"no device keeps it, ort:cpu is nearest with 22\.5 ms"):
        choose(bundle, "deadline:10ms", table=table(bundle, host, p50))


def test_a_device_in_quarantine_comes_last_and_is_proved_again_after_it(
    bundle: Bundle, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    p50 = {OPENVINO: 2.0, ORT: 1.0, GPU: 3.0}
    host.stored |= {OPENVINO, ORT, GPU}
    entry = quarantine.note(ORT, DeviceFault("ort:cpu: the device is lost", kind="lost"))
    decision = choose(bundle, "fastest", table=table(bundle, host, p50))
    assert decision.devices == (OPENVINO, GPU, ORT) and decision.choices[-1].reserve
    assert "in quarantine: it failed" in decision.reasons[ORT] and host.asked == []

    monkeypatch.setattr(quarantine.time, "time", lambda: entry.until + 1)
    host.failed[ORT] = "failed its proof"
    decision = choose(bundle, "fastest", table=table(bundle, host, p50))
    assert decision.devices == (OPENVINO, GPU) and host.asked == [ORT]
    again = quarantine.held(ORT)
    assert again is not None and again.faults == 2 and again.waiting

    monkeypatch.setattr(quarantine.time, "time", lambda: again.until + 1)
    host.failed.clear()
    assert choose(bundle, "fastest", table=table(bundle, host, p50)).devices[0] == ORT
    assert host.asked == [ORT, ORT] and quarantine.held(ORT) is None


def test_a_policy_goes_on_with_a_device_that_waits_where_there_is_no_other(bundle: Bundle, host: Host) -> None:
    host.devices = [device for device in host.devices if device.id == OPENVINO]
    quarantine.note(OPENVINO, DeviceFault("openvino:CPU: out of memory", kind="memory"))
    for policy in ("fastest", "deadline:1ms", "least-energy", "pin:openvino:CPU"):
        decision = choose(bundle, policy)
        assert decision.devices == (OPENVINO,) and decision.choices[0].reserve
