"""MONAI's spatial transforms: names and arguments of monai.transforms (1.6), numbers of its CPU path.

Each ``apply`` changes the state's array, affine and trace. Flips and permutations are views; crops and pads stand in
:mod:`.crop_pad`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from ..errors import BundleError, StudyRejected
from . import geometry, resize
from .arguments import Float32, NotLazy, Numbers, PerKey, Sizes, numbers
from .registry import Transform, register
from .state import State, resample, resample_cubic


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


def sizes_for(transform: Transform, argument: str, sizes: Sizes, shape: Sequence[int]) -> tuple[int, ...]:
    """The size that an argument asks for, an axis each.

    Raises
    ------
    BundleError
        It has not as many values as the image has axes.
    """
    try:
        return geometry.wanted_size(sizes, shape)
    except ValueError as error:
        raise BundleError(f"{transform.name}: argument '{argument}' {error}") from None


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
            shape = sizes_for(self, "spatial_size", self.spatial_size, state.shape)
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
