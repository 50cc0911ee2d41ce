"""Finding a backend's library and putting what it says into one line."""

from __future__ import annotations

import importlib
import re
from types import ModuleType

from .contract import DeviceUnavailable

_NOISE = (
    re.compile(r"^(/onnxruntime_src/\S+:\d+ [^\[]*\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : )+"),
    re.compile(r"/onnxruntime_src/\S+:\d+ .*? was false\. "),
    re.compile(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : "),
    re.compile(r"Exception from \S+:\d+:"),
    re.compile(r"Check '.*?' failed at \S+:\d+:"),
    re.compile(r"FrontEnd API failed with \w+:"),
)
_LONGEST = 240


def one_line(error: BaseException) -> str:
    """What a library's exception says, without its source positions and on one line of at most 240 characters."""
    text = str(error)
    for pattern in _NOISE:
        text = pattern.sub("", text)
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def load(requirement: str, *, device: str, mend: str) -> ModuleType:
    """Import the library that a requirement such as ``openvino>=2025.4`` names, in at least that version.

    Raises
    ------
    DeviceUnavailable
        The library is missing, too old, or does not load; ``mend`` is passed on.
    """
    name, _, minimum = requirement.partition(">=")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        what = f"the Python package {name} is not installed" if error.name == name else one_line(error)
        raise DeviceUnavailable(f"{device}: {what}", mend=mend) from None
    except Exception as error:  # a broken wheel raises what it likes: ImportError, OSError, RuntimeError
        raise DeviceUnavailable(f"{device}: {name} does not load: {one_line(error)}", mend=mend) from error
    version = str(getattr(module, "__version__", "0"))
    if _numbers(version) < _numbers(minimum):
        raise DeviceUnavailable(f"{device}: {name} {version} is too old, {minimum} or newer is needed", mend=mend)
    return module


def _numbers(version: str) -> tuple[int, ...]:
    """The release numbers at the front of a version: ``2026.4.1-22982-abc`` gives (2026, 4, 1)."""
    front = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in front.group().split(".")) if front else ()
