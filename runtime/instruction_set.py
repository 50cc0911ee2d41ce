"""The instruction set that the kernels run with, asked for before any work is done."""

from __future__ import annotations

import os

from bedside import kernels

from .errors import DeviceUnavailable

_VARIABLE = "BEDSIDE_KERNEL_ISA"


def require_instruction_set() -> str:
    """Its name.

    Raises
    ------
    DeviceUnavailable
        The environment variable BEDSIDE_KERNEL_ISA names none that this CPU has, or the CPU has none of the kernels'.
    """
    try:
        return kernels.active_isa()
    except RuntimeError as error:
        mend = f"unset {_VARIABLE}, or set it to one of these" if os.environ.get(_VARIABLE) else None
        raise DeviceUnavailable(str(error), mend=mend) from None
