"""A bundle's transforms as one way in and one way out.

``Plan.prepare`` takes a Volume, an Image or a frame of a Cine to the network's input; ``Plan.finish`` takes the
network's output to a label map on the source grid, or to probabilities. This is the border between our terms
([z, y, x], LPS) and MONAI's (the bundle's axis order, RAS).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import kernels

from ..bundle.schema import BundleMeta, InputSpec, NetworkDataFormat
from ..dtypes import copy_into
from ..errors import BundleError, StudyRejected
from ..image import Cine, Image, UltrasoundRegion, VoiLut, Volume, Window
from ..stopwatch import Progress
from ..voi import choose
from .geometry import Permute
from .intensity import Intensity
from .online import OnlineRule
from .ours import Grayscaled, display_range
from .postplan import PostPlan
from .registry import Transform
from .spatial import Spatial
from .state import Array, Inverse, State, ValueMap, allocate, as_3d, contiguous
from .way_back import WayBack

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass
class Prepared:
    """The network's input, and what leads back from its output to the source grid."""

    array: Array
    """[C, spatial...] without the batch axis, C-contiguous, in the network's dtype. May be dropped after use."""
    shape: tuple[int, ...]
    """Spatial shape of ``array``."""
    border: Permute
    """From our axis order to the bundle's."""
    trace: tuple[Inverse, ...]
    """Spatial steps in the order they were done."""
    affine: NDArray[np.floating[Any]]
    """Index of ``array`` (spatial axes) to RAS mm; for a photograph without pixel spacing, to pixels."""


@dataclass(frozen=True)
class Finished:
    """What the network found, on the source grid."""

    labels: NDArray[np.uint8] | None = None
    """[z, y, x], or [y, x] for an image or a frame; None for a classification."""
    probabilities: NDArray[np.float32] | None = None
    """(C,); None for a segmentation."""


@dataclass(frozen=True)
class Plan:
    """The compiled transforms of a bundle."""

    spec: InputSpec
    before: tuple[Spatial | Intensity, ...]
    after: PostPlan
    dtype: np.dtype[Any]
    """Dtype of the network's input."""
    channels: int
    """Channels of the network's input."""

    @property
    def online(self) -> OnlineRule | None:
        """The rule that may be applied to the blended logits, voxel by voxel, before :meth:`finish`.

        It is there where the discretisation looks at one voxel only and everything that the bundle does before it
        either commutes with it (flips, permutations, crops, pads, nearest resampling) or is part of it (softmax,
        sigmoid). The label map (uint8, ``Prepared.shape``) is then given to :meth:`finish` in place of the logits,
        with the same result. None: give :meth:`finish` the logits.
        """
        return self.after.online

    def prepare(
        self,
        image: Volume | Image | Cine,
        *,
        frame: int | None = None,
        threads: int = 0,
        progress: Progress | None = None,
    ) -> Prepared:
        """Take an image to the network's input.

        Parameters
        ----------
        image : the kind that the bundle's ``input.kind`` names
        frame : index from 0 of the frame of a Cine
        threads : at most so many; 0 is the process's thread budget
        progress : called with ("prepare", done, total) after each transform

        Raises
        ------
        StudyRejected
            The image lacks what the bundle needs: colour, pixel spacing, a VOI window, foreground, a region.
        BundleError
            A transform's arguments do not fit the image, e.g. a box size with three values for a 2D image.
        """
        state, border = self._enter(image, frame, threads)
        for done, step in enumerate(self.before, start=1):
            step.apply(state)
            if progress:
                progress("prepare", done, len(self.before))
        array = self._network_input(state)
        if len(array) != self.channels:
            raise BundleError(f"preprocessing gives {len(array)} channels, the network takes {self.channels}")
        return Prepared(array, array.shape[1:], border, tuple(state.trace), state.affine)

    def way_back(self, prepared: Prepared, *, threads: int = 0) -> WayBack | None:
        """What takes the network's output plane by plane, for :meth:`finish` in place of the logits; None if nothing.

        It is there where there is no :attr:`online` rule because the scores are interpolated before they become
        labels. The result is the same; the logits need not exist as a whole.

        Raises
        ------
        StudyRejected
            The planes that have to be held at a time do not fit into memory.
        """
        if self.online is not None or self.after.classifies:
            return None
        return self.after.way_back(prepared.shape, prepared.trace, threads)

    def finish(self, pred: Array | WayBack, prepared: Prepared, *, threads: int = 0) -> Finished:
        """Take the network's output (without the batch axis) to labels on the source grid or to probabilities.

        Parameters
        ----------
        pred : float [C, spatial...]; or uint8 [spatial...], a label map made by the :attr:`online` rule; or what
            :meth:`way_back` gave, once every plane is in; for a classification float [C]. Not changed.
        prepared : what :meth:`prepare` gave for the same image

        Raises
        ------
        BundleError
            The output does not have the shape that the bundle promises, or class scores are not probabilities.
        StudyRejected
            An array that the way back needs does not fit into memory.
        """
        if self.after.classifies:
            assert not isinstance(pred, WayBack)  # there is none for a classification
            return Finished(probabilities=self.after.probabilities(pred))
        labels = self.after.labels(pred, prepared.shape, prepared.trace, threads)
        back = prepared.border.invert(labels, nearest=True, threads=threads)
        return Finished(labels=contiguous(back[0], threads))

    def _enter(self, image: Volume | Image | Cine, frame: int | None, threads: int) -> tuple[State, Permute]:
        # An image and a frame of a cine are the same to a network that sees one plane at a time.
        if isinstance(image, Volume) != (self.spec.kind == "volume"):
            kind = type(image).__name__.lower()
            raise StudyRejected(f"the series is of kind {kind}, the bundle takes kind {self.spec.kind}")
        if isinstance(image, Volume):
            state, border = self._enter_volume(image, threads)
        else:
            state, border = self._enter_plane(image, frame, threads)
        if self.spec.apply_voi:
            _apply_voi(state, choose(image.window, image.voi_lut))
        return state, border

    def _enter_volume(self, volume: Volume, threads: int) -> tuple[State, Permute]:
        border = Permute((0, 3, 2, 1) if self.spec.axes == "xyz" else (0, 1, 2, 3))
        voxels, values = volume.voxels, ValueMap(float(volume.slope[0]), float(volume.intercept[0]))
        owned = False
        if np.ptp(volume.slope) != 0 or np.ptp(volume.intercept) != 0:
            voxels, values, owned = np.empty(volume.voxels.shape, np.float32), ValueMap(), True
            kernels.rescale(volume.voxels, voxels, slope=volume.slope, intercept=volume.intercept, threads=threads)
        array = voxels[np.newaxis].transpose(border.axes)
        columns = [axis - 1 for axis in border.axes[1:]]
        affine = _LPS_TO_RAS @ volume.affine[:, [*columns, 3]]
        return State(array, affine, values, owned=owned, threads=threads), border

    def _enter_plane(self, image: Image | Cine, frame: int | None, threads: int) -> tuple[State, Permute]:
        if isinstance(image, Cine):
            if frame is None or not 0 <= frame < len(image.pixels):
                raise ValueError(f"frame must be 0..{len(image.pixels) - 1} for a cine, got {frame}")
            pixels, header = image.pixels[frame], image.frames[min(frame, len(image.frames) - 1)]
        else:
            pixels, header = image.pixels, image.frame
        colour = pixels.ndim == 3
        if colour and self.spec.photometric == "monochrome" and not any(isinstance(s, Grayscaled) for s in self.before):
            raise StudyRejected("the image is in colour, the bundle takes monochrome ones")
        if not colour and self.spec.photometric == "rgb":
            raise StudyRejected("the image is monochrome, the bundle takes colour ones")
        planes = np.moveaxis(pixels, -1, 0) if colour else pixels[np.newaxis]
        border = Permute((0, 2, 1) if self.spec.axes == "xyz" else (0, 1, 2))
        spacing = header.spacing or _region_spacing(image.regions)
        size = spacing or (1.0, 1.0)
        affine = np.diag([*(size[axis - 1] for axis in border.axes[1:]), 1.0])
        state = State(
            planes.transpose(border.axes),
            affine,
            ValueMap() if colour else ValueMap(image.slope, image.intercept),
            threads=threads,
            has_spacing=spacing is not None,
            regions=image.regions,
            row_axis=border.axes.index(1) - 1,
        )
        return state, border

    def _network_input(self, state: State) -> Array:
        if state.values.is_identity and state.array.dtype == self.dtype:
            if state.array.flags.c_contiguous:
                return state.array
            out = allocate(state.array.shape, self.dtype)
            copy_into(state.array, out, state.threads)
            return out
        if self.dtype == np.float16:
            return state.rendered(allocate((state.channels, *state.shape), self.dtype))
        array = state.rendered()
        if self.dtype == array.dtype:
            return array
        out = allocate(array.shape, self.dtype)
        for channel, target in zip(array, out, strict=True):
            kernels.rescale(
                as_3d(channel), as_3d(target), slope=1.0, intercept=0.0, truncate=True, threads=state.threads
            )
        return out


def _region_spacing(regions: Sequence[UltrasoundRegion]) -> tuple[float, float] | None:
    """Pixel spacing (y, x) where every calibrated region has the same."""
    sizes = {(r.mm_per_pixel_y, r.mm_per_pixel_x) for r in regions}
    if len(sizes) != 1:
        return None
    y, x = sizes.pop()
    return (y, x) if y and x else None


def _apply_voi(state: State, how: Window | VoiLut | None) -> None:
    if how is None:
        raise StudyRejected("the series has no VOI window or table, which the bundle asks for (input.apply_voi)")
    display_range(state, how)


def compile_plan(
    preprocessing: Sequence[Transform],
    postprocessing: Sequence[Transform],
    meta: BundleMeta,
    network: NetworkDataFormat,
) -> Plan:
    """Check that the transforms fit each other, the input and the network, and compile them.

    Raises
    ------
    BundleError
        Naming the transform that does not fit.
    """
    before: list[Spatial | Intensity] = []
    volume = meta.input.kind == "volume"
    channels = 3 if meta.input.photometric == "rgb" else 1
    dtype = "float32"
    if meta.input.photometric == "rgb" and (volume or meta.input.apply_voi):
        what = "a volume" if volume else "input.apply_voi"
        raise BundleError(f"configs/metadata.json: 'bedside.input': photometric 'rgb' does not go with {what}")
    for index, step in enumerate(preprocessing):
        where = f"configs/inference.json: preprocessing[{index}] {step.name}"
        if step.key != network.image_key:
            raise BundleError(f"{where}: keys is '{step.key}', the network's input is '{network.image_key}'")
        source = getattr(step, "source_key", step.key)
        if source != step.key:
            raise BundleError(f"{where}: source_key is '{source}', only '{step.key}' is there")
        if getattr(step, "VOLUME_ONLY", False) and not volume:
            raise BundleError(f"{where} needs a volume, 'bedside.input.kind' is '{meta.input.kind}'")
        if getattr(step, "IMAGE_ONLY", False) and volume:
            raise BundleError(f"{where} needs an image or a cine, 'bedside.input.kind' is 'volume'")
        if step.name == "UltrasoundRegiond" and any(isinstance(s, Spatial) for s in before):
            raise BundleError(f"{where} must stand before every other spatial transform")
        if isinstance(step, Intensity):
            channels, dtype = step.channels(channels), step.output_dtype(dtype)
        elif isinstance(step, Spatial):
            dtype = "float32" if step.RESAMPLES else dtype
        else:
            raise BundleError(f"{where} is not a preprocessing step")
        before.append(step)
    for what, have, want in (
        ("channels", channels, network.input.num_channels),
        ("dtype", dtype, network.input.dtype),
    ):
        if have != want:
            raise BundleError(
                f"configs/inference.json: preprocessing gives {what} {have}, configs/metadata.json says {want} for "
                f"'{network.image_key}'"
            )
    after = PostPlan.compile(
        postprocessing,
        meta,
        network,
        exact_back=all(s.exact_back for s in before if isinstance(s, Spatial)),
        moves=[s.name for s in before if isinstance(s, Spatial)],
    )
    return Plan(meta.input, tuple(before), after, np.dtype(dtype), network.input.num_channels)
