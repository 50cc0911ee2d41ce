"""Which wheel of ONNX Runtime is installed, and whether it has what a device needs."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from ..contract import DeviceUnavailable
from ..library import load

REQUIRES = ("onnxruntime>=1.24.1",)
# Wheels of the same Python package `onnxruntime`: whichever was installed last has overwritten files of the other.
WHEELS = ("onnxruntime", "onnxruntime-gpu")


def library(device: str, install: str, requirement: str = REQUIRES[0]) -> Any:
    """The module ``onnxruntime``.

    Raises
    ------
    DeviceUnavailable
        It is missing, too old, does not load, or two wheels of it are installed.
    """
    both = [wheel for wheel in WHEELS if version_of(wheel)]
    if len(both) > 1:
        raise DeviceUnavailable(
            f"{device}: {' and '.join(both)} are both installed and overwrite each other's files",
            mend=f"pip uninstall -y {' '.join(both)} && {install}",
        )
    return load(requirement, device=device, mend=install)


def with_provider(device: str, install: str, provider: str, *others: str) -> Any:
    """The module ``onnxruntime``, built with the execution providers named.

    Raises
    ------
    DeviceUnavailable
        As of :func:`library`, or the wheel has not got a provider.
    """
    module = library(device, install)
    for name in (provider, *others):
        if name not in module.get_available_providers():
            installed = next((wheel for wheel in WHEELS if version_of(wheel)), "onnxruntime")
            raise DeviceUnavailable(
                f"{device}: the installed wheel {installed} {module.__version__} is built without {name}",
                mend=f"pip uninstall -y {installed} && {install}",
            )
    return module


def version_of(distribution: str) -> str | None:
    """The installed version of a pip distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
