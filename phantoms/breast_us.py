"""A breast ultrasound phantom: a linear probe's picture of skin, fat, gland and muscle with one known lesion, or none.

The picture is made the way a scanner makes it: scatterers of tissue-dependent strength, a point-spread function that
widens away from the focus, attenuation along the beam that the time-gain control only corrects on average (so that a
lesion throws a shadow or an enhancement), the envelope (its speckle is Rayleigh distributed), logarithmic compression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .shapes import Field, smooth_noise

Lesion = Literal["benign", "malignant", "none"]


@dataclass(frozen=True)
class BreastPhantom:
    """A phantom frame and its truth."""

    pixels: NDArray[np.uint8]
    """The screen [y, x], as a scanner stores it: picture, grey bar and depth marks on black."""
    region: tuple[int, int, int, int]
    """The picture in the screen: x0, y0, x1, y1, the last pixel included (DICOM PS3.3 C.8.5.5)."""
    mm_per_pixel: float
    lesion: Lesion
    mask: NDArray[np.uint8]
    """1 where the lesion is [y, x], on the screen."""
    center_mm: tuple[float, float]
    """Lesion's centre: from the picture's left edge, and depth. Zeros where there is no lesion."""
    size_mm: tuple[float, float]
    """Lesion's width and height."""
    seed: int


def breast_us(
    seed: int = 0, lesion: Lesion | None = None, *, diameter_mm: float | None = None, mm_per_pixel: float = 0.085
) -> BreastPhantom:
    """Generate a frame of 600 x 800 pixels.

    Parameters
    ----------
    seed
        Chooses tissue, lesion and speckle.
    lesion
        Its kind; benign or malignant by the seed if not given. Benign: an oval with a smooth edge, wider than tall,
        brighter behind. Malignant: irregular with spicules, taller than wide, a shadow behind (BI-RADS ultrasound
        lexicon).
    diameter_mm
        Mean diameter, 8 to 20 mm; drawn if not given.
    mm_per_pixel
        Size of a pixel of the picture.
    """
    rng = np.random.default_rng([seed, 0x05])
    kind: Lesion = ("benign", "malignant")[int(rng.integers(2))] if lesion is None else lesion
    x0, y0, width, height = 150, 50, 500, 500
    y, x = (np.mgrid[:height, :width] * mm_per_pixel).astype(np.float32)
    deep, wide = height * mm_per_pixel, width * mm_per_pixel

    strength, loss = _tissue(x, y, rng)
    center, size = (0.0, 0.0), (0.0, 0.0)
    inside = np.full(x.shape, -1.0, np.float32)
    if kind != "none":
        mean = float(rng.uniform(9, 16)) if diameter_mm is None else diameter_mm
        center = (float(rng.uniform(0.42, 0.58) * wide), float(rng.uniform(0.36, 0.46) * deep))
        inside = _lesion(x - center[0], y - center[1], kind, mean, rng)
        _mix(strength, loss, inside, kind, rng)
    mask = np.zeros((600, 800), np.uint8)
    mask[y0 : y0 + height, x0 : x0 + width] = inside > 0
    if kind != "none":
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        size = (float(np.ptp(columns) + 1) * mm_per_pixel, float(np.ptp(rows) + 1) * mm_per_pixel)

    picture = _scan(strength, loss, mm_per_pixel, rng)
    screen = np.zeros((600, 800), np.uint8)
    screen[y0 : y0 + height, x0 : x0 + width] = picture
    screen[y0 : y0 + 256, 40:56] = np.arange(255, -1, -1, dtype=np.uint8)[:, None]
    for mark in range(int(deep / 5) + 1):  # depth marks every 5 mm, long ones every 10
        row = y0 + int(mark * 5 / mm_per_pixel)
        screen[row : row + 1, x0 + width + 6 : x0 + width + (18 if mark % 2 == 0 else 12)] = 200
    screen[y0 - 16 : y0 - 6, x0 : x0 + 4] = 230
    region = (x0, y0, x0 + width - 1, y0 + height - 1)
    return BreastPhantom(screen, region, mm_per_pixel, kind, mask, center, size, seed)


def _sheet(distance: Field, width: float) -> Field:
    """Profile of a thin reflecting sheet."""
    return np.asarray(np.exp(-((distance / np.float32(width)) ** 2)), np.float32)


def _tissue(x: Field, y: Field, rng: np.random.Generator) -> tuple[Field, Field]:
    """Scatterer strength and attenuation (dB/mm beyond the gain control) of the layers."""

    def border(depth: float, sway: float, cells: int = 5) -> Field:
        line = smooth_noise(rng, (x.shape[1],), (cells,)) * np.float32(sway) + np.float32(depth)
        return np.asarray(line[None, :], np.float32)

    skin = border(float(rng.uniform(1.6, 2.4)), 0.1)
    gland_top = border(float(rng.uniform(7, 10)), 1.3, 7)
    gland_end = border(float(rng.uniform(23, 27)), 1.4)
    muscle_top = gland_end + np.maximum(border(4.0, 0.8), 1.5)
    muscle_end = muscle_top + border(8.0, 0.6)

    mottle = smooth_noise(rng, x.shape, (26, 18))
    coarse = smooth_noise(rng, x.shape, (11, 9))
    fat = 0.16 + 0.03 * mottle
    # Lobules of fat between Cooper's ligaments: bright septa along the zero lines of a smooth field.
    septa = _sheet(smooth_noise(rng, x.shape, (8, 9)) * 1.2, 0.10)
    fat = fat + 0.9 * septa * (0.5 + 0.5 * np.tanh(mottle))
    gland = 0.62 + 0.16 * mottle + 0.20 * np.tanh(2 * coarse)
    ducts = _sheet(smooth_noise(rng, x.shape, (16, 7)) * 1.2, 0.22)
    gland = gland * (1 - 0.55 * ducts)
    fibres = np.sin((y - muscle_top) * 5.5 + 1.5 * smooth_noise(rng, x.shape, (6, 5)))
    muscle = 0.24 + 0.20 * np.maximum(fibres, 0) ** 3 + 0.03 * mottle
    below = 0.10 + 0.05 * mottle

    strength = np.where(y < skin, np.float32(0.95), fat)
    strength = np.where((y > gland_top) & (y < gland_end), gland, strength)
    strength = np.where(y > muscle_top, muscle, strength)
    strength = np.where(y > muscle_end, below, strength)
    for line, gain in (
        (0.35, 1.2),
        (skin, 0.9),
        (gland_top, 0.7),
        (gland_end, 0.6),
        (muscle_top, 2.2),
        (muscle_end, 2.6),
    ):
        patchy = np.clip(0.7 + 0.5 * smooth_noise(rng, x.shape, (5, 12)), 0.1, 1.6)
        strength = strength + np.float32(gain) * _sheet(y - line, 0.16) * patchy
    loss = np.where((y > gland_top) & (y < gland_end), np.float32(0.12), np.float32(0.0)) * (1 + 0.8 * coarse)
    loss = loss + np.where(y > muscle_end, np.float32(0.9), np.float32(0.0))
    return np.maximum(strength, 0.02).astype(np.float32), np.asarray(loss, np.float32)


def _lesion(x: Field, y: Field, kind: Lesion, mean: float, rng: np.random.Generator) -> Field:
    """The lesion's outline: positive inside, about mm near the edge."""
    ratio = float(rng.uniform(1.35, 1.8)) if kind == "benign" else float(rng.uniform(0.68, 0.88))
    a, b = mean / 2 * np.sqrt(ratio), mean / 2 / np.sqrt(ratio)
    tilt = float(rng.normal(0, 0.12))
    u, v = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    angle = np.arctan2(v / b, u / a)
    r = np.hypot(u / a, v / b)
    orders, swing = ((2, 3), 0.05) if kind == "benign" else ((2, 3, 4, 5, 7, 9), 0.085)
    edge = np.ones_like(r)
    for n in orders:
        edge += np.float32(swing * rng.uniform(0.3, 1.0)) * np.cos(n * angle + np.float32(rng.uniform(0, 2 * np.pi)))
    if kind == "malignant":  # spicules: narrow spikes of the outline
        for _ in range(int(rng.integers(7, 12))):
            off = np.angle(np.exp(1j * (angle - rng.uniform(-np.pi, np.pi))))
            edge += np.float32(rng.uniform(0.12, 0.38)) * np.exp(-((off / np.float32(rng.uniform(0.05, 0.11))) ** 2))
    return np.asarray((edge - r) * min(a, b), np.float32)


def _mix(strength: Field, loss: Field, inside: Field, kind: Lesion, rng: np.random.Generator) -> None:
    """Put the lesion's tissue in, in place."""
    blur = 0.25 if kind == "benign" else 0.7
    cover = np.clip(inside / np.float32(blur) + np.float32(0.5), 0, 1)
    mottle = smooth_noise(rng, inside.shape, (22, 22))
    if kind == "benign":
        echo = np.float32(rng.uniform(0.045, 0.075)) * (1 + 0.12 * mottle)
        strength += cover * (echo - strength) + 0.45 * _sheet(inside, 0.22)
        loss += cover * (np.float32(-0.50) - loss)
    else:
        echo = np.float32(rng.uniform(0.05, 0.08)) * (1 + 0.6 * np.abs(mottle))
        strength += np.float32(0.35) * _sheet(inside + 1.2, 1.1)  # echogenic halo
        strength += cover * (echo - strength)
        spots = np.argwhere(inside > 1.0)
        for j, i in spots[rng.integers(0, len(spots), int(rng.integers(3, 9)))]:  # microcalcifications
            strength[j : j + 2, i : i + 3] += np.float32(rng.uniform(1.0, 2.5))
        loss += cover * (np.float32(rng.uniform(1.3, 1.9)) - loss)


def _scan(strength: Field, loss: Field, mm: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Beam forming, envelope and log compression of 60 dB to grey levels."""
    shape = strength.shape
    decibel = np.cumsum(loss, axis=0) * np.float32(mm)
    decibel = ndimage.gaussian_filter1d(decibel, 0.9 / mm, axis=1)
    field = strength * 10 ** (-decibel / np.float32(20.0))
    axial = 0.11 / mm
    parts = []
    for _ in range(2):  # in phase and quadrature
        echo = field * rng.standard_normal(shape, np.float32)
        echo = ndimage.gaussian_filter1d(echo, axial, axis=0)
        near, far = (
            ndimage.gaussian_filter1d(echo, s / mm, axis=1) * np.float32(np.sqrt(s / 0.22)) for s in (0.22, 0.48)
        )
        focus = np.abs(np.linspace(-1, 1, shape[0], dtype=np.float32) + 0.2)[:, None].clip(0, 1)
        parts.append(near * (1 - focus) + far * focus)
    envelope = np.hypot(parts[0], parts[1])
    envelope += np.float32(0.004) * np.abs(rng.standard_normal(shape, np.float32))
    level = 20 * np.log10(envelope / np.float32(0.30) + np.float32(1e-4))
    return np.asarray(np.clip((level + 43) / 57 * 255, 0, 255), np.uint8)
