"""What this host is, as far as numbers depend on it: its processor and the instruction sets that are used."""

from __future__ import annotations

import hashlib
import platform
import re
from functools import cache
from pathlib import Path

from bedside.kernels import active_isa

_CPUINFO = Path("/proc/cpuinfo")
_ARITHMETIC = re.compile(r"(sse|ssse|avx|amx|fma|f16c|asimd|sve|sme|fphp|bf16|i8mm)\w*")
"""CPU flags that a numeric library may choose its code by."""


def processor() -> str:
    """What the processor calls itself."""
    return _field("model name") or platform.processor() or platform.machine()


@cache
def fingerprint() -> str:
    """The processor, exactly enough that a library which picks its code by CPU picks the same wherever this is equal.

    A virtual machine's model name says little, so family, model, stepping and the arithmetic instruction sets are in
    it, and the instruction set that the kernels use.
    """
    parts = [processor()]
    numbers = [(name, _field(key)) for name, key in _NUMBERS.items()]
    parts += [f"{name} {value}" for name, value in numbers if value]
    flags = sorted({word for word in _field("flags", "Features").split() if _ARITHMETIC.fullmatch(word)})
    parts.append(f"instruction sets {hashlib.sha256(' '.join(flags).encode()).hexdigest()[:8]}")
    parts.append(f"kernels {active_isa()}")
    return ", ".join(parts)


_NUMBERS = {"family": "cpu family", "model": "model", "stepping": "stepping", "part": "CPU part"}


def _field(*names: str) -> str:
    """The first value of a key in /proc/cpuinfo; empty where there is none."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in names:
            return value.strip()
    return ""
