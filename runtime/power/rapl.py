"""The processor's own energy counters, as Linux shows them: /sys/class/powercap/intel-rapl:N, Intel and AMD.

Source class ``counter``, scope ``package``: the processor packages with their caches and, on most, the memory
controller; neither memory nor the board, and whatever else runs on the host meanwhile is in it.

Source: Linux Documentation/power/powercap/powercap.rst. Since Linux 5.10 only root may read the counters.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SOURCE, SCOPE = "counter", "package"
_ROOT = Path("/sys/class/powercap")
MEND = "as root: chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"


class Rapl:
    """The counters of every processor package of this host."""

    def __init__(self, root: Path = _ROOT) -> None:
        self._zones = {
            zone: _number(zone / "max_energy_range_uj")
            for zone in sorted(root.glob("intel-rapl:*"))
            # Zones within a package (core, uncore, dram) are part of it, or of another scope: never added to it.
            if zone.name.count(":") == 1 and _text(zone / "name").startswith("package")
        }

    @property
    def why_not(self) -> str:
        """Why nothing can be measured, with what to do where something can be done; empty where it can."""
        if not self._zones:
            return "this host shows no energy counter"
        if self.read() is None:
            return f"the energy counters may not be read ({MEND})"
        return ""

    def read(self) -> dict[Path, int] | None:
        """The counters in microjoules; None where one cannot be read."""
        found: dict[Path, int] = {}
        for zone in self._zones:
            value = _number(zone / "energy_uj")
            if value is None:
                return None
            found[zone] = value
        return found or None

    def joules(self, before: Mapping[Path, int], after: Mapping[Path, int]) -> float | None:
        """Joules between two readings that are less than one wrap-around of a counter apart; None where unknown."""
        total = 0
        for zone, start in before.items():
            spent = after[zone] - start
            if spent < 0:  # it wrapped around
                span = self._zones[zone]
                if span is None:
                    return None
                spent += span + 1
            total += spent
        return total / 1e6


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None
