"""``webgpu:N`` and ``ort-plugin:NAME[:N]``: providers that come as pip packages of their own, beside the CPU's wheel.

Such a package is called ``onnxruntime-ep-NAME``: ``onnxruntime-ep-webgpu`` drives any GPU that has a Vulkan driver,
``onnxruntime-ep-nv-tensorrt-rtx-cu13`` NVIDIA's newer cards, ``onnxruntime-ep-openvino`` Intel's. Where a provider has
memory of its own, inputs and outputs are bound to it.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from ..contract import Device, DeviceFault, DeviceUnavailable, Options
from ..library import one_line
from ..onnx_file import check_file
from . import session as sessions
from . import settings, vulkan, wheels
from .plugin_memory import PluginMemory, WebGpuMemory
from .program import BoundProgram, Memory, OrtProgram

SOFTWARE = "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER"
"""Set to 1 in the environment, the WebGPU provider takes a GPU that the CPU computes too."""

WEBGPU = "webgpu"
_PREFIX = "onnxruntime-ep-"
_WEBGPU_REQUIRES = "onnxruntime>=1.32"  # the first whose sessions allocate WebGPU buffers from Python
_WEBGPU_INSTALL = "pip install 'bedside[webgpu]'"
_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    # int64 appears in most exported networks; without this the provider leaves its operators to the CPU.
    WEBGPU: {"enableInt64": "1"},
    # Left to itself it computes in bfloat16 where the host can.
    "openvino": {
        "load_config": json.dumps({kind: {"INFERENCE_PRECISION_HINT": "f32"} for kind in ("CPU", "GPU", "NPU")})
    },
}
"""What plug-ins are told by default, by name."""
_NO_ADAPTER = re.compile(r"Failed to get a WebGPU (adapter|device).*")

_registering = threading.Lock()
_registered: set[str] = set()


@dataclass(frozen=True)
class Plugin:
    """An installed package that carries a provider."""

    name: str
    """As in the device string."""
    distribution: str
    version: str

    @property
    def module(self) -> str:
        return self.distribution.replace("-", "_")


OPTIONS: Mapping[str, settings.Check] = dict(settings.ACCELERATOR)
"""Options of a plug-in that every one has; its own, ``ep.NAME``, are taken as they are, for the provider to judge."""


def probe() -> list[Device]:
    """``webgpu:0``, and a Device for every installed plug-in and device of it."""
    devices = [_probe_webgpu()]
    for plugin in installed():
        if plugin.name != WEBGPU:
            devices += _probe(plugin)
    return devices


def open(model: Path, device: str, name: str, index: int, options: Options) -> OrtProgram:
    """Load a model with the provider of a plug-in.

    Raises
    ------
    DeviceUnavailable
        The plug-in, a library of it or its device is missing, or the option is unknown.
    DeviceFault
        The model cannot be loaded, or not all of it would run on the device.
    """
    plugin, library, found = _require(name, device)
    if index >= len(found):
        raise DeviceUnavailable(f"{device}: {plugin.distribution} has no such device", mend=f"there are {len(found)}")
    chosen = found[index]
    own = dict(_DEFAULTS.get(plugin.name, {}))
    own |= {key.removeprefix("ep."): str(value) for key, value in options.extra.items() if key.startswith("ep.")}
    others = {key: value for key, value in options.extra.items() if not key.startswith("ep.")}
    values = settings.read(replace(options, extra=others), OPTIONS, device)
    check_file(model, device)

    def make(forbidden: bool) -> Any:
        session_options = settings.session_options(library, options, values)
        sessions.forbid_fallback(session_options, forbidden)
        session_options.add_provider_for_devices([chosen], own)
        return library.InferenceSession(str(model), session_options, enable_fallback=0)

    cpu_nodes = int(values.get("cpu_nodes", 0))
    try:
        session = sessions.on_providers(make, model, device, [str(chosen.ep_name)], cpu_nodes=cpu_nodes)
    except DeviceFault as error:
        refused = _NO_ADAPTER.search(str(error.__cause__))
        if refused:
            raise DeviceUnavailable(f"{device}: {' '.join(refused[0].split())}", mend=vulkan.DRIVER_MEND) from error
        raise
    described = _describe(device, plugin, library, chosen)
    inputs, outputs = sessions.specs(session, model, device)
    memory = memory_of(library, session, chosen)
    if memory is None:
        return OrtProgram(session, described, inputs, outputs, options)
    return BoundProgram(session, memory, described, inputs, outputs, options)


def installed() -> list[Plugin]:
    """The plug-ins that are installed in this Python, by name; a package of which nothing but a name exists counts."""
    found = {}
    for distribution in metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name.startswith(_PREFIX):
            found[name] = Plugin(name.removeprefix(_PREFIX), name, distribution.version)
    return [found[name] for name in sorted(found)]


def find(name: str) -> Plugin | None:
    """The plug-in of a device string: of that name, or the only one whose name begins so (``nv-tensorrt-rtx``)."""
    wanted = name.lower().replace("_", "-")
    all_plugins = installed()
    exact = [plugin for plugin in all_plugins if plugin.name == wanted]
    longer = [plugin for plugin in all_plugins if plugin.name.startswith(f"{wanted}-")]
    fitting = exact or longer
    return fitting[0] if len(fitting) == 1 else None


def memory_of(library: Any, session: Any, ep_device: Any) -> Memory | None:
    """The memory of a provider's device, or None where it computes in the host's."""
    if ep_device.ep_name == "WebGpuExecutionProvider":
        return WebGpuMemory(session)
    info = ep_device.memory_info(library.OrtDeviceMemoryType.DEFAULT)
    return None if info is None else PluginMemory(library, info)


def _require(name: str, device: str) -> tuple[Plugin, Any, list[Any]]:
    """The plug-in, the module ``onnxruntime`` and the devices that the plug-in offers, at least one."""
    plugin = find(name)
    install = _WEBGPU_INSTALL if name == WEBGPU else f"pip install {_PREFIX}{name}"
    if plugin is None:
        raise DeviceUnavailable(f"{device}: the Python package {_PREFIX}{name} is not installed", mend=install)
    library = wheels.library(device, install, _WEBGPU_REQUIRES if name == WEBGPU else wheels.REQUIRES[0])
    if name == WEBGPU:
        _webgpu_adapters(device)
    names = _register(plugin, library, device)
    found = [entry for entry in library.get_ep_devices() if entry.ep_name in names]
    if not found:
        _unregister(plugin, library)
        mend = vulkan.DRIVER_MEND if name == WEBGPU else f"see the requirements of {plugin.distribution}"
        raise DeviceUnavailable(f"{device}: {plugin.distribution} finds no device on this host", mend=mend)
    return plugin, library, found


def _register(plugin: Plugin, library: Any, device: str) -> list[str]:
    """Load a plug-in into this process, once; the names of its providers."""
    mend = f"pip install --upgrade --force-reinstall {plugin.distribution}"
    try:
        module = import_module(plugin.module)
        path = module.get_library_path()
        names = list(module.get_ep_names()) if hasattr(module, "get_ep_names") else [module.get_ep_name()]
    except Exception as error:
        reason = f"{device}: {plugin.distribution} does not load: {one_line(error)}"
        raise DeviceUnavailable(reason, mend=mend) from error
    with _registering:
        if plugin.distribution not in _registered:
            library.set_default_logger_severity(4)  # what matters comes as an exception too
            try:
                library.register_execution_provider_library(plugin.distribution, path)
            except Exception as error:
                reason = f"{device}: {plugin.distribution} {plugin.version} does not load: {one_line(error)}"
                raise DeviceUnavailable(reason, mend=mend) from error
            finally:
                library.set_default_logger_severity(2)  # ONNX Runtime's own; it cannot be asked
            _registered.add(plugin.distribution)
    return names


def _unregister(plugin: Plugin, library: Any) -> None:
    """Unload a plug-in that found no device, so that it looks again the next time."""
    with _registering, suppress(Exception):
        library.unregister_execution_provider_library(plugin.distribution)
        _registered.discard(plugin.distribution)


def _webgpu_adapters(device: str) -> list[vulkan.Gpu]:
    """The GPUs of Vulkan that the WebGPU provider may take, at least one."""
    try:
        gpus = vulkan.gpus()
    except vulkan.NoVulkan as error:
        raise DeviceUnavailable(f"{device}: {error}", mend=vulkan.LOADER_MEND) from None
    if not gpus:
        raise DeviceUnavailable(f"{device}: Vulkan finds no GPU", mend=vulkan.DRIVER_MEND)
    hardware = [gpu for gpu in gpus if not gpu.software]
    if hardware or os.environ.get(SOFTWARE) == "1":
        return hardware or gpus
    raise DeviceUnavailable(
        f"{device}: Vulkan finds no GPU, only {gpus[0].name}, which the CPU computes",
        mend=f"{vulkan.DRIVER_MEND}; or accept that with {SOFTWARE}=1",
    )


def _describe(device: str, plugin: Plugin, library: Any, ep_device: Any) -> Device:
    versions = {"onnxruntime": str(library.__version__), plugin.distribution: plugin.version}
    if plugin.name == WEBGPU:
        gpus = _webgpu_adapters(device)
        name = " or ".join(dict.fromkeys(gpu.name for gpu in gpus))
        versions["driver"] = ", ".join(dict.fromkeys(gpu.driver for gpu in gpus))
    else:
        hardware = ep_device.device
        name = f"{hardware.vendor} {hardware.type.name} with {ep_device.ep_name}".strip()
    return Device(device, name, True, versions=versions)


def _probe_webgpu() -> Device:
    device = f"{WEBGPU}:0"
    try:
        plugin, library, found = _require(WEBGPU, device)
        return _describe(device, plugin, library, found[0])
    except DeviceUnavailable as error:
        return Device(device, "GPU through WebGPU", False, error.message.removeprefix(f"{device}: "), error.mend or "")
    except Exception as error:
        return Device(device, "GPU through WebGPU", False, one_line(error), _WEBGPU_INSTALL)


def _probe(plugin: Plugin) -> list[Device]:
    device = f"ort-plugin:{plugin.name}"
    try:
        _, library, found = _require(plugin.name, device)
        return [
            _describe(f"{device}:{index}" if index else device, plugin, library, entry)
            for index, entry in enumerate(found)
        ]
    except DeviceUnavailable as error:
        return [Device(device, plugin.distribution, False, error.message.removeprefix(f"{device}: "), error.mend or "")]
    except Exception as error:
        return [Device(device, plugin.distribution, False, one_line(error), f"pip install -U {plugin.distribution}")]
