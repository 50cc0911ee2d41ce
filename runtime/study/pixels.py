"""Pixels of a series as Volume, Image or Cine: plain ones straight from file to place, encoded ones on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.kernels._cpu import read_planes

from ..errors import StudyRejected
from ..image import Cine, Frame, Image, VoiLut, Volume, Window
from . import luts
from .decoding import DecodeError, Source, frame_dtype, is_direct, refuse_unsupported, require_bytes, settle_bits
from .functional_groups import read_window
from .header import HeaderError, read_dataset, shown
from .instance import Instance
from .study import Series

Progress = Callable[[str, int, int], None]

CHUNK = 64
"""Plain frames read by one call: some 32 MB of CT, a few milliseconds between two steps of progress."""
PHYSICAL = ("CT", "PT", "NM")
"""Modalities whose values are physical units: MONOCHROME1 only says how to show them, so they are not inverted."""


def read_volume(
    series: Series,
    frames: Sequence[Frame],
    affine: NDArray[np.float64],
    *,
    threads: int = 0,
    progress: Progress | None = None,
) -> Volume:
    """Decode ``frames``, in this order, into one array [z, y, x].

    Parameters
    ----------
    series : Series
        The series the frames belong to.
    frames : sequence of Frame
        Ordered and checked by the geometry gate, all of one size.
    affine : ndarray (4, 4)
        Of the ordered frames; kept as it is.
    threads : int
        0 uses every core of the affinity mask.
    progress : callable, optional
        Called with ("decode", frames done, frames).

    Raises
    ------
    StudyRejected
        A file is truncated, damaged, changed, or encoded in a way that is not supported; the message names it.
    """
    series.require_whole()
    if not frames:
        raise StudyRejected(f"series {series.uid} has no frames to read")
    instances = [series.instance(frame) for frame in frames]
    sizes = {(instance.rows, instance.columns) for instance in instances}
    if len(sizes) > 1:
        raise StudyRejected(f"series {series.uid} has frames of different size: {sorted(sizes)}")
    colour = next(
        (instance for instance in instances if instance.samples > 1 or "PALETTE" in instance.photometric), None
    )
    if colour is not None:
        raise StudyRejected(f"{colour.name}: a volume of {shown(colour.photometric)} pixels is not supported")
    (rows, columns) = next(iter(sizes))
    dtype = np.result_type(*{frame_dtype(instance) for instance in instances})
    tables = _modality_tables(instances)
    if tables:
        dtype = np.dtype(np.uint16)
    _require_memory(series, len(frames) * rows * columns * dtype.itemsize)
    voxels = np.empty((len(frames), rows, columns), dtype=dtype)

    def work(source: Source, index: int) -> None:
        table = tables.get(source.instance.path)
        if table is None:
            source.read_gray(frames[index].number, voxels[index])
        else:
            raw = np.empty((rows, columns), dtype=frame_dtype(source.instance))
            source.read_gray(frames[index].number, raw)
            voxels[index] = table.apply(raw)

    if not tables and all(is_direct(instance, dtype) for instance in instances):
        _read_direct(frames, instances, voxels, threads, progress)
    else:
        _decode_all(instances, work, threads, progress)
    if tables and len(tables) != len({instance.path for instance in instances}):
        raise StudyRejected(f"series {series.uid} has a Modality LUT in some of its files only")
    slope = np.array([1.0 if tables else frame.slope for frame in frames], dtype=np.float32)
    intercept = np.array([0.0 if tables else frame.intercept for frame in frames], dtype=np.float32)
    first = instances[0]
    window, voi, padding = _presentation(first, frames[0], bool(tables))
    if first.photometric == "MONOCHROME1" and series.modality not in PHYSICAL:
        low, high = _range(first, voxels.dtype)
        np.subtract(low + high, voxels, out=voxels, casting="unsafe")
        window, voi = _mirror(window, voi, (low + high) * float(slope[0]) + 2.0 * float(intercept[0]))
        padding = None if padding is None else low + high - padding
    return Volume(
        voxels=voxels,
        affine=np.asarray(affine, dtype=np.float64),
        slope=slope,
        intercept=intercept,
        frames=tuple(frames),
        window=window,
        padding_value=padding,
        voi_lut=voi,
    )


def read_image(series: Series, frame: Frame | None = None) -> Image:
    """Decode one frame; without ``frame``, the only one of the series.

    Returns
    -------
    Image
        ``pixels`` [y, x] stored values (modality values where the header has a Modality LUT), MONOCHROME1 inverted
        within the range of Bits Stored; or [y, x, 3] uint8 RGB, deeper colour reduced to its high 8 bits.

    Raises
    ------
    StudyRejected
        As :func:`read_volume`; also if the series has several frames and none is named.
    """
    series.require_whole()
    if frame is None:
        frames = series.frames_of(series.only_instance())
        if len(frames) != 1:
            raise StudyRejected(
                f"series {series.uid} has {len(frames)} frames where one image is asked for",
                mend="give the file of one image",
            )
        frame = frames[0]
    pixels, slope, intercept, window, voi, padding = _read_stack(series, [frame], 1, None)
    instance = series.instance(frame)
    return Image(
        pixels=pixels[0],
        frame=frame,
        slope=slope,
        intercept=intercept,
        window=window,
        padding_value=padding,
        regions=series.regions_of(instance),
        voi_lut=voi,
    )


def read_cine(
    series: Series, instance: Instance | None = None, *, threads: int = 0, progress: Progress | None = None
) -> Cine:
    """Decode all frames of one multi-frame instance; without ``instance``, of the only one of the series.

    Raises
    ------
    StudyRejected
        As :func:`read_volume`; also if the series has several instances and none is named.
    """
    series.require_whole()
    instance = instance or series.only_instance()
    frames = series.frames_of(instance)
    pixels, slope, intercept, window, voi, _ = _read_stack(series, frames, threads, progress)
    return Cine(
        pixels=pixels,
        frames=frames,
        frame_time_ms=instance.frame_time_ms,
        slope=slope,
        intercept=intercept,
        window=window,
        regions=series.regions_of(instance),
        voi_lut=voi,
    )


def _read_stack(
    series: Series, frames: Sequence[Frame], threads: int, progress: Progress | None
) -> tuple[NDArray[Any], float, float, Window | None, VoiLut | None, int | None]:
    """Frames of one size and kind as [t, y, x] or [t, y, x, 3], with one rescale and one presentation."""
    instances = [series.instance(frame) for frame in frames]
    first = instances[0]
    kinds = {(one.rows, one.columns, one.photometric, frame_dtype(one)) for one in instances}
    scales = {(frame.slope, frame.intercept) for frame in frames}
    if len(kinds) > 1 or len(scales) > 1:
        raise StudyRejected(f"series {series.uid} has frames of different size, colour or rescale")
    slope, intercept = next(iter(scales))
    if first.samples > 1 or first.photometric == "PALETTE COLOR":
        _require_memory(series, len(frames) * first.rows * first.columns * 3)
        rgb = np.empty((len(frames), first.rows, first.columns, 3), dtype=np.uint8)

        def colour(source: Source, index: int) -> None:
            source.read_rgb(frames[index].number, rgb[index])

        _decode_all(instances, colour, threads, progress)
        return rgb, 1.0, 0.0, None, None, None
    _require_memory(series, len(frames) * first.rows * first.columns * frame_dtype(first).itemsize)
    gray = np.empty((len(frames), first.rows, first.columns), dtype=frame_dtype(first))

    def monochrome(source: Source, index: int) -> None:
        source.read_gray(frames[index].number, gray[index])

    if all(is_direct(instance, gray.dtype) for instance in instances):
        _read_direct(frames, instances, gray, threads, progress)
    else:
        _decode_all(instances, monochrome, threads, progress)
    table = _modality_tables([first]).get(first.path)
    window, voi, padding = _presentation(first, frames[0], table is not None)
    inverted = first.photometric == "MONOCHROME1"
    if table is not None:
        gray = table.apply(gray)
        slope, intercept = 1.0, 0.0
    if inverted and series.modality not in PHYSICAL:
        low, high = (0, (1 << table.bits) - 1) if table is not None else _range(first, gray.dtype)
        np.subtract(low + high, gray, out=gray, casting="unsafe")
        window, voi = _mirror(window, voi, (low + high) * slope + 2.0 * intercept)
        padding = None if padding is None else low + high - padding
    return gray, slope, intercept, window, voi, padding


def _read_direct(
    frames: Sequence[Frame],
    instances: Sequence[Instance],
    out: NDArray[Any],
    threads: int,
    progress: Progress | None,
) -> None:
    """Plain frames straight from their files to their place in ``out`` [z, y, x]."""
    for instance in dict.fromkeys(instances):
        with _refusing(instance):
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
            with _refusing(instances[index]):
                if got < 0:
                    raise DecodeError(f"cannot be read: {os.strerror(-got)}")
                if got < out[index].nbytes:
                    raise DecodeError(f"the file is truncated: {got} of {out[index].nbytes} bytes of a frame are there")
                settle_bits(instances[index], out[index], (low, high))
        if progress is not None:
            progress("decode", part.stop, len(frames))


def _decode_all(
    instances: Sequence[Instance], work: Callable[[Source, int], None], threads: int, progress: Progress | None
) -> None:
    """Call ``work(source, index)`` for every frame, on ``threads`` threads.

    A file of one frame is open while it is read; one of several frames is opened once, and read by all threads.
    """
    workers = threads or len(os.sched_getaffinity(0))
    chunk = max(1, min(16, len(instances) // (4 * workers)))
    chunks = [range(start, min(start + chunk, len(instances))) for start in range(0, len(instances), chunk)]
    shared: dict[Path, Source] = {}

    def run(indices: range) -> int:
        for index in indices:
            instance = instances[index]
            with _refusing(instance):
                if instance.path in shared:
                    work(shared[instance.path], index)
                else:
                    with closing(Source(instance)) as source:
                        work(source, index)
        return len(indices)

    def results() -> Iterator[int]:
        if workers == 1 or len(chunks) == 1:
            yield from map(run, chunks)
            return
        with ThreadPoolExecutor(min(workers, len(chunks)), thread_name_prefix="decode") as pool:
            try:
                yield from pool.map(run, chunks)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    with ExitStack() as stack:
        for instance in instances:
            if instance.frames > 1 and instance.path not in shared:
                with _refusing(instance):
                    shared[instance.path] = stack.enter_context(closing(Source(instance)))
        done = 0
        for count in results():
            done += count
            if progress is not None:
                progress("decode", done, len(instances))


@contextmanager
def _refusing(instance: Instance) -> Iterator[None]:
    """What is wrong with one file's pixels refuses the study, with the file named."""
    try:
        yield
    except (DecodeError, HeaderError) as error:
        raise StudyRejected(f"{instance.name}: {error}", mend="send the file again from its source") from error


def _modality_tables(instances: Sequence[Instance]) -> dict[Any, luts.Lut]:
    """The Modality LUT of each file that has one."""
    tables: dict[Any, luts.Lut] = {}
    for instance in instances:
        if instance.has_modality_lut and instance.path not in tables:
            try:
                table = luts.modality_lut(read_dataset(instance.path))
            except HeaderError as error:
                raise StudyRejected(f"{instance.name}: {error}") from error
            if table is not None:
                tables[instance.path] = table
    return tables


def _presentation(instance: Instance, frame: Frame, has_table: bool) -> tuple[Window | None, VoiLut | None, int | None]:
    """Window, VOI LUT and padding of a frame. A Modality LUT maps the padding value away."""
    window, voi = instance.window, None
    if instance.has_voi_lut or (window is None and instance.frames > 1):
        try:
            dataset = read_dataset(instance.path)
            low, _ = _range(instance, frame_dtype(instance))
            voi = luts.voi_lut(dataset, signed_input=low * frame.slope + frame.intercept < 0)
            window = window or read_window(dataset, frame.number)
        except HeaderError as error:
            raise StudyRejected(f"{instance.name}: {error}") from error
    return window, voi, None if has_table else instance.padding_value


def _range(instance: Instance, dtype: np.dtype[Any]) -> tuple[int, int]:
    """The stored values that Bits Stored allows."""
    if dtype.kind == "f":
        return 0, 0
    if instance.signed:
        return -(1 << (instance.bits_stored - 1)), (1 << (instance.bits_stored - 1)) - 1
    return 0, (1 << instance.bits_stored) - 1


def _mirror(window: Window | None, voi: VoiLut | None, axis: float) -> tuple[Window | None, VoiLut | None]:
    return (
        None if window is None else luts.mirror_window(window, axis),
        None if voi is None else luts.mirror_voi(voi, round(axis)),
    )


def _require_memory(series: Series, size: int) -> None:
    """Refuse, before setting it aside, what this host cannot hold."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise StudyRejected(
            f"series {series.uid} would take {size / 2**30:.1f} GB, this host has {memory / 2**30:.1f} GB",
            mend="check Rows, Columns and Number of Frames of its files",
        )
