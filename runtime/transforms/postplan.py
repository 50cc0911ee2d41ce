"""The way back: postprocessing put in the order that needs the least memory, with the same result.

A discretisation that looks at one voxel only commutes with moving voxels, so it is done before the inverse wherever
that inverse moves voxels or takes the nearest; where the inverse interpolates, the two are done slab by slab. The
voxels that the inverse adds are zeros in MONAI: they get what the discretisation makes of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from ..bundle.schema import BundleMeta, NetworkDataFormat
from ..dtypes import as_float32, copy_into
from ..errors import BundleError
from .intensity import EnsureTyped
from .morphology import Morphology
from .online import OnlineRule, as_4d
from .post import Activationsd, AsDiscreted, Invertd, Pointwise, online_rule
from .registry import Transform
from .state import Array, Inverse
from .way_back import NotSlabwise, Run, WayBack

_WHERE = "configs/inference.json: postprocessing"


@dataclass(frozen=True)
class Back:
    """Invertd, with what the voxels that it adds are to hold."""

    nearest: bool
    fill: Array | None = None


@dataclass(frozen=True)
class PostPlan:
    """The compiled postprocessing."""

    classifies: bool
    channels: int
    """Channels of the network's output."""
    steps: tuple[Run | Back | Morphology, ...]
    first_label: int
    """Label of channel 0 where the result has several channels of 0 and 1."""
    online: OnlineRule | None

    @staticmethod
    def compile(
        steps: Sequence[Transform],
        meta: BundleMeta,
        network: NetworkDataFormat,
        *,
        exact_back: bool,
        moves: Sequence[str],
    ) -> PostPlan:
        """Check the postprocessing and order it.

        Parameters
        ----------
        exact_back : whether no spatial transform of the preprocessing interpolates on its way back
        moves : names of the preprocessing's spatial transforms
        """
        for index, step in enumerate(steps):
            if step.key != network.pred_key:
                raise BundleError(
                    f"{_WHERE}[{index}] {step.name}: keys is '{step.key}', the network's output is '{network.pred_key}'"
                )
        kept = [step for step in steps if not isinstance(step, EnsureTyped)]
        channels = network.output.num_channels
        if meta.result.kind == "classification":
            return _classifier(kept, meta, channels)
        first_label = _check_segmentation(kept, meta, network, exact_back, moves)
        ordered = _order(kept, channels, exact_back)
        rule = online_rule(ordered[0].steps) if isinstance(ordered[0], Run) else None
        if rule is not None and rule.kind == "threshold" and channels > 1:
            shaped = any(isinstance(step, Morphology) for step in ordered)
            rule = None if shaped or first_label != 1 else rule
        return PostPlan(False, channels, tuple(ordered), first_label, rule)

    def probabilities(self, pred: Array) -> NDArray[np.float32]:
        """Class scores after the activations, checked to be probabilities."""
        if pred.shape != (self.channels,):
            raise BundleError(f"the network gave scores of shape {pred.shape}, the bundle says ({self.channels},)")
        scores = np.array(pred, dtype=np.float32)
        for step in self.steps:
            assert isinstance(step, Run)
            scores = step.apply(scores[:, np.newaxis], 1)[:, 0]
        if not (np.all(scores >= -1e-6) and np.all(scores <= 1 + 1e-6)):
            raise BundleError(
                f"class scores {[round(float(s), 4) for s in scores]} are not probabilities",
                mend="add Activationsd with sigmoid or softmax to the postprocessing",
            )
        return np.clip(scores, 0.0, 1.0)

    def way_back(self, shape: tuple[int, ...], trace: Sequence[Inverse], threads: int) -> WayBack | None:
        """The way back plane by plane, for scores that an Invertd interpolates before they become labels; else None."""
        at = self._interpolated
        if at is None:
            return None
        before, after = self.steps[:at], self.steps[at + 1]
        assert isinstance(after, Run)
        run = before[0] if before and isinstance(before[0], Run) else None
        try:
            return WayBack(self.channels, shape, trace, run, after, threads)
        except NotSlabwise:
            return None

    @property
    def _interpolated(self) -> int | None:
        """Index of the Back that interpolates scores, which a Run then makes labels of; None where there is none."""
        at = next((index for index, step in enumerate(self.steps) if isinstance(step, Back)), None)
        if at is None or at + 1 == len(self.steps) or not isinstance(self.steps[at + 1], Run):
            return None
        scores = all(isinstance(step, Run) and not step.discretises for step in self.steps[:at])
        back = self.steps[at]
        return at if scores and isinstance(back, Back) and not back.nearest else None

    def _through(self, array: Array, trace: Sequence[Inverse], threads: int) -> WayBack | None:
        """The whole output sent on the way back, past steps that only turn or crop it, if there is such a way."""
        if self._interpolated is None:
            return None
        left = list(trace)
        while left and not left[-1].resamples and not left[-1].pads:
            # Pointwise steps commute with moving voxels, and these give views.
            array = left.pop().invert(array, nearest=False, threads=threads)
        way = self.way_back(array.shape[1:], left, threads)
        if way is not None:
            way.take(0, array)
        return way

    def labels(self, pred: Array | WayBack, shape: tuple[int, ...], trace: Sequence[Inverse], threads: int) -> Array:
        """Logits [C, spatial...], or a label map [spatial...] by the online rule, to a label map [1, spatial...].

        Or what took the logits plane by plane.
        """
        steps = self.steps
        if isinstance(pred, WayBack):
            return self._finish_way(pred, threads)
        if pred.dtype == np.uint8 and pred.shape == shape:
            if self.online is None:
                raise BundleError("a label map was given, but this bundle's postprocessing needs the network's output")
            array = pred[np.newaxis]
            if any(isinstance(s, Morphology) for s in steps):  # which change it in place
                array = np.empty_like(array)
                copy_into(pred, array[0], threads)
            if self.online.kind == "threshold" and self.channels > 1:
                steps = tuple(_collapsed(step, self.first_label, threads) for step in steps)
            steps = steps[1:]
        elif pred.shape == (self.channels, *shape):
            array = as_float32(pred, threads)
        else:
            raise BundleError(f"the network gave an output of shape {pred.shape}, expected {(self.channels, *shape)}")
        if array.dtype == np.float32:
            way = self._through(array, trace, threads)
            if way is not None:
                return self._finish_way(way, threads)
        return self._walk(array, steps, trace, threads)

    def _finish_way(self, way: WayBack, threads: int) -> Array:
        assert self._interpolated is not None
        array = way.labels()
        for step in way.rest:
            array = step.invert(array, nearest=True, threads=threads, fill=way.fill)
        return self._walk(array, self.steps[self._interpolated + 2 :], (), threads)

    def _walk(
        self, array: Array, steps: Sequence[Run | Back | Morphology], trace: Sequence[Inverse], threads: int
    ) -> Array:
        index = 0
        while index < len(steps):
            step = steps[index]
            if isinstance(step, Run | Morphology):
                array = step.apply(array, threads)
            else:
                following = steps[index + 1] if index + 1 < len(steps) else None
                run = following if isinstance(following, Run) and array.dtype == np.float32 else None
                array = go_back(array, trace, step, run, threads)
                index += run is not None
            index += 1
        return collapse(array, self.first_label, threads)


def collapse(array: Array, first_label: int, threads: int = 0) -> Array:
    """Channels of 0 and 1 (uint8) to one label map: the first channel that is set gives the label."""
    if len(array) == 1:
        return array
    out = np.empty((1, *array.shape[1:]), np.uint8)
    kernels.threshold(as_4d(array), as_4d(out)[0], 1, first_label=first_label, threads=threads)
    return out


def _collapsed(step: Run | Back | Morphology, first_label: int, threads: int) -> Run | Back | Morphology:
    if not isinstance(step, Back) or step.fill is None:
        return step
    return Back(step.nearest, collapse(step.fill[:, np.newaxis], first_label, threads)[:, 0])


def go_back(array: Array, trace: Sequence[Inverse], back: Back, run: Run | None, threads: int) -> Array:
    """Invert the trace; with ``run``, do the pointwise steps that follow where its last interpolation was undone."""
    steps = list(reversed(trace))
    fill = back.fill
    if run is not None:
        last = max((index for index, step in enumerate(steps) if step.resamples), default=-1)
        for step in steps[: last + 1]:
            array = step.invert(array, nearest=back.nearest, threads=threads)
        fill = run.of_zeros(len(array))
        array = run.apply(array, threads)
        steps = steps[last + 1 :]
    for step in steps:
        array = step.invert(array, nearest=back.nearest, threads=threads, fill=fill)
    return array


def _classifier(steps: Sequence[Transform], meta: BundleMeta, channels: int) -> PostPlan:
    for step in steps:
        if not isinstance(step, Activationsd):
            raise BundleError(
                f"{_WHERE}: {step.name} does not fit a classification",
                mend="keep Activationsd; thresholds stand in bedside.result.classes",
            )
    _check_numbers("classes", max(c.index for c in meta.result.classes), channels - 1)
    runs = (Run(tuple(step for step in steps if isinstance(step, Activationsd))),) if steps else ()
    return PostPlan(True, channels, runs, 0, None)


def _check_numbers(what: str, have: int, most: int) -> None:
    if have > most:
        raise BundleError(f"configs/metadata.json: 'bedside.result.{what}' names {have}, the output goes up to {most}")


def _check_segmentation(
    steps: Sequence[Transform], meta: BundleMeta, network: NetworkDataFormat, exact_back: bool, moves: Sequence[str]
) -> int:
    """Refuse a chain that does not end in a label map on the source grid; returns the label of channel 0."""
    channels = network.output.num_channels
    rank = 3 if meta.input.kind == "volume" else 2
    chosen: AsDiscreted | None = None
    softmax = inverted = False
    for step in steps:
        if isinstance(step, Activationsd):
            if chosen:
                raise BundleError(f"{_WHERE}: Activationsd must not follow AsDiscreted")
            softmax |= step.softmax
        elif isinstance(step, AsDiscreted):
            if chosen and step.discretises:
                raise BundleError(f"{_WHERE}: argmax or threshold may be given once")
            if not chosen and not step.discretises and (step.to_onehot or step.rounding):
                raise BundleError(f"{_WHERE}: AsDiscreted with to_onehot or rounding needs argmax or threshold")
            if step.to_onehot and step.argmax and step.to_onehot < channels:
                raise BundleError(
                    f"{_WHERE}: AsDiscreted to_onehot is {step.to_onehot}, the output has {channels} channels"
                )
            chosen = step if step.discretises else chosen
        elif isinstance(step, Invertd):
            if inverted:
                raise BundleError(f"{_WHERE}: Invertd may be given once")
            inverted = True
            if step.orig_keys not in (None, network.image_key):
                raise BundleError(f"{_WHERE}: Invertd orig_keys is '{step.orig_keys}', must be '{network.image_key}'")
            if chosen and not (step.nearest_interp or exact_back):
                raise BundleError(
                    f"{_WHERE}: Invertd with nearest_interp=false after AsDiscreted would blend labels",
                    mend="set nearest_interp to true, or put Invertd before AsDiscreted",
                )
        elif isinstance(step, Morphology):
            if not chosen:
                raise BundleError(f"{_WHERE}: {step.name} must follow AsDiscreted")
            _check_morphology(step, 1 if chosen.argmax else channels, bool(chosen.to_onehot), rank)
    if chosen is None:
        raise BundleError(f"{_WHERE}: a segmentation needs AsDiscreted with argmax or threshold")
    if moves and not inverted:
        raise BundleError(
            f"{_WHERE}: {moves[0]} of the preprocessing moves the grid, but no Invertd leads back",
            mend='add Invertd with "transform": "@preprocessing"',
        )
    if chosen.argmax and channels == 1:
        raise BundleError(f"{_WHERE}: argmax over one channel is always 0", mend="use threshold")
    first_label = 0 if softmax and channels > 1 else 1
    binary = chosen.threshold is not None and not chosen.to_onehot
    most = 1 if chosen.argmax and binary else channels - 1 + (first_label if binary else 0)
    _check_numbers("segments", max(s.label for s in meta.result.segments), most)
    return first_label


def _check_morphology(step: Morphology, channels: int, onehot: bool, rank: int) -> None:
    connectivity = getattr(step, "connectivity", None)
    if connectivity is not None and connectivity > rank:
        raise BundleError(f"{_WHERE}: {step.name} connectivity is {connectivity}, the image has {rank} axes")
    wanted = getattr(step, "is_onehot", None)
    if wanted is not None and wanted != (onehot or channels > 1):
        raise BundleError(f"{_WHERE}: {step.name} is_onehot={str(wanted).lower()} does not fit what AsDiscreted gives")
    labels = getattr(step, "applied_labels", None)
    top = max(labels, default=0) if isinstance(labels, tuple) else labels or 0
    if channels > 1 and top >= channels:
        raise BundleError(f"{_WHERE}: {step.name} applied_labels names channel {top}, there are {channels}")


def _order(steps: Sequence[Transform], channels: int, exact_back: bool) -> list[Run | Back | Morphology]:
    """Merge pointwise steps into runs, and put the run after an exact inverse in front of it."""
    ordered: list[Run | Back | Morphology] = []
    for step in steps:
        if isinstance(step, Pointwise):
            ordered.append(Run((step,)))
        elif isinstance(step, Morphology):
            ordered.append(step)
        elif isinstance(step, Invertd):
            ordered.append(Back(nearest=step.nearest_interp))
    merged: list[Run | Back | Morphology] = []
    for part in ordered:
        if isinstance(part, Run) and merged and isinstance(merged[-1], Run):
            merged[-1] = Run(merged[-1].steps + part.steps)
        else:
            merged.append(part)
    for index, part in enumerate(merged[:-1]):
        following = merged[index + 1]
        if isinstance(part, Back) and isinstance(following, Run) and (part.nearest or exact_back):
            before = merged[index - 1] if index and isinstance(merged[index - 1], Run) else None
            width = len(before.of_zeros(channels)) if isinstance(before, Run) else channels
            back = Back(part.nearest, following.of_zeros(width))
            if isinstance(before, Run):
                return [*merged[: index - 1], Run(before.steps + following.steps), back, *merged[index + 2 :]]
            return [*merged[:index], following, back, *merged[index + 2 :]]
    return merged
