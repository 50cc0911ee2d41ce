"""What this machine's memory can do: copying and reading, measured beside what is compared with it."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .rows import interleaved

LARGE = 512 << 20
"""Bytes of a buffer that no cache holds."""


def huge_buffer(size: int) -> NDArray[np.uint8]:
    """``size`` bytes on huge pages where the kernel gives them, touched once so that no page fault is timed."""
    memory = mmap.mmap(-1, max(size, 1))
    memory.madvise(mmap.MADV_HUGEPAGE)
    buffer = np.frombuffer(memory, np.uint8)
    buffer[:] = 1
    return buffer


@cache
def _pair(size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return huge_buffer(size), huge_buffer(size)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def memcpy(traffic: int, threads: int) -> Callable[[], object]:
    """A call that copies so much that ``traffic`` bytes move, half of them read and half written, by libc's memcpy."""
    library = ctypes.CDLL(None)
    library.memcpy.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    library.memcpy.restype = ctypes.c_void_p
    threads = threads or cores()
    share = traffic // 2 // threads
    src, out = _pair(max(LARGE, traffic // 2))
    pool = _pool(threads)

    def copy(part: int) -> None:
        library.memcpy(out.ctypes.data + part * share, src.ctypes.data + part * share, share)

    return lambda: list(pool.map(copy, range(threads)))


def reading(size: int, threads: int) -> Callable[[], object]:
    """A call that reads ``size`` bytes and writes none: the largest of them is looked for, a thread a part."""
    threads = threads or cores()
    parts = np.array_split(_pair(max(LARGE, size))[0][: size // 64 * 64].view(np.int64), threads)
    pool = _pool(threads)
    return lambda: list(pool.map(np.maximum.reduce, parts))


def moving(copied: int, read: int, threads: int) -> Callable[[], object]:
    """A call that moves ``copied`` bytes by memcpy, read plus written, and reads ``read`` more."""
    copy, scan = memcpy(copied, threads), reading(read, threads)
    if not read:
        return copy
    return lambda: (copy(), scan())


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def measure(threads: int = 0, rounds: int = 5) -> dict[str, float]:
    """Bytes that move a second, in GB/s: a copy counts what it reads and what it writes."""
    times = interleaved({"copy": memcpy(2 * LARGE, threads), "read": reading(LARGE, threads)}, rounds)
    return {
        "memcpy_gb_per_s": 2 * LARGE / times["copy"] / 1e6,
        "read_gb_per_s": LARGE / times["read"] / 1e6,
        "threads": threads or cores(),
    }
