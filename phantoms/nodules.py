"""Synthetic lung nodules of known place, size and density, put into HU voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .shapes import smooth_noise

Kind = Literal["solid", "soft", "part-solid"]
Site = Literal["parenchyma", "pleura", "vessel"]


@dataclass(frozen=True)
class NoduleSpec:
    """What a nodule is to look like.

    ``hu`` is its solid part's density; a part-solid nodule has a ground-glass rim about it, a soft one fades out over
    about a third of its radius.
    """

    diameter_mm: float
    kind: Kind = "solid"
    site: Site = "parenchyma"
    hu: float = 20.0
    lobulation: float = 0.12
    """Deviation of the surface from a sphere, as a share of the radius."""
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Relative axes along z, y, x (their product should be about 1)."""
    spikes: int = 0
    """Spicules: how many narrow spikes the surface has."""


@dataclass(frozen=True)
class Nodule:
    """A nodule as it is in the voxels: the truth to compare with.

    ``volume_mm3`` is the volume of the truth mask, ``diameter_mm`` that of a sphere of this volume.
    """

    number: int
    centroid_lps: tuple[float, float, float]
    diameter_mm: float
    volume_mm3: float
    kind: Kind
    site: Site
    hu: float


def draw_spec(rng: np.random.Generator, low: float = 5.0, high: float = 30.0) -> NoduleSpec:
    """A random nodule: diameters log-uniform, solid most often, one in three at the pleura or a vessel."""
    kind: Kind = (("solid", "soft", "part-solid") if low < 10 else ("solid", "part-solid", "soft"))[
        int(rng.choice(3, p=[0.55, 0.25, 0.20]))
    ]
    site: Site = ("parenchyma", "pleura", "vessel")[int(rng.choice(3, p=[0.5, 0.25, 0.25]))]
    diameter = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if kind == "part-solid":
        diameter = max(diameter, 8.0)
    stretch = np.exp(rng.normal(0, 0.12, 3))
    stretch /= np.prod(stretch) ** (1 / 3)
    spikes = int(rng.integers(10, 32)) if kind != "soft" and diameter > 8 and rng.random() < 0.4 else 0
    return NoduleSpec(
        diameter,
        kind,
        site,
        float(rng.uniform(-100, 60)),
        float(rng.uniform(0.03, 0.22)),
        (float(stretch[0]), float(stretch[1]), float(stretch[2])),
        spikes,
    )


def insert(
    voxels: NDArray[np.int16],
    center: tuple[float, float, float],
    spacing: tuple[float, float, float],
    spec: NoduleSpec,
    rng: np.random.Generator,
    mask: NDArray[np.uint8],
    number: int = 1,
    allowed: NDArray[np.bool_] | None = None,
    blur_mm: float = 1.0,
) -> int:
    """Put a nodule into HU voxels [z, y, x] and its number into the mask, both in place.

    Parameters
    ----------
    center
        Index (z, y, x) of the centre; fractions allowed.
    spacing
        mm along z, y, x.
    allowed
        Where the nodule may be: lung with its vessels. The rest stays as it is, and is not in the mask.
    blur_mm
        Width of the edge's partial volume, about the scanner's resolution.

    Returns
    -------
    int
        Voxels in the mask: those of which the nodule fills half or more. 0 if the nodule would not be in the volume.
    """
    radius = spec.diameter_mm / 2
    reach = [radius * s * (1.9 if spec.spikes else 1.5) + 3 * blur_mm + 1 for s in spec.stretch]
    window, axes = [], []
    for c, step, r, n in zip(center, spacing, reach, voxels.shape, strict=True):
        first, last = max(int(c - r / step), 0), min(int(c + r / step) + 2, n)
        if first >= last:
            return 0
        window.append(slice(first, last))
        axes.append((np.arange(first, last) - c).astype(np.float32) * np.float32(step))
    box = (window[0], window[1], window[2])
    z, y, x = (a / np.float32(s) for a, s in zip(axes, spec.stretch, strict=True))
    r = np.sqrt((z * z)[:, None, None] + (y * y)[:, None] + x * x)
    surface = smooth_noise(rng, r.shape, (4, 4, 4)) * np.float32(spec.lobulation * 0.6)
    for _ in range(spec.spikes):
        way = rng.standard_normal(3)
        way /= np.linalg.norm(way)
        along = ((z * way[0])[:, None, None] + (y * way[1])[:, None] + x * way[2]) / (r + np.float32(1e-3))
        narrow = np.float32(rng.uniform(0.004, 0.02))
        surface += np.float32(rng.uniform(0.15, 0.65)) * np.exp((along.astype(np.float32) - 1) / narrow)
    inside = (np.float32(radius) * (1 + surface) - r).astype(np.float32)

    edge = blur_mm if spec.kind != "soft" else max(blur_mm, 0.35 * radius)
    cover = np.clip(inside / np.float32(edge) + np.float32(0.5), 0, 1)
    cover = cover * cover * (3 - 2 * cover)
    texture = smooth_noise(rng, r.shape, (7, 7, 7)) * np.float32(12.0)
    density = np.float32(spec.hu) + texture
    if spec.kind == "part-solid":
        core = np.clip((inside - np.float32(radius * rng.uniform(0.35, 0.6))) / np.float32(blur_mm * 1.5) + 0.5, 0, 1)
        glass = np.float32(rng.uniform(-560, -380)) + texture * 2
        density = glass + core * (density - glass)
    part, label = voxels[box], mask[box]
    if allowed is not None:
        cover = cover * allowed[box]
    mixed = part + cover * (density - part)
    # Vessels that pass through a ground-glass rim stay to be seen.
    mixed = np.where(cover > 0, np.maximum(mixed, np.minimum(part, density + 500)), part)
    part[...] = np.rint(mixed).astype(np.int16)
    core_voxels = cover >= 0.5
    label[core_voxels] = number
    return int(core_voxels.sum())
