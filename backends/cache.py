"""Where bedside keeps what it can make again, and what it knows of this host: compiled models, proofs, measurements.

``$BEDSIDE_CACHE``, else ``$XDG_CACHE_HOME/bedside``, else ``~/.cache/bedside``. Several processes may use it at once:
files are written whole under another name and renamed, and one that another process took away is no error.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .contract import BedsideError

ENVIRONMENT = "BEDSIDE_CACHE"
_ABANDONED = 3600.0
"""Seconds after which a file that is being written is taken for one whose writer was killed."""
_MEND = f"set {ENVIRONMENT} to a folder of your own that can be written"


def root() -> Path:
    """The folder of all of bedside's caches; it need not exist.

    Raises
    ------
    BedsideError
        There is neither a setting nor a home folder.
    """
    if named := os.environ.get(ENVIRONMENT):
        return Path(named).expanduser().absolute()
    named = os.environ.get("XDG_CACHE_HOME", "")
    if Path(named).is_absolute():  # a relative one is to be ignored (XDG Base Directory Specification)
        return Path(named) / "bedside"
    try:
        return Path.home() / ".cache" / "bedside"
    except RuntimeError:
        raise BedsideError("there is no home folder to keep a cache in", mend=_MEND) from None


def folder(name: str) -> Path:
    """The cache folder ``name``, made if it is not there, for this user alone (mode 0700).

    Raises
    ------
    BedsideError
        It cannot be made, or anybody may write to it: what lies there is trusted.
    """
    path = root() / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.mkdir(exist_ok=True, mode=0o700)
        mode = path.stat().st_mode
    except OSError as error:
        raise BedsideError(f"the cache folder {path} cannot be made: {error.strerror}", mend=_MEND) from error
    if mode & stat.S_IWOTH:
        raise BedsideError(f"anybody may write to the cache folder {path}", mend=f"chmod 700 {path}")
    return path


def write(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file whole or not at all: a reader finds the old content, the new one, or no file.

    Raises
    ------
    OSError
        No room, no rights, or the folder is gone.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def used(path: Path) -> None:
    """Note that a file was used just now, for :func:`trim`."""
    with suppress(OSError):
        os.utime(path)


def trim(folder: Path, most: int) -> None:
    """Delete the files of a folder that were not used for longest, until all of them are under ``most`` bytes.

    Files in folders below count too. What another process deletes or writes meanwhile is no error.
    """
    files = sorted(_files(folder))
    size = sum(size for _, size, _ in files)
    for last_used, its_size, path in files:
        if size <= most:
            return
        if path.name.startswith(".") and time.time() - last_used < _ABANDONED:
            continue  # another process is writing it
        with suppress(FileNotFoundError):
            path.unlink()
        size -= its_size


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When it was last used, bytes and path of every file."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            found = path.lstat()
            if stat.S_ISREG(found.st_mode):
                yield max(found.st_atime, found.st_mtime), found.st_size, path
