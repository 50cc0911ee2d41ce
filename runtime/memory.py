"""How much memory there is to be had, asked before a large array is made."""

from __future__ import annotations

from pathlib import Path

from .errors import StudyRejected

_CGROUPS = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes this process may still take: what the kernel calls available, or less where a cgroup says so; None unknown.

    Sources: ``MemAvailable`` of /proc/meminfo (proc(5)); ``memory.max``, ``memory.current`` and the reclaimable
    ``inactive_file`` of the process's cgroup and those above it (Linux Documentation/admin-guide/cgroup-v2).
    """
    found = [kilobytes * 1024 for kilobytes in _values(_read(Path("/proc/meminfo")), "MemAvailable:")]
    own = next((line[3:] for line in _read(Path("/proc/self/cgroup")).splitlines() if line.startswith("0::")), "/")
    folder = _CGROUPS / own.lstrip("/")
    for group in (folder, *folder.parents):
        if not group.is_relative_to(_CGROUPS):
            break
        limit, used = _read(group / "memory.max").strip(), _read(group / "memory.current").strip()
        if limit.isdigit() and used.isdigit():
            found.append(int(limit) - int(used) + sum(_values(_read(group / "memory.stat"), "inactive_file")))
    return min(found) if found else None


def require_memory(needed: int, what: str, *, mend: str | None = None) -> None:
    """Refuse what would not fit into the memory that is free, before it is set aside.

    Raises
    ------
    StudyRejected
        ``what`` needs more bytes than there are to be had. Where that is unknown, nothing is refused.
    """
    free = available_memory()
    if free is not None and needed > free:
        raise StudyRejected(
            f"{what} needs {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free",
            mend=mend,
        )


def _values(text: str, key: str) -> list[int]:
    """The number after ``key`` on the lines that begin with it."""
    return [int(words[1]) for words in map(str.split, text.splitlines()) if len(words) > 1 and words[0] == key]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
