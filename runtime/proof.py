"""Proof: whether a device gives a bundle's golden findings on this host, kept for as long as nothing changes.

A proof is made in a child process from DICOM to findings and kept as one readable JSON file under the key of its
:class:`~bedside.runtime.identity.Identity`. When the model, the bundle, the driver, the library, the processor or this
package changes, so does the key, and the device counts as not proved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from bedside.backends import cache
from bedside.backends.contract import Device

from . import child, opening, records
from .bundle.load import Bundle, load_bundle
from .errors import BedsideError, BundleError, DeliveryError, DeviceFault, ProofFailed
from .golden import CaseResult, Limits
from .identity import F32, Identity, identity
from .stamp import NOT_PROVED, Stamp
from .stopwatch import Progress

Status = Literal["proved", "failed", "crashed"]
TIMEOUT = 900.0
"""Seconds without a sign of life after which the device counts as hanging."""
SCHEMA = 1


@dataclass(frozen=True)
class Proof:
    """A verdict on one device, for one model of a bundle, on this host."""

    identity: Identity
    bundle: str
    """Name and version."""
    status: Status
    cases: tuple[CaseResult, ...]
    """Those that were finished."""
    auc_change: float | None
    """By how much the area under the ROC curve falls; see :func:`bedside.runtime.golden.auc_change`."""
    reason: str
    """Why it is not proved, in one line; empty if it is."""
    made_at: str
    """ISO 8601, local time with its zone."""

    @property
    def proved(self) -> bool:
        return self.status == "proved"

    @property
    def max_error(self) -> float | None:
        """Largest absolute difference of the network's output over the cases."""
        return max((case.max_error for case in self.cases if case.max_error is not None), default=None)

    @property
    def cosine(self) -> float | None:
        """Smallest over the cases."""
        return min((case.cosine for case in self.cases if case.cosine is not None), default=None)

    @property
    def dice(self) -> float | None:
        """Smallest over the cases."""
        return min((case.dice for case in self.cases if case.dice is not None), default=None)

    @property
    def probability_change(self) -> float | None:
        """Largest over the cases."""
        return max((c.probability_change for c in self.cases if c.probability_change is not None), default=None)

    @property
    def figures(self) -> str:
        """The figure that says most, e.g. ``Dice 1.000``."""
        if self.dice is not None:
            return f"Dice {self.dice:.3f}"
        if self.probability_change is not None:
            return f"probabilities within {self.probability_change:.1g}"
        return "findings equal" if self.proved else ""

    @property
    def text(self) -> str:
        """One line, as results carry it."""
        day = self.made_at[:10]
        precision = "" if self.identity.precision == F32 else f" in {self.identity.precision}"
        if self.status == "proved":
            return f"proved{precision} {day}, {self.figures}"
        what = "crashed in its proof" if self.status == "crashed" else "failed its proof"
        return f"{what}{precision} on this host {day}: {self.reason}"

    def require(self) -> None:
        """Raise ProofFailed, saying why, unless the device is proved."""
        if not self.proved:
            raise ProofFailed(
                f"{self.identity.device} is not proved for {self.bundle}: {self.reason}",
                mend="choose another device, or mend this one and prove it again: bedside prove",
            )

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values, with the key and the worst figures."""
        return {
            "schema": SCHEMA,
            "key": self.identity.key,
            "identity": self.identity.to_json(),
            "bundle": self.bundle,
            "status": self.status,
            "reason": self.reason,
            "made_at": self.made_at,
            "max_error": self.max_error,
            "cosine": self.cosine,
            "dice": self.dice,
            "probability_change": self.probability_change,
            "auc_change": self.auc_change,
            "cases": [asdict(case) for case in self.cases],
        }

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Proof:
        """The proof that :meth:`to_json` wrote.

        Raises
        ------
        ValueError
            It is something else.
        """
        try:
            if content["schema"] != SCHEMA or content["status"] not in get_args(Status):
                raise ValueError("another schema")
            proof = Proof(
                identity=Identity.from_json(content["identity"]),
                bundle=str(content["bundle"]),
                status=content["status"],
                cases=tuple(case_of(case) for case in content["cases"]),
                auc_change=content["auc_change"],
                reason=str(content["reason"]),
                made_at=str(content["made_at"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a proof: {error}") from None
        return proof


def prove(
    bundle: Bundle | Path | str,
    device: str,
    *,
    precision: str = F32,
    threads: int = 0,
    limits: Limits | None = None,
    progress: Progress | None = None,
    timeout: float = TIMEOUT,
) -> Proof:
    """Run a bundle's golden cases on a device, from DICOM to findings, in a child process, and keep the verdict.

    Parameters
    ----------
    bundle
        A loaded bundle, its folder or zip, or the name of one that ships with bedside.
    device
        Device string.
    precision
        Which of the bundle's models.
    threads
        Host threads; 0 is every core of the process's affinity mask.
    limits
        How far off is still proved; None takes :data:`.golden.EXACT` for f32 and :data:`.golden.REDUCED` for others. A
        verdict by other limits is not kept.
    progress
        Called with (stage, done, total).
    timeout
        Seconds without a sign of life after which the device counts as hanging.

    Returns
    -------
    The verdict: a device that fails, crashes, hangs or is killed for want of memory is a verdict, not an exception.

    Raises
    ------
    BundleError
        The bundle has no golden cases, or they are not its own.
    DeviceUnavailable
        The device is not there.
    DeliveryError
        The verdict cannot be kept.
    """
    bundle = (bundle if isinstance(bundle, Bundle) else load_bundle(bundle)).at(precision)
    if not bundle.meta.golden:
        raise BundleError(
            f"bundle {bundle.name} has no golden cases, so nothing can be proved with it",
            mend="add some: bedside bundle golden",
        )
    described = Device(device, device, True)

    def heard(note: Any) -> None:
        nonlocal described
        described = Device(**note["device"])
        if note["opened"]:
            opening.remember(bundle.sha256, device)

    cases: list[CaseResult] = []
    auc_change: float | None = None
    status: Status = "failed"
    try:
        answer = child.call(
            "bedside.runtime.proving:prove_in_child",
            {
                "bundle": str(bundle.root),
                "device": device,
                "precision": precision,
                "threads": threads,
                "limits": None if limits is None else asdict(limits),
            },
            what=device,
            progress=progress,
            note=heard,
            timeout=timeout,
        )
        cases, auc_change = [case_of(case) for case in answer["cases"]], answer["auc_change"]
        reason = answer["fault"] or "; ".join(f"{case.name}: {case.reason}" for case in cases if not case.passed)
        if not reason:
            status = "proved"
    except child.Crash as crash:
        status, reason = "crashed", crash.message
    except DeviceFault as fault:
        reason = str(fault)
    proof = Proof(
        identity=identity(bundle, precision, described),
        bundle=f"{bundle.name} {bundle.version}",
        status=status,
        cases=tuple(cases),
        auc_change=auc_change,
        reason=reason,
        made_at=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    if limits is None:
        _keep(proof)
    return proof


def stored(bundle: Bundle, device: Device, precision: str = F32) -> Proof | None:
    """The verdict that is kept for a device as it is now; None where there is none, or it is of something else.

    Parameters
    ----------
    device
        As its backend's probe or an open program describes it; nothing is opened here.
    """
    wanted = identity(bundle, precision, device)
    try:
        content = records.read(_folder() / f"{wanted.key}.json")
        proof = Proof.from_json(content) if content is not None else None
    except (BedsideError, ValueError):  # no cache, or a file of something else: nothing is proved
        return None
    return proof if proof is not None and proof.identity == wanted else None


def stamp(bundle: Bundle, device: Device, precision: str = F32) -> Stamp:
    """What a result that this device made says of its proof."""
    proof = stored(bundle, device, precision)
    if proof is None:
        return Stamp(False, NOT_PROVED + _since(identity(bundle, precision, device)))
    details = {name: value for name, value in proof.to_json().items() if name not in ("schema", "identity", "cases")}
    return Stamp(proof.proved, proof.text, details)


def case_of(content: Mapping[str, Any]) -> CaseResult:
    """A case's result from its JSON values; TypeError or KeyError where they are something else."""
    values = {item.name: content[item.name] for item in fields(CaseResult)}
    triples = tuple((str(name), float(want), float(got)) for name, want, got in values.pop("probabilities"))
    return CaseResult(**values, probabilities=triples)


def _folder() -> Path:
    return cache.folder("proofs")


def _keep(proof: Proof) -> None:
    try:
        records.write(_folder() / f"{proof.identity.key}.json", proof.to_json())
    except OSError as error:
        raise DeliveryError(
            f"the proof cannot be kept: {error.strerror}", mend=f"set {cache.ENVIRONMENT} to a folder of your own"
        ) from error


def _since(now: Identity) -> str:
    """What has changed since the last proof of the same model on the same device, in words; empty for no such proof."""
    before: Identity | None = None
    latest = ""
    try:
        kept = [records.read(path) for path in _folder().glob("*.json")]
    except BedsideError:
        return ""
    for content in kept:
        try:
            proof = Proof.from_json(content or {})
        except ValueError:
            continue
        old = proof.identity
        if (old.device, old.model_sha256, old.precision) != (now.device, now.model_sha256, now.precision):
            continue
        if proof.proved and proof.made_at > latest:
            before, latest = old, proof.made_at
    if before is None:
        return ""
    changes = [
        f"{name} went from {before.versions.get(name, 'none')} to {now.versions.get(name, 'none')}"
        for name in sorted({*before.versions, *now.versions})
        if before.versions.get(name) != now.versions.get(name)
    ]
    changes += [
        f"the {what} changed"
        for what, old_value, new_value in (
            ("bundle", before.bundle_sha256, now.bundle_sha256),
            ("device", before.device_name, now.device_name),
            ("processor", before.host, now.host),
            ("version of bedside", before.bedside, now.bedside),
        )
        if old_value != new_value
    ]
    return f" since {' and '.join(changes)}" if changes else ""
