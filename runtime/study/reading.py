"""Frames of many files into one array: plain ones straight to their place, encoded ones on all cores."""

from __future__ import annotations

import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from numpy.typing import NDArray

from bedside.kernels import thread_budget
from bedside.kernels._cpu import read_planes

from ..errors import StudyRejected
from ..image import Frame
from ..stopwatch import Progress
from .decoding import Source, refuse_unsupported, require_bytes
from .errors import SEND_AGAIN, DecodeError
from .header import HeaderError
from .instance import Instance
from .stored_bits import settle_bits

CHUNK = 64
"""Plain frames read by one call: some 32 MB of CT, a few milliseconds between two steps of progress."""
MAX_OPEN = 64
"""Files of several frames that are kept open while none of their frames is read; a process may have 1024 open files."""


def read_direct(
    frames: Sequence[Frame],
    instances: Sequence[Instance],
    out: NDArray[Any],
    threads: int,
    progress: Progress | None,
) -> None:
    """Plain frames straight from their files to their place in ``out`` [z, y, x].

    Raises
    ------
    StudyRejected
        Naming the file that cannot be read.
    """
    for instance in dict.fromkeys(instances):
        with refusing(instance):
            refuse_unsupported(instance)
            require_bytes(instance, instance.file_size)
    for start in range(0, len(frames), CHUNK):
        part = range(start, min(start + CHUNK, len(frames)))
        paths = [os.fsencode(instances[index].path) for index in part]
        offsets = [
            instances[index].pixels[1] + (frames[index].number - 1) * instances[index].frame_bytes for index in part
        ]
        planes = read_planes(paths, offsets, out[part.start : part.stop], threads=threads)
        for index, (got, low, high) in zip(part, planes, strict=True):
            with refusing(instances[index]):
                if got < 0:
                    raise DecodeError(f"cannot be read: {os.strerror(-got)}")
                if got < out[index].nbytes:
                    raise DecodeError(f"the file is truncated: {got} of {out[index].nbytes} bytes of a frame are there")
                settle_bits(instances[index], out[index], (low, high))
        if progress is not None:
            progress("decode", part.stop, len(frames))


def decode_all(
    instances: Sequence[Instance], work: Callable[[Source, int], None], threads: int, progress: Progress | None
) -> None:
    """Call ``work(source, index)`` for every frame, on ``threads`` threads.

    A file of one frame is open while it is read; one of several frames stays open for all threads, up to
    :data:`MAX_OPEN` of them.

    Raises
    ------
    StudyRejected
        Naming the file that cannot be read.
    """
    workers = threads or thread_budget()
    chunk = max(1, min(16, len(instances) // (4 * workers)))
    chunks = [range(start, min(start + chunk, len(instances))) for start in range(0, len(instances), chunk)]
    with closing(_OpenFiles()) as files:

        def run(indices: range) -> int:
            for index in indices:
                instance = instances[index]
                with refusing(instance):
                    if instance.frames > 1:
                        with files.source(instance) as source:
                            work(source, index)
                    else:
                        with closing(Source(instance)) as source:
                            work(source, index)
            return len(indices)

        done = 0
        for count in _in_order(run, chunks, workers):
            done += count
            if progress is not None:
                progress("decode", done, len(instances))


def _in_order(run: Callable[[range], int], chunks: Sequence[range], workers: int) -> Iterator[int]:
    if workers == 1 or len(chunks) == 1:
        yield from map(run, chunks)
        return
    with ThreadPoolExecutor(min(workers, len(chunks)), thread_name_prefix="decode") as pool:
        try:
            yield from pool.map(run, chunks)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class _OpenFiles:
    """Files of several frames, open and their frames located, lent to threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sources: OrderedDict[Path, Source] = OrderedDict()
        self._readers: Counter[Path] = Counter()

    @contextmanager
    def source(self, instance: Instance) -> Iterator[Source]:
        path = instance.path
        with self._lock:
            source = self._sources.get(path)
            if source is None:
                source = self._sources[path] = Source(instance)
            self._sources.move_to_end(path)
            self._readers[path] += 1
        try:
            yield source
        finally:
            with self._lock:
                self._readers[path] -= 1
                self._close_idle()

    def _close_idle(self) -> None:
        """Close what was read longest ago, as far as there are more than :data:`MAX_OPEN`."""
        surplus = len(self._sources) - MAX_OPEN
        if surplus > 0:
            for path in [path for path in self._sources if not self._readers[path]][:surplus]:
                self._sources.pop(path).close()

    def close(self) -> None:
        for source in self._sources.values():
            source.close()


@contextmanager
def refusing(instance: Instance) -> Iterator[None]:
    """What is wrong with one file's pixels refuses the study, with the file named."""
    try:
        yield
    except (DecodeError, HeaderError) as error:
        mend = error.mend if isinstance(error, DecodeError) else SEND_AGAIN
        raise StudyRejected(f"{instance.name}: {error}", mend=mend) from error
