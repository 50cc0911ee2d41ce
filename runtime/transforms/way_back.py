"""Scores back through an interpolation without ever holding them all: plane by plane, labels at the other end.

Where a bundle makes probabilities of the logits, interpolates them back and only then takes the argmax or a threshold,
neither the probabilities nor the interpolated ones exist as a whole; where the planes come from a running inferer, the
logits do not either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from ..dtypes import as_float32, copy_into, fill
from .geometry import Interpolation, Resampled, Window
from .online import as_4d, discretise
from .post import AsDiscreted, Pointwise, online_rule
from .resize import Scaled
from .state import Array, Inverse, allocate, slabs

_CHUNK = 1 << 22
"""Scores put through the pointwise steps at a time: 16 MB and as much again in temporaries."""
_SLAB = 1 << 23
"""Scores put through all of a run at a time where their result is kept: 32 MB, and as much again in temporaries."""
_ROWS = 1 << 23
"""Scores interpolated at a time: 32 MB."""


@dataclass(frozen=True)
class Run:
    """Consecutive pointwise steps."""

    steps: tuple[Pointwise, ...]

    @property
    def discretises(self) -> bool:
        return any(isinstance(step, AsDiscreted) and step.discretises for step in self.steps)

    def apply(self, array: Array, threads: int, out: Array | None = None) -> Array:
        """[C, ...] to labels or channels of 0 and 1 (uint8), or to scores (float32); ``array`` is not changed.

        Written into ``out`` where given, ``len(of_zeros(C))`` channels of that dtype.
        """
        if out is None:
            kind = self.of_zeros(len(array))
            out = allocate((len(kind), *array.shape[1:]), kind.dtype)
        rule = online_rule(self.steps) if array.dtype == np.float32 else None
        if rule is not None and (rule.kind == "argmax" or len(array) == 1):
            discretise(array, rule, threads, out[0])
            return out
        for part in slabs(array.shape[1:], _SLAB // len(array)):
            self.of(array[:, part], threads, out[:, part])
        return out

    def of(self, array: Array, threads: int, out: Array | None = None) -> Array:
        """As :meth:`apply`, all at once."""
        array = array if array.dtype == np.uint8 else as_float32(array, threads)
        owned = False
        for step in self.steps[:-1]:
            made = step.apply(array, owned=owned, threads=threads)
            owned = owned or made is not array
            array = made
        return self.steps[-1].apply(array, out=out, owned=owned, threads=threads)

    def of_zeros(self, channels: int) -> Array:
        """What becomes of a voxel whose channels are all 0."""
        return self.of(np.zeros((channels, 1), np.float32), 1)[:, 0]


class WayBack:
    """A :class:`~.online.PlaneSink` that runs ``before``, pads, interpolates, and runs ``after``, which makes labels.

    It holds the planes that rows still to come will look at: a few, where the first axes of both grids are parallel.
    """

    def __init__(
        self,
        channels: int,
        shape: tuple[int, ...],
        trace: Sequence[Inverse],
        before: Run | None,
        after: Run,
        threads: int,
    ) -> None:
        steps = list(reversed(trace))
        last = max((index for index, step in enumerate(steps) if step.resamples), default=-1)
        moves = [step for step in steps[: max(last, 0)] if isinstance(step, Window)]
        grid = moves[-1].source_shape if moves else shape
        found: Interpolation | None
        if last < 0:
            found = Interpolation(np.eye(len(shape) + 1), shape, border=True)
        else:
            step = steps[last]
            found = step.interpolation(grid) if isinstance(step, Resampled | Scaled) else None
        if found is None or len(moves) != max(last, 0):
            raise NotSlabwise
        self.rest = tuple(steps[last + 1 :])
        """The inverses that are left to do on the labels."""
        self.fill = after.of_zeros(channels)
        """What the labels are where those add voxels."""
        self._step, self._grid = found, grid
        self._before, self._after, self._threads = before, after, threads
        self._source, self._place = _placed(shape, moves)
        self._inner = math.prod(grid[1:])
        self._chunk = max(1, _CHUNK // (channels * self._inner))
        self._rows = max(1, _ROWS // (channels * math.prod(found.shape[1:])))
        self._held = allocate((channels, min(self._chunk + 2, grid[0]), *grid[1:]), np.float32)
        self._first = self._end = 0  # planes of the grid that are held
        self._row = 0  # rows before this one are made
        self._out: Array | None = None

    def take(self, first: int, values: NDArray[np.float32]) -> None:
        """Planes of the network's output from ``first`` on."""
        wanted = self._source[0]
        start, stop = max(first, wanted.start), min(first + values.shape[1], wanted.stop)
        for at in range(start, stop, self._chunk):
            end = min(at + self._chunk, stop)
            part = values[(slice(None), slice(at - first, end - first), *self._source[1:])]
            self._add_zeros(at - wanted.start + self._place[0].start)
            self._add(end - at, part)

    def labels(self) -> Array:
        """[C', spatial...] of uint8 before the last interpolation, once every plane is in."""
        self._add_zeros(self._grid[0])
        self._make()
        assert self._out is not None and self._row == self._step.shape[0]
        return self._out

    def _add_zeros(self, until: int) -> None:
        while self._end < until:
            self._add(min(self._chunk, until - self._end), None)

    def _add(self, count: int, values: Array | None) -> None:
        """Hold ``count`` more planes, zero but for ``values`` at their place, and make the rows that they complete.

        ``values`` are the network's.
        """
        self._make_room(count)
        at = self._end - self._first
        room = self._held[:, at : at + count]
        if values is None:
            fill(room, 0.0, self._threads)
        elif values.shape == room.shape and self._before is not None:
            self._before.of(values, self._threads, room)
        else:
            scores = values if self._before is None else self._before.of(values, self._threads)
            first = (0, *(-part.start for part in self._place[1:]))
            z, y, x = (0,) * (3 - len(first)) + first
            kernels.gather(as_4d(scores), as_4d(room), (z, y, x), fill=0.0, threads=self._threads)
        self._end += count
        self._make()

    def _make_room(self, count: int) -> None:
        size = self._held.shape[1]
        if self._end - self._first + count <= size:
            return
        unused = self._end - self._first
        if self._row < self._step.shape[0]:
            lowest = self._step.planes_of(self._row, self._step.shape[0], self._grid[0])[0]
            unused = min(lowest, self._end) - self._first
        kept = self._end - self._first - unused
        target = self._held
        if kept + count > size // 2 or unused < kept:
            # Room for twice as much, so that planes are moved rarely.
            size = min(max(2 * (kept + count), size), self._grid[0])
            target = allocate((len(target), size, *self._grid[1:]), np.float32) if size > len(target[0]) else target
        for old, new in zip(self._held, target, strict=True):
            copy_into(old[unused : unused + kept], new[:kept], self._threads)
        self._held = target
        self._first += unused

    def _make(self) -> None:
        rows = self._step.shape[0]
        while self._row < rows:
            stop = min(self._row + self._rows, rows)
            low, high = self._step.planes_of(self._row, stop, self._grid[0])
            if high > self._end:
                return
            planes = self._held[:, low - self._first : high - self._first]
            scores = self._step.rows(planes, low, self._row, stop, self._threads)
            if self._out is None:
                self._out = allocate((len(self.fill), *self._step.shape), self.fill.dtype)
            self._after.apply(scores, self._threads, self._out[:, self._row : stop])
            self._row = stop


class NotSlabwise(Exception):
    """A way back that needs all scores at once: it turns axes, or interpolates twice."""


def _placed(shape: tuple[int, ...], moves: Sequence[Window]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Going back through crops and pads: which box of ``shape`` is left, and where it then lies."""
    source, place = [], []
    for axis, size in enumerate(shape):
        first, last, at = 0, size, 0
        for move in moves:
            in_source, in_box = (part[axis] for part in move.slices())
            low, high = max(at, in_box.start), min(at + last - first, in_box.stop)
            first, last = first + low - at, first + max(high, low) - at
            at = low - in_box.start + in_source.start
        source.append(slice(first, last))
        place.append(slice(at, at + last - first))
    return tuple(source), tuple(place)
