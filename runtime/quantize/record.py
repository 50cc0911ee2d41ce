"""Calibration: what the network is fed when the bundle runs on studies, with its transforms and its windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bedside.backends.contract import Array, Device, Pending, Program, Tensors, TensorSpec

_LARGEST = 1 << 30
"""Bytes of windows that are kept at once."""


class Recorder:
    """A program that keeps an even random choice of what it is fed, and passes everything on."""

    def __init__(self, program: Program, most: int, *, seed: int = 0) -> None:
        self._program = program
        self._most = max(1, most)
        self._rng = np.random.default_rng(seed)
        self._seen = 0
        self.windows: list[Array] = []
        """Of batch size 1 where the network lets the caller choose, else as they were fed."""

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
        self._keep(feeds)
        return self._program.run(feeds)

    def submit(self, feeds: Tensors) -> Pending:
        self._keep(feeds)
        return self._program.submit(feeds)

    def placement(self) -> dict[str, int]:
        return self._program.placement()

    def close(self) -> None:
        """Nothing: the program belongs to who opened it."""

    def _keep(self, feeds: Mapping[str, Any]) -> None:
        # Reservoir sampling (Vitter 1985, algorithm R): each window of a study has the same chance.
        batch = feeds[self.inputs[0].name]
        for window in np.split(batch, len(batch)) if self.inputs[0].shape[0] in (None, 1) else [batch]:
            most = max(1, min(self._most, _LARGEST // window.nbytes))
            place = self._seen if self._seen < most else int(self._rng.integers(self._seen + 1))
            self._seen += 1
            if place < most:
                kept = np.array(window)
                if place < len(self.windows):
                    self.windows[place] = kept
                else:
                    self.windows.append(kept)
