"""From stored values to a network's input: window, gray, planes, crop and pad."""

from __future__ import annotations

from typing import Any

import numpy as np

from bedside.backends.contract import Array
from bedside.kernels import crop_pad, rescale, to_gray, to_planes

from .cases import Candidates, Case, nbytes, optional
from .volumes import EDGE, HIGH, INTERCEPT, LOW, SHAPE, SLICES, SLOPE, stored_ct

FRAMES = (100, 600, 800)
PICTURES = (3, 3000, 3000)
BEFORE, AFTER, START = (375, 358, 358), (384, 320, 384), (-4, 19, -13)
"""Shapes of the cropped and padded volume, and the source index of the first voxel."""
INSIDE = (375, 320, 358)


def window_ct(threads: int) -> Candidates:
    volume = stored_ct()
    out, work = np.empty(SHAPE, np.float32), np.empty(SHAPE, np.float32)
    slope = np.full(SLICES, SLOPE, np.float32)
    intercept = np.full(SLICES, INTERCEPT, np.float32)
    scale = 1 / (HIGH - LOW)
    chain: dict[str, Any] = {"low": LOW, "high": HIGH, "scale": scale, "offset": -LOW * scale}

    def ours() -> None:
        rescale(volume, out, slope=slope, intercept=intercept, **chain, threads=threads)

    def numpy_in_place() -> None:
        np.multiply(volume, np.float32(SLOPE), out=work, casting="unsafe")
        np.add(work, np.float32(INTERCEPT), out=work)
        np.clip(work, LOW, HIGH, out=work)
        np.multiply(work, np.float32(scale), out=work)
        np.add(work, np.float32(-LOW * scale), out=work)

    ours()
    numpy_in_place()
    np.testing.assert_allclose(out, work, atol=1e-6)
    candidates: Candidates = {"ours": ours, "numpy": numpy_in_place}
    if torch := optional("torch"):
        stored = torch.from_numpy(volume.copy())

        def with_torch() -> Any:
            units = stored.to(torch.float32).mul_(SLOPE).add_(INTERCEPT)
            return units.clamp_(LOW, HIGH).sub_(LOW).mul_(scale)

        np.testing.assert_allclose(out, with_torch().numpy(), atol=1e-6)
        candidates["torch"] = with_torch
    if monai := optional("monai.transforms"):
        ranged = monai.ScaleIntensityRange(LOW, HIGH, 0.0, 1.0, clip=True)

        def with_monai() -> object:
            return ranged(volume.astype(np.float32) * np.float32(SLOPE) + np.float32(INTERCEPT))

        np.testing.assert_allclose(out, np.asarray(with_monai()), atol=1e-6)
        candidates["MONAI"] = with_monai
    return candidates


def gray_cine(threads: int) -> Candidates:
    cine = np.random.default_rng(0).integers(0, 256, (*FRAMES, 3), np.uint8)
    out, theirs = np.empty(FRAMES, np.float32), np.empty(FRAMES, np.float32)

    def ours() -> None:
        to_gray(cine, out, threads=threads)

    ours()
    np.testing.assert_allclose(out[0], cine[0] @ np.array([0.299, 0.587, 0.114], np.float32), atol=1e-3)
    candidates: Candidates = {"ours": ours}
    if cv2 := optional("cv2"):

        def opencv() -> None:
            for frame, target in zip(cine, theirs, strict=True):
                cv2.cvtColor(frame.astype(np.float32), cv2.COLOR_RGB2GRAY, target)

        def opencv_rounded() -> None:
            for frame, target in zip(cine, theirs, strict=True):
                target[...] = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)

        opencv()
        np.testing.assert_allclose(out, theirs, atol=1e-3)
        opencv_rounded()
        np.testing.assert_allclose(out, theirs, atol=0.51)
        candidates |= {"OpenCV": opencv, "OpenCV, rounded to 8 bits": opencv_rounded}
    return candidates


def planes_of_pictures(threads: int) -> Candidates:
    pictures = np.random.default_rng(0).integers(0, 256, (*PICTURES, 3), np.uint8)
    shape = (PICTURES[0], 3, *PICTURES[1:])
    out, theirs = np.empty(shape, np.float32), np.empty(shape, np.float32)

    def ours() -> None:
        to_planes(pictures, out, threads=threads)

    def with_numpy() -> Array:
        return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)

    def numpy_reused() -> None:
        np.copyto(theirs, pictures.transpose(0, 3, 1, 2))

    ours()
    np.testing.assert_array_equal(out, with_numpy())
    return {"ours": ours, "numpy": with_numpy, "numpy, buffer reused": numpy_reused}


def box(threads: int) -> Candidates:
    volume = np.random.default_rng(0).random(BEFORE, np.float32)
    out, theirs = np.empty(AFTER, np.float32), np.empty(AFTER, np.float32)

    def ours() -> None:
        crop_pad(volume, out, START, threads=threads)

    def with_numpy() -> None:
        theirs[...] = 0
        theirs[4 : 4 + INSIDE[0], :, 13 : 13 + INSIDE[2]] = volume[:, 19 : 19 + INSIDE[1]]

    ours()
    with_numpy()
    np.testing.assert_array_equal(out, theirs)
    candidates: Candidates = {"ours": ours, "numpy": with_numpy}
    if monai := optional("monai.transforms"):
        crop_or_pad = monai.ResizeWithPadOrCrop(AFTER)
        assert tuple(crop_or_pad(volume[np.newaxis]).shape[1:]) == AFTER
        candidates["MONAI"] = lambda: crop_or_pad(volume[np.newaxis])
    return candidates


CASES = (
    Case(
        f"CT {SLICES}x{EDGE}x{EDGE} int16 -> window -> float32",
        window_ct,
        goals={"memcpy": 0.85},
        traffic=nbytes((SHAPE, 2), (SHAPE, 4)),
        peers=("MONAI", "torch"),
    ),
    Case(
        "cine 100x600x800x3 uint8 -> gray float32",
        gray_cine,
        goals={"OpenCV": 5.0},
        peers=("OpenCV, rounded to 8 bits",),
        traffic=nbytes(((*FRAMES, 3), 1), (FRAMES, 4)),
    ),
    Case(
        "3x3000x3000x3 uint8 HWC -> NCHW float32",
        planes_of_pictures,
        goals={"numpy": 5.0},
        traffic=nbytes(((*PICTURES, 3), 1), ((*PICTURES, 3), 4)),
    ),
    Case(
        "crop and pad 375x358x358 -> 384x320x384 float32, buffer reused",
        box,
        goals={"numpy": 1.5},
        traffic=nbytes((INSIDE, 4), (AFTER, 4)),
        peers=("MONAI",),
    ),
)
