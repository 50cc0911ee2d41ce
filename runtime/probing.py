"""The devices of this host, looked for in a child process: a driver that crashes when it is asked is one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bedside.backends.contract import Device

from . import child
from .devices import families, probe_families
from .stopwatch import Progress

TIMEOUT = 60.0
"""Seconds that one backend may take to look for its devices."""
_MEND = "repair or remove its driver or library; `bedside doctor` shows the versions"


def list_devices() -> list[Device]:
    """Every device that a backend knows of on this host, usable or not, built-in backends first. Never raises."""
    found: dict[str, list[Device]] = {}
    asked = list(families())
    while waiting := [family for family in asked if family not in found]:
        begun = waiting[0]

        def heard(note: Any) -> None:
            nonlocal begun
            if note["devices"] is None:
                begun = note["family"]
            else:
                found[note["family"]] = [Device(**device) for device in note["devices"]]

        try:
            child.call(
                "bedside.runtime.probing:probe_in_child",
                {"families": waiting},
                what="the probe",
                note=heard,
                timeout=TIMEOUT,
            )
        except child.Crash as crash:
            found[begun] = [Device(begun, begun, False, crash.message, _MEND)]
    return [device for family in asked for device in found[family]]


def probe_in_child(arguments: Mapping[str, Any], progress: Progress, note: child.Note) -> None:
    """Probe the families one by one, and say which before and what after."""
    for family, devices in probe_families(arguments["families"]):
        note({"family": family, "devices": None if devices is None else [asdict(device) for device in devices]})
