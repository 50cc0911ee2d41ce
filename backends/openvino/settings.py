"""What is asked of an OpenVINO device, in OpenVINO's own property names, and whether it was honoured."""

from __future__ import annotations

from typing import Any

from bedside.kernels import thread_budget

from ..contract import DeviceFault, DeviceUnavailable, Options

PRECISION = "INFERENCE_PRECISION_HINT"
MODEL_CACHE = "model_cache"
"""The one option that is not OpenVINO's: False compiles anew and stores nothing."""
_CAPABILITY = {"f32": "FP32", "f16": "FP16", "bf16": "BF16"}


AUTO = "AUTO"
"""OpenVINO chooses the device."""


def properties(core: Any, name: str, device: str, options: Options) -> dict[str, Any]:
    """The properties to compile with.

    Raises
    ------
    DeviceUnavailable
        The device does not have a property, or does not compute in the precision that is asked for.
    """
    extra = {key: value for key, value in options.extra.items() if key != MODEL_CACHE}
    supported = core.get_property(name, "SUPPORTED_PROPERTIES")
    writable = {key for key, access in supported.items() if str(access) == "RW"} | {PRECISION}
    if name == AUTO:  # it hands on what it does not know
        writable |= {"INFERENCE_NUM_THREADS", "NUM_STREAMS"}
    unknown = sorted(set(extra) - writable)
    if unknown:
        raise DeviceUnavailable(
            f"{device} has no option {unknown[0]!r}", mend=f"one of {', '.join(sorted({*writable, MODEL_CACHE}))}"
        )
    precision = _precision(core, name, device, str(extra.pop(PRECISION, "f32")))
    threads = options.threads or thread_budget()
    settings: dict[str, Any] = {"PERFORMANCE_HINT": options.hint.upper()}
    if "INFERENCE_NUM_THREADS" in writable:
        settings["INFERENCE_NUM_THREADS"] = threads
    if options.hint == "throughput":
        if "INFERENCE_NUM_THREADS" in writable:
            settings["NUM_STREAMS"] = max(1, min(options.in_flight, threads))
        elif "PERFORMANCE_HINT_NUM_REQUESTS" in writable:
            settings["PERFORMANCE_HINT_NUM_REQUESTS"] = max(1, options.in_flight)
    if name == AUTO:
        # What AUTO does by itself (begin on the CPU and change the device later, or go on elsewhere after an error)
        # would be another device than the result names.
        fixed = {"ENABLE_STARTUP_FALLBACK": False, "ENABLE_RUNTIME_FALLBACK": False}
        return {**settings, **fixed, **extra, PRECISION: precision}
    return {**settings, **extra, PRECISION: precision}


def check_compiled(compiled: Any, name: str, device: str, precision: str = "f32") -> tuple[str, ...]:
    """The names of the devices that run the model: the one that was asked for, in that precision, or DeviceFault."""
    ran_on = tuple(str(entry) for entry in compiled.get_property("EXECUTION_DEVICES"))
    right = name == AUTO or all(entry == name or entry.startswith(f"{name}.") for entry in ran_on)
    if not ran_on or not right:
        raise DeviceFault(f"{device}: OpenVINO placed the model on {', '.join(ran_on) or 'no device'}")
    if name == AUTO:
        chosen = compiled.get_property("DEVICE_PROPERTIES")
        kinds = [chosen[entry][PRECISION] for entry in ran_on]
    else:
        kinds = [compiled.get_property(PRECISION)]
    for kind in kinds:
        if kind.get_type_name() != precision:
            raise DeviceFault(f"{device}: OpenVINO compiled the model for {kind.get_type_name()}, not {precision}")
    return ran_on


def _precision(core: Any, name: str, device: str, wanted: str) -> str:
    if wanted not in _CAPABILITY:
        raise DeviceUnavailable(f"{device} does not compute in {wanted!r}", mend=f"one of {', '.join(_CAPABILITY)}")
    if name != AUTO:
        able = [str(entry) for entry in core.get_property(name, "OPTIMIZATION_CAPABILITIES")]
        if _CAPABILITY[wanted] not in able:
            known = [kind for kind, capability in _CAPABILITY.items() if capability in able]
            raise DeviceUnavailable(
                f"{device} does not compute in {wanted}",
                mend=f"ask for {PRECISION} of {' or '.join(known) or 'another device'}, and prove the bundle with it",
            )
    return wanted
