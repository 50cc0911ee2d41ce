"""The kernels beside numpy, scipy and SimpleITK on a CT of 300 slices: ``python -m benchmarks.kernels --json FILE``.

Each group is one interleaved run, so the ratios hold on a busy machine; every candidate gets the same number of threads
where it has threads, writes float32 or the mask's type, and its result is compared with ours before it is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from scipy import ndimage

from bedside.kernels import accumulate, active_isa, argmax_blend, pack_bits, resample, rescale

from .rows import Row, absent, compare, document, interleaved, markdown, write

SLICES, EDGE = 300, 512
OUT_SHAPE = (375, 358, 358)
SLOPE, INTERCEPT, LOW, HIGH = 1.0, -1024.0, -1000.0, 400.0

Candidates = dict[str, Callable[[], object]]


def phantom() -> NDArray[np.int16]:
    """Stored values of a CT: smooth shapes with noise, 0 to 4095."""
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.add.outer(np.arange(SLICES), np.arange(EDGE)), np.arange(EDGE)) * 2
    return (ramp + rng.integers(0, 400, ramp.shape, dtype=np.int16)).clip(0, 4095).astype(np.int16)


def rescale_candidates(volume: NDArray[np.int16], threads: int) -> Candidates:
    out = np.empty(volume.shape, np.float32)
    slope = np.full(SLICES, SLOPE, np.float32)
    intercept = np.full(SLICES, INTERCEPT, np.float32)
    scale = 1 / (HIGH - LOW)

    def ours() -> None:
        rescale(
            volume,
            out,
            slope=slope,
            intercept=intercept,
            low=LOW,
            high=HIGH,
            scale=scale,
            offset=-LOW * scale,
            threads=threads,
        )

    work = np.empty(volume.shape, np.float32)

    def numpy_in_place() -> None:
        np.multiply(volume, np.float32(SLOPE), out=work, casting="unsafe")
        np.add(work, np.float32(INTERCEPT), out=work)
        np.clip(work, LOW, HIGH, out=work)
        np.multiply(work, np.float32(scale), out=work)
        np.add(work, np.float32(-LOW * scale), out=work)

    ours()
    numpy_in_place()
    np.testing.assert_allclose(out, work, atol=1e-6)
    return {"ours": ours, "numpy": numpy_in_place}


def resample_candidates(volume: NDArray[np.int16], threads: int) -> Candidates:
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
    try:
        SimpleITK: Any = import_module("SimpleITK")
    except ImportError:
        return candidates
    image = SimpleITK.GetImageFromArray(volume)
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetSize([int(n) for n in OUT_SHAPE[::-1]])
    resampler.SetOutputSpacing([float(s) for s in step[::-1]])
    resampler.SetInterpolator(SimpleITK.sitkLinear)
    resampler.SetOutputPixelType(SimpleITK.sitkFloat32)
    resampler.UseNearestNeighborExtrapolatorOn()
    if threads:
        resampler.SetNumberOfThreads(threads)
    theirs = SimpleITK.GetArrayFromImage(resampler.Execute(image))
    np.testing.assert_allclose(out, theirs, atol=0.01)
    candidates["SimpleITK"] = lambda: resampler.Execute(image)
    return candidates


def pack_candidates(threads: int) -> Candidates:
    mask = np.zeros((SLICES, EDGE, EDGE), np.uint8)
    mask[100:200, 150:350, 100:400] = 1
    out = np.empty((SLICES, EDGE * EDGE // 8), np.uint8)
    pack_bits(mask, out, 1, threads=threads)
    np.testing.assert_array_equal(out.ravel(), np.packbits(mask == 1, bitorder="little"))
    return {
        "ours": lambda: pack_bits(mask, out, 1, threads=threads),
        "numpy packbits": lambda: (np.packbits(mask == 1, bitorder="little"), (mask == 1).any(axis=(1, 2))),
    }


def accumulate_candidates(threads: int) -> Candidates:
    rng = np.random.default_rng(0)
    patch = rng.standard_normal((4, 96, 96, 96), dtype=np.float32)
    weight = rng.random((96, 96, 96), dtype=np.float32)
    total, norm = np.zeros((4, 128, 256, 256), np.float32), np.zeros((128, 256, 256), np.float32)
    there = np.s_[..., 20:116, 30:126, 40:136]

    def with_numpy() -> None:
        total[there] += patch * weight
        norm[there] += weight

    return {
        "ours": lambda: accumulate(patch, weight, total, norm, (20, 30, 40), threads=threads),
        "numpy": with_numpy,
    }


def argmax_candidates(threads: int) -> Candidates:
    total = np.random.default_rng(0).standard_normal((4, 100, EDGE, EDGE), dtype=np.float32)
    norm, out = np.ones(total.shape[1:], np.float32), np.empty(total.shape[1:], np.uint8)
    argmax_blend(total, norm, out, threads=threads)
    np.testing.assert_array_equal(out, total.argmax(axis=0))
    return {
        "ours": lambda: argmax_blend(total, norm, out, threads=threads),
        "numpy argmax": lambda: total.argmax(axis=0).astype(np.uint8),
    }


def rows(threads: int = 0, rounds: int = 5) -> Iterator[Row]:
    """Every comparison, a row a peer."""
    volume = phantom()
    size = f"{SLICES}x{EDGE}x{EDGE}"
    resampled = "x".join(map(str, OUT_SHAPE))
    groups: list[tuple[str, Callable[[], Candidates]]] = [
        (f"rescale and window {size} int16", lambda: rescale_candidates(volume, threads)),
        (f"resample {size} int16 to {resampled}", lambda: resample_candidates(volume, threads)),
        (f"pack_bits {size}", lambda: pack_candidates(threads)),
        ("accumulate a patch of 4x96x96x96", lambda: accumulate_candidates(threads)),
        (f"argmax_blend 4x100x{EDGE}x{EDGE}", lambda: argmax_candidates(threads)),
    ]
    for name, make in groups:
        candidates = make()
        yield from compare(name, interleaved(candidates, rounds), rounds)
        if name.startswith("resample") and "SimpleITK" not in candidates:
            yield absent(name, "SimpleITK", "not installed: pip install 'bedside[bench]'")


def main(
    json: Annotated[Path | None, typer.Option(help="Write the rows and the environment to this file.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of the kernels; 0 is every core.", min=0)] = 0,
    rounds: Annotated[int, typer.Option(help="Timed rounds a candidate.", min=1)] = 5,
) -> None:
    """Time the kernels beside their peers."""
    found = list(rows(threads, rounds))
    print(f"kernels: {active_isa()}, threads: {threads or 'all'}")
    print(markdown(document(found)), end="")
    write(json, found)


if __name__ == "__main__":
    typer.run(main)
