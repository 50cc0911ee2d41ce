"""Compiled models that are kept on disk, so that the next process need not compile them.

An entry is one file: a line that says what it is, the SHA-256 of the rest, a line of JSON with inputs and outputs, then
what OpenVINO exported. It is named by the SHA-256 of everything that compiling depends on; one that does not match its
own digest is deleted and made anew, because OpenVINO does not check what it is given.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import cache
from ..contract import BedsideError, TensorSpec
from .settings import AUTO

FOLDER = "openvino"
MOST = 2 << 30
"""Bytes of all entries; those not used for longest are deleted."""
_MAGIC = b"bedside: a model compiled by OpenVINO, 1\n"
_LONGEST_HEAD = 1 << 16
_DRIVER = ("GPU_UARCH_VERSION", "DEVICE_ARCHITECTURE", "NPU_DRIVER_VERSION", "NPU_COMPILER_VERSION", "DRIVER_VERSION")
_EXTERNAL = b"\x0a\x08location"
"""How a tensor that lies in another file begins to say where (onnx.proto, StringStringEntryProto with that key)."""


@dataclass(frozen=True)
class Loaded:
    """A compiled model with the names, types and shapes that its ONNX file gives."""

    compiled: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    memory: Any = None
    """What weights may lie in; to be kept as long as ``compiled``."""


class Entry:
    """The place of one compiled model in the cache."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, core: Any, name: str, settings: Mapping[str, Any]) -> Loaded | None:
        """The compiled model, or None where there is none that is sound."""
        try:
            with self._path.open("rb") as file:
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError):  # not there; or empty
            return None
        content = memoryview(memory)
        start = len(_MAGIC) + 32
        if bytes(content[:start]) != _MAGIC + hashlib.sha256(content[start:]).digest():
            self._path.unlink(missing_ok=True)
            return None
        from openvino import Tensor

        said, _, _ = memory[start : start + _LONGEST_HEAD].partition(b"\n")
        blob = np.frombuffer(content[start + len(said) + 1 :], np.uint8)
        head = json.loads(said)
        try:
            compiled = core.import_model(Tensor(blob, shared_memory=True), name, dict(settings))
        except Exception:  # of another build of the same version: it is made anew
            self._path.unlink(missing_ok=True)
            return None
        cache.used(self._path)
        return Loaded(compiled, _specs(head["inputs"]), _specs(head["outputs"]), memory)

    def store(self, loaded: Loaded) -> None:
        """Keep a compiled model; a full or read-only disk is no error, the next process compiles again."""
        head = {
            "inputs": [(spec.name, spec.shape, str(spec.dtype)) for spec in loaded.inputs],
            "outputs": [(spec.name, spec.shape, str(spec.dtype)) for spec in loaded.outputs],
        }
        said = json.dumps(head).encode() + b"\n"
        with suppress(OSError):
            blob = loaded.compiled.export_model().getbuffer()
            if len(blob) > MOST or len(said) > _LONGEST_HEAD:
                return
            digest = hashlib.sha256(said)
            digest.update(blob)
            cache.write(self._path, _MAGIC, digest.digest(), said, blob)
            cache.trim(self._path.parent, MOST)


def _specs(said: Iterable[tuple[str, list[int | None], str]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, tuple(shape), np.dtype(dtype)) for name, shape, dtype in said)


def entry(core: Any, name: str, model: Path, version: str, settings: Mapping[str, Any]) -> Entry | None:
    """Where a model compiled with these settings is kept.

    None where it cannot be: the device does not export, the model has weights in other files, there is no cache folder.
    """
    if name == AUTO:  # which exports nothing of its own
        return None
    if "EXPORT_IMPORT" not in [str(able) for able in core.get_property(name, "OPTIMIZATION_CAPABILITIES")]:
        return None
    content = model.read_bytes()
    if _EXTERNAL in content:
        return None
    try:
        folder = cache.folder(FOLDER)
    except BedsideError:
        return None
    supported = core.get_property(name, "SUPPORTED_PROPERTIES")
    facts = {
        "model": hashlib.sha256(content).hexdigest(),
        "openvino": version,
        "device": name,
        "hardware": str(core.get_property(name, "FULL_DEVICE_NAME")),
        "driver": {key: str(core.get_property(name, key)) for key in _DRIVER if key in supported},
        "cpu": _cpu_flags(),
        "settings": {key: str(value) for key, value in settings.items()},
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return Entry(folder / f"{key}.blob")


def _cpu_flags() -> str:
    """The instruction sets of the processor: compiling chooses by them, and its name may be any virtual machine's."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("flags", "Features")):
                return line.partition(":")[2].strip()
    return ""
