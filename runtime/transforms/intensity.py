"""MONAI's intensity and array transforms: names and arguments of monai.transforms (1.6).

Linear maps and clips stay pending in the state and end up in one pass of the rescale kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from ..errors import BundleError
from .arguments import Float32, Numbers, PerKey, numbers
from .registry import Transform, register
from .state import Array, State, ValueMap, slabs

_BLOCK = 1 << 22
"""Values a block where sums are taken in float64: 32 MB of temporaries."""
_COUNTED = frozenset(np.dtype(name) for name in ("uint8", "int8", "uint16", "int16"))
"""Types with so few values that counting them is faster than sorting them out."""


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
    """Cast with numpy's rules: floats are cut towards zero for an integer type (monai.transforms.CastToTyped)."""

    dtype: Dtype = "float32"

    def apply(self, state: State) -> None:
        if self.output_dtype("") == "float32":
            state.settle()
        else:
            state.replace(state.settle().astype(self.dtype))

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
        state.replace(np.repeat(state.array, self.repeats, axis=0))

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
    return values.linear(slope, base - a_min * slope)


def clip_values(state: State, low: float | None, high: float | None) -> None:
    """Clip; None leaves that side open."""
    if state.values.clips:
        state.settle()
    state.values = state.values.clip(-np.inf if low is None else low, np.inf if high is None else high)


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
        array = state.settle()
        state.replace(_per_channel(array, self.channel_wise, self._rescale))

    def _rescale(self, array: Array) -> Array:
        low, high = float(array.min()), float(array.max())
        if low == high:
            return array * np.float32(1.0 if self.minv is None else self.minv)
        span, base = (
            (self.maxv - self.minv, self.minv) if self.minv is not None and self.maxv is not None else (1.0, 0.0)
        )
        out: Array = np.subtract(array, np.float32(low))
        out /= np.float32(high - low)
        out *= np.float32(span)
        out += np.float32(base)
        return out


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
        ranges = self._ranges(state)
        array = state.settle()
        if not self.channel_wise:
            state.replace(self._rescale(array, ranges[0], state.threads))
            return
        out = np.empty(array.shape, np.float32)
        for channel, (source, values) in enumerate(zip(array, ranges, strict=True)):
            out[channel] = self._rescale(source[np.newaxis], values, state.threads)[0]
        state.replace(out)

    def _ranges(self, state: State) -> list[tuple[float, float]]:
        """The two percentiles of the values, of each channel or of all."""
        percents = (self.lower, self.upper)
        parts = list(state.array[:, np.newaxis]) if self.channel_wise else [state.array]
        if state.array.dtype in _COUNTED and state.values.slope * state.values.scale > 0:
            return [_counted_percentiles(part, state.values, percents) for part in parts]
        array = state.settle()
        parts = list(array[:, np.newaxis]) if self.channel_wise else [array]
        return [tuple(float(v) for v in np.percentile(part, percents)) for part in parts]  # type: ignore[misc]

    def _rescale(self, array: Array, values: tuple[float, float], threads: int) -> Array:
        low, high = values
        b_min, b_max = self.b_min, self.b_max
        if self.relative:
            assert b_min is not None and b_max is not None
            span = b_max - b_min
            b_min, b_max = span * self.lower / 100.0 + b_min, span * self.upper / 100.0 + b_min
        state = State(array, np.eye(array.ndim), threads=threads)
        state.values = scale_range(state.values, low, high, b_min, b_max)
        if self.clip and low != high:
            clip_values(state, b_min, b_max)
        return state.rendered()


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
        array = state.settle()
        for name in ("subtrahend", "divisor"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != len(array):
                raise BundleError(f"{self.name}: {name} has {len(value)} values, the image has {len(array)} channels")
        if not self.channel_wise:
            state.replace(self._normalise(array, numbers(self.subtrahend), numbers(self.divisor)))
            return
        out = np.empty(array.shape, np.float32)
        for index, channel in enumerate(array):
            out[index] = self._normalise(
                channel, numbers(self.subtrahend)[index : index + 1], numbers(self.divisor)[index : index + 1]
            )
        state.replace(out)

    def _normalise(self, array: Array, subtrahend: tuple[float, ...], divisor: tuple[float, ...]) -> Array:
        where = array != 0 if self.nonzero else None
        if where is not None and not where.any():
            return array.copy()
        mean = deviation = 0.0
        if not subtrahend or not divisor:
            mean, deviation = _moments(array if where is None else array[where])
        shift = np.float32(subtrahend[0] if subtrahend else mean)
        scale = np.float32((divisor[0] if divisor else deviation) or 1.0)
        out: Array = np.subtract(array, shift, dtype=np.float32)
        out /= scale
        if where is not None:
            np.copyto(out, array, where=~where)
        return out


def _per_channel(array: Array, channel_wise: bool, change: Callable[[Array], Array]) -> Array:
    if not channel_wise:
        return change(array)
    out = np.empty(array.shape, np.float32)
    for source, target in zip(array, out, strict=True):
        target[...] = change(source[np.newaxis])[0]
    return out


def _counted_percentiles(array: Array, values: ValueMap, percents: tuple[float, float]) -> tuple[float, float]:
    """What numpy.percentile says of the mapped values, from counts of the stored ones; the map must not fall."""
    least = int(array.min())
    counts = np.zeros(int(array.max()) - least + 1, np.int64)
    in_memory = array.transpose(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))
    in_memory = in_memory.reshape(-1, in_memory.shape[-1])
    for part in slabs(in_memory.shape, _BLOCK):
        block = in_memory[part].astype(np.intp)
        block -= least
        counts += np.bincount(block.ravel(), minlength=len(counts))
    ends = np.cumsum(counts)
    at = (array.size - 1) * (np.array(percents) / 100)
    below = np.floor(at).astype(np.int64)
    place = np.stack([below, np.minimum(below + 1, array.size - 1)])
    stored = (np.searchsorted(ends, place, side="right") + least).astype(array.dtype)
    low, high = State(stored[np.newaxis], np.eye(3), values).rendered()[0]
    # As numpy does it: from the nearer end, the difference in float32.
    share, step = at - below, high - low
    found = np.where(share >= 0.5, high - step * (1 - share), low + step * share)
    return float(found[0]), float(found[1])


def _moments(array: Array) -> tuple[float, float]:
    """Mean and population standard deviation, summed in float64 block by block."""
    flat = array.reshape(-1)
    blocks = [flat[at : at + _BLOCK] for at in range(0, flat.size, _BLOCK)]
    mean = float(sum(np.sum(block, dtype=np.float64) for block in blocks)) / flat.size
    square = 0.0
    for block in blocks:
        centred = block.astype(np.float64)
        centred -= mean
        square += float(np.dot(centred, centred))
    return mean, float(np.sqrt(square / flat.size))
