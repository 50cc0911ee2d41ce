"""Golden cases: studies with the findings they must give, what a device gives for them, and how far that is from it."""

from .compare import EXACT, REDUCED, CaseResult, Limits, auc_change, compare, dice_of
from .expected import Expectation, expectation, read_expectation, study_of
from .sampler import Sampler

__all__ = [
    "EXACT",
    "REDUCED",
    "CaseResult",
    "Expectation",
    "Limits",
    "Sampler",
    "auc_change",
    "compare",
    "dice_of",
    "expectation",
    "read_expectation",
    "study_of",
]
