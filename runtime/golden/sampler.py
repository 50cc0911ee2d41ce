"""A sample of what a network gives while a study goes its way: enough to tell whether two devices compute the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bedside.backends.contract import Array, Device, Pending, Program, Tensors, TensorSpec

PER_WINDOW = 64
"""Values of the network's output that are kept of one window or frame."""
MOST_WINDOWS = 256


class Sampler:
    """A program that keeps a sample of what it gives, and is else the program it was made from."""

    def __init__(self, program: Program, output: str) -> None:
        self._program = program
        self._output = output
        self._values: dict[int, NDArray[np.float32]] = {}
        self.windows = 0

    @property
    def device(self) -> Device:
        return self._program.device

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._program.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._program.outputs

    def run(self, feeds: Tensors) -> dict[str, Array]:
        first = self._begin(feeds)
        return self.take(first, self._program.run(feeds))

    def submit(self, feeds: Tensors) -> Pending:
        first = self._begin(feeds)
        return _Sampled(self, first, self._program.submit(feeds))

    def placement(self) -> dict[str, int]:
        return self._program.placement()

    def close(self) -> None:
        self._program.close()

    def values(self) -> NDArray[np.float32]:
        """The sample so far, in the order of the windows."""
        kept = [self._values[number] for number in sorted(self._values)]
        return np.concatenate(kept) if kept else np.empty(0, np.float32)

    def take(self, first: int, outputs: dict[str, Array]) -> dict[str, Array]:
        """Sample the outputs of the windows from number ``first`` on."""
        found = outputs.get(self._output)
        for number, window in enumerate(found if found is not None else (), start=first):
            if number < MOST_WINDOWS:
                flat = window.reshape(-1)
                self._values[number] = flat[_positions(number, flat.size)].astype(np.float32)
        return outputs

    def _begin(self, feeds: Tensors) -> int:
        first = self.windows
        self.windows += len(next(iter(feeds.values())))
        return first


class _Sampled:
    def __init__(self, sampler: Sampler, first: int, pending: Pending) -> None:
        self._sampler, self._first, self._pending = sampler, first, pending

    def result(self, timeout: float | None = None) -> dict[str, Array]:
        return self._sampler.take(self._first, self._pending.result(timeout))


def _positions(number: int, size: int) -> NDArray[np.int64]:
    """Which values of a window are kept: all of a few, else scattered over it, others in every window."""
    if size <= PER_WINDOW:
        return np.arange(size)
    steps = np.arange(PER_WINDOW, dtype=np.int64) * 2654435761 + number * 40503  # 2^32 over the golden ratio
    return steps % size
