"""A session that runs the whole model where it was asked to, or an error that says what would not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..contract import DeviceFault, TensorSpec
from ..library import one_line

CPU = "CPUExecutionProvider"
_NO_FALLBACK = "session.disable_cpu_ep_fallback"

_DTYPES = {
    "float16": np.float16, "float": np.float32, "double": np.float64,
    "int8": np.int8, "int16": np.int16, "int32": np.int32, "int64": np.int64,
    "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64,
    "bool": np.bool_,
}  # fmt: skip

Make = Callable[[bool], Any]
"""Makes the session; with True no node may fall to the CPU."""


def on_the_cpu(library: Any, model: Path, settings: Any, device: str) -> Any:
    """A session of the CPU's provider alone; DeviceFault where the model cannot be loaded."""
    try:
        # Without enable_fallback=0 the Python module prints, and tries again with what else there is.
        return library.InferenceSession(str(model), settings, providers=[CPU], enable_fallback=0)
    except Exception as error:
        raise cannot_load(device, model, error) from error


def on_providers(make: Make, model: Path, device: str, providers: Sequence[str], *, cpu_nodes: int) -> Any:
    """A session in which ``providers`` run all but at most ``cpu_nodes`` nodes of the model.

    ONNX Runtime gives a node that a provider does not take to the CPU, and a provider that does not start it leaves
    out; both are only logged. So the fallback is forbidden where no node is allowed it, and the providers that the
    session ended up with are compared with those asked for.

    Parameters
    ----------
    make
        Makes the session with the providers.
    providers
        Their names, in order; the first must run at least one node.
    cpu_nodes
        How many nodes may run on the CPU.

    Raises
    ------
    DeviceFault
        The model cannot be loaded, or would run elsewhere.
    """
    try:
        session = make(cpu_nodes == 0)
    except Exception as error:
        if "fallback to CPU" not in str(error):
            raise cannot_load(device, model, error) from error
        raise _too_many(make, model, device) from error
    check_providers(session.get_providers(), providers, device)
    placed = placement(session)
    if not placed[providers[0]]:
        ran = ", ".join(f"{count} on {name}" for name, count in placed.items()) or "none placed"
        raise DeviceFault(f"{device}: {providers[0]} takes no node of {model.name} ({ran})")
    if placed[CPU] > cpu_nodes:
        raise _refusal(session, model, device)
    return session


def check_providers(found: Sequence[str], asked: Sequence[str], device: str) -> None:
    """Raise DeviceFault unless a session has the providers asked for, in order, and none but the CPU's besides."""
    rest = [name for name in found if name != CPU]
    if rest != list(asked):
        raise DeviceFault(
            f"{device}: ONNX Runtime would run the model on {', '.join(found) or 'nothing'}, not {', '.join(asked)}"
        )


def forbid_fallback(settings: Any, forbidden: bool) -> None:
    settings.add_session_config_entry(_NO_FALLBACK, "1" if forbidden else "0")


def placement(session: Any) -> Counter[str]:
    """How many nodes of the model each provider was given when the session was made.

    From the assignment that the session records (``session.record_ep_graph_assignment_info``), which is there before
    the first run and costs nothing later, unlike a profile.
    """
    counted: Counter[str] = Counter()
    for subgraph in session.get_provider_graph_assignment_info():
        counted[subgraph.ep_name] += len(subgraph.get_nodes())
    return counted


def specs(session: Any, model: Path, device: str) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Inputs and outputs of a session; DeviceFault for a type that numpy does not have."""
    return (
        [_spec(port, model, device) for port in session.get_inputs()],
        [_spec(port, model, device) for port in session.get_outputs()],
    )


def cannot_load(device: str, model: Path, error: BaseException) -> DeviceFault:
    return DeviceFault(f"{device} cannot load {model.name}: {one_line(error)}")


def _too_many(make: Make, model: Path, device: str) -> DeviceFault:
    """Why the fallback was needed: the session is made once more, with it allowed, and thrown away."""
    try:
        return _refusal(make(False), model, device)
    except Exception as error:
        return cannot_load(device, model, error)


def _refusal(session: Any, model: Path, device: str) -> DeviceFault:
    operators: Counter[str] = Counter()
    for subgraph in session.get_provider_graph_assignment_info():
        if subgraph.ep_name == CPU:
            operators.update(node.op_type for node in subgraph.get_nodes())
    on_cpu, all_nodes = sum(operators.values()), sum(placement(session).values())
    named = ", ".join(name for name, _ in operators.most_common(6)) + (", ..." if len(operators) > 6 else "")
    return DeviceFault(
        f"{device}: {on_cpu} of {all_nodes} nodes of {model.name} would run on the CPU ({named})",
        mend=f"use another device, or allow it with Options(extra={{'cpu_nodes': {on_cpu}}})",
    )


def _spec(port: Any, model: Path, device: str) -> TensorSpec:
    kind = str(port.type)
    element = kind.removeprefix("tensor(").removesuffix(")")
    if element not in _DTYPES:
        raise DeviceFault(f"{device}: '{port.name}' of {model.name} is {kind}, which is no numpy array")
    shape = tuple(dim if isinstance(dim, int) else None for dim in port.shape)
    return TensorSpec(port.name, shape, np.dtype(_DTYPES[element]))
