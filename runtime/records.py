"""Small JSON files that are kept between runs: read whole or not at all, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bedside.backends import cache

_LARGEST = 1 << 26


def read(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is no such file, or it holds something else."""
    try:
        if path.stat().st_size > _LARGEST:
            return None
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object for people to read; who reads it meanwhile gets the old file or the new one.

    Raises
    ------
    OSError
        The folder cannot be written to, or is full; the old file is as it was.
    """
    cache.write(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False).encode(), b"\n")
