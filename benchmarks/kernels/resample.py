"""Resampling of volumes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.kernels import resample, spline_coefficients

from .cases import Candidates, Case, nbytes, optional
from .volumes import EDGE, HIGH, INTERCEPT, LOW, SHAPE, SLICES, SLOPE, stored_ct

OUT_SHAPE = (375, 358, 358)
SIZE = f"{SLICES}x{EDGE}x{EDGE}"
OUT_SIZE = "x".join(map(str, OUT_SHAPE))
STEP = (np.array(SHAPE) - 1) / (np.array(OUT_SHAPE) - 1)
"""Voxels of the source a voxel of the output; the centres of the corner voxels coincide, as MONAI's Spacing has it."""
CUBIC_SHAPE, CUBIC_OUT = (130, 180, 190), (160, 150, 155)
CUBIC_STEP = (np.array(CUBIC_SHAPE) - 1) / (np.array(CUBIC_OUT) - 1)
"""Of the cubic spline: a part of the volume, since a peer takes half a minute for the whole."""
SCALE = 1.0 / (HIGH - LOW)
STORED_LOW, STORED_HIGH = (LOW - INTERCEPT) / SLOPE, (HIGH - INTERCEPT) / SLOPE


def to_one_millimetre(threads: int) -> Candidates:
    volume = stored_ct()
    matrix = np.c_[np.diag(STEP), np.zeros(3)]
    out = np.empty(OUT_SHAPE, np.float32)
    window: dict[str, Any] = {
        "slope": SLOPE,
        "intercept": INTERCEPT,
        "low": LOW,
        "high": HIGH,
        "scale": SCALE,
        "offset": -LOW * SCALE,
    }
    candidates: Candidates = {"ours": lambda: resample(volume, out, matrix, threads=threads, **window)}
    candidates["ours"]()

    def scipy_affine() -> NDArray[np.float32]:
        made = ndimage.affine_transform(
            volume, STEP, output_shape=OUT_SHAPE, output=np.float32, order=1, mode="nearest", prefilter=False
        )
        return windowed(made)

    np.testing.assert_allclose(out, scipy_affine(), atol=1e-4)
    candidates["scipy affine_transform"] = scipy_affine
    if SimpleITK := optional("SimpleITK"):
        resampler = itk_resampler(SimpleITK, SimpleITK.sitkLinear)
        resampler.SetOutputSpacing([float(s) for s in STEP[::-1]])
        image = SimpleITK.GetImageFromArray(volume)

        def itk() -> Any:
            made = resampler.Execute(image)
            return SimpleITK.IntensityWindowing(made, STORED_LOW, STORED_HIGH, 0.0, 1.0)

        np.testing.assert_allclose(out, SimpleITK.GetArrayFromImage(itk()), atol=1e-4)
        candidates["SimpleITK"] = itk
    if torch := optional("torch"):
        tensor = torch.from_numpy(volume.copy())[None, None]

        def interpolated() -> Any:
            made = torch.nn.functional.interpolate(tensor.float(), size=OUT_SHAPE, mode="trilinear", align_corners=True)
            return made.sub_(STORED_LOW).mul_(SCALE).clamp_(0.0, 1.0)

        np.testing.assert_allclose(out, interpolated()[0, 0].numpy(), atol=1e-4)
        candidates["torch interpolate"] = interpolated
        if monai := optional("monai.transforms"):
            data = optional("monai.data")
            affine = np.diag([*(1.0 / STEP), 1.0])
            steps = monai.Compose(
                [
                    monai.Spacing(pixdim=1.0, mode="bilinear", padding_mode="border"),
                    monai.ScaleIntensityRange(STORED_LOW, STORED_HIGH, 0.0, 1.0, clip=True),
                ]
            )

            def spacing() -> Any:
                return steps(data.MetaTensor(tensor[0], affine=affine))

            np.testing.assert_allclose(out, spacing().numpy()[0], atol=1e-4)
            candidates["MONAI Spacing"] = spacing
    return candidates


def rotated(threads: int) -> Candidates:
    volume = stored_ct()
    tilt, turn = math.radians(8.0), math.radians(12.0)
    about_x = np.array([[math.cos(tilt), -math.sin(tilt), 0], [math.sin(tilt), math.cos(tilt), 0], [0, 0, 1]])
    about_z = np.array([[1, 0, 0], [0, math.cos(turn), -math.sin(turn)], [0, math.sin(turn), math.cos(turn)]])
    matrix = np.zeros((3, 4))
    matrix[:, :3] = about_x @ about_z * STEP
    matrix[:, 3] = (np.array(SHAPE) - 1) / 2 - matrix[:, :3] @ ((np.array(OUT_SHAPE) - 1) / 2)
    out = np.empty(OUT_SHAPE, np.float32)
    candidates: Candidates = {"ours": lambda: resample(volume, out, matrix, padding="constant", threads=threads)}
    candidates["ours"]()
    if SimpleITK := optional("SimpleITK"):
        resampler = itk_resampler(SimpleITK, SimpleITK.sitkLinear)
        resampler.UseNearestNeighborExtrapolatorOff()
        # ITK's transform takes points x, y, z of the output to those of the source.
        transform = SimpleITK.AffineTransform(3)
        transform.SetMatrix(matrix[::-1, 2::-1].ravel().tolist())
        transform.SetTranslation(matrix[::-1, 3].tolist())
        resampler.SetTransform(transform)
        image = SimpleITK.GetImageFromArray(volume)
        theirs = SimpleITK.GetArrayFromImage(resampler.Execute(image))
        inner = np.s_[150:220, 100:250, 100:250]  # at the border ITK has a rule of its own
        np.testing.assert_allclose(out[inner], theirs[inner], atol=0.05)
        candidates["SimpleITK"] = lambda: resampler.Execute(image)
    return candidates


def labels_back(threads: int) -> Candidates:
    labels = (np.add.outer(np.add.outer(np.arange(375), np.arange(358)), np.arange(358)) // 40 % 5).astype(np.uint8)
    step = (np.array(OUT_SHAPE) - 1) / (np.array(SHAPE) - 1)
    matrix = np.c_[np.diag(step), np.full(3, 1e-6)]
    out = np.empty(SHAPE, np.uint8)
    candidates: Candidates = {"ours": lambda: resample(labels, out, matrix, mode="nearest", threads=threads)}
    candidates["ours"]()

    def scipy_affine() -> Any:
        return ndimage.affine_transform(labels, step, offset=1e-6, output_shape=SHAPE, order=0, mode="nearest")

    np.testing.assert_array_equal(out, scipy_affine())
    candidates["scipy affine_transform"] = scipy_affine
    if SimpleITK := optional("SimpleITK"):
        resampler = itk_resampler(SimpleITK, SimpleITK.sitkNearestNeighbor)
        resampler.SetSize([int(n) for n in SHAPE[::-1]])
        resampler.SetOutputSpacing([float(s) for s in step[::-1]])
        resampler.SetOutputOrigin([1e-6] * 3)
        resampler.SetOutputPixelType(SimpleITK.sitkUInt8)
        image = SimpleITK.GetImageFromArray(labels)
        np.testing.assert_array_equal(out, SimpleITK.GetArrayFromImage(resampler.Execute(image)))
        candidates["SimpleITK"] = lambda: resampler.Execute(image)
    return candidates


def cubic(threads: int) -> Candidates:
    volume = np.ascontiguousarray(stored_ct()[tuple(slice(n) for n in CUBIC_SHAPE)])
    matrix = np.c_[np.diag(CUBIC_STEP), np.zeros(3)]
    coefficients, out = np.empty(CUBIC_SHAPE, np.float32), np.empty(CUBIC_OUT, np.float32)
    tolerance = 1e-5 * float(np.abs(volume).max())

    def ours() -> None:
        spline_coefficients(volume, coefficients, threads=threads)
        resample(coefficients, out, matrix, mode="cubic", threads=threads)

    ours()

    def scipy_affine() -> Any:
        return ndimage.affine_transform(
            volume, CUBIC_STEP, output_shape=CUBIC_OUT, output=np.float32, order=3, mode="nearest"
        )

    np.testing.assert_allclose(out, scipy_affine(), rtol=0, atol=tolerance)
    candidates: Candidates = {"ours": ours, "scipy affine_transform": scipy_affine}
    if SimpleITK := optional("SimpleITK"):
        resampler = itk_resampler(SimpleITK, SimpleITK.sitkBSpline)
        resampler.SetSize([int(n) for n in CUBIC_OUT[::-1]])
        resampler.SetOutputSpacing([float(s) for s in CUBIC_STEP[::-1]])
        image = SimpleITK.GetImageFromArray(volume)
        inner = np.s_[60:-60, 60:-60, 60:-60]  # at the border ITK mirrors the volume
        theirs = SimpleITK.GetArrayFromImage(resampler.Execute(image))
        np.testing.assert_allclose(out[inner], theirs[inner], rtol=0, atol=tolerance)
        candidates["SimpleITK"] = lambda: resampler.Execute(image)
    monai, torch, data = optional("monai.transforms"), optional("torch"), optional("monai.data")
    if monai and torch and data:
        affine = np.diag([*(1.0 / CUBIC_STEP), 1.0])
        tensor = torch.from_numpy(volume.copy())[None]
        step = monai.Spacing(pixdim=1.0, mode=3, padding_mode="border")

        def spacing() -> Any:
            return step(data.MetaTensor(tensor, affine=affine))

        np.testing.assert_allclose(out, spacing().numpy()[0], rtol=0, atol=tolerance)
        candidates["MONAI Spacing"] = spacing
    return candidates


def itk_resampler(SimpleITK: Any, interpolator: Any) -> Any:
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetSize([int(n) for n in OUT_SHAPE[::-1]])
    resampler.SetInterpolator(interpolator)
    resampler.SetOutputPixelType(SimpleITK.sitkFloat32)
    resampler.UseNearestNeighborExtrapolatorOn()
    return resampler


def windowed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    values -= np.float32(STORED_LOW)
    values *= np.float32(SCALE)
    return np.clip(values, 0.0, 1.0, out=values)


CASES = (
    Case(
        f"CT {SIZE} int16 -> 1 mm trilinear {OUT_SIZE} -> window -> float32",
        to_one_millimetre,
        goals={"MONAI Spacing": 80.0, "torch interpolate": 8.0},
        traffic=nbytes((SHAPE, 2), (OUT_SHAPE, 4)),
        peers=("scipy affine_transform", "SimpleITK"),
    ),
    Case(
        f"CT {SIZE} int16 -> rotated trilinear {OUT_SIZE} float32",
        rotated,
        traffic=nbytes((SHAPE, 2), (OUT_SHAPE, 4)),
        peers=("SimpleITK",),
    ),
    Case(
        f"CT {'x'.join(map(str, CUBIC_SHAPE))} int16 -> 1 mm cubic spline {'x'.join(map(str, CUBIC_OUT))} float32",
        cubic,
        # The coefficients: written, filtered within planes and across them, and read.
        traffic=nbytes((CUBIC_SHAPE, 2), *[(CUBIC_SHAPE, 4)] * 6, (CUBIC_OUT, 4)),
        peers=("scipy affine_transform", "SimpleITK", "MONAI Spacing"),
    ),
    Case(
        f"labels {OUT_SIZE} uint8 -> source grid {SIZE}, nearest",
        labels_back,
        traffic=nbytes((OUT_SHAPE, 1), (SHAPE, 1)),
        peers=("scipy affine_transform", "SimpleITK"),
    ),
)
