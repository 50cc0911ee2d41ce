"""Extremes, moments, percentiles and the foreground's box of a volume."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.kernels import bounding_box, minmax, moments, percentiles, standardise

from .cases import Candidates, Case, nbytes, optional
from .volumes import EDGE, SHAPE, SLICES, stored_ct

SIZE = f"{SLICES}x{EDGE}x{EDGE}"
PERCENTS = (1.0, 99.0)


@cache
def magnetic_resonance() -> NDArray[np.float32]:
    """A brain-like volume: a ball of noisy tissue, 0 around it."""
    rng = np.random.default_rng(0)
    z, y, x = (np.linspace(-1.2, 1.2, n, dtype=np.float32) ** 2 for n in SHAPE)
    inside = (z[:, None, None] + y[:, None] + x) < 1
    volume = rng.standard_normal(SHAPE, dtype=np.float32)
    volume *= 80
    volume += 400
    np.abs(volume, out=volume)
    volume *= inside
    return volume


def _percentiles(volume: NDArray[Any], threads: int) -> Candidates:
    np.testing.assert_array_equal(percentiles(volume, PERCENTS, threads=threads), np.percentile(volume, PERCENTS))
    return {
        "ours": lambda: percentiles(volume, PERCENTS, threads=threads),
        "numpy percentile": lambda: np.percentile(volume, PERCENTS),
    }


def percentiles_ct(threads: int) -> Candidates:
    return _percentiles(stored_ct(), threads)


def percentiles_mr(threads: int) -> Candidates:
    volume = magnetic_resonance()
    candidates = _percentiles(volume, threads)
    if torch := optional("torch"):
        # torch.quantile takes no more than 16 million values; kthvalue gives one order statistic of the same.
        flat = torch.from_numpy(volume.reshape(-1))
        rank = (volume.size - 1) * 99 // 100 + 1
        below, above = percentiles(volume, [98.9, 99.1], threads=threads)
        assert below <= torch.kthvalue(flat, rank).values <= above
        candidates["torch kthvalue, one percentile"] = lambda: torch.kthvalue(flat, rank)
    return candidates


def moments_ct(threads: int) -> Candidates:
    volume = stored_ct()
    np.testing.assert_allclose(moments(volume, threads=threads)[1:], (volume.mean(), volume.std()), rtol=1e-9)
    return {"ours": lambda: moments(volume, threads=threads), "numpy": lambda: (volume.mean(), volume.std())}


def moments_mr(threads: int) -> Candidates:
    volume = magnetic_resonance()
    found = moments(volume, threads=threads)[1:]
    np.testing.assert_allclose(found, (volume.mean(dtype=np.float64), volume.std(dtype=np.float64)), rtol=1e-9)
    candidates: Candidates = {
        "ours": lambda: moments(volume, threads=threads),
        "numpy": lambda: (volume.mean(), volume.std()),
    }
    if torch := optional("torch"):
        tensor = torch.from_numpy(volume)
        candidates["torch std_mean"] = lambda: torch.std_mean(tensor, correction=0)
    return candidates


def minmax_mr(threads: int) -> Candidates:
    volume = magnetic_resonance()
    assert minmax(volume, threads=threads) == (volume.min(), volume.max(), 0, 0)
    candidates: Candidates = {
        "ours": lambda: minmax(volume, threads=threads),
        "numpy": lambda: (volume.min(), volume.max(), np.isfinite(volume).all()),
    }
    if torch := optional("torch"):
        tensor = torch.from_numpy(volume)
        candidates["torch aminmax and isfinite"] = lambda: (torch.aminmax(tensor), torch.isfinite(tensor).all())
    return candidates


def normalise_mr(threads: int) -> Candidates:
    volume = magnetic_resonance()
    out = np.empty_like(volume)

    def ours() -> None:
        _, mean, deviation = moments(volume, nonzero=True, threads=threads)
        standardise(volume, out, mean=mean, deviation=deviation, nonzero=True, threads=threads)

    def numpy() -> NDArray[np.float32]:
        inside = volume != 0
        values = volume[inside]
        result = volume.copy()
        result[inside] = (values - values.mean()) / values.std()
        return result

    ours()
    np.testing.assert_allclose(out, numpy(), atol=1e-4)
    candidates: Candidates = {"ours": ours, "numpy": numpy}
    if monai := optional("monai.transforms"):
        transform = monai.NormalizeIntensity(nonzero=True)
        np.testing.assert_allclose(out, np.asarray(transform(volume[np.newaxis].copy()))[0], atol=1e-4)
        candidates["MONAI NormalizeIntensity"] = lambda: transform(volume[np.newaxis])
    return candidates


def box_mr(threads: int) -> Candidates:
    volume = magnetic_resonance()

    def numpy() -> tuple[slice, ...]:
        inside = volume > 0
        box = []
        for others in ((1, 2), (0, 2), (0, 1)):
            hit = np.flatnonzero(inside.any(axis=others))
            box.append(slice(int(hit[0]), int(hit[-1]) + 1))
        return tuple(box)

    found = bounding_box(volume, above=0.0, threads=threads)
    assert found == numpy()
    candidates: Candidates = {"ours": lambda: bounding_box(volume, above=0.0, threads=threads), "numpy": numpy}
    if monai := optional("monai.transforms"):
        start, end = monai.generate_spatial_bounding_box(volume[np.newaxis])
        assert found == tuple(slice(int(a), int(b)) for a, b in zip(start, end, strict=True))
        candidates["MONAI generate_spatial_bounding_box"] = lambda: monai.generate_spatial_bounding_box(
            volume[np.newaxis]
        )
    return candidates


CASES = (
    Case(
        f"percentiles 1 and 99 of {SIZE} int16",
        percentiles_ct,
        goals={"numpy percentile": 20.0},
        why={"numpy percentile": "a core increments one counter a clock, wherever the values come from"},
        read_only=nbytes((SHAPE, 2)),
    ),
    Case(
        f"percentiles 1 and 99 of {SIZE} float32",
        percentiles_mr,
        goals={"numpy percentile": 10.0},
        why={"numpy percentile": "32 bits are counted in two passes, one counter a clock and core"},
        peers=("torch kthvalue, one percentile",),
        read_only=nbytes((SHAPE, 4)),
    ),
    Case(f"mean and deviation of {SIZE} int16", moments_ct, goals={"numpy": 10.0}, read_only=nbytes((SHAPE, 2))),
    Case(
        f"mean and deviation of {SIZE} float32",
        moments_mr,
        goals={"numpy": 5.0},
        peers=("torch std_mean",),
        read_only=nbytes((SHAPE, 4)),
    ),
    Case(
        f"minimum, maximum, all finite of {SIZE} float32",
        minmax_mr,
        goals={"numpy": 3.0},
        peers=("torch aminmax and isfinite",),
        read_only=nbytes((SHAPE, 4)),
    ),
    Case(
        f"normalise what is not 0 of {SIZE} float32",
        normalise_mr,
        goals={"MONAI NormalizeIntensity": 10.0},
        peers=("numpy",),
        traffic=nbytes((SHAPE, 8)),
        read_only=nbytes((SHAPE, 4)),
    ),
    Case(
        f"foreground box of {SIZE} float32",
        box_mr,
        goals={"MONAI generate_spatial_bounding_box": 4.0},
        peers=("numpy",),
    ),
)
