"""What a result says of the proof of the device that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NOT_PROVED = "not proved on this host"


@dataclass(frozen=True)
class Stamp:
    """The verdict on a device, as it goes into result.json, SR, SEG and key images."""

    proved: bool = False
    text: str = NOT_PROVED
    """One line, e.g. ``proved 2026-11-24, Dice 1.000`` or ``not proved on this host``."""
    details: Mapping[str, Any] | None = None
    """The stored verdict without its identity and cases, as JSON values; None where there is none."""

    def to_json(self) -> dict[str, Any]:
        return {"proved": self.proved, "text": self.text, **(self.details or {})}
