"""The network over an image: at once, in sliding windows, or over the frames of a cine.

Windows and frames are cut out into the network's input buffer while the device computes the ones before. Where the
bundle's postprocessing begins with an argmax or a threshold, labels are decided as planes are finished and the
network's full output never exists; nor does it where a sink takes the planes.

How long a device may take is not decided here: a program that answers in time or not at all is
:class:`~.watchdog.WatchedProgram`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside import kernels
from bedside.backends.contract import Array, OwnBuffers, Pending, Program, TensorSpec

from .bundle.schema import InfererSpec
from .dtypes import as_float32
from .errors import BundleError, DeviceFault
from .memory import require_memory
from .sliding_window import Blender, Cutter, Float, Importance, Windows, by, importance, lift, roi_of, slab_bytes
from .stopwatch import Progress
from .threads import beside
from .transforms.online import OnlineRule, PlaneSink, discretise

__all__ = ["Inferred", "OnlineRule", "infer", "infer_cine"]

STAGE = "infer"
_BUFFERS = 2
_SINK_BYTES = 1 << 25
"""Blended output divided by its weights at a time, on its way to a sink."""
_NORM_BYTES = 1 << 21
"""Weights to divide by made at a time; they stay in the cache."""


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
    return _sliding(network, array, spec, online, sink, progress, beside(program, threads))


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
    threads = beside(program, threads) if total != 1 else threads
    for frame in frames:
        network.check(frame)
        batch = network.whole(frame)
        waiting.append((network.submit(batch), batch))
        if len(waiting) == _BUFFERS:
            yield finished(_decide(network.take_finite(*waiting.popleft(), threads), online, threads))
    while waiting:
        yield finished(_decide(network.take_finite(*waiting.popleft(), threads), online, threads))


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
        """Input buffers [batch, C, space...], zeroed, in memory of the device's choice where it has one."""
        allocate = self._program.allocate if isinstance(self._program, OwnBuffers) else np.zeros
        return [allocate((batch, channels, *space), self.input.dtype) for _ in range(count)]

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

    def take(self, pending: Pending, batch: Array, threads: int) -> Float:
        """The output [N, C, ...] as float32; DeviceFault for another shape than declared or asked."""
        found = pending.result()[self.output.name]
        device = self._program.device.id
        declared = self.output.shape
        fits = found.ndim == len(declared) and all(
            want is None or want == have for want, have in zip(declared, found.shape, strict=True)
        )
        if not fits or found.shape[0] != batch.shape[0]:
            wrong = f"{device} returned '{self.output.name}' of shape {list(found.shape)}, not {declared}"
            raise DeviceFault(wrong, kind="shape")
        if found.ndim > 2 and found.shape[2:] != batch.shape[2:]:
            raise DeviceFault(
                f"{device} returned '{self.output.name}' of shape {list(found.shape)} for an input of "
                f"{list(batch.shape)}: a segmentation lies on its input's grid",
                kind="shape",
            )
        return as_float32(found, threads)

    def take_finite(self, pending: Pending, batch: Array, threads: int) -> Float:
        """As :meth:`take`; DeviceFault for not-a-number and infinity too."""
        found = self.take(pending, batch, threads)
        self.require_finite(found, threads)
        return found

    def require_finite(self, found: Float, threads: int) -> None:
        """DeviceFault where there is not-a-number or infinity."""
        for one in found:
            if one.size:
                _, _, nan, infinite = kernels.minmax(np.atleast_1d(one), threads=threads)
                self.require_finite_peak(math.nan if nan else math.inf if infinite else 0.0)

    def require_finite_peak(self, largest: float) -> None:
        """DeviceFault where the largest absolute value is not finite."""
        if not math.isfinite(largest):
            what = "not-a-number" if math.isnan(largest) else "infinity"
            raise DeviceFault(f"{self._program.device.id} returned {what} in '{self.output.name}'", kind="nan")


def _whole(
    network: _Network,
    array: Array,
    online: OnlineRule | None,
    sink: PlaneSink | None,
    progress: Progress | None,
    threads: int,
) -> Inferred:
    batch = network.whole(array)
    found = network.take_finite(network.submit(batch), batch, threads)
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
    weights = importance(roi, spec.mode, spec.sigma_scale)
    sink = _Sink(array, windows, weights, online, planes, threads)
    if network.channels is not None:
        sink.check_memory(network.channels)

    cutter = Cutter(array, windows, spec.padding_mode, spec.cval, threads)
    starts = windows.starts
    size = network.batch or min(spec.sw_batch_size, len(starts))
    groups = [starts[at : at + size] for at in range(0, len(starts), size)]
    free = network.buffers(min(_BUFFERS, len(groups)), size, array.shape[0], roi)
    waiting: deque[tuple[Pending, Array, Array, list[tuple[int, ...]]]] = deque()
    done = 0

    def take_oldest() -> None:
        nonlocal done
        pending, batch, buffer, group = waiting.popleft()
        found = network.take(pending, batch, threads)
        if windows.pads:
            network.require_finite(found, threads)  # also where no voxel of the image lies
        for start, window in zip(group, found, strict=False):
            network.require_finite_peak(sink.add(start, window))
        free.append(buffer)
        done += len(group)
        if progress:
            progress(STAGE, done, len(starts))

    for group in groups:
        if not free:
            take_oldest()
        buffer = free.pop()
        for start, window in zip(group, buffer, strict=False):
            cutter.cut(start, window)
        # A batch size that the network fixes is kept for the last group too; what is left over is not looked at.
        batch = buffer if network.batch is not None else buffer[: len(group)]
        waiting.append((network.submit(batch), batch, buffer, group))
    while waiting:
        take_oldest()
    return sink.result(len(starts))


class _Sink:
    """Takes windows of output; has the labels or the blended output when all are in, or hands on finished planes."""

    def __init__(
        self,
        array: Array,
        windows: Windows,
        weights: Importance,
        online: OnlineRule | None,
        planes: PlaneSink | None,
        threads: int,
    ) -> None:
        self._space = array.shape[1:]
        self._windows = windows
        self._weights = weights
        self._online = online
        self._planes = planes
        self._threads = threads
        self._blender: Blender | None = None
        self._logits: Float | None = None
        self._labels: NDArray[np.uint8] | None = None
        self._blended = np.empty(0, np.float32)  # on its way to the sink
        self._memory_checked = False
        if online is not None and planes is None:
            self._labels = np.empty_like(array[0], dtype=np.uint8, order="K", subok=False)

    def check_memory(self, channels: int) -> None:
        """Raise StudyRejected where slab and output would not fit into the memory that is free."""
        if self._memory_checked:
            return
        self._memory_checked = True
        voxels = math.prod(self._space)
        needed = slab_bytes(channels, self._space, self._windows.roi, self._at_a_time(channels))
        if self._planes is not None:
            needed += _SINK_BYTES
        else:
            needed += voxels if self._online is not None else 4 * channels * voxels
        require_memory(
            needed,
            f"the network's output of {channels} channels over {by(self._space)} voxels",
            mend="free memory, or let postprocessing begin with argmax or a threshold, which needs little",
        )

    def add(self, start: tuple[int, ...], window: Float) -> float:
        """Take a window [C, window...]; the largest absolute value in it, NaN if there is one."""
        if self._blender is None:
            channels = window.shape[0]
            self.check_memory(channels)
            at_a_time = self._at_a_time(channels)
            if self._planes is not None:
                self._blended = np.empty((channels, at_a_time, *_lifted(self._space)[1:]), np.float32)
            elif self._online is None:
                self._logits = np.empty((channels, *self._space), np.float32)
            self._blender = Blender(channels, self._windows, self._weights, self._emit, at_a_time, self._threads)
        return self._blender.add(start, window)

    def result(self, windows: int) -> Inferred:
        if self._blender is not None:
            self._blender.close()
        return Inferred(self._labels, self._logits, windows)

    def _at_a_time(self, channels: int) -> int:
        """How many planes the blender hands on at a time, with their weights; 0 where these are not needed."""
        planes, y, x = _lifted(self._space)
        if self._planes is not None:
            most = _SINK_BYTES // (4 * channels * y * x)
        elif self._online is not None and self._online.kind == "argmax":
            return 0
        else:
            most = _NORM_BYTES // (4 * y * x)
        return min(max(1, most), planes)

    def _emit(self, first: int, total: Float, norm: Float | None) -> None:
        count = total.shape[1]
        if self._labels is not None and self._online is not None:
            labels = lift(self._labels[None])[0, first : first + count]
            if self._online.kind == "argmax":
                kernels.argmax(total, labels, threads=self._threads)
            else:
                kernels.threshold(total, labels, self._online.level, norm=norm, threads=self._threads)
            return
        assert norm is not None  # asked for, see _at_a_time
        if self._logits is not None:
            kernels.divide(total, norm, lift(self._logits)[:, first : first + count], threads=self._threads)
        elif self._planes is not None:
            blended = self._blended[:, :count]
            kernels.divide(total, norm, blended, threads=self._threads)
            self._planes.take(first, blended if len(self._space) == 3 else blended[:, 0])


def _lifted(space: tuple[int, ...]) -> tuple[int, int, int]:
    """A spatial shape with three axes: a 2D image has one plane."""
    z, y, x = (1,) * (3 - len(space)) + space
    return z, y, x
