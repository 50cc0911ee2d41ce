"""MONAI's intensity and array transforms: names and arguments of monai.transforms (1.6).

Linear maps and clips stay pending in the state and end up in one pass of the rescale kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from bedside import kernels

from ..dtypes import READ, copy_into
from ..errors import BundleError
from . import statistics
from .arguments import Float32, Numbers, PerKey, numbers
from .registry import Transform, register
from .state import Array, Resampling, State, ValueMap, allocate, as_3d


class Intensity(Transform):
    """A transform that changes values, channels or dtype, and leaves the grid."""

    def apply(self, state: State) -> None:
        raise NotImplementedError

    def channels(self, count: int) -> int:
        """Channels after the transform."""
        return count

    def output_dtype(self, dtype: str) -> str:
        """Dtype after the transform."""
        return "float32"


@register("preprocessing")
class LoadImaged(Intensity):
    """Accepted and done: the image comes from the DICOM reader, channel first, as float32."""

    IGNORED: ClassVar[frozenset[str]] = frozenset(
        {
            "reader",
            "meta_keys",
            "meta_key_postfix",
            "overwriting",
            "image_only",
            "ensure_channel_first",
            "simple_keys",
            "prune_meta_pattern",
            "prune_meta_sep",
            "expanduser",
        }
    )
    dtype: Float32 = "float32"

    def apply(self, state: State) -> None:
        pass


@register("preprocessing")
class EnsureChannelFirstd(Intensity):
    """Accepted and done: arrays are channel first from the start."""

    IGNORED: ClassVar[frozenset[str]] = frozenset({"strict_check", "channel_dim"})

    def apply(self, state: State) -> None:
        pass

    def output_dtype(self, dtype: str) -> str:
        return dtype


Dtype = Annotated[Literal["float32", "float", "float16", "uint8", "int8", "int16", "int32"], PerKey]


@register("preprocessing")
class CastToTyped(Intensity):
    """Floats are cut towards zero for an integer type, as numpy does (monai.transforms.CastToTyped).

    Beyond the type's range, where numpy's answer depends on the processor, they become its least or greatest value.
    """

    dtype: Dtype = "float32"

    def apply(self, state: State) -> None:
        if self.output_dtype("") == "float32":
            state.settle()
        elif self.dtype == "float16":
            state.replace(state.rendered(allocate((state.channels, *state.shape), np.float16)))
            state.values = ValueMap()
        else:
            self._cut(state)

    def _cut(self, state: State) -> None:
        """To integers, in the pass that carries out the value map."""
        pending = isinstance(state.held, Resampling) or state.array.dtype not in READ
        source = state.settle() if pending else state.array
        out = allocate(source.shape, self.dtype)
        v = state.values
        for channel, target in zip(source, out, strict=True):
            kernels.rescale(
                as_3d(channel),
                as_3d(target),
                **v.keywords,
                truncate=True,
                threads=state.threads,
            )
        state.replace(out)
        state.values = ValueMap()

    def output_dtype(self, dtype: str) -> str:
        return "float32" if self.dtype == "float" else self.dtype


@register("preprocessing", "postprocessing")
class EnsureTyped(Intensity):
    """Only its dtype matters here (monai.transforms.EnsureTyped)."""

    IGNORED: ClassVar[frozenset[str]] = frozenset({"data_type", "device", "wrap_sequence", "track_meta"})
    dtype: Annotated[Literal["float32", "float"] | None, PerKey] = None

    def apply(self, state: State) -> None:
        if self.dtype is not None:
            state.settle()

    def output_dtype(self, dtype: str) -> str:
        return dtype if self.dtype is None else "float32"


@register("preprocessing")
class RepeatChanneld(Intensity):
    """Repeat each channel (monai.transforms.RepeatChanneld)."""

    repeats: Annotated[int, Field(ge=1)]

    def apply(self, state: State) -> None:
        array = state.array
        out = allocate((len(array) * self.repeats, *state.shape), array.dtype)
        for index, target in enumerate(out):
            copy_into(array[index // self.repeats], target, state.threads)
        state.replace(out)

    def channels(self, count: int) -> int:
        return count * self.repeats

    def output_dtype(self, dtype: str) -> str:
        return dtype


def scale_range(values: ValueMap, a_min: float, a_max: float, b_min: float | None, b_max: float | None) -> ValueMap:
    """[a_min, a_max] to [b_min, b_max], or to [0, 1] where one of these is None; a_min = a_max only shifts."""
    if a_max == a_min:
        return values.linear(1.0, (b_min or 0.0) - a_min)
    span, base = (b_max - b_min, b_min) if b_min is not None and b_max is not None else (1.0, 0.0)
    slope = span / (a_max - a_min)
    mapped = values.linear(slope, base - a_min * slope)
    if values.clips or values.scale != 1.0 or values.offset != 0.0 or values.slope == 0.0:
        return mapped
    # The kernel rounds the product to float32. With the rounded product of a_min in the intercept a_min becomes b_min
    # and nothing beside it: an image's background often lies there, and CropForegroundd looks for what is above 0.
    start = np.float32((a_min - values.intercept) / values.slope) * np.float32(mapped.slope)
    return replace(mapped, intercept=base - float(start))


def clipped(values: ValueMap, low: float | None, high: float | None) -> ValueMap:
    """The map, then a clip; None leaves that side open. Only where the map has no clip yet."""
    return values.clip(-np.inf if low is None else low, np.inf if high is None else high)


def clip_values(state: State, low: float | None, high: float | None) -> None:
    """Clip; None leaves that side open."""
    if state.values.clips:
        state.settle()
    state.values = clipped(state.values, low, high)


@register("preprocessing")
class ScaleIntensityRanged(Intensity):
    """Map [a_min, a_max] to [b_min, b_max] (monai.transforms.ScaleIntensityRanged)."""

    a_min: float
    a_max: float
    b_min: float | None = None
    b_max: float | None = None
    clip: bool = False
    dtype: Float32 = "float32"

    def apply(self, state: State) -> None:
        state.values = scale_range(state.values, self.a_min, self.a_max, self.b_min, self.b_max)
        if self.clip and self.a_min != self.a_max:
            clip_values(state, self.b_min, self.b_max)


@register("preprocessing")
class ScaleIntensityd(Intensity):
    """Map the image's own range to [minv, maxv], or multiply by 1 + factor (monai.transforms.ScaleIntensityd)."""

    minv: float | None = 0.0
    maxv: float | None = 1.0
    factor: float | None = None
    channel_wise: bool = False
    dtype: Float32 = "float32"

    def apply(self, state: State) -> None:
        if self.minv is None and self.maxv is None:
            state.values = state.values.linear(1.0 + (self.factor or 0.0), 0.0)
            return
        if state.values.clips or not statistics.countable(state):
            state.settle()
        parts = _parts(state, self.channel_wise)
        map_parts(state, [self._map(state, part) for part in parts])

    def _map(self, state: State, array: Array) -> ValueMap:
        low, high = statistics.finite(self.name, *statistics.minmax(array, state.threads))
        values = state.values
        if low == high or values.slope * values.scale == 0:
            return values.linear(1.0 if self.minv is None else self.minv, 0.0)
        span, base = (
            (self.maxv - self.minv, self.minv) if self.minv is not None and self.maxv is not None else (1.0, 0.0)
        )
        # Where a stored value lies between the least and the greatest does not depend on slope and intercept. The
        # difference comes first, so that the least value becomes minv and nothing else.
        sign, start = (1.0, low) if statistics.rises(values) else (-1.0, high)
        return ValueMap(sign, -sign * start, scale=span / (high - low), offset=base)


@register("preprocessing")
class ScaleIntensityRangePercentilesd(Intensity):
    """Map the range between two percentiles to [b_min, b_max] (monai.transforms.ScaleIntensityRangePercentilesd).

    Percentiles are interpolated linearly between order statistics (numpy's and torch's default).
    """

    lower: Annotated[float, Field(ge=0, le=100)]
    upper: Annotated[float, Field(ge=0, le=100)]
    b_min: float | None
    b_max: float | None
    clip: bool = False
    relative: bool = False
    channel_wise: bool = False
    dtype: Float32 = "float32"

    @model_validator(mode="after")
    def _check(self) -> ScaleIntensityRangePercentilesd:
        if self.relative and (self.b_min is None or self.b_max is None):
            raise ValueError("relative needs b_min and b_max")
        return self

    def apply(self, state: State) -> None:
        if not statistics.countable(state) or not statistics.rises(state.values):
            state.settle()
        percents = (self.lower, self.upper)
        ranges = [
            statistics.finite(self.name, *statistics.percentiles(state, part, percents))
            for part in _parts(state, self.channel_wise)
        ]
        b_min, b_max = self.b_min, self.b_max
        if self.relative:
            assert b_min is not None and b_max is not None
            span = b_max - b_min
            b_min, b_max = span * self.lower / 100.0 + b_min, span * self.upper / 100.0 + b_min
        if self.clip and state.values.clips:
            state.settle()
        maps = []
        for low, high in ranges:
            values = scale_range(state.values, low, high, b_min, b_max)
            maps.append(clipped(values, b_min, b_max) if self.clip and low != high else values)
        map_parts(state, maps)


@register("preprocessing")
class NormalizeIntensityd(Intensity):
    """Subtract the mean, divide by the standard deviation, or by given values (monai.transforms.NormalizeIntensityd).

    The deviation is that of the population; 0 counts as 1. With ``nonzero`` zeros are neither counted nor changed.
    """

    subtrahend: Numbers | None = None
    divisor: Numbers | None = None
    nonzero: bool = False
    channel_wise: bool = False
    dtype: Float32 = "float32"

    @model_validator(mode="after")
    def _check(self) -> NormalizeIntensityd:
        for name in ("subtrahend", "divisor"):
            value = getattr(self, name)
            if isinstance(value, tuple) != self.channel_wise and value is not None:
                raise ValueError(f"{name} must be a list, one value a channel, exactly where channel_wise is true")
        return self

    def apply(self, state: State) -> None:
        for name in ("subtrahend", "divisor"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != len(state.array):
                raise BundleError(
                    f"{self.name}: {name} has {len(value)} values, the image has {len(state.array)} channels"
                )
        if self.nonzero:
            self._apply_nonzero(state)
            return
        if not statistics.countable(state):
            state.settle()
        maps = []
        for index, part in enumerate(_parts(state, self.channel_wise)):
            subtrahend, divisor = self._given(index)
            if subtrahend is None or divisor is None:
                mean, deviation = statistics.finite(self.name, *statistics.moments(state, part))
                subtrahend = mean if subtrahend is None else subtrahend
                divisor = deviation if divisor is None else divisor
            maps.append(state.values.less_mean(subtrahend, divisor or 1.0))
        map_parts(state, maps)

    def _apply_nonzero(self, state: State) -> None:
        """What is zero depends on the map, which is carried out first."""
        if not state.values.is_identity or not statistics.countable(state):
            state.settle()
        array = state.array
        out = array if state.owned and array.dtype == np.float32 else allocate(array.shape, np.float32)
        targets = _split(out, self.channel_wise)
        for index, (part, target) in enumerate(zip(_parts(state, self.channel_wise), targets, strict=True)):
            subtrahend, divisor = self._given(index)
            if subtrahend is None or divisor is None:
                count, mean, deviation = kernels.moments(part, nonzero=True, threads=state.threads)
                mean, deviation = statistics.finite(self.name, mean, deviation) if count else (0.0, 1.0)
                subtrahend = mean if subtrahend is None else subtrahend
                divisor = deviation if divisor is None else divisor
            for source, channel in zip(part, target, strict=True):
                kernels.standardise(
                    as_3d(source),
                    as_3d(channel),
                    mean=subtrahend,
                    deviation=divisor or 1.0,
                    nonzero=True,
                    threads=state.threads,
                )
        state.replace(out)

    def _given(self, index: int) -> tuple[float | None, float | None]:
        """Subtrahend and divisor of a channel, or of all."""
        subtrahend, divisor = numbers(self.subtrahend), numbers(self.divisor)
        return subtrahend[index] if subtrahend else None, divisor[index] if divisor else None


def _split(array: Array, channel_wise: bool) -> Sequence[Array]:
    """Each channel [1, spatial...], or all together."""
    return [array[index : index + 1] for index in range(len(array))] if channel_wise else [array]


def _parts(state: State, channel_wise: bool) -> Sequence[Array]:
    return _split(state.array, channel_wise)


def map_parts(state: State, maps: Sequence[ValueMap]) -> None:
    """Go on with these maps, one for all channels or one each; only where they differ are they carried out."""
    if all(values == maps[0] for values in maps):
        state.values = maps[0]
        return
    in_place = state.owned and state.array.dtype == np.float32
    out = state.array if in_place else allocate(state.array.shape, np.float32)
    for index, values in enumerate(maps):
        part = slice(index, index + 1)
        State(state.array[part], state.affine, values, threads=state.threads).rendered(out[part])
    state.values = ValueMap()
    state.replace(out)
