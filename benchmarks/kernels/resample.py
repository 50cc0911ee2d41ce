"""Resampling of volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from bedside.kernels import resample

from .cases import Candidates, Case, nbytes, optional
from .volumes import EDGE, SHAPE, SLICES, stored_ct

OUT_SHAPE = (375, 358, 358)


def to_one_millimetre(threads: int) -> Candidates:
    volume = stored_ct()
    step = np.array(volume.shape) / np.array(OUT_SHAPE)
    matrix = np.c_[np.diag(step), np.zeros(3)]
    out = np.empty(OUT_SHAPE, np.float32)
    candidates: Candidates = {"ours": lambda: resample(volume, out, matrix, threads=threads)}
    candidates["ours"]()

    def scipy_affine() -> Any:
        return ndimage.affine_transform(
            volume, step, output_shape=OUT_SHAPE, output=np.float32, order=1, mode="nearest", prefilter=False
        )

    np.testing.assert_allclose(out, scipy_affine(), atol=0.01)
    candidates["scipy affine_transform"] = scipy_affine
    if SimpleITK := optional("SimpleITK"):
        resampler = SimpleITK.ResampleImageFilter()
        resampler.SetSize([int(n) for n in OUT_SHAPE[::-1]])
        resampler.SetOutputSpacing([float(s) for s in step[::-1]])
        resampler.SetInterpolator(SimpleITK.sitkLinear)
        resampler.SetOutputPixelType(SimpleITK.sitkFloat32)
        resampler.UseNearestNeighborExtrapolatorOn()
        image = SimpleITK.GetImageFromArray(volume)
        np.testing.assert_allclose(out, SimpleITK.GetArrayFromImage(resampler.Execute(image)), atol=0.01)
        candidates["SimpleITK"] = lambda: resampler.Execute(image)
    return candidates


CASES = (
    Case(
        f"CT {SLICES}x{EDGE}x{EDGE} int16 -> 1 mm trilinear {'x'.join(map(str, OUT_SHAPE))} float32",
        to_one_millimetre,
        traffic=nbytes((SHAPE, 2), (OUT_SHAPE, 4)),
        peers=("scipy affine_transform", "SimpleITK"),
    ),
)
