"""A network that costs next to nothing: one logit a voxel, positive where the input is above a level.

The same arithmetic on both sides, so that everything around the network can be compared; its own time is kept apart.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from bedside.backends.contract import Array, Device, Tensors, TensorSpec
from bedside.runtime.bundle.load import Bundle

STEEPNESS = 20.0


class Above:
    """An open :class:`bedside.backends.contract.Program` that computes ``(image - level) * 20``."""

    def __init__(self, bundle: Bundle, level: float) -> None:
        axes = len(bundle.network.input.spatial_shape)
        shape = (None, bundle.network.input.num_channels, *([None] * axes))
        self.inputs = (TensorSpec(bundle.input.name, shape, np.dtype(np.float32)),)
        self.outputs = (TensorSpec(bundle.output.name, shape, np.dtype(np.float32)),)
        self.device = Device("benchmark", "a threshold in place of the network", True)
        self.level = np.float32(level)
        self.seconds = 0.0
        """Spent in here since it was last set to zero."""

    def logits(self, image: Any) -> Any:
        """Of a numpy array or a torch tensor, float32."""
        start = time.perf_counter()
        found = image - self.level
        found *= STEEPNESS
        self.seconds += time.perf_counter() - start
        return found

    def run(self, feeds: Tensors) -> dict[str, Array]:
        return {self.outputs[0].name: self.logits(feeds[self.inputs[0].name])}

    def submit(self, feeds: Tensors) -> Finished:
        return Finished(self.run(feeds))

    def placement(self) -> dict[str, int]:
        return {"benchmark": 1}

    def close(self) -> None:
        """Nothing is held."""


class Finished:
    """A run that is over when it is asked for."""

    def __init__(self, outputs: dict[str, Array]) -> None:
        self._outputs = outputs

    def result(self, timeout: float | None = None) -> dict[str, Array]:
        return self._outputs
