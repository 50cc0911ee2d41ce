"""MONAI's crops and pads: names and arguments of monai.transforms (1.6). Crops are views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, field_validator, model_validator

from bedside import kernels

from ..dtypes import READ, fill
from ..errors import BundleError, StudyRejected
from . import geometry, resize
from .arguments import PerKey, Sizes
from .registry import register
from .spatial import Spatial, sizes_for
from .state import Affine, Resampling, State, ValueMap, allocate, as_3d
from .statistics import greatest_not_above

_PAD_MODES = {"edge": "edge", "replicate": "edge", "wrap": "wrap", "circular": "wrap"}
PadMode = Annotated[Literal["constant", "edge", "replicate", "reflect", "symmetric", "wrap", "circular"], PerKey]


class Padding(Spatial):
    """What the padding transforms share: the mode, and the value of a constant border (numpy's or torch's name)."""

    mode: PadMode = "constant"
    value: float | None = None
    constant_values: float | None = None

    @model_validator(mode="after")
    def _one_value(self) -> Padding:
        if self.value is not None and self.constant_values is not None:
            raise ValueError("value and constant_values are the same; give one")
        if self.mode != "constant" and (self.value is not None or self.constant_values is not None):
            raise ValueError(f"a padding value has no meaning with mode '{self.mode}'")
        return self

    @property
    def fill(self) -> float:
        return self.value if self.value is not None else self.constant_values or 0.0

    def cut(self, state: State, start: Sequence[int], shape: Sequence[int]) -> None:
        """Cut a box out; what it has beyond the image is padded."""
        window = geometry.Window(tuple(start), tuple(shape), state.shape)
        if window.start == (0,) * state.rank and window.shape == state.shape:
            return
        padded = any(before or after for before, after in window.outside)
        if padded and self.mode == "constant":
            self._fill_around(state, window)
        else:
            state.array = state.array[(slice(None), *window.slices()[0])]
            if padded:
                mode: Any = _PAD_MODES.get(self.mode, self.mode)
                indices = [
                    np.pad(np.arange(size, dtype=np.int32), outside, mode=mode)
                    for size, outside in zip(state.shape, window.outside, strict=True)
                ]
                state.replace(resize.take(state.array, indices, threads=state.threads))
        state.trace.append(window)
        state.affine = _moved(state.affine, start)

    def _fill_around(self, state: State, window: geometry.Window) -> None:
        """Cut the box out with its constant border; what is pending is carried out on the way."""
        out = allocate((state.channels, *window.shape), np.float32)
        in_source, in_box = window.slices()
        whole = all(part == slice(0, size) for part, size in zip(in_source, state.shape, strict=True))
        if whole and isinstance(state.held, Resampling):
            fill(out, self.fill, state.threads)
            state.rendered(out[(slice(None), *in_box)])
        else:
            source = state.array if state.array.dtype in READ else state.settle()
            v = state.values
            z, y, x = (0,) * (3 - state.rank) + window.start
            for channel, target in zip(source, out, strict=True):
                kernels.crop_pad(
                    as_3d(channel),
                    as_3d(target),
                    (z, y, x),
                    fill=self.fill,
                    **v.keywords,
                    threads=state.threads,
                )
        state.values = ValueMap()
        state.replace(out)


@register("preprocessing")
class SpatialPadd(Padding):
    """Pad to at least a size (monai.transforms.SpatialPadd)."""

    spatial_size: Sizes
    method: Literal["symmetric", "end"] = "symmetric"

    def apply(self, state: State) -> None:
        wanted = sizes_for(self, "spatial_size", self.spatial_size, state.shape)
        width = [max(want - have, 0) for want, have in zip(wanted, state.shape, strict=True)]
        before = [w // 2 if self.method == "symmetric" else 0 for w in width]
        shape = [have + w for have, w in zip(state.shape, width, strict=True)]
        self.cut(state, [-b for b in before], shape)


@register("preprocessing")
class CenterSpatialCropd(Padding):
    """Crop around the centre to at most a size (monai.transforms.CenterSpatialCropd)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roi_size: Sizes

    @model_validator(mode="after")
    def _no_padding(self) -> CenterSpatialCropd:
        extra = sorted(self.model_fields_set & {"mode", "value", "constant_values"})
        if extra:
            raise ValueError(f"unknown argument '{extra[0]}'")
        return self

    def apply(self, state: State) -> None:
        crop_centre(self, "roi_size", self.roi_size, state)


def crop_centre(transform: Padding, argument: str, sizes: Sizes, state: State) -> None:
    """Keep at most ``sizes`` voxels around index n // 2 of each axis."""
    wanted = sizes_for(transform, argument, sizes, state.shape)
    start = [max(have // 2 - want // 2, 0) for want, have in zip(wanted, state.shape, strict=True)]
    end = [min(s + want, have) for s, want, have in zip(start, wanted, state.shape, strict=True)]
    transform.cut(state, start, [e - s for s, e in zip(start, end, strict=True)])


@register("preprocessing")
class ResizeWithPadOrCropd(SpatialPadd):
    """Crop around the centre, then pad, to exactly a size (monai.transforms.ResizeWithPadOrCropd)."""

    def apply(self, state: State) -> None:
        crop_centre(self, "spatial_size", self.spatial_size, state)
        super().apply(state)


@register("preprocessing")
class CropForegroundd(Padding):
    """Crop to the box around all values above 0 (monai.transforms.CropForegroundd with its default select_fn)."""

    IGNORED: ClassVar[frozenset[str]] = frozenset({"start_coord_key", "end_coord_key"})

    source_key: str
    channel_indices: Sizes | None = None
    margin: Sizes = 0
    allow_smaller: bool = False
    k_divisible: Sizes = 1

    @field_validator("margin")
    @classmethod
    def _not_negative(cls, value: Sizes) -> Sizes:
        if any(v < 0 for v in (value if isinstance(value, tuple) else (value,))):
            raise ValueError("must not be negative")
        return value

    def apply(self, state: State) -> None:
        box = self._foreground(state)
        if box is None:
            raise StudyRejected("no voxel is above 0 after intensity scaling, so CropForegroundd finds no foreground")
        margin = self._per_axis("margin", self.margin, state.rank)
        divisor = self._per_axis("k_divisible", self.k_divisible, state.rank)
        start, shape = [], []
        for (begin, end), size, extra, k in zip(box, state.shape, margin, divisor, strict=True):
            first, last = begin - extra, end + extra
            if self.allow_smaller:
                first, last = max(first, 0), min(last, size)
            length = -(-(last - first) // k) * k if k > 0 else last - first
            start.append(first - (length - (last - first)) // 2)
            shape.append(length)
        self.cut(state, start, shape)

    def _foreground(self, state: State) -> list[tuple[int, int]] | None:
        """The box around what is above 0 in any of the channels: begin and end along each axis."""
        above = greatest_not_above(0.0, state)
        if above is None:
            state.settle()
            above = 0.0
        picked = self.channel_indices
        if picked is None:
            picked = tuple(range(len(state.array)))
        elif isinstance(picked, int):
            picked = (picked,)
        try:
            channels = [state.array[index] for index in picked]
        except IndexError:
            raise BundleError(
                f"{self.name}: channel_indices {list(picked)} do not exist, the image has {len(state.array)} channels"
            ) from None
        boxes = [kernels.bounding_box(channel, above=above, threads=state.threads) for channel in channels]
        found = [box for box in boxes if box is not None]
        if not found:
            return None
        return [(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*found, strict=True)]

    def _per_axis(self, argument: str, value: Sizes, rank: int) -> tuple[int, ...]:
        values = (value,) * rank if isinstance(value, int) else value
        if len(values) != rank:
            raise BundleError(f"{self.name}: argument '{argument}' has {len(values)} values, the image has {rank} axes")
        return values


def _moved(affine: Affine, start: Sequence[float]) -> Affine:
    """The affine of a grid whose index 0 is at ``start`` of this one."""
    result = affine.copy()
    result[:-1, -1] = affine[:-1, :-1] @ np.asarray(start, dtype=np.float64) + affine[:-1, -1]
    return result
