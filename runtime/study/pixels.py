"""Pixels of a series as Volume, Image or Cine: plain ones straight from file to place, encoded ones on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StudyRejected
from ..image import Cine, Frame, Image, VoiLut, Volume, Window
from ..memory import require_memory
from ..stopwatch import Progress
from . import luts
from .decoding import Source, frame_dtype, is_direct
from .functional_groups import read_window
from .header import HeaderError, read_dataset, shown
from .instance import Instance
from .reading import decode_all, read_direct
from .series import Series

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
        0 is the process's thread budget.
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
    if tables and len(tables) != len({instance.path for instance in instances}):
        raise StudyRejected(f"series {series.uid} has a Modality LUT in some of its files only")
    if tables:
        dtype = np.dtype(np.uint16)
    span = _inversion(series, instances, frames, tables)
    _require_memory(series, len(frames) * rows * columns * dtype.itemsize)
    voxels = np.empty((len(frames), rows, columns), dtype=dtype)

    def work(source: Source, index: int) -> None:
        table = tables.get(source.instance.path)
        if table is None:
            source.read_gray(frames[index].number, voxels[index])
        else:
            raw = np.empty((rows, columns), dtype=frame_dtype(source.instance))
            source.read_gray(frames[index].number, raw)
            table.apply(raw, voxels[index], 1)

    if not tables and all(is_direct(instance, dtype) for instance in instances):
        read_direct(frames, instances, voxels, threads, progress)
    else:
        decode_all(instances, work, threads, progress)
    slope = np.array([1.0 if tables else frame.slope for frame in frames], dtype=np.float32)
    intercept = np.array([0.0 if tables else frame.intercept for frame in frames], dtype=np.float32)
    window, voi, padding = _presentation(instances[0], frames[0], bool(tables))
    if span is not None:
        padding = luts.invert(voxels, *span, padding, threads)
        window, voi = _mirror(window, voi, sum(span) * float(slope[0]) + 2.0 * float(intercept[0]))
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


def read_image(series: Series, frame: Frame | None = None, *, threads: int = 0) -> Image:
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
    instance = series.instance(frame)
    pixels, slope, intercept, window, voi, padding = _read_stack(series, instance, [frame], threads, None)
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
    pixels, slope, intercept, window, voi, _ = _read_stack(series, instance, frames, threads, progress)
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
    series: Series, first: Instance, frames: Sequence[Frame], threads: int, progress: Progress | None
) -> tuple[NDArray[Any], float, float, Window | None, VoiLut | None, int | None]:
    """Frames of one instance as [t, y, x] or [t, y, x, 3], with one rescale and one presentation."""
    scales = {(frame.slope, frame.intercept) for frame in frames}
    if len(scales) > 1:
        raise StudyRejected(f"{first.name}: frames of different rescale")
    slope, intercept = next(iter(scales))
    instances = [first] * len(frames)
    if first.samples > 1 or first.photometric == "PALETTE COLOR":
        _require_memory(series, len(frames) * first.rows * first.columns * 3)
        rgb = np.empty((len(frames), first.rows, first.columns, 3), dtype=np.uint8)

        def colour(source: Source, index: int) -> None:
            source.read_rgb(frames[index].number, rgb[index])

        decode_all(instances, colour, threads, progress)
        return rgb, 1.0, 0.0, None, None, None
    _require_memory(series, len(frames) * first.rows * first.columns * frame_dtype(first).itemsize)
    gray = np.empty((len(frames), first.rows, first.columns), dtype=frame_dtype(first))

    def monochrome(source: Source, index: int) -> None:
        source.read_gray(frames[index].number, gray[index])

    if is_direct(first, gray.dtype):
        read_direct(frames, instances, gray, threads, progress)
    else:
        decode_all(instances, monochrome, threads, progress)
    tables = _modality_tables([first])
    window, voi, padding = _presentation(first, frames[0], bool(tables))
    if tables:
        stored, gray = gray, np.empty(gray.shape, np.uint16)
        tables[first.path].apply(stored, gray, threads)
        slope, intercept = 1.0, 0.0
    span = _inversion(series, [first], frames, tables)
    if span is not None:
        padding = luts.invert(gray, *span, padding, threads)
        window, voi = _mirror(window, voi, sum(span) * slope + 2.0 * intercept)
    return gray, slope, intercept, window, voi, padding


def _modality_tables(instances: Sequence[Instance]) -> dict[Path, luts.Lut]:
    """The Modality LUT of each file that has one."""
    tables: dict[Path, luts.Lut] = {}
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
    if instance.has_voi_lut or (window is None and instance.has_groups):
        try:
            dataset = read_dataset(instance.path)
            lowest = 0.0 if has_table else _range(instance, None)[0] * frame.slope + frame.intercept
            voi = luts.voi_lut(dataset, signed_input=lowest < 0)
            window = window or read_window(dataset, frame.number)
        except HeaderError as error:
            raise StudyRejected(f"{instance.name}: {error}") from error
    return window, voi, None if has_table else instance.padding_value


def _inversion(
    series: Series, instances: Sequence[Instance], frames: Sequence[Frame], tables: dict[Path, luts.Lut]
) -> tuple[int, int] | None:
    """Between which values MONOCHROME1 is inverted; None where it is not: MONOCHROME2, or physical units.

    Raises
    ------
    StudyRejected
        Frames that would have to be inverted each in its own way.
    """
    other = next((one for one in instances if one.photometric != instances[0].photometric), None)
    if other is not None:
        raise StudyRejected(
            f"series {series.uid} mixes {instances[0].photometric} ({instances[0].name}) "
            f"and {other.photometric} ({other.name})"
        )
    if instances[0].photometric != "MONOCHROME1" or series.modality in PHYSICAL:
        return None
    spans = {_range(one, tables.get(one.path)) for one in instances}
    scales = {(frame.slope, frame.intercept) for frame in frames if not tables}
    paddings = {one.padding_value for one in instances if not tables}
    if len(spans) > 1 or len(scales) > 1 or len(paddings) > 1:
        raise StudyRejected(
            f"series {series.uid} has MONOCHROME1 frames of different depth, rescale or padding value, "
            "which cannot be inverted alike"
        )
    return spans.pop()


def _range(instance: Instance, table: luts.Lut | None) -> tuple[int, int]:
    """The values that the Modality LUT's bits allow, or the stored ones that Bits Stored allows."""
    if table is not None:
        return 0, (1 << table.bits) - 1
    if frame_dtype(instance).kind == "f":
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
    require_memory(size, f"series {series.uid}", mend="free memory, or check Rows, Columns and Number of Frames")
