"""The sliding window and what follows it: cutting, blending, argmax, softmax; the whole loop beside MONAI's."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np

from bedside.backends.contract import Array, Device, Tensors, TensorSpec
from bedside.kernels import accumulate, argmax, sigmoid, softmax
from bedside.runtime.bundle.schema import InfererSpec
from bedside.runtime.inferer import infer
from bedside.runtime.sliding_window import importance
from bedside.runtime.transforms.online import OnlineRule, discretise

from ..rows import Row
from .cases import Candidates, Case, Figure, nbytes, optional
from .volumes import EDGE

PATCH = (4, 96, 96, 96)
LOGITS = (4, 300, EDGE, EDGE)
VOLUME = (1, 300, EDGE, EDGE)
ROI = (96, 96, 96)
ONLINE_MEMORY = f"argmax 4x300x{EDGE}x{EDGE} f32, plane by plane: peak memory over that of the labels"
WINDOWS = 6 * 10 * 10
"""Of size ROI with an overlap of a half over VOLUME."""


def accumulate_patch(threads: int) -> Candidates:
    rng = np.random.default_rng(0)
    patch = rng.standard_normal(PATCH, dtype=np.float32)
    weights = importance(ROI, "gaussian")
    z, y, x = weights.bells
    weight = np.maximum(z[:, None, None] * y[:, None] * x, np.float32(weights.floor))
    total, other = np.zeros((4, 128, 256, 256), np.float32), np.zeros((4, 128, 256, 256), np.float32)
    there = np.s_[..., 20:116, 30:126, 40:136]

    def ours() -> None:
        accumulate(patch, weights.bells, total, (20, 30, 40), floor=weights.floor, threads=threads)

    def with_numpy() -> None:
        if not np.isfinite(patch.max() + patch.min()):
            raise ValueError("the patch is not finite")
        other[there] += patch * weight

    ours()
    with_numpy()
    np.testing.assert_array_equal(total, other)
    return {"ours": ours, "numpy": with_numpy}


def argmax_logits(threads: int) -> Candidates:
    scores = np.random.default_rng(0).standard_normal(LOGITS, dtype=np.float32)
    out = np.empty(LOGITS[1:], np.uint8)
    argmax(scores, out, threads=threads)
    calls: Candidates = {"ours": lambda: argmax(scores, out, threads=threads)}
    calls["numpy argmax"] = lambda: scores.argmax(axis=0).astype(np.uint8)
    np.testing.assert_array_equal(out, calls["numpy argmax"]())
    if torch := optional("torch"):
        tensor = torch.from_numpy(scores)
        calls["torch argmax"] = lambda: tensor.argmax(0).to(torch.uint8)
    return calls


def argmax_online(threads: int) -> Candidates:
    """Planes as they are finished, against the argmax of them all: the tensor of 1.3 GB does not exist in ours."""
    planes = np.random.default_rng(0).standard_normal((4, 2, EDGE, EDGE), dtype=np.float32)
    out = np.empty(LOGITS[1:], np.uint8)
    whole = np.tile(planes, (1, LOGITS[1] // 2, 1, 1))
    rule = OnlineRule("argmax")

    def ours() -> None:
        for first in range(0, LOGITS[1], 2):
            discretise(planes, rule, threads, out[first : first + 2])

    def with_numpy() -> Array:
        return np.asarray(whole.argmax(axis=0).astype(np.uint8))

    ours()
    np.testing.assert_array_equal(out, with_numpy())
    return {"ours": ours, "numpy argmax": with_numpy}


def softmax_logits(threads: int) -> Candidates:
    scores = np.random.default_rng(0).standard_normal((4, 100, EDGE, EDGE), dtype=np.float32)
    out = np.empty_like(scores)

    def with_numpy() -> Array:
        power = np.exp(scores - scores.max(axis=0))
        power /= power.sum(axis=0)
        return np.asarray(power)

    softmax(scores, out, threads=threads)
    np.testing.assert_allclose(out, with_numpy(), rtol=1e-5, atol=1e-7)
    calls: Candidates = {"ours": lambda: softmax(scores, out, threads=threads), "numpy": with_numpy}
    if special := optional("scipy.special"):
        calls["scipy"] = lambda: special.softmax(scores, axis=0)
    if torch := optional("torch"):
        tensor = torch.from_numpy(scores)
        calls["torch"] = lambda: torch.softmax(tensor, 0)
        np.testing.assert_allclose(out, calls["torch"](), rtol=1e-5, atol=1e-7)
    return calls


def sigmoid_logits(threads: int) -> Candidates:
    scores = np.random.default_rng(0).standard_normal((1, 100, EDGE, EDGE), dtype=np.float32)
    out = np.empty_like(scores)
    sigmoid(scores, out, threads=threads)
    calls: Candidates = {"ours": lambda: sigmoid(scores, out, threads=threads)}
    if special := optional("scipy.special"):
        other = np.empty_like(scores)
        calls["scipy"] = lambda: special.expit(scores, out=other)
        np.testing.assert_allclose(out, calls["scipy"](), rtol=1e-6)
    if torch := optional("torch"):
        tensor, result = torch.from_numpy(scores), torch.empty(scores.shape)
        calls["torch"] = lambda: torch.sigmoid(tensor, out=result)
    return calls


def online_memory(threads: int) -> Row:
    """Peak of what is allocated while labels are decided plane by plane, over the size of the labels."""
    planes = np.random.default_rng(0).standard_normal((4, 2, EDGE, EDGE), dtype=np.float32)
    rule = OnlineRule("argmax")
    tracemalloc.start()
    out = np.empty(LOGITS[1:], np.uint8)
    for first in range(0, LOGITS[1], 2):
        discretise(planes, rule, threads, out[first : first + 2])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    share = peak / out.nbytes
    return Row(ONLINE_MEMORY, share, "x", goal=1.2, met=share < 1.2, n=1)


class _Answer:
    def __init__(self, tensors: dict[str, Array]) -> None:
        self._tensors = tensors

    def result(self, timeout: float | None = None) -> dict[str, Array]:
        return self._tensors


class _Echo:
    """A network that does nothing: it returns its input, so that what comes out can be compared with what went in."""

    device = Device("echo", "returns its input", True)
    inputs = (TensorSpec("image", (1, 1, *ROI), np.dtype(np.float32)),)
    outputs = (TensorSpec("pred", (1, 1, *ROI), np.dtype(np.float32)),)

    def run(self, feeds: Tensors) -> dict[str, Array]:
        return {"pred": feeds["image"]}

    def submit(self, feeds: Tensors) -> _Answer:
        return _Answer(self.run(feeds))

    def placement(self) -> dict[str, int]:
        return {}

    def close(self) -> None: ...


def sliding_window(threads: int) -> Candidates:
    volume = np.random.default_rng(0).standard_normal(VOLUME, dtype=np.float32)
    spec = InfererSpec(kind="sliding", roi_size=ROI, overlap=0.5, mode="gaussian")

    def ours() -> Array:
        logits = infer(_Echo(), volume, spec, threads=threads).logits
        assert logits is not None
        return logits

    np.testing.assert_allclose(ours(), volume, atol=1e-4)
    calls: Candidates = {"ours": ours}
    inferers = optional("monai.inferers")
    if inferers is not None:
        torch: Any = optional("torch")
        tensor = torch.from_numpy(volume)[None]
        # A batch of one is a view of the image, which MONAI's weights would be multiplied into: windows that are cut
        # out, as ours are, come in batches of more.
        peer = inferers.SlidingWindowInferer(ROI, sw_batch_size=4, overlap=0.5, mode="gaussian")

        def with_monai() -> Any:
            with torch.no_grad():
                return peer(tensor, lambda windows: windows)

        np.testing.assert_allclose(with_monai()[0].numpy(), volume, atol=1e-4)
        calls["MONAI"] = with_monai
    return calls


CASES = (
    Case("accumulate a patch of 4x96x96x96", accumulate_patch, traffic=nbytes((PATCH, 12)), peers=("numpy",)),
    Case(
        f"argmax 4x300x{EDGE}x{EDGE} f32",
        argmax_logits,
        goals={"numpy argmax": 5.0},
        traffic=2 * nbytes((LOGITS[1:], 1)),
        read_only=nbytes((LOGITS, 4)) - nbytes((LOGITS[1:], 1)),
        peers=("torch argmax",),
    ),
    Case(
        f"argmax 4x300x{EDGE}x{EDGE} f32, plane by plane",
        argmax_online,
        goals={"numpy argmax": 5.0},
    ),
    Figure(ONLINE_MEMORY, online_memory),
    Case(
        f"softmax 4x100x{EDGE}x{EDGE} f32",
        softmax_logits,
        traffic=nbytes(((4, 100, EDGE, EDGE), 8)),
        peers=("numpy", "scipy", "torch"),
    ),
    Case(
        f"sigmoid 100x{EDGE}x{EDGE} f32",
        sigmoid_logits,
        traffic=nbytes(((100, EDGE, EDGE), 8)),
        peers=("scipy", "torch"),
    ),
    Case(
        f"sliding window 96^3, overlap 0.5, 300x{EDGE}x{EDGE}, no network",
        sliding_window,
        goals={"MONAI": 10.0},
        # A window is read and written when it is cut, and read when it is added to a sum that is read and written; the
        # sums are read and the blended volume is written once.
        traffic=WINDOWS * nbytes((ROI, 20)) + nbytes((VOLUME, 8)),
    ),
)
