"""The way of a study, one module a step: study -> geometry -> transforms -> inference -> findings -> report."""

from .bundle import Bundle, load_bundle
from .devices import list_devices
from .errors import (
    BedsideError,
    BundleError,
    DeliveryError,
    DeviceFault,
    DeviceUnavailable,
    ProofFailed,
    StudyRejected,
)
from .pipeline import Result, run
from .study import Study, load_study

__all__ = [
    "BedsideError",
    "Bundle",
    "BundleError",
    "DeliveryError",
    "DeviceFault",
    "DeviceUnavailable",
    "ProofFailed",
    "Result",
    "Study",
    "StudyRejected",
    "list_devices",
    "load_bundle",
    "load_study",
    "run",
]
