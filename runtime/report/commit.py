"""How a result comes into its folder: at once, so that a process killed at any moment leaves no half of it.

The files are made and checked in a hidden work folder on the same file system. Then

- a folder that is not there yet is the work folder, renamed;
- a folder that holds an earlier result and nothing else changes places with it (``renameat2`` with
  ``RENAME_EXCHANGE``, Linux 3.15);
- in any other folder (files of someone else, a mount point, the folder that somebody stands in, a file system that
  cannot exchange) the files are moved one by one, result.json away first and back last: without it there is no result.
  What a killed process left half moved, the next run for the same folder finishes before it does anything else.

A work folder is locked (flock(2)) while its process lives; what is not locked was left behind, and is removed.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE

from .folder import JSON_NAME, listed_files

_PREFIX = ".bedside-result-"
_OLD = "replaced"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """A hidden folder to make the files of ``out`` in, on its file system; what is left of it afterwards is removed.

    Raises
    ------
    OSError
        It cannot be made.
    """
    parent = out if out.exists() else out.parent
    while True:
        work = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
        with suppress(OSError):  # without locks, as on some network file systems, nobody takes it for left behind
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if work.exists():
            break
        os.close(descriptor)  # another process did, in the moment before it was locked
    try:
        yield work
    finally:
        # Where it was made, and where an exchange has put the folder of the earlier result.
        for left in (work, out.resolve().parent / work.name):
            shutil.rmtree(left, ignore_errors=True)
        os.close(descriptor)


def place(work: Path, out: Path, names: Sequence[str], earlier: Callable[[], list[str]]) -> None:
    """Make the files of ``work`` those of ``out``.

    Parameters
    ----------
    names
        Of all files in ``work``, result.json last.
    earlier
        Looks which files of ``out`` are those of an earlier result, and go.

    Raises
    ------
    OSError
        ``out`` is as it was before.
    """
    if not out.exists() and _placed(work, out):
        _to_disk(out.parent)
        return
    old = earlier()
    if not _exchanged(work, out, old):
        _moved(work, out, names, old)
    _to_disk(out)


def finish(out: Path) -> None:
    """Finish what a killed process left half moved in ``out``, and remove what it left behind there and beside it.

    Raises
    ------
    OSError
        The rest of a result cannot be moved into its folder.
    """
    for work in _left_behind(out):
        if (work / _OLD).is_dir() and (work / JSON_NAME).exists():
            _resume(work, out)
        shutil.rmtree(work, ignore_errors=True)
    for work in _left_behind(out.resolve().parent):
        shutil.rmtree(work, ignore_errors=True)


def _left_behind(folder: Path) -> Iterator[Path]:
    """The work folders in ``folder`` whose process is gone; each is locked for as long as the caller looks at it."""
    for work in sorted(folder.glob(f"{_PREFIX}*")) if folder.is_dir() else ():
        try:
            descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if os.fstat(descriptor).st_uid == os.geteuid() and _locked(descriptor):
                yield work
        finally:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _placed(work: Path, out: Path) -> bool:
    """Make ``work`` the folder ``out``; False where another run has made that in the meantime."""
    work.chmod(_folder_mode(work))
    try:
        work.rename(out)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    return True


def _folder_mode(work: Path) -> int:
    """The mode that a new folder gets here. A child shows it: asking the umask would change it for other threads."""
    child = work / "mode"
    child.mkdir()
    mode = child.stat().st_mode
    child.rmdir()
    return S_IMODE(mode)


def _exchanged(work: Path, out: Path, earlier: Sequence[str]) -> bool:
    """Let ``work`` and ``out`` change places; False, and nothing is changed, where that cannot be or would show."""
    real = out.resolve()
    beside = real.parent / work.name
    if not _replaceable(real, {*earlier, work.name}):
        return False
    try:
        work.rename(beside)
    except OSError:  # another file system, or no rights there
        return False
    try:
        beside.chmod(S_IMODE(real.stat().st_mode))
        _exchange(beside, real)
    except (OSError, AttributeError):  # a file system or a C library without it
        beside.rename(work)
        work.chmod(0o700)
        return False
    return True


def _replaceable(folder: Path, ours: set[str]) -> bool:
    """Whether another folder in this one's place is the same to everybody else."""
    with suppress(OSError):
        found = folder.stat()
        if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()) or folder.is_mount():
            return False
        if any(not name.startswith("security.") for name in os.listxattr(folder)):
            return False
        with suppress(FileNotFoundError):  # the current folder is gone
            if Path.cwd().is_relative_to(folder):
                return False
        return {entry.name for entry in folder.iterdir()} <= ours
    return False


def _exchange(one: Path, other: Path) -> None:
    """renameat2(2) with RENAME_EXCHANGE."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _moved(work: Path, out: Path, names: Sequence[str], earlier: Sequence[str]) -> None:
    """Move the new files from ``work`` into ``out``; the ``earlier`` ones go, or come back on failure."""
    # result.json goes first and comes last: while it is there, the folder is whole.
    if work.parent != out:  # another run has made the folder since: here the next run finds what a killed one left
        work = work.rename(out / work.name)
    old = work / _OLD
    old.mkdir()
    moved: list[str] = []
    stale = [name for name in earlier if name not in names]
    away = [name for name in (JSON_NAME, *stale, *names[:-1]) if (out / name).exists()]
    try:
        for name in away:
            (out / name).rename(old / name)
        for name in names:
            (work / name).rename(out / name)
            moved.append(name)
    except BaseException:  # also when the program is told to end
        for name in moved:
            (out / name).unlink(missing_ok=True)
        for name in reversed(away):
            if (old / name).exists():
                (old / name).rename(out / name)
        shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(work, ignore_errors=True)


def _resume(work: Path, out: Path) -> None:
    """Finish :func:`_moved`, whose process was killed: all of the new result is there, here or in its place."""
    old = work / _OLD
    new = listed_files(work / JSON_NAME)
    earlier = listed_files(old / JSON_NAME) or listed_files(out / JSON_NAME)
    names = [name for name in new if (work / name).exists()]
    stale = [name for name in earlier if name not in new]
    for name in (JSON_NAME, *stale, *names[:-1]):
        if (out / name).exists():
            (out / name).rename(old / name)
    for name in names:
        (work / name).rename(out / name)
    _to_disk(out)


def _to_disk(folder: Path) -> None:
    """Make renames in a folder last through a power cut, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
