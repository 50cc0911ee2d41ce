"""NVIDIA's libraries and cards as they are on this host: what a provider is linked with, what is missing, who sells it.

A provider of ONNX Runtime is a shared library whose ELF header names the libraries of CUDA that it needs. ONNX Runtime
itself only logs which of them it did not find, so they are looked up and loaded here first: from where the linker
looks, then from NVIDIA's pip packages.
"""

from __future__ import annotations

import ctypes
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

DRIVER = "libcuda.so.1"
DRIVER_MEND = "install the NVIDIA driver: apt install nvidia-driver"

# The pip package of each library, by the front of its name; the longest fitting one counts.
_PACKAGES = {
    "libcublas": "nvidia-cublas",
    "libcudart": "nvidia-cuda-runtime",
    "libcufft": "nvidia-cufft",
    "libcurand": "nvidia-curand",
    "libcusparse": "nvidia-cusparse",
    "libcusolver": "nvidia-cusolver",
    "libnvJitLink": "nvidia-nvjitlink",
    "libnvrtc": "nvidia-cuda-nvrtc",
    "libcudnn": "nvidia-cudnn",
    "libnvinfer": "tensorrt",
    "libnvonnxparser": "tensorrt",
}
# Packages that carry the CUDA version in their name whatever it is; the others do up to CUDA 12.
_ALWAYS_SUFFIXED = ("nvidia-cudnn", "tensorrt")
# Where those packages put their libraries: package and pattern.
_FOLDERS = (("nvidia", "*/lib"), ("tensorrt_libs", "."), ("tensorrt_cu12_libs", "."), ("tensorrt_cu13_libs", "."))
_NOT_FOUND = re.compile(r"^([^\s:/]+\.so[^\s:]*): cannot open shared object file")

_LOAD, _DYNAMIC = 1, 2  # program header types of ELF
_NEEDED, _STRING_TABLE, _STRING_SIZE = 1, 5, 10  # tags of its dynamic section


@dataclass(frozen=True)
class Card:
    """An NVIDIA card as the driver describes it."""

    index: int
    name: str
    compute: tuple[int, int]
    """Compute capability, e.g. (8, 6)."""
    memory_bytes: int
    driver: str
    """Version of the driver, e.g. ``580.65.06``, or the CUDA version it was made for where the kernel does not say."""


class NoDriver(Exception):
    """There is no NVIDIA driver, or it finds no card; the text says which."""


def cards(library: str = DRIVER) -> list[Card]:
    """The cards that the driver shows this process, in the order of ``cuda:N``.

    Raises
    ------
    NoDriver
        The driver is not installed, does not start, or sees no card.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        raise NoDriver(f"the NVIDIA driver is not installed ({library} is missing)") from None
    code = driver.cuInit(0)
    if code:
        raise NoDriver(
            "the NVIDIA driver finds no card"
            if code == 100  # CUDA_ERROR_NO_DEVICE
            else f"the NVIDIA driver does not start: {_driver_error(driver, code)}"
        )
    count = ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    if not count.value:
        raise NoDriver("the NVIDIA driver finds no card")
    version = _driver_version(driver)
    return [_card(driver, index, version) for index in range(count.value)]


def needed(library: Path) -> list[str]:
    """The names of the shared libraries that a 64-bit little-endian ELF file is linked with (its DT_NEEDED entries).

    Raises
    ------
    ValueError
        The file is no such ELF file.
    """
    with library.open("rb") as file:
        header = file.read(64)
        if header[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{library} is no 64-bit ELF file")
        (table_at,) = struct.unpack_from("<Q", header, 32)
        entry_size, entries = struct.unpack_from("<HH", header, 54)
        file.seek(table_at)
        table = file.read(entry_size * entries)
        loaded: list[tuple[int, int, int]] = []
        dynamic: list[tuple[int, int]] = []
        for at in range(0, len(table), entry_size):
            kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", table, at)
            if kind == _LOAD:
                loaded.append((address, offset, length))
            elif kind == _DYNAMIC:
                file.seek(offset)
                dynamic = list(struct.iter_unpack("<qQ", file.read(length // 16 * 16)))
        values = dict(dynamic)
        if _STRING_TABLE not in values:
            raise ValueError(f"{library} is not linked dynamically")
        strings_at = values[_STRING_TABLE]
        for address, offset, length in loaded:
            if address <= strings_at < address + length:
                file.seek(offset + strings_at - address)
                strings = file.read(values[_STRING_SIZE])
                return [strings[at : strings.index(0, at)].decode() for tag, at in dynamic if tag == _NEEDED]
    raise ValueError(f"{library} has no string table")


def load_libraries(names: Iterable[str]) -> list[str]:
    """Load those of NVIDIA's libraries among ``names``; the names of those that are missing.

    What is loaded stays loaded: a provider that is loaded later finds it by name.
    """
    wanted = [name for name in dict.fromkeys(names) if _package(name)]
    missing: set[str] = set()
    while wanted:  # one library may need another of the list
        left = {name: failed for name in wanted if (failed := _load(name))}
        if len(left) == len(wanted):
            missing |= {failed for failed in left.values()}
            break
        wanted = list(left)
    return sorted(missing)


def pip_line(missing: Iterable[str], cuda: str) -> str:
    """The pip command that brings the libraries ``missing``, for a CUDA version such as ``12.8``."""
    major = int(cuda.partition(".")[0] or 12) if cuda.partition(".")[0].isdigit() else 12
    packages = set()
    for name in missing:
        package = _package(name)
        if package is None:
            continue
        if major < 13 or package in _ALWAYS_SUFFIXED:
            package = f"{package}-cu{major}"
        version = re.search(r"\.so\.(\d+)$", name)
        if version and name.startswith(("libcudnn", "libnvinfer", "libnvonnxparser")):
            package = f"'{package}=={version.group(1)}.*'"
        packages.add(package)
    return f"pip install {' '.join(sorted(packages))}"


def cudnn_version(library: str) -> str:
    """Version of cuDNN by its own word, e.g. ``9.13.0``; its file's name if it is mute."""
    try:
        number = int(ctypes.CDLL(library).cudnnGetVersion())
    except (OSError, AttributeError):
        return library
    return f"{number // 10000}.{number % 10000 // 100}.{number % 100}"


def _package(name: str) -> str | None:
    fitting = [front for front in _PACKAGES if name.startswith(front)]
    return _PACKAGES[max(fitting, key=len)] if fitting else None


def _load(name: str) -> str | None:
    """Load a library; the name of what is missing, which may be one that it needs in turn."""
    failed = name
    for candidate in (name, *_in_packages(name)):
        try:
            ctypes.CDLL(candidate)
            return None
        except OSError as error:
            found = _NOT_FOUND.match(str(error))
            failed = found.group(1) if found else name
    return failed


def _in_packages(name: str) -> Iterator[str]:
    for package, pattern in _FOLDERS:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            yield from map(str, sorted(Path(folder).glob(f"{pattern}/{name}")))


def _card(driver: ctypes.CDLL, index: int, version: str) -> Card:
    handle, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    driver.cuDeviceGet(ctypes.byref(handle), index)
    driver.cuDeviceGetName(name, len(name), handle)
    driver.cuDeviceGetAttribute(ctypes.byref(major), 75, handle)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
    driver.cuDeviceGetAttribute(ctypes.byref(minor), 76, handle)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), handle)
    return Card(index, name.value.decode(errors="replace"), (major.value, minor.value), memory.value, version)


def _driver_version(driver: ctypes.CDLL) -> str:
    try:
        return Path("/sys/module/nvidia/version").read_text().strip()
    except OSError:
        version = ctypes.c_int()
        driver.cuDriverGetVersion(ctypes.byref(version))
        return f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"


def _driver_error(driver: ctypes.CDLL, code: int) -> str:
    text = ctypes.c_char_p()
    driver.cuGetErrorString(code, ctypes.byref(text))
    return (text.value or b"").decode(errors="replace") or f"error {code}"
