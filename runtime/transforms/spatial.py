"""MONAI's spatial transforms: names and arguments of monai.transforms (1.6), numbers of its CPU path.

Each ``apply`` changes the state's array, affine and trace. Flips, permutations and crops are views.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field, field_validator, model_validator

from bedside import kernels

from ..errors import BundleError, StudyRejected
from . import geometry, resize
from .arguments import Float32, NotLazy, Numbers, PerKey, Sizes, numbers
from .registry import Transform, register
from .state import Affine, State, ValueMap, allocate, resample, resample_cubic
from .statistics import greatest_not_above


class Spatial(Transform):
    """A transform that changes the grid."""

    RESAMPLES: ClassVar[bool] = False
    """Whether voxels may be interpolated."""

    lazy: NotLazy = False

    @property
    def exact_back(self) -> bool:
        """Whether the way back only moves, drops or adds voxels, or takes the nearest."""
        return not self.RESAMPLES or str(getattr(self, "mode", "")).startswith("nearest")

    def apply(self, state: State) -> None:
        raise NotImplementedError


def _sizes_for(transform: Transform, argument: str, sizes: Sizes, shape: Sequence[int]) -> tuple[int, ...]:
    try:
        return geometry.wanted_size(sizes, shape)
    except ValueError as error:
        raise BundleError(f"{transform.name}: argument '{argument}' {error}") from None


def _move(affine: Affine, start: Sequence[float]) -> Affine:
    """The affine of a grid whose index 0 is at ``start`` of this one."""
    result = affine.copy()
    result[:-1, -1] = affine[:-1, :-1] @ np.asarray(start, dtype=np.float64) + affine[:-1, -1]
    return result


@register("preprocessing")
class Orientationd(Spatial):
    """Permute and flip axes towards anatomical directions, e.g. ``axcodes="RAS"`` (monai.transforms.Orientationd)."""

    VOLUME_ONLY: ClassVar[bool] = True

    axcodes: str | None = None
    as_closest_canonical: bool = False
    labels: tuple[tuple[str, str], ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> Orientationd:
        if self.labels is not None and self.labels != geometry.CODES:
            raise ValueError("labels other than (L,R), (P,A), (I,S) are not supported")
        if self.as_closest_canonical:
            return self
        if self.axcodes is None:
            raise ValueError("axcodes is missing")
        if len(geometry.parse_axcodes(self.axcodes)) != 3:
            raise ValueError(f"axcodes '{self.axcodes}' must have three letters")
        return self

    def apply(self, state: State) -> None:
        axcodes = "RAS" if self.as_closest_canonical or self.axcodes is None else self.axcodes
        have = geometry.axis_orientation(state.affine)
        want = geometry.parse_axcodes(axcodes)
        source = [axis for axis, _ in have]
        order = [source.index(axis) for axis, _ in want]
        flips = tuple(new for new, old in enumerate(order) if have[old][1] != want[new][1])
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1.0
        for new, old in enumerate(order):
            matrix[old, new] = -1.0 if new in flips else 1.0
            matrix[old, 3] = state.shape[old] - 1.0 if new in flips else 0.0
        axes = (0, *(old + 1 for old in order))
        if axes != (0, 1, 2, 3):
            state.array = state.array.transpose(axes)
            state.trace.append(geometry.Permute(axes))
        if flips:
            flipped = tuple(axis + 1 for axis in flips)
            state.array = np.flip(state.array, flipped)
            state.trace.append(geometry.Flip(flipped))
        state.affine = state.affine @ matrix


@register("preprocessing")
class Spacingd(Spatial):
    """Resample to a voxel size (monai.transforms.Spacingd).

    The grid covers the voxel centres of the source and begins at its first corner; a spacing within 0.001 of its target
    is left as it is. The computation is in float32 with coordinates in float64. Mode 3 is the cubic B-spline.
    """

    RESAMPLES: ClassVar[bool] = True

    pixdim: Numbers
    diagonal: bool = False
    mode: Annotated[Literal["bilinear", "nearest", 3], PerKey] = "bilinear"
    padding_mode: Annotated[Literal["border", "zeros"], PerKey] = "border"
    align_corners: Annotated[bool, PerKey] = False
    dtype: Annotated[Literal["float64", "float32", "double", "float"] | None, PerKey] = "float64"
    scale_extent: Annotated[Literal[False], PerKey] = False
    recompute_affine: Literal[False] = False
    min_pixdim: Numbers | None = None
    max_pixdim: Numbers | None = None
    ensure_same_shape: bool = True

    @field_validator("pixdim")
    @classmethod
    def _not_empty(cls, value: Numbers) -> Numbers:
        if value == ():
            raise ValueError("must hold at least one value")
        return value

    @model_validator(mode="after")
    def _cubic_as_it_is(self) -> Spacingd:
        if self.mode == 3 and self.align_corners:
            raise ValueError("align_corners true with mode 3, where MONAI moves the image, is not supported")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> Spacingd:
        low, high = numbers(self.min_pixdim), numbers(self.max_pixdim)
        for least, most in zip(low, high, strict=False):
            if most < least or least < 0:
                raise ValueError(f"min_pixdim {least} must be positive and not above max_pixdim {most}")
        return self

    def apply(self, state: State) -> None:
        if not state.has_spacing:
            raise StudyRejected("the image has no pixel spacing, which Spacingd of this bundle needs")
        target = geometry.spacing_target(
            state.affine, numbers(self.pixdim), numbers(self.min_pixdim), numbers(self.max_pixdim)
        )
        new = geometry.rescaled_affine(state.affine, target, diagonal=self.diagonal)
        shape, new[:-1, -1] = geometry.resampled_grid(state.shape, state.affine, new)
        matrix = np.linalg.solve(state.affine, new)
        same = shape == state.shape and (
            np.allclose(state.affine, new, atol=geometry.AFFINE_TOLERANCE)
            or np.allclose(matrix, np.eye(len(matrix)), atol=geometry.AFFINE_TOLERANCE)
        )
        if same:
            return
        nearest, cubic, border = self.mode == "nearest", self.mode == 3, self.padding_mode == "border"
        if not border or (state.values.clips and not nearest):
            state.settle()
        state.trace.append(geometry.Resampled(matrix, state.shape, nearest, border, cubic))
        if nearest:
            state.replace(resample(state.array, matrix, shape, nearest=True, border=border, threads=state.threads))
        elif cubic:
            state.replace(resample_cubic(state.array, matrix, shape, border=border, threads=state.threads))
        else:
            state.interpolate(matrix, shape, border=border)
        state.affine = state.affine @ matrix


@register("preprocessing")
class Resized(Spatial):
    """Resize to a number of voxels (monai.transforms.Resized, torch.nn.functional.interpolate)."""

    RESAMPLES: ClassVar[bool] = True

    spatial_size: Sizes
    size_mode: Literal["all", "longest"] = "all"
    mode: Annotated[Literal["area", "nearest", "nearest-exact", "linear", "bilinear", "trilinear"], PerKey] = "area"
    align_corners: Annotated[bool | None, PerKey] = None
    anti_aliasing: Annotated[bool, PerKey] = False
    anti_aliasing_sigma: Numbers | None = None
    dtype: Float32 = "float32"

    @model_validator(mode="after")
    def _check(self) -> Resized:
        if self.align_corners is not None and not self.mode.endswith("linear"):
            raise ValueError(f"align_corners has no meaning with mode '{self.mode}'")
        if self.size_mode == "longest" and not isinstance(self.spatial_size, int):
            raise ValueError("spatial_size must be one number where size_mode is 'longest'")
        return self

    def apply(self, state: State) -> None:
        if self.size_mode == "longest":
            assert isinstance(self.spatial_size, int)
            factor = self.spatial_size / max(state.shape)
            shape = tuple(round(size * factor) for size in state.shape)
        else:
            shape = _sizes_for(self, "spatial_size", self.spatial_size, state.shape)
        if shape == state.shape:
            return
        align_corners = bool(self.align_corners)
        mode = "linear" if self.mode.endswith("linear") else self.mode
        if state.values.clips and not mode.startswith("nearest"):
            state.settle()
        if self.anti_aliasing and any(new < old for new, old in zip(shape, state.shape, strict=True)):
            sigma = numbers(self.anti_aliasing_sigma)
            if len(sigma) not in (0, 1, state.rank):
                raise BundleError(f"{self.name}: argument 'anti_aliasing_sigma' has {len(sigma)} values")
            spread = sigma * state.rank if len(sigma) == 1 else sigma
            state.replace(resize.smooth_before_shrinking(state.settle(), shape, spread or None, threads=state.threads))
        state.trace.append(resize.Scaled(state.shape, mode, align_corners))
        matrix = resize.scale_matrix(state.shape, shape, align_corners=align_corners)
        if mode == "linear" and state.rank == 3:
            state.interpolate(matrix, shape, border=True)
        else:
            state.replace(
                resize.interpolate(state.array, shape, mode, align_corners=align_corners, threads=state.threads)
            )
        state.affine = state.affine @ matrix


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
        in_source, in_box = window.slices()
        if any(part != slice(0, size) for part, size in zip(in_source, state.shape, strict=True)):
            state.array = state.array[(slice(None), *in_source)]
        if any(before or after for before, after in window.outside):
            if self.mode == "constant":
                out = allocate((state.channels, *window.shape), np.float32)
                out.fill(self.fill)
                state.rendered(out[(slice(None), *in_box)])
                state.values = ValueMap()
                state.replace(out)
            else:
                mode: Any = _PAD_MODES.get(self.mode, self.mode)
                indices = [
                    np.pad(np.arange(size, dtype=np.int32), outside, mode=mode)
                    for size, outside in zip(state.shape, window.outside, strict=True)
                ]
                state.replace(resize.take(state.array, indices, threads=state.threads))
        state.trace.append(window)
        state.affine = _move(state.affine, start)


@register("preprocessing")
class SpatialPadd(Padding):
    """Pad to at least a size (monai.transforms.SpatialPadd)."""

    spatial_size: Sizes
    method: Literal["symmetric", "end"] = "symmetric"

    def apply(self, state: State) -> None:
        wanted = _sizes_for(self, "spatial_size", self.spatial_size, state.shape)
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
    wanted = _sizes_for(transform, argument, sizes, state.shape)
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


@register("preprocessing")
class Transposed(Spatial):
    """Reorder the array's axes, channel axis 0 staying first (monai.transforms.Transposed).

    As in MONAI the affine does not follow; use Orientationd where it should.
    """

    indices: tuple[Annotated[int, Field(ge=0)], ...]

    @model_validator(mode="after")
    def _check(self) -> Transposed:
        if "lazy" in self.model_fields_set:
            raise ValueError("unknown argument 'lazy'")
        if sorted(self.indices) != list(range(len(self.indices))) or self.indices[:1] != (0,):
            raise ValueError(f"indices must be a permutation that keeps axis 0, the channels, got {list(self.indices)}")
        return self

    def apply(self, state: State) -> None:
        if len(self.indices) != state.rank + 1:
            raise BundleError(
                f"{self.name}: indices has {len(self.indices)} values, the array has {state.rank + 1} axes"
            )
        state.array = state.array.transpose(self.indices)
        state.trace.append(geometry.Permute(self.indices))
