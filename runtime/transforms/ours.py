"""Transforms that MONAI has no word for: fundus field of view, ultrasound region, grayscale."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from bedside import kernels

from ..dtypes import READ
from ..errors import StudyRejected
from ..image import UltrasoundRegion, VoiLut, Window
from ..voi import linear, voi
from .crop_pad import Padding
from .intensity import Intensity
from .registry import register
from .state import State, allocate, as_3d


@register("preprocessing")
class Grayscaled(Intensity):
    """RGB to one channel by BT.601 luma, not rounded; one channel stays as it is."""

    def apply(self, state: State) -> None:
        if len(state.array) == 1:
            return
        colour = state.array if state.values.is_identity and state.array.dtype in READ else state.settle()
        pixels = np.moveaxis(colour, 0, -1)
        gray = allocate((1, *state.shape), np.float32)
        kernels.to_gray(pixels if pixels.ndim == 4 else pixels[np.newaxis], as_3d(gray[0]), threads=state.threads)
        state.replace(gray)

    def channels(self, count: int) -> int:
        return 1


class Crop2D(Padding):
    """What the crops of photographs share."""

    IMAGE_ONLY: ClassVar[bool] = True
    mode: Literal["constant"] = "constant"
    margin: Annotated[int, Field(ge=0)] = 0
    """Pixels kept around the box; beyond the image there is none."""

    def crop(self, state: State, first: tuple[int, int], last: tuple[int, int]) -> None:
        """Crop to an inclusive box, in state order."""
        start = [max(a - self.margin, 0) for a in first]
        end = [min(b + 1 + self.margin, size) for b, size in zip(last, state.shape, strict=True)]
        self.cut(state, start, [e - s for s, e in zip(start, end, strict=True)])


@register("preprocessing")
class FundusFieldOfViewd(Crop2D):
    """Crop a fundus photograph to the box around its illuminated disc.

    The disc is the largest connected region where the brightest channel exceeds ``threshold`` times its own 99th
    percentile.

    Raises
    ------
    StudyRejected
        The region covers less than ``min_share`` of the image: this is no fundus photograph with a dark surround.
    """

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.1
    min_share: Annotated[float, Field(ge=0, le=1)] = 0.1

    def apply(self, state: State) -> None:
        brightest = state.settle().max(axis=0)
        (bright,) = kernels.percentiles(brightest, (99.0,), threads=state.threads)
        lit = np.empty(brightest.shape, np.uint8)
        level = np.nextafter(np.float32(self.threshold * bright), np.float32(np.inf))
        kernels.threshold(brightest[np.newaxis, np.newaxis], lit[np.newaxis], float(level), threads=state.threads)
        found = kernels.Components(lit, connectivity=4, threads=state.threads)
        if not len(found) or found.voxels.max() < self.min_share * lit.size:
            raise StudyRejected("no illuminated field of view found in the fundus image")
        _, (y0, y1), (x0, x1) = found.box[found.voxels.argmax()].tolist()
        self.crop(state, (y0, x0), (y1 - 1, x1 - 1))


@register("preprocessing")
class UltrasoundRegiond(Crop2D):
    """Crop to a calibrated ultrasound region (DICOM PS3.3 C.8.5.5): the largest one of a data type.

    ``data_type`` is Region Data Type (0018,6014): 1 is tissue, 2 colour flow. Without such a region the image stays
    whole where ``missing`` is "whole", and is refused where it is "refuse". The region's pixel spacing replaces the
    image's where it has one.
    """

    data_type: Annotated[int, Field(ge=0)] = 1
    missing: Literal["refuse", "whole"] = "refuse"

    def apply(self, state: State) -> None:
        rows, columns = (state.shape[state.row_axis], state.shape[1 - state.row_axis])
        found = [
            (min(r.x1, columns - 1) - max(r.x0, 0) + 1, min(r.y1, rows - 1) - max(r.y0, 0) + 1, r)
            for r in state.regions
            if r.data_type == self.data_type
        ]
        found = [entry for entry in found if entry[0] > 0 and entry[1] > 0]
        if not found:
            if self.missing == "refuse":
                raise StudyRejected(f"the image has no ultrasound region of data type {self.data_type}")
            return
        region = max(found, key=lambda entry: entry[0] * entry[1])[2]
        self._take_spacing(state, region)
        yx = ((max(region.y0, 0), min(region.y1, rows - 1)), (max(region.x0, 0), min(region.x1, columns - 1)))
        along = yx if state.row_axis == 0 else yx[::-1]
        self.crop(state, (along[0][0], along[1][0]), (along[0][1], along[1][1]))

    def _take_spacing(self, state: State, region: UltrasoundRegion) -> None:
        if not region.mm_per_pixel_x or not region.mm_per_pixel_y:
            return
        size = (region.mm_per_pixel_y, region.mm_per_pixel_x)
        state.affine = np.diag([*(size if state.row_axis == 0 else size[::-1]), 1.0])
        state.has_spacing = True


def display_range(state: State, how: Window | VoiLut) -> None:
    """Apply a VOI window or table, values to 0..255; a linear window joins the pending value map (see :mod:`..voi`)."""
    line = linear(how)
    if line is None:
        state.replace(voi(state.settle(), how, scale=255.0, threads=state.threads))
        return
    state.values = state.values.linear(255.0 * line[0], 255.0 * line[1])
    if state.values.clips:
        state.settle()
    state.values = state.values.clip(0.0, 255.0)
