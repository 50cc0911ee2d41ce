"""The GPUs that Vulkan shows, asked of the loader itself: names, kinds and drivers, without a WebGPU device."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass

LOADER = "libvulkan.so.1"
LOADER_MEND = "install the Vulkan loader: apt install libvulkan1"
DRIVER_MEND = "install a Vulkan driver of the GPU: apt install mesa-vulkan-drivers (Intel, AMD) or nvidia-driver"

_KINDS = ("other", "integrated", "discrete", "virtual", "software")  # VkPhysicalDeviceType
_MOST = 16


@dataclass(frozen=True)
class Gpu:
    """A physical device of Vulkan."""

    name: str
    kind: str
    """integrated, discrete, virtual, software (computed by the CPU) or other."""
    driver: str
    """Version of the driver; what the three numbers mean is the vendor's affair."""

    @property
    def software(self) -> bool:
        return self.kind == "software"


class NoVulkan(Exception):
    """There is no Vulkan loader, or it does not start; the text says which."""


class _InstanceInfo(ctypes.Structure):
    """VkInstanceCreateInfo with nothing asked for."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application", ctypes.c_void_p),
        ("layer_count", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32),
        ("extensions", ctypes.c_void_p),
    )


def gpus() -> list[Gpu]:
    """The physical devices of Vulkan in the loader's order, at most 16; none where no driver is installed.

    Raises
    ------
    NoVulkan
        The loader is missing or does not start.
    """
    try:
        loader = ctypes.CDLL(LOADER)
    except OSError:
        raise NoVulkan(f"the Vulkan loader {LOADER} is not installed") from None
    instance = ctypes.c_void_p()
    created = loader.vkCreateInstance(ctypes.byref(_InstanceInfo(type=1)), None, ctypes.byref(instance))
    if created == -9:  # VK_ERROR_INCOMPATIBLE_DRIVER: the loader has no driver to go with
        return []
    if created:
        raise NoVulkan(f"the Vulkan loader does not start (VkResult {created})")
    try:
        count = ctypes.c_uint32(_MOST)
        handles = (ctypes.c_void_p * _MOST)()
        found = loader.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
        if found < 0:
            raise NoVulkan(f"Vulkan does not list its devices (VkResult {found})")
        return [_describe(loader, handle) for handle in handles[: count.value] if handle is not None]
    finally:
        loader.vkDestroyInstance(instance, None)


def _describe(loader: ctypes.CDLL, handle: int) -> Gpu:
    # VkPhysicalDeviceProperties: five numbers, the name, and limits that are of no interest here (824 bytes in all).
    properties = ctypes.create_string_buffer(2048)
    loader.vkGetPhysicalDeviceProperties(ctypes.c_void_p(handle), properties)
    _, driver, _, _, kind, name = struct.unpack_from("<5I256s", properties)
    return Gpu(
        name.split(b"\0", 1)[0].decode(errors="replace"),
        _KINDS[kind] if kind < len(_KINDS) else "other",
        f"{driver >> 22}.{driver >> 12 & 0x3FF}.{driver & 0xFFF}",
    )
