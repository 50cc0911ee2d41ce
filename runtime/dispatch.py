"""Which device a bundle runs on: proved on this host, measured on this host, chosen by a policy, with the reasons.

The policies:

``fastest``
    The shortest median time of one run of the network.
``least-energy``
    The fewest joules of one run, among the devices whose joules were measured.
``deadline:33ms``
    A device whose 99th percentile is within the time: the one that takes the fewest joules where these were measured,
    else the fastest.
``pin:DEVICE``
    That device.

The devices that are not the first are those that take over when it fails (:mod:`.failover`); for that reason a pinned
device is a policy, and ``--device X``, which means that device or an error, is none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bedside.backends.contract import Device

from . import proof, quarantine
from .bundle.load import Bundle
from .errors import BedsideError, BundleError, DeviceFault, DeviceUnavailable, ProofFailed
from .identity import F32, identity
from .int8_host import require_exact
from .measure import Row, Table, input_shape, load_table, measure, milliseconds, takes_part
from .probing import list_devices
from .stopwatch import Progress
from .watchdog import Limits

DEFAULT_DEVICE = "openvino:CPU"
"""First where nothing was measured."""
POLICIES = ("fastest", "least-energy", "deadline:33ms", "pin:DEVICE")
_SLOWER = 50
"""A run that takes so many times the slowest that was measured is taken for one that never ends."""
_LEAST_LIMIT = 60.0


@dataclass(frozen=True)
class Policy:
    """A policy as it was asked for."""

    text: str
    kind: Literal["fastest", "least-energy", "deadline", "pin"]
    deadline_ms: float = math.inf
    device: str = ""

    @staticmethod
    def parse(text: str) -> Policy:
        """Read ``fastest``, ``least-energy``, ``deadline:33ms`` (or ``0.5s``) or ``pin:DEVICE``.

        Raises
        ------
        BedsideError
            It is none of these.
        """
        name, _, value = text.partition(":")
        if text == "fastest":
            return Policy(text, "fastest")
        if text == "least-energy":
            return Policy(text, "least-energy")
        time = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", value)
        if name == "deadline" and time and float(time[1]) > 0:
            return Policy(text, "deadline", deadline_ms=float(time[1]) * (1000 if time[2] == "s" else 1))
        if name == "pin" and value:
            return Policy(text, "pin", device=value)
        raise BedsideError(f"there is no policy '{text}'", mend=f"one of {', '.join(POLICIES)}")


@dataclass(frozen=True)
class Choice:
    """A device that may run the bundle."""

    device: str
    reason: str
    limits: Limits = field(default_factory=Limits)
    """How long it is waited for."""
    reserve: bool = False
    """It is in quarantine: only where every other device fails, and after another proof."""


@dataclass(frozen=True)
class Decision:
    """The devices that may run a bundle, best first, and why."""

    policy: str
    choices: tuple[Choice, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Devices of this host that may not, and why."""
    precision: str = F32
    require_proof: bool = True
    table: str = ""
    """Where the measurements are from; empty where none were needed."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Device strings, best first."""
        return tuple(choice.device for choice in self.choices)

    @property
    def reasons(self) -> dict[str, str]:
        """Why, by device."""
        return {**{choice.device: choice.reason for choice in self.choices}, **self.left_out}

    def to_json(self) -> dict[str, Any]:
        """For the result."""
        return {
            "policy": self.policy,
            "precision": self.precision,
            "proof_required": self.require_proof,
            "devices": [{"device": choice.device, "reason": choice.reason} for choice in self.choices],
            "left_out": [{"device": device, "reason": reason} for device, reason in self.left_out.items()],
            "table": self.table,
        }


def choose(
    bundle: Bundle,
    policy: str,
    *,
    require_proof: bool = True,
    table: Table | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Decision:
    """Choose the devices for a bundle, best first.

    What is needed and not there yet is made, once: a proof of each device, and a quick measurement where several are
    compared.

    Parameters
    ----------
    bundle
        In the precision it is to run in (:meth:`~.bundle.load.Bundle.at`).
    policy
        One of :data:`POLICIES`.
    require_proof
        Leave out devices that do not give the bundle's golden findings.
    table
        Measurements to go by; None is what was measured on this host.
    threads
        Host threads that the bundle will be run with; 0 is the process's budget.

    Raises
    ------
    ProofFailed
        No device gives the bundle's golden findings.
    DeviceUnavailable
        No device can be used, the pinned one cannot be, or none meets the policy.
    BundleError
        The bundle has no golden cases to prove a device with, or no model of that precision.
    BedsideError
        There is no such policy.
    """
    wanted = Policy.parse(policy)
    left_out: dict[str, str] = {}
    candidates = _candidates(bundle, wanted, left_out)
    usable, reserve = _proved(bundle, candidates, require_proof, left_out, progress)
    if wanted.kind == "pin" and wanted.device in left_out:
        raise _unusable(bundle, {wanted.device: left_out[wanted.device]}, require_proof)
    if not usable and not reserve:
        raise _unusable(bundle, left_out, require_proof)
    measured = _measured(bundle, wanted, usable, threads, table, progress)
    rows = {} if measured is None else _rows(bundle, measured, usable, threads, pinned=table is not None)
    ranked = _ranked(wanted, usable, rows) if usable else []
    choices = [Choice(device.id, reason, _limits(rows.get(device.id))) for device, reason in ranked]
    choices += [Choice(device.id, reason, reserve=True) for device, reason in reserve]
    return Decision(wanted.text, tuple(choices), left_out, bundle.precision, require_proof, _source(measured))


def _candidates(bundle: Bundle, policy: Policy, left_out: dict[str, str]) -> list[Device]:
    found = list_devices()
    candidates = []
    for device in found:
        if device.id == policy.device or takes_part(device.id):
            why_not = _unsuited(bundle, device) if device.available else device.reason
            if why_not:
                left_out[device.id] = why_not
            else:
                candidates.append(device)
    if policy.kind == "pin" and policy.device not in [device.id for device in found]:
        known = ", ".join(device.id for device in candidates)
        raise DeviceUnavailable(f"{policy.device}, which is pinned, is no device of this host", mend=f"one of {known}")
    return candidates


def _unsuited(bundle: Bundle, device: Device) -> str:
    """Why a device that is there is not for the bundle's model; empty where it is."""
    if bundle.precision == "int8":
        try:
            require_exact(device.id, bundle.variant("int8"))
        except (DeviceUnavailable, DeviceFault) as error:
            return error.message
    return ""


def _proved(
    bundle: Bundle,
    candidates: Sequence[Device],
    require_proof: bool,
    left_out: dict[str, str],
    progress: Progress | None,
) -> tuple[list[Device], list[tuple[Device, str]]]:
    """The devices that may be used now, and those that wait in quarantine with the reason."""
    if require_proof and not bundle.meta.golden:
        raise BundleError(
            f"bundle {bundle.name} has no golden cases, so no device can be proved with it",
            mend="add some (docs/bundle.md), or run with --no-require-proof",
        )
    usable, reserve = [], []
    for device in candidates:
        entry = quarantine.held(device.id)
        if entry is not None and entry.waiting:
            reserve.append((device, entry.reason))
            continue
        if entry is not None:
            why_not = reprove(bundle, device.id, progress)
        else:
            why_not = _why_unproved(bundle, device, progress) if require_proof else ""
        if why_not:
            left_out[device.id] = why_not
        else:
            usable.append(device)
    return usable, reserve


def _why_unproved(bundle: Bundle, device: Device, progress: Progress | None) -> str:
    verdict = proof.stored(bundle, device, bundle.precision)
    try:
        if verdict is None:
            verdict = proof.prove(bundle, device.id, precision=bundle.precision, progress=progress)
    except (DeviceUnavailable, ProofFailed) as error:
        return str(error)
    return "" if verdict.proved else verdict.text


def reprove(bundle: Bundle, device: str, progress: Progress | None = None) -> str:
    """Prove a device that failed again, and let it back; why not, if it fails. A new fault begins a longer wait.

    With a bundle that has no golden cases nothing can be proved: then the wait alone must do.
    """
    if bundle.meta.golden:
        try:
            verdict = proof.prove(bundle, device, precision=bundle.precision, progress=progress)
        except (DeviceUnavailable, ProofFailed) as error:
            return quarantine.note(device, error).reason
        if not verdict.proved:
            return quarantine.note(device, ProofFailed(verdict.text)).reason
    quarantine.proved(device)
    return ""


def _unusable(bundle: Bundle, why: Mapping[str, str], require_proof: bool) -> BedsideError:
    told = "; ".join(f"{device}: {reason}" for device, reason in why.items())
    if require_proof:
        mend = "mend one and prove it again (bedside prove), or run with --no-require-proof"
        return ProofFailed(f"no device is to be had that is proved for {bundle.name}: {told}", mend=mend)
    return DeviceUnavailable(f"no device is to be had for {bundle.name}: {told}", mend="`bedside devices` says more")


def _measured(
    bundle: Bundle,
    policy: Policy,
    usable: Sequence[Device],
    threads: int,
    table: Table | None,
    progress: Progress | None,
) -> Table | None:
    """The table to go by; measured now where several devices are to be compared and one has no row."""
    if table is not None:
        return table
    found = load_table(bundle)
    compared = len(usable) > 1 and policy.kind != "pin"
    if not compared and policy.kind in ("pin", "fastest"):
        return found
    rows = {} if found is None else _rows(bundle, found, usable, threads, pinned=False)
    if all(device.id in rows for device in usable):
        return found
    try:
        input_shape(bundle)
    except BundleError:  # nothing to measure with: it is said with the choice
        return found
    devices = [device.id for device in usable]
    return measure(
        bundle, devices, precisions=(bundle.precision,), quick=True, threads=threads, must_keep=False, progress=progress
    )


def _rows(bundle: Bundle, table: Table, usable: Sequence[Device], threads: int, *, pinned: bool) -> dict[str, Row]:
    """The rows that count, by device: of the devices as they are now, unless the table was pinned by somebody."""
    rows = {}
    for device in usable:
        row = table.row(device.id, bundle.precision, threads)
        if row is not None and (pinned or row.key == identity(bundle, bundle.precision, device).key):
            rows[device.id] = row
    return rows


def _ranked(policy: Policy, usable: Sequence[Device], rows: Mapping[str, Row]) -> list[tuple[Device, str]]:
    """The devices in the policy's order, each with the reason for its place."""
    default = sorted(usable, key=lambda device: device.id != DEFAULT_DEVICE)  # stable: the rest as they are listed
    timed = {device: row.warm_p50 for device, row in rows.items() if row.warm_p50 is not None}
    by_speed = sorted(default, key=lambda device: timed.get(device.id, math.inf))
    if policy.kind == "fastest":
        return [(device, _speed(device, rows, timed)) for device in by_speed]
    if policy.kind == "least-energy":
        return _by_energy(policy, by_speed, rows, timed)
    if policy.kind == "deadline":
        return _by_deadline(policy, by_speed, rows, timed)
    ranked = sorted(by_speed, key=lambda device: device.id != policy.device)
    return [
        (device, "pinned" if device.id == policy.device else f"takes over; {_speed(device, rows, timed)}")
        for device in ranked
    ]


def _by_energy(
    policy: Policy, by_speed: Sequence[Device], rows: Mapping[str, Row], timed: Mapping[str, float]
) -> list[tuple[Device, str]]:
    joules = {device: row.joules for device, row in rows.items() if row.joules is not None}
    if not joules:
        why = next((row.joules_source for row in rows.values()), "nothing was measured")
        raise DeviceUnavailable(f"{policy.text}: the energy of no device is known ({why})", mend="--policy fastest")
    ranked = sorted(by_speed, key=lambda device: joules.get(device.id, math.inf))
    return [
        (
            device,
            f"{joules[device.id]:.3g} J a run ({rows[device.id].joules_source})"
            if device.id in joules
            else f"takes over; its energy was not measured; {_speed(device, rows, timed)}",
        )
        for device in ranked
    ]


def _by_deadline(
    policy: Policy, by_speed: Sequence[Device], rows: Mapping[str, Row], timed: Mapping[str, float]
) -> list[tuple[Device, str]]:
    slowest = {device: row.warm_p99 for device, row in rows.items() if row.warm_p99 is not None and device in timed}
    within = [device for device in by_speed if slowest.get(device.id, math.inf) <= policy.deadline_ms]
    if not within:
        best = min(slowest, key=lambda device: slowest[device], default="")
        known = f"{best} is nearest with {milliseconds(slowest[best])} ms" if best else "nothing was measured"
        raise DeviceUnavailable(
            f"{policy.text}: no device keeps it, {known} (99th percentile of one run)",
            mend="allow more time, or --policy fastest",
        )
    joules = {device.id: rows[device.id].joules for device in within}
    if all(value is not None for value in joules.values()):
        within.sort(key=lambda device: joules[device.id] or 0.0)
    late = [device for device in by_speed if device not in within]
    ranked = []
    for device in within:
        spent = joules[device.id]
        energy = "energy not measured" if spent is None else f"{spent:.3g} J a run"
        ranked.append(
            (device, f"p99 {milliseconds(slowest[device.id])} ms, within {policy.deadline_ms:g} ms; {energy}")
        )
    # A late result is better than none: these take over, and the result says who ran.
    return ranked + [(device, f"takes over, too late; {_speed(device, rows, timed)}") for device in late]


def _speed(device: Device, rows: Mapping[str, Row], timed: Mapping[str, float]) -> str:
    if device.id in timed:
        best, mine = min(timed.values()), timed[device.id]
        slower = "" if mine <= best else f", {mine / best - 1:.0%} slower"
        return f"p50 {milliseconds(mine)} ms a run{slower}"
    row = rows.get(device.id)
    if row is not None:
        return f"could not be measured: {row.fault}"
    return "not measured" + (", OpenVINO by default" if device.id == DEFAULT_DEVICE and not timed else "")


def _limits(row: Row | None) -> Limits:
    """How long a device is waited for, from what it took when it was measured."""
    usual = Limits()
    if row is None or row.warm_p99 is None or row.cold_p99 is None:
        return usual
    return Limits(
        open=max(usual.open, _SLOWER * row.cold_p99 / 1e3),
        run=max(_LEAST_LIMIT, _SLOWER * row.warm_p99 / 1e3),
        close=usual.close,
    )


def _source(table: Table | None) -> str:
    if table is None or not table.rows:
        return ""
    return f"{table.place.name if table.place else 'table'}, {max(row.measured_at for row in table.rows)[:19]}"
