"""The network over an image: at once, in sliding windows, or over the frames of a cine.

Windows and frames are cut out into the network's input buffer while the device computes the ones before. Where the
bundle's postprocessing begins with an argmax or a threshold, labels are decided as planes are finished and the
network's full output never exists; nor does it where a sink takes the planes.

A device that never answers is waited for without end: a bound on the time belongs to whoever watches the run.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import kernels
from bedside.backends.contract import Array, Pending, Program, TensorSpec

from .bundle_schema import InfererSpec
from .errors import BundleError, DeviceFault
from .memory import require_memory
from .sliding_window import Blender, Cutter, Float, Windows, by, importance_map, roi_of, slab_bytes
from .transforms.online import OnlineRule, PlaneSink, discretise

__all__ = ["Inferred", "OnlineRule", "infer", "infer_cine"]

Progress = Callable[[str, int, int], None]
STAGE = "infer"
_BUFFERS = 2
_SINK_BYTES = 1 << 25
"""Blended output divided by its weights at a time, on its way to a sink."""


@dataclass(frozen=True)
class Inferred:
    """What the network said: labels where an OnlineRule decided them, nothing where a sink took it, else its output."""

    labels: NDArray[np.uint8] | None
    """[spatial...]; laid out in memory like the image, so that a transposed image gives a transposed label map."""
    logits: Float | None
    """[C, spatial...], or [C] of a network without spatial output."""
    windows: int
    """How many windows or images the network was run on."""


def infer(
    program: Program,
    array: Array,
    spec: InfererSpec,
    *,
    online: OnlineRule | None = None,
    sink: PlaneSink | None = None,
    output: str | None = None,
    progress: Progress | None = None,
    threads: int = 0,
) -> Inferred:
    """Run a network over one image.

    Parameters
    ----------
    program
        The loaded network: one input [N, C, spatial...].
    array
        [C, spatial...], two or three spatial axes, any strides, in the network's axis order and value range.
    spec
        ``simple`` runs the image whole, ``sliding`` in windows with MONAI's arguments and MONAI's numbers.
    online
        Decide labels at once.
    sink
        Takes the network's output in place of the caller, plane by plane; without it and without ``online`` the output
        is returned, which for a large volume is large.
    output
        Name of the output to use, where the network has several.
    progress
        Called with ("infer", windows done, windows in all).
    threads
        For the blending kernels; 0 is every core.

    Raises
    ------
    BundleError
        The network does not take this image: channels, axes, window size, dtype, name of the output.
    StudyRejected
        The network's output does not fit into the memory that is free, or the image is too small to be padded as asked.
    DeviceFault
        The device failed, or returned not-a-number, infinity or a wrong shape.
    """
    network = _Network(program, output)
    network.check(array)
    if spec.kind == "simple":
        return _whole(network, array, online, sink, progress, threads)
    return _sliding(network, array, spec, online, sink, progress, threads)


def infer_cine(
    program: Program,
    frames: Iterable[Array],
    spec: InfererSpec,
    *,
    online: OnlineRule | None = None,
    output: str | None = None,
    total: int = 0,
    progress: Progress | None = None,
    threads: int = 0,
) -> Iterator[Inferred]:
    """Run a network over the frames [C, y, x] of a cine, one by one, and yield each result in its turn.

    The next frame is prepared (``frames`` may be a generator) and handed to the device while the one before is
    computed. ``total`` is the number of frames, for ``progress``. Errors as of :func:`infer`.
    """
    network = _Network(program, output)
    done = 0

    def finished(result: Inferred) -> Inferred:
        nonlocal done
        done += 1
        if progress:
            progress(STAGE, done, total)
        return result

    if spec.kind == "sliding":
        for frame in frames:
            yield finished(infer(program, frame, spec, online=online, output=output, threads=threads))
        return
    waiting: deque[tuple[Pending, Array]] = deque()
    for frame in frames:
        network.check(frame)
        batch = network.whole(frame)
        waiting.append((network.submit(batch), batch))
        if len(waiting) == _BUFFERS:
            yield finished(_decide(network.take(*waiting.popleft()), online, threads))
    while waiting:
        yield finished(_decide(network.take(*waiting.popleft()), online, threads))


class _Network:
    """A Program with one input and one output of interest, checked on the way in and on the way out."""

    def __init__(self, program: Program, output: str | None) -> None:
        if len(program.inputs) != 1:
            raise BundleError(f"the network has {len(program.inputs)} inputs, one image is given")
        named = {spec.name: spec for spec in program.outputs}
        if output is not None and output not in named:
            raise BundleError(f"the network has no output '{output}', only {', '.join(sorted(named))}")
        self._program = program
        self.input: TensorSpec = program.inputs[0]
        self.output: TensorSpec = named[output] if output is not None else program.outputs[0]
        if self.output.dtype.kind != "f":
            raise BundleError(f"the network's output '{self.output.name}' is {self.output.dtype}, not floating point")

    @property
    def batch(self) -> int | None:
        """The batch size the network fixes, or None."""
        return self.input.shape[0]

    @property
    def channels(self) -> int | None:
        """Output channels, where the network says."""
        return self.output.shape[1] if len(self.output.shape) > 1 else None

    def check(self, array: Array) -> None:
        """Raise BundleError unless the network takes windows of an image [C, spatial...]."""
        shape = self.input.shape
        if array.ndim not in (3, 4) or len(shape) != array.ndim + 1:
            raise BundleError(
                f"the network's input '{self.input.name}' has {len(shape)} dimensions, "
                f"the transforms give [channel, space] of {array.ndim} (batch not counted)"
            )
        if shape[1] not in (None, array.shape[0]):
            raise BundleError(f"the network takes {shape[1]} channels, the transforms give {array.shape[0]}")
        if not np.can_cast(array.dtype, self.input.dtype, "same_kind"):
            raise BundleError(f"the network takes {self.input.dtype}, the transforms give {array.dtype}")

    def buffers(self, count: int, batch: int, channels: int, space: tuple[int, ...]) -> list[Array]:
        """Input buffers [batch, C, space...], zeroed."""
        return [np.zeros((batch, channels, *space), self.input.dtype) for _ in range(count)]

    def whole(self, array: Array) -> Array:
        """The image as a batch of one; BundleError where the network fixes another size."""
        shape = (1, *array.shape)
        if any(fixed not in (None, size) for fixed, size in zip(self.input.shape, shape, strict=True)):
            raise BundleError(
                f"the network takes {by(self.input.shape)}, the transforms give {by(shape)}",
                mend="resize in the bundle's preprocessing, or use SlidingWindowInferer",
            )
        return np.ascontiguousarray(array[None], self.input.dtype)

    def submit(self, batch: Array) -> Pending:
        return self._program.submit({self.input.name: batch})

    def take(self, pending: Pending, batch: Array) -> Float:
        """The output [N, C, ...] as float32; DeviceFault for another shape than declared or asked, or not finite."""
        found = pending.result()[self.output.name]
        device = self._program.device.id
        declared = self.output.shape
        fits = found.ndim == len(declared) and all(
            want is None or want == have for want, have in zip(declared, found.shape, strict=True)
        )
        if not fits or found.shape[0] != batch.shape[0]:
            raise DeviceFault(f"{device} returned '{self.output.name}' of shape {list(found.shape)}, not {declared}")
        if found.ndim > 2 and found.shape[2:] != batch.shape[2:]:
            raise DeviceFault(
                f"{device} returned '{self.output.name}' of shape {list(found.shape)} for an input of "
                f"{list(batch.shape)}: a segmentation lies on its input's grid"
            )
        # Smallest and largest together say whether all are finite, without an array of answers; a NaN is in both.
        if found.size and np.isnan(found.min()):
            raise DeviceFault(f"{device} returned not-a-number in '{self.output.name}'")
        if found.size and not (np.isfinite(found.min()) and np.isfinite(found.max())):
            raise DeviceFault(f"{device} returned infinity in '{self.output.name}'")
        return found.astype(np.float32, copy=False)


def _whole(
    network: _Network,
    array: Array,
    online: OnlineRule | None,
    sink: PlaneSink | None,
    progress: Progress | None,
    threads: int,
) -> Inferred:
    batch = network.whole(array)
    found = network.take(network.submit(batch), batch)
    if progress:
        progress(STAGE, 1, 1)
    if sink is not None:
        sink.take(0, found[0])
        return Inferred(None, None, 1)
    return _decide(found, online, threads)


def _decide(found: Float, online: OnlineRule | None, threads: int) -> Inferred:
    """The result of one whole image from the network's output [1, C, ...]."""
    logits = found[0]
    if online is None:
        return Inferred(None, logits, 1)
    if logits.ndim < 3:
        raise BundleError("labels are decided voxel by voxel, and the network's output has no spatial axes")
    return Inferred(discretise(logits, online, threads), None, 1)


def _sliding(
    network: _Network,
    array: Array,
    spec: InfererSpec,
    online: OnlineRule | None,
    planes: PlaneSink | None,
    progress: Progress | None,
    threads: int,
) -> Inferred:
    if len(network.output.shape) != len(network.input.shape):
        raise BundleError("sliding windows need a network whose output has spatial axes", mend="use SimpleInferer")
    space = array.shape[1:]
    roi = roi_of(spec.roi_size, space, network.input.shape[2:])
    windows = Windows.over(space, roi, spec.overlap)
    weight = _lift(importance_map(roi, spec.mode, spec.sigma_scale)[None])[0]
    sink = _Sink(array, weight, online, planes, threads)
    if network.channels is not None:
        sink.check_memory(network.channels)

    cutter = Cutter(array, windows, spec.padding_mode, spec.cval)
    size = network.batch or min(spec.sw_batch_size, len(windows.starts))
    groups = [windows.starts[at : at + size] for at in range(0, len(windows.starts), size)]
    free = network.buffers(min(_BUFFERS, len(groups)), size, array.shape[0], roi)
    for buffer in free:
        cutter.prepare(buffer)
    waiting: deque[tuple[Pending, Array, Array, list[tuple[int, ...]]]] = deque()
    done = 0

    def take_oldest() -> None:
        nonlocal done
        pending, batch, buffer, starts = waiting.popleft()
        found = network.take(pending, batch)
        for start, window in zip(starts, found, strict=False):
            sink.add(start, window)
        free.append(buffer)
        done += len(starts)
        if progress:
            progress(STAGE, done, len(windows.starts))

    for starts in groups:
        if not free:
            take_oldest()
        buffer = free.pop()
        for start, window in zip(starts, buffer, strict=False):
            cutter.cut(start, window)
        # A batch size that the network fixes is kept for the last group too; what is left over is not looked at.
        batch = buffer if network.batch is not None else buffer[: len(starts)]
        waiting.append((network.submit(batch), batch, buffer, starts))
    while waiting:
        take_oldest()
    return sink.result(len(windows.starts))


class _Sink:
    """Takes windows of output; has the labels or the blended output when all are in, or hands on finished planes."""

    def __init__(
        self, array: Array, weight: Float, online: OnlineRule | None, planes: PlaneSink | None, threads: int
    ) -> None:
        self._space = array.shape[1:]
        self._image = (1,) * (3 - len(self._space)) + self._space
        self._weight = weight
        self._online = online
        self._planes = planes
        self._threads = threads
        self._blender: Blender | None = None
        self._logits: Float | None = None
        self._labels: NDArray[np.uint8] | None = None
        self._memory_checked = False
        if online is not None:
            self._labels = np.empty_like(array[0], dtype=np.uint8, order="K", subok=False)

    def check_memory(self, channels: int) -> None:
        """Raise StudyRejected where slab and output would not fit into the memory that is free."""
        if self._memory_checked:
            return
        self._memory_checked = True
        voxels = math.prod(self._space)
        needed = slab_bytes(channels, self._image, self._weight.shape)
        if self._planes is not None:
            needed += _SINK_BYTES
        else:
            needed += voxels if self._online is not None else 4 * channels * voxels
        require_memory(
            needed,
            f"the network's output of {channels} channels over {by(self._space)} voxels",
            mend="free memory, or let postprocessing begin with argmax or a threshold, which needs little",
        )

    def add(self, start: tuple[int, ...], window: Float) -> None:
        if self._blender is None:
            channels = window.shape[0]
            self.check_memory(channels)
            if self._online is None and self._planes is None:
                self._logits = np.empty((channels, *self._space), np.float32)
            self._blender = Blender(channels, self._image, self._weight, self._emit, self._threads)
        z, y, x = (0,) * (3 - len(start)) + start
        self._blender.add((z, y, x), _lift(window))

    def result(self, windows: int) -> Inferred:
        if self._blender is not None:
            self._blender.close()
        return Inferred(self._labels, self._logits, windows)

    def _emit(self, first: int, last: int, total: Float, norm: Float) -> None:
        if self._planes is not None:
            self._hand_on(first, total, norm)
        elif self._online is not None and self._labels is not None:
            planes = _lift(self._labels[None])[0, first:last]
            if self._online.kind == "argmax":
                kernels.argmax_blend(total, norm, planes, threads=self._threads)
            else:
                kernels.threshold_blend(total, norm, planes, self._online.level, threads=self._threads)
        elif self._logits is not None:
            np.divide(total, norm, out=_lift(self._logits)[:, first:last])

    def _hand_on(self, first: int, total: Float, norm: Float) -> None:
        assert self._planes is not None
        if len(self._space) == 2:
            self._planes.take(0, np.divide(total, norm)[:, 0])
            return
        step = max(1, _SINK_BYTES // total[:, :1].nbytes)
        for at in range(0, len(norm), step):
            part = slice(at, at + step)
            self._planes.take(first + at, np.divide(total[:, part], norm[part]))


def _lift(array: NDArray[Any]) -> NDArray[Any]:
    """[C, y, x] as [C, 1, y, x]; [C, z, y, x] as it is. A view."""
    return array[:, None] if array.ndim == 3 else array
