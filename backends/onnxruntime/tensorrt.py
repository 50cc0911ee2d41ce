"""What TensorRT builds, kept: engines by model, card, versions and settings; timings by card and versions.

Building an engine takes from seconds to minutes, and an engine is good for one model on one kind of card with one
version of TensorRT only. ONNX Runtime checks none of this when it reads one, so all of it is in the folder's name.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import mmap
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .. import cache
from .nvidia import Card

NAME = "tensorrt"
MOST_BYTES = 4 << 30
"""Size of the cache unless the option ``cache_bytes`` says otherwise."""


def version(library: str) -> str:
    """Version of TensorRT by its own word (``getInferLibVersion``), e.g. ``10.13.3``; its file's name if it is mute."""
    try:
        number = int(ctypes.CDLL(library).getInferLibVersion())
    except (OSError, AttributeError):
        return library
    step = 10000 if number >= 100000 else 1000  # from version 10 on there are two digits for the minor version
    return f"{number // step}.{number % step // 100}.{number % 100}"


def digest(model: Path) -> str:
    """SHA-256 of a model: of its file, and of the files beside it that hold its weights, if any do."""
    hashed = hashlib.sha256()
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        hashed.update(content)
        if content.find(b"location") >= 0:  # the key under which ONNX names a file of external data
            for other in sorted(model.parent.iterdir()):
                if other != model and other.is_file() and content.find(other.name.encode()) >= 0:
                    hashed.update(other.name.encode())
                    with other.open("rb") as data:
                        hashed.update(hashlib.file_digest(data, "sha256").digest())
    return hashed.hexdigest()


@contextmanager
def engines(
    model: Path, card: Card, versions: Mapping[str, str], chosen: Mapping[str, str], most: int
) -> Iterator[dict[str, str]]:
    """Provider options that keep the engines of ``model``; at the end the cache is cut to ``most`` bytes.

    Another process that opens the same model meanwhile waits, and then finds the engine ready.

    Parameters
    ----------
    versions
        Of the libraries and the driver that build the engine.
    chosen
        The other options of the provider.
    """
    host = {"card": card.name, "compute": card.compute, "versions": dict(versions)}
    folder = cache.folder(NAME)
    timings = folder / f"timings-{_key(host)}"
    kept = folder / _key({"model": digest(model), "options": dict(chosen), **host})
    for path in (timings, kept):
        path.mkdir(exist_ok=True, mode=0o700)
    with (folder / f"{kept.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(kept),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(timings),
        }
        for path in (*kept.iterdir(), *timings.iterdir()):
            cache.used(path)
        cache.trim(folder, most)


def forget(options: Mapping[str, str]) -> bool:
    """Delete the engines that ``options`` of :func:`engines` name; whether there were any."""
    folder = Path(options["trt_engine_cache_path"])
    had = any(folder.iterdir())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True, mode=0o700)
    return had


def _key(facts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
