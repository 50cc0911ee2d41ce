"""Measuring a bundle's network on the devices of this host: the table that the dispatcher chooses by.

One run of the network is measured on the input that the bundle gives it, everything around it left out: that is the
same on every device. A device that cannot be opened, crashes or hangs has a row that says so. The table is a JSON file
that people can read; a copy of it can be kept, edited and given to the dispatcher in place of what the host measures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bedside.backends import cache
from bedside.backends.contract import BedsideError, Device

from . import child, proof, records
from .bundle.load import Bundle, load_bundle
from .errors import BundleError, DeliveryError, DeviceUnavailable
from .host import fingerprint
from .identity import F32, identity
from .power import rapl
from .probing import list_devices
from .stopwatch import Progress

SCHEMA = 1
STAGE = "measure"
NOT_PROVED = "not proved"
_BY_NAME_ONLY = frozenset({"null", "reference", "openvino:AUTO"})
"""Devices that are there to test others, and one that is always another one of the list."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    colds: int
    """First results, each in a process of its own."""
    rounds: int
    turn_ms: float
    """How long a device runs in each round."""
    budget_s: float
    """Seconds after which there are no more rounds."""


QUICK = Effort(colds=1, rounds=8, turn_ms=60, budget_s=8)
FULL = Effort(colds=3, rounds=25, turn_ms=250, budget_s=60)


@dataclass(frozen=True)
class Row:
    """One device with one of the bundle's models. Times are milliseconds of one run of the network."""

    device: str
    device_name: str
    precision: str
    threads: int
    """Host threads that were asked for; 0 is the process's budget."""
    hint: str
    """``latency``: runs one at a time. ``throughput``, for windows and frames: two under way, a time is half of what
    two results took, as a study has them."""
    shape: tuple[int, ...]
    """Of the network's input."""
    cold_p50: float | None
    """From a process that has loaded neither library nor model to the first result, caches on disk as they were."""
    cold_p99: float | None
    colds: int
    warm_p50: float | None
    """With the model loaded, in rounds that took turns with the other devices of the same measurement."""
    warm_p99: float | None
    runs: int
    memory: int | None
    """Bytes of memory that library, model and run took at most, in a process of their own."""
    joules: float | None
    """Of one run; None is not measured, and ``joules_source`` says why."""
    joules_source: str
    """Source class and scope, e.g. ``counter, package``."""
    proof: str
    """``proved``, ``failed``, ``crashed`` or ``not proved``, when it was measured."""
    key: str
    """Of the :class:`~.identity.Identity` that was measured."""
    measured_at: str
    fault: str = ""
    """Why there are no times."""

    @property
    def name(self) -> str:
        """Device and precision."""
        return f"{self.device} {self.precision}"

    @property
    def what(self) -> tuple[str, str, int]:
        """What there is one row of."""
        return self.device, self.precision, self.threads

    def to_json(self) -> dict[str, Any]:
        """As JSON values, with the keys that every row of a bedside table has."""
        return {"name": self.name, "ours": self.warm_p50, "unit": "ms", "n": self.runs, **asdict(self)}


@dataclass(frozen=True)
class Table:
    """What was measured of one bundle on one host."""

    bundle: str
    """Name and version."""
    sha256: str
    """Of the bundle's f32 model."""
    environment: Mapping[str, Any]
    rows: tuple[Row, ...]
    place: Path | None = None
    """The file it was read from or written to."""

    def row(self, device: str, precision: str, threads: int) -> Row | None:
        """The row of a device, if there is one."""
        wanted = (device, precision, threads)
        return next((row for row in self.rows if row.what == wanted), None)

    def to_json(self) -> dict[str, Any]:
        """As the file holds it."""
        return {
            "schema": SCHEMA,
            "bundle": self.bundle,
            "model_sha256": self.sha256,
            "environment": dict(self.environment),
            "rows": [row.to_json() for row in self.rows],
        }


def measure(
    bundle: Bundle | Path | str,
    devices: Sequence[str] | None = None,
    *,
    precisions: Sequence[str] = (F32,),
    quick: bool = False,
    threads: int = 0,
    timeout: float = child.TIMEOUT,
    must_keep: bool = True,
    progress: Progress | None = None,
) -> Table:
    """Measure devices side by side and keep the table; rows of others that were measured before stay in it.

    Parameters
    ----------
    devices
        Device strings; None is every device that can be used here.
    precisions
        Which of the bundle's models.
    quick
        Some seconds a device instead of about a minute for all.
    threads
        Host threads; 0 is the process's budget.
    timeout
        Seconds without a sign of life after which a device counts as hanging.
    must_keep
        Whether a table that cannot be written is an error.
    progress
        Called with ("measure", done, total).

    Raises
    ------
    BundleError
        The bundle has no model of a precision, or does not say how large the network's input is.
    DeviceUnavailable
        A device that was named is not one of this host's.
    DeliveryError
        The table cannot be kept.
    """
    if not isinstance(bundle, Bundle):
        bundle = load_bundle(bundle)
    chosen = _devices(devices)
    shape = input_shape(bundle)
    effort = QUICK if quick else FULL
    models = [bundle.at(precision) for precision in precisions]
    entries = [_Entry(model, device, shape, threads) for model in models for device in chosen]
    total = len(entries) * effort.colds + 1
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(STAGE, done, total)

    for _ in range(effort.colds):
        for entry in entries:
            entry.start_cold(timeout)
            step()
    _take_turns([entry for entry in entries if not entry.fault], effort, timeout)
    step()
    table = _merged(bundle, [entry.row() for entry in entries])
    return _kept(table, bundle, must_keep)


def load_table(bundle: Bundle, file: Path | None = None) -> Table | None:
    """The table that was measured here, or the one in ``file``.

    Returns
    -------
    None where nothing was measured here.

    Raises
    ------
    DeliveryError
        ``file`` is no table of this bundle's model.
    """
    if file is None:
        try:
            content = records.read(_place(bundle))
            return None if content is None else _table(content, _place(bundle))
        except (BedsideError, ValueError):  # no cache, or another version's file: it is measured again
            return None
    content = records.read(file)
    try:
        if content is None:
            raise ValueError("it is no JSON object")
        table = _table(content, file)
    except ValueError as error:
        raise DeliveryError(
            f"{file.name} is no table of measurements: {error}", mend="make one: bedside measure --json FILE"
        ) from None
    if table.sha256 != bundle.variant(F32).sha256:
        raise DeliveryError(f"{file.name} was measured with another model, of {table.bundle}", mend="measure again")
    return table


def input_shape(bundle: Bundle) -> tuple[int, ...]:
    """The shape [N, C, spatial...] that the bundle's network is run on.

    Raises
    ------
    BundleError
        Neither the network, nor its windows, nor metadata.json say: each image has its own size.
    """
    declared, spec = bundle.input.shape, bundle.inferer
    rank = 3 if bundle.meta.input.kind == "volume" else 2
    fixed = list(declared) if declared is not None else [None] * (rank + 2)
    sizes: list[Any] = list(spec.roi_size) if spec.kind == "sliding" else [None] * rank
    told = bundle.network.input.spatial_shape
    space: list[int] = []
    for axis in range(rank):
        known = [fixed[2 + axis], sizes[axis], told[axis] if axis < len(told) else None]
        size = next((value for value in known if isinstance(value, int) and value > 0), None)
        if size is None:
            raise BundleError(
                f"bundle {bundle.name} does not say how large its network's input is: each image has its own size",
                mend="give numbers in network_data_format's spatial_shape",
            )
        space.append(size)
    batch = fixed[0] or (spec.sw_batch_size if spec.kind == "sliding" else 1)
    return (batch, bundle.network.input.num_channels, *space)


def milliseconds(value: float) -> str:
    """Three digits, and no power of ten."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def takes_part(device: str) -> bool:
    """Whether a device is measured and chosen without being named."""
    return device not in _BY_NAME_ONLY


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least ``share`` of all are no larger than; None of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


class _Entry:
    """One device with one model, while it is measured."""

    def __init__(self, bundle: Bundle, device: Device, shape: tuple[int, ...], threads: int) -> None:
        self.bundle, self.device, self.shape, self.threads = bundle, device, shape, threads
        several = bundle.inferer.kind == "sliding" or bundle.meta.input.kind == "cine"
        self.hint = "throughput" if several else "latency"
        self.request = {
            "model": str(bundle.model_path),
            "device": device.id,
            "shape": list(shape),
            "threads": threads,
            "hint": self.hint,
        }
        self.fault = ""
        self.colds: list[float] = []
        self.warm: list[float] = []
        self.one_run_ms = 0.0
        self.memory: int | None = None
        self.joules: float | None = None

    def start_cold(self, timeout: float) -> None:
        """A first result in a process of its own."""
        if self.fault:
            return
        try:
            found = child.call(
                "bedside.runtime.measuring:first_result", self.request, what=self.device.id, timeout=timeout
            )
        except BedsideError as error:
            self.fault = str(error)
            return
        self.colds.append(found["cold_ms"])
        self.one_run_ms = found["warm_ms"]
        self.memory = max(self.memory or 0, found["memory"]) if found["memory"] is not None else self.memory
        self.device = Device(**found["device"])

    def row(self) -> Row:
        precision = self.bundle.precision
        verdict = proof.stored(self.bundle, self.device, precision)
        counted = self.joules is not None
        return Row(
            device=self.device.id,
            device_name=self.device.name,
            precision=precision,
            threads=self.threads,
            hint=self.hint,
            shape=self.shape,
            cold_p50=percentile(self.colds, 0.5),
            cold_p99=percentile(self.colds, 0.99),
            colds=len(self.colds),
            warm_p50=None if self.fault else percentile(self.warm, 0.5),
            warm_p99=None if self.fault else percentile(self.warm, 0.99),
            runs=len(self.warm),
            memory=self.memory,
            joules=self.joules,
            joules_source=f"{rapl.SOURCE}, {rapl.SCOPE}" if counted else f"not measured: {_why_no_joules(self.device)}",
            proof=NOT_PROVED if verdict is None else verdict.status,
            key=identity(self.bundle, precision, self.device).key,
            measured_at=datetime.now().astimezone().isoformat(timespec="seconds"),
            fault=self.fault,
        )


def _take_turns(entries: Sequence[_Entry], effort: Effort, timeout: float) -> None:
    """Warm runs, all in one process; where that dies each device has one of its own, and the turns are lost."""
    if not entries:
        return
    request = {
        "entries": [{**entry.request, "warm_ms": entry.one_run_ms} for entry in entries],
        "rounds": effort.rounds,
        "turn_ms": effort.turn_ms,
        "budget_s": effort.budget_s * max(1.0, len(entries) / 2),
    }
    what = " and ".join(dict.fromkeys(entry.device.id for entry in entries))
    try:
        found = child.call("bedside.runtime.measuring:rounds", request, what=what, timeout=timeout)
    except child.Crash as crash:
        if len(entries) == 1:
            entries[0].fault = str(crash)
        else:
            for entry in entries:
                _take_turns([entry], effort, timeout)
        return
    for entry, its in zip(entries, found, strict=True):
        entry.warm, entry.fault = its["ms"], its["fault"]
        # A processor's counter says nothing of what another device used.
        entry.joules = its["joules"] if _on_processor(entry.device) else None


def _on_processor(device: Device) -> bool:
    return device.id in ("openvino:CPU", "ort:cpu")


def _why_no_joules(device: Device) -> str:
    return rapl.Rapl().why_not if _on_processor(device) else "no energy source for this device"


def _devices(named: Sequence[str] | None) -> list[Device]:
    found = {device.id: device for device in list_devices()}
    if named is None:
        chosen = [one for one in found.values() if one.available and takes_part(one.id)]
        if not chosen:
            raise DeviceUnavailable("no device of this host can be used", mend="`bedside devices` says why")
        return chosen
    families = {device.partition(":")[0] for device in found}
    for device in named:
        if device.partition(":")[0] not in families:
            raise DeviceUnavailable(f"unknown device '{device}'", mend="`bedside devices` lists what is there")
    # A backend may take more names than it lists; opening one that it does not take is a fault in its row.
    return [found.get(name, Device(name, name, True)) for name in dict.fromkeys(named)]


def _merged(bundle: Bundle, rows: Iterable[Row]) -> Table:
    """The new rows and, of the table that was there, those of other devices, precisions and thread counts."""
    before = load_table(bundle)
    kept = {row.what: row for row in (*(before.rows if before is not None else ()), *rows)}
    environment = {"host": fingerprint(), "bedside": version("bedside")}
    return Table(f"{bundle.name} {bundle.version}", bundle.variant(F32).sha256, environment, tuple(kept.values()))


def _kept(table: Table, bundle: Bundle, must_keep: bool) -> Table:
    try:
        place = _place(bundle)
        records.write(place, table.to_json())
    except (OSError, BedsideError) as error:
        if not must_keep:
            return table
        if isinstance(error, BedsideError):
            raise
        mend = f"set {cache.ENVIRONMENT} to a folder of your own"
        raise DeliveryError(f"the table cannot be kept: {error.strerror}", mend=mend) from error
    return replace(table, place=place)


def _place(bundle: Bundle) -> Path:
    return cache.folder("measured") / f"{bundle.variant(F32).sha256}.json"


def _table(content: Mapping[str, Any], place: Path) -> Table:
    """The table that :meth:`Table.to_json` wrote; ValueError for anything else."""
    try:
        if content["schema"] != SCHEMA:
            raise ValueError(f"its schema is {content['schema']!r}, not {SCHEMA}")
        rows = tuple(_row(row) for row in content["rows"])
        return Table(str(content["bundle"]), str(content["model_sha256"]), dict(content["environment"]), rows, place)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__} {error}") from None


def _row(content: Mapping[str, Any]) -> Row:
    values = {item.name: content[item.name] for item in fields(Row)}
    row = Row(**{**values, "shape": tuple(values["shape"])})
    for name in ("cold_p50", "cold_p99", "warm_p50", "warm_p99", "joules"):
        value = getattr(row, name)
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} of {row.name} is {value!r}")
    return row
