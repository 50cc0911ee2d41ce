"""What `bedside doctor` examines: the host, the installation, every device, every transfer syntax."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bedside.backends.contract import Device

from .host import processor
from .probing import list_devices
from .study import codecs
from .threads import set_once

PACKAGES = (
    "bedside",
    "numpy",
    "pydicom",
    "highdicom",
    "imagecodecs",
    "openvino",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-ep-webgpu",
    "scipy",
)


@dataclass(frozen=True)
class Report:
    """One examination of this installation."""

    host: dict[str, Any]
    packages: dict[str, str | None]
    """Version by distribution name; None where it is not installed."""
    devices: tuple[Device, ...]
    decoders: tuple[codecs.Proof, ...]
    problems: tuple[str, ...]
    """One line each, with what to do; empty on a sound installation."""

    @property
    def healthy(self) -> bool:
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        return {
            "healthy": self.healthy,
            "problems": list(self.problems),
            "host": self.host,
            "packages": self.packages,
            "devices": [asdict(device) for device in self.devices],
            "decoders": [asdict(row) for row in self.decoders],
        }


def versions(names: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """Installed version of each distribution, None where it is missing."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def describe_host() -> dict[str, Any]:
    """Processor, cores, thread budget, memory in bytes, operating system, Python, instruction set of the kernels."""
    from bedside.kernels import active_isa

    budget = set_once()
    return {
        "processor": processor(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": budget.threads,
        "threads_bound_by": budget.bounds,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "kernels": active_isa(),
    }


def examine() -> Report:
    """Examine this installation; decodes one small image a transfer syntax, which takes about a second."""
    devices = tuple(list_devices())
    decoders = tuple(codecs.table())
    packages = versions()
    problems = [f"{row.name} cannot be decoded: {row.reason}" for row in decoders if not row.proved]
    if packages["onnxruntime"] and packages["onnxruntime-gpu"]:
        problems.append(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
            f"{sys.executable} -m pip uninstall onnxruntime onnxruntime-gpu, then install the one you need"
        )
    if not any(device.available for device in devices if device.id not in ("null", "reference")):
        problems.append("no device can run a model: pip install openvino")
    return Report(describe_host(), packages, devices, decoders, tuple(problems))
