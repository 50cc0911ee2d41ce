"""What a caller may set: the options of each family of devices, checked, and the session options made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bedside.kernels import thread_budget

from ..contract import DeviceUnavailable, Options

Check = Callable[[str], bool]

LEVELS = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}


def whole(text: str) -> bool:
    """A whole number that is not negative."""
    return text.isdecimal()


def flag(text: str) -> bool:
    return text in ("0", "1")


def any_text(value: str) -> bool:
    return bool(value)


def one_of(*values: str) -> Check:
    return lambda value: value in values


SESSION: Mapping[str, Check] = {
    "graph_optimization_level": one_of(*LEVELS),
    "session.intra_op.allow_spinning": flag,
    "session.x64quantprecision": flag,
}
"""Options of every family."""

ACCELERATOR: Mapping[str, Check] = {**SESSION, "cpu_nodes": whole}
"""And of every family but the CPU: ``cpu_nodes`` is how many nodes of the network may run on the CPU, 0 by default."""


def read(options: Options, allowed: Mapping[str, Check], device: str) -> dict[str, str]:
    """The extra options as text, True and False as 1 and 0.

    Raises
    ------
    DeviceUnavailable
        An option that ``allowed`` does not have, or a value that it cannot take.
    """
    unknown = sorted(set(options.extra) - set(allowed))
    if unknown:
        raise DeviceUnavailable(f"{device} has no option {unknown[0]!r}", mend=f"one of {', '.join(allowed)}")
    values = {name: str(int(value) if isinstance(value, bool) else value) for name, value in options.extra.items()}
    for name, value in values.items():
        if not allowed[name](value):
            raise DeviceUnavailable(f"{device}: {name} cannot be {value!r}", mend=_choices(allowed[name]))
    return values


def session_options(library: Any, options: Options, values: Mapping[str, str]) -> Any:
    """ONNX Runtime's SessionOptions; without a provider."""
    settings = library.SessionOptions()
    settings.log_severity_level = 4  # what matters comes as an exception too
    # Left to itself ONNX Runtime counts the host's cores and pins to them, whatever the process's affinity mask says.
    settings.intra_op_num_threads = options.threads or thread_budget()
    settings.inter_op_num_threads = 1
    level = values.get("graph_optimization_level", "all")
    settings.graph_optimization_level = getattr(library.GraphOptimizationLevel, LEVELS[level])
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    spinning = values.get("session.intra_op.allow_spinning", "1")
    settings.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    # Where uint8 times int8 saturates (x86-64 without VNNI) other instructions are taken; elsewhere this does nothing.
    precise = values.get("session.x64quantprecision", "1")
    settings.add_session_config_entry("session.x64quantprecision", precise)
    return settings


def _choices(check: Check) -> str:
    if check is flag:
        return "0 or 1"
    if check is whole:
        return "a whole number, 0 or more"
    closure = check.__closure__
    return f"one of {', '.join(closure[0].cell_contents)}" if closure else "a text that is not empty"
