"""Opening a model on a device; the first time on this host in a child process, so that a crash is an error.

That a model was opened is remembered for as long as nothing has changed that a crash could come from: the model, the
libraries, the drivers, the processor. What changes more than it needs costs one more trial and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bedside.backends import cache
from bedside.backends.contract import BedsideError, Options, Program

from . import child, records
from .devices import open_program, requirements
from .host import fingerprint
from .stopwatch import Progress

TIMEOUT = 1800.0
"""Seconds that loading a model may take: TensorRT compiles for minutes."""
_NO_LIBRARY = frozenset({"null", "reference"})
"""Devices of Python and numpy alone: there is nothing to crash."""
_DRIVERS = ("/etc/ld.so.cache", "/proc/driver/nvidia/version", "/etc/OpenCL/vendors", "/etc/vulkan/icd.d")
_MOST_BYTES = 1 << 20
_DEFAULT = Options()


def open_tried(
    model: Path,
    sha256: str,
    device: str,
    options: Options = _DEFAULT,
    *,
    progress: Progress | None = None,
) -> Program:
    """Load an ONNX model on a device, after a child process has, where nobody has loaded it there before.

    Parameters
    ----------
    sha256
        Of the model file.

    Raises
    ------
    Crash
        It took the child process down; nothing was loaded here.
    DeviceUnavailable, DeviceFault
        As :func:`bedside.runtime.devices.open_program`.
    """
    if device.partition(":")[0] not in _NO_LIBRARY and not was_opened(sha256, device, options):
        child.call(
            "bedside.runtime.opening:open_in_child",
            {
                "model": str(model),
                "device": device,
                "options": asdict(replace(options, extra=dict(options.extra))),
            },
            what=f"{device}, loading {model.name},",
            progress=progress,
            timeout=TIMEOUT,
        )
        remember(sha256, device, options)
    return open_program(model, device, options)


def was_opened(sha256: str, device: str, options: Options = _DEFAULT) -> bool:
    """Whether this model was opened on this device as everything stands now."""
    with suppress(OSError, BedsideError):
        return records.read(_record(sha256, device, options)) is not None
    return False


def remember(sha256: str, device: str, options: Options = _DEFAULT) -> None:
    """Note that it was opened; where that cannot be written, it is tried again the next time."""
    with suppress(OSError, BedsideError):
        path = _record(sha256, device, options)
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        records.write(path, {"device": device, "model_sha256": sha256, "opened_at": now})
        cache.trim(path.parent, _MOST_BYTES)


def open_in_child(arguments: Mapping[str, Any], progress: Progress, note: child.Note) -> None:
    """Open and close."""
    progress("open", 0, 0)
    open_program(Path(arguments["model"]), arguments["device"], Options(**arguments["options"])).close()


def _record(sha256: str, device: str, options: Options) -> Path:
    about = {
        "model": sha256,
        "device": device,
        "options": {name: repr(value) for name, value in options.extra.items()},
        "bedside": version("bedside"),
        "host": fingerprint(),
        "kernel": os.uname().release,
        "drivers": [_state(Path(path)) for path in _DRIVERS],
        "libraries": [_library(name) for name in requirements(device)],
    }
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return cache.folder("opened") / f"{key}.json"


def _library(name: str) -> list[Any]:
    """Where a library lies and when it, or anything beside it, was installed; it is not imported for that."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return [name]
    package = Path(spec.origin)
    return [name, str(package), _state(package), _state(package.parent.parent)]


def _state(path: Path) -> str:
    """When a file was last written; of /proc, whose times say nothing, its text."""
    try:
        if path.is_relative_to("/proc"):
            return path.read_text(encoding="utf-8", errors="replace")
        return str(path.stat().st_mtime_ns)
    except OSError:
        return ""
