"""The refusals of the runtime and the exit codes the CLI maps them to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bedside.backends.contract import BedsideError, DeviceFault, DeviceUnavailable

if TYPE_CHECKING:
    from .geometry import Verdict

__all__ = [
    "BedsideError",
    "BundleError",
    "DeliveryError",
    "DeviceFault",
    "DeviceUnavailable",
    "ProofFailed",
    "StudyRejected",
]


class StudyRejected(BedsideError):
    """The study cannot be read, has no series the bundle accepts, or its geometry is in doubt (then verdict is set)."""

    exit_code = 3

    def __init__(self, message: str, *, mend: str | None = None, verdict: Verdict | None = None) -> None:
        super().__init__(message, mend=mend)
        self.verdict = verdict


class BundleError(BedsideError):
    """The bundle is incomplete, altered, or asks for something this version does not have."""

    exit_code = 4


class ProofFailed(BedsideError):
    """A device does not give the bundle's golden findings on this host."""

    exit_code = 6


class DeliveryError(BedsideError):
    """The results could not be written, or did not read back as what was meant; nothing half-written is left."""

    exit_code = 8
