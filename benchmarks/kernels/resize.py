"""Resizing of images, with what follows it on the way to a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from bedside.kernels import resize

from .cases import Candidates, Case, nbytes, optional

XRAY, NETWORK_XRAY = (3000, 3000), (1024, 1024)
CINE, NETWORK_CINE = (100, 600, 800, 3), (256, 256)
MEAN, DEVIATION = (123.7, 116.3, 103.5), 57.5


def radiograph() -> Any:
    return np.random.default_rng(0).integers(0, 1 << 14, XRAY).astype(np.uint16)


def monai_resize(image: Any, mode: str) -> Any:
    """The call, or None where MONAI is not installed."""
    transforms, torch = optional("monai.transforms"), optional("torch")
    if not (transforms and torch):
        return None
    transform, tensor = transforms.Resize(NETWORK_XRAY, mode=mode), torch.as_tensor(image.astype(np.float32))[None]
    return lambda: transform(tensor)


def bilinear(threads: int) -> Candidates:
    image = radiograph()
    out = np.empty((1, *NETWORK_XRAY), np.float32)
    candidates: Candidates = {"ours": lambda: resize(image[np.newaxis], out, scale=1 / 16383, threads=threads)}
    candidates["ours"]()
    if cv2 := optional("cv2"):

        def opencv() -> Any:
            return cv2.resize(image, NETWORK_XRAY, interpolation=cv2.INTER_LINEAR).astype(np.float32)

        np.testing.assert_allclose(out[0] * 16383, opencv(), atol=0.6)  # OpenCV rounds to whole numbers
        candidates["OpenCV INTER_LINEAR"] = opencv
    if monai := monai_resize(image, "bilinear"):
        np.testing.assert_allclose(out * 16383, monai().numpy(), atol=5.0)  # coordinates in single precision
        candidates["MONAI Resize"] = monai
    if torch := optional("torch"):
        tensor = torch.as_tensor(image.astype(np.float32))[None, None]
        candidates["torch interpolate"] = lambda: torch.nn.functional.interpolate(tensor, NETWORK_XRAY, mode="bilinear")
    return candidates


def area(threads: int) -> Candidates:
    image = radiograph()
    out = np.empty((1, *NETWORK_XRAY), np.float32)
    candidates: Candidates = {
        "ours": lambda: resize(image[np.newaxis], out, mode="coverage", scale=1 / 16383, threads=threads)
    }
    candidates["ours"]()
    if cv2 := optional("cv2"):

        def opencv() -> Any:
            return cv2.resize(image, NETWORK_XRAY, interpolation=cv2.INTER_AREA).astype(np.float32)

        np.testing.assert_allclose(out[0] * 16383, opencv(), atol=8.0)  # OpenCV leaves out slivers below a thousandth
        candidates["OpenCV INTER_AREA"] = opencv
    return candidates


def adaptive_area(threads: int) -> Candidates:
    image = radiograph()
    out = np.empty((1, *NETWORK_XRAY), np.float32)
    candidates: Candidates = {
        "ours": lambda: resize(image[np.newaxis], out, mode="area", scale=1 / 16383, threads=threads)
    }
    candidates["ours"]()
    if monai := monai_resize(image, "area"):
        np.testing.assert_allclose(out * 16383, monai().numpy(), atol=0.05)
        candidates["MONAI Resize"] = monai
    if torch := optional("torch"):
        tensor = torch.as_tensor(image.astype(np.float32))[None, None]
        candidates["torch interpolate"] = lambda: torch.nn.functional.interpolate(tensor, NETWORK_XRAY, mode="area")
    return candidates


def cine(threads: int) -> Candidates:
    frames = np.random.default_rng(0).integers(0, 256, CINE).astype(np.uint8)
    out = np.empty((CINE[0], CINE[3], *NETWORK_CINE), np.float32)
    offset = np.array([-mean / DEVIATION for mean in MEAN], np.float32)
    candidates: Candidates = {"ours": lambda: resize(frames, out, scale=1 / DEVIATION, offset=offset, threads=threads)}
    candidates["ours"]()
    if cv2 := optional("cv2"):
        images = list(frames)

        def blob() -> Any:
            return cv2.dnn.blobFromImages(images, 1 / DEVIATION, NETWORK_CINE, MEAN, swapRB=False)

        np.testing.assert_allclose(out, blob(), atol=2 / DEVIATION)  # OpenCV rounds to whole numbers
        candidates["OpenCV blobFromImages"] = blob
    return candidates


CASES = (
    Case(
        "X-ray 3000x3000 uint16 -> 1024x1024 bilinear float32",
        bilinear,
        goals={"OpenCV INTER_LINEAR": 1.2},
        traffic=2 * nbytes((NETWORK_XRAY, 4)),
        read_only=nbytes((XRAY, 2)) * 2 // 3 - nbytes((NETWORK_XRAY, 4)),
        peers=("MONAI Resize", "torch interpolate"),
    ),
    Case(
        "X-ray 3000x3000 uint16 -> 1024x1024 area (coverage) float32",
        area,
        goals={"OpenCV INTER_AREA": 3.0},
        traffic=2 * nbytes((NETWORK_XRAY, 4)),
        read_only=nbytes((XRAY, 2)) - nbytes((NETWORK_XRAY, 4)),
    ),
    Case(
        "X-ray 3000x3000 uint16 -> 1024x1024 area (adaptive mean) float32",
        adaptive_area,
        traffic=2 * nbytes((NETWORK_XRAY, 4)),
        read_only=nbytes((XRAY, 2)) - nbytes((NETWORK_XRAY, 4)),
        peers=("MONAI Resize", "torch interpolate"),
    ),
    Case(
        "cine 100x600x800x3 uint8 -> 256x256 normalised NCHW float32",
        cine,
        goals={"OpenCV blobFromImages": 2.0},
        traffic=2 * nbytes(((CINE[0], 3, *NETWORK_CINE), 4)),
        read_only=nbytes((CINE, 1)) * 512 // 600 - nbytes(((CINE[0], 3, *NETWORK_CINE), 4)),
    ),
)
