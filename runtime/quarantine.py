"""Devices that failed are set aside for a while, longer each time, and must be proved again before they are used.

One small file a device in the cache folder ``quarantine``, so that every later run on this host knows. The file
outlives the quarantine: a device that fails again soon after it was let back waits longer than the first time.
"""

from __future__ import annotations

import hashlib
import re
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bedside.backends import cache
from bedside.backends.contract import BedsideError, DeviceFault, FaultKind

from . import records

FIRST_WAIT = 60.0
"""Seconds that a device waits after its first fault."""
FACTOR = 4
LONGEST_WAIT = 86400.0
REMEMBERED = 86400.0
"""Seconds after a quarantine's end in which another fault counts as the next one and not as the first."""


@dataclass(frozen=True)
class Entry:
    """What is known of a device that failed."""

    device: str
    faults: int
    """How many times in a row."""
    since: float
    """Time of the last fault, seconds since 1970."""
    until: float
    """It is not to be tried before that time."""
    kind: FaultKind
    message: str
    proved_since: bool = False
    """It was proved again after the fault, and is used again."""

    @property
    def waiting(self) -> bool:
        """Whether the wait is not over; a clock that was set back since then does not make it longer."""
        return self.since <= time.time() < self.until

    @property
    def reason(self) -> str:
        """One line for a result or a terminal."""
        times = "" if self.faults == 1 else f" {self.faults} times"
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"in quarantine: it failed{times}, last at {when} ({self.message})"


def held(device: str) -> Entry | None:
    """The entry of a device that failed and was not proved since; None for one that may be used."""
    entry = _read(device)
    return None if entry is None or entry.proved_since else entry


def note(device: str, fault: BedsideError) -> Entry:
    """Set a device aside for what it did.

    Where the cache folder cannot be written, the device is set aside in the entry that is returned and nowhere else.
    """
    now = time.time()
    before = _read(device)
    faults = 1 if before is None or now > before.until + REMEMBERED else before.faults + 1
    wait = min(FIRST_WAIT * FACTOR ** min(faults - 1, 32), LONGEST_WAIT)
    kind: FaultKind = fault.kind if isinstance(fault, DeviceFault) else "failed"
    entry = Entry(device, faults, now, now + wait, kind, fault.message)
    _write(entry)
    return entry


def proved(device: str) -> None:
    """Let a device back that was proved again; the fault is remembered for a time."""
    entry = _read(device)
    if entry is not None and not entry.proved_since:
        _write(Entry(**{**asdict(entry), "proved_since": True}))


def lift(device: str) -> None:
    """Forget a device's fault: it was not the device's."""
    with suppress(OSError, BedsideError):
        _path(device).unlink()


def _path(device: str) -> Path:
    # Readable, and never the same file for two devices.
    readable = re.sub(r"[^\w.-]", "_", device)[:80]
    return cache.folder("quarantine") / f"{readable}-{hashlib.sha256(device.encode()).hexdigest()[:8]}.json"


def _read(device: str) -> Entry | None:
    with suppress(OSError, BedsideError, TypeError):
        content = records.read(_path(device))
        if content is not None:
            entry = Entry(**content)
            numbers = (
                isinstance(entry.faults, int) and isinstance(entry.since, float) and isinstance(entry.until, float)
            )
            return entry if numbers and isinstance(entry.message, str) else None
    return None


def _write(entry: Entry) -> None:
    with suppress(OSError, BedsideError):
        records.write(_path(entry.device), asdict(entry))
