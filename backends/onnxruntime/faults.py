"""What an exception of ONNX Runtime means for the device: lost, out of memory, or just failed."""

from __future__ import annotations

import re

from ..contract import DeviceFault, FaultKind
from ..library import one_line

_LOST = re.compile(
    r"device\]? (is|was) lost|lost device|VK_ERROR_DEVICE_LOST|"
    r"CUDA failure (46|214|700|702|709|710|715|716|717|718|719|720|721)\b|"
    r"unspecified launch failure|illegal memory access|fallen off the bus",
    re.IGNORECASE,
)
_MEMORY = re.compile(
    r"CUDA failure 2\b|out of memory|out_of_(host_|device_)?memory|failed to allocate memory|ALLOC_FAILED|bad_alloc|"
    r"available memory of \d+ is smaller than requested",
    re.IGNORECASE,
)


def kind_of(error: BaseException) -> FaultKind:
    """Which of the three an exception tells of, from its text: ONNX Runtime has no types for them."""
    text = str(error)
    if _LOST.search(text):
        return "lost"
    if isinstance(error, MemoryError) or _MEMORY.search(text):
        return "memory"
    return "failed"


def fault(device: str, error: Exception) -> DeviceFault:
    """The DeviceFault of a failed run, with what to do about it."""
    kind = kind_of(error)
    if kind == "lost":
        mend = "open it again, or use another"
        return DeviceFault(f"{device}: the device is lost: {one_line(error)}", mend=mend, kind=kind)
    if kind == "memory":
        mend = "close other programs or use less"
        return DeviceFault(f"{device}: out of memory: {one_line(error)}", mend=mend, kind=kind)
    return DeviceFault(f"{device} failed: {one_line(error)}")
