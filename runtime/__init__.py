"""The way of a study, one module a step: study -> geometry -> transforms -> inference -> findings -> report."""

from contextlib import suppress

from . import threads
from .bundle.check import check_bundle
from .bundle.load import Bundle, load_bundle
from .bundle.make import import_bundle, new_bundle
from .doctor import examine
from .errors import (
    BedsideError,
    BundleError,
    DeliveryError,
    DeviceFault,
    DeviceUnavailable,
    ProofFailed,
    StudyRejected,
)
from .overview import overview
from .pipeline import Result, run
from .probing import list_devices
from .proof import Proof, prove
from .study import Study, load_study

__all__ = [
    "BedsideError",
    "Bundle",
    "BundleError",
    "DeliveryError",
    "DeviceFault",
    "DeviceUnavailable",
    "Proof",
    "ProofFailed",
    "Result",
    "Study",
    "StudyRejected",
    "check_bundle",
    "examine",
    "import_bundle",
    "list_devices",
    "load_bundle",
    "load_study",
    "new_bundle",
    "overview",
    "prove",
    "run",
]

with suppress(BedsideError):  # a wrong setting is said by run() and by the command line, not by an import
    threads.set_once()
