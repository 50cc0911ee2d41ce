"""The geometry gate: do these frames make a volume, why not, and the honest resampling of what the user accepts."""

from .checks import check
from .planes import affine_from_frames, orientation_name, pixel_to_patient
from .regularise import regularise
from .verdict import ACCEPTABLE, NEVER, Finding, Plane, Resampling, SliceName, Verdict

__all__ = [
    "ACCEPTABLE",
    "NEVER",
    "Finding",
    "Plane",
    "Resampling",
    "SliceName",
    "Verdict",
    "affine_from_frames",
    "check",
    "orientation_name",
    "pixel_to_patient",
    "regularise",
]
