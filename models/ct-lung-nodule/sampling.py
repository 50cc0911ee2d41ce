"""Training and test material: chest CT at the network's voxel size, and patches with synthetic nodules in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from scipy import ndimage

from bedside.phantoms import chest_ct
from bedside.phantoms.nodules import draw_spec, insert

VOXEL_MM = 1.5
LOW_HU, HIGH_HU = -1000.0, 400.0
Hu = NDArray[np.int16]


@dataclass(frozen=True)
class Scan:
    """A chest CT at VOXEL_MM, axes x (to the right), y (to the front), z (up): MONAI's RAS order."""

    name: str
    hu: Hu
    lung: NDArray[np.bool_]
    """Lung with its vessels: where a nodule may be."""
    spots: NDArray[np.int32]
    """Index of lung voxels, thinned out."""
    bright: NDArray[np.int32]
    """Index of dense voxels within or beside the lung: vessels, bronchi, pleura."""
    grain: float
    """Noise of the scan, HU."""


def to_network_grid(voxels: NDArray[np.int16], spacing: tuple[float, float, float], order: int = 1) -> Hu:
    """[z, y, x] slices of a head-first supine scan, feet first, to RAS axes at VOXEL_MM by linear interpolation."""
    xyz = voxels.transpose(2, 1, 0)[::-1, ::-1]
    steps = (spacing[2], spacing[1], spacing[0])
    shape = tuple(round((n - 1) * s / VOXEL_MM) + 1 for n, s in zip(xyz.shape, steps, strict=True))
    scale = [VOXEL_MM / s for s in steps]
    return np.asarray(
        ndimage.affine_transform(xyz, scale, output_shape=shape, output=np.int16, order=order, mode="nearest")
    )


def lung_mask(hu: Hu) -> NDArray[np.bool_]:
    """Lungs with the vessels in them: air within the body, closed, without the trachea's narrow part."""
    air = ndimage.uniform_filter(hu.astype(np.float32), 3) < -450
    labels, count = ndimage.label(air)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    # Air outside touches a side of the image; the lungs do not.
    outside = np.unique(np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()]))
    sizes[outside] = 0
    sizes[0] = 0
    keep = np.flatnonzero(sizes > max(20000, 0.1 * sizes.max()))
    mask = np.isin(labels, keep)
    depth = ndimage.distance_transform_edt(~mask)
    closed = depth <= 5
    return np.asarray(ndimage.distance_transform_edt(closed) > 5) | mask


def make_scan(name: str, hu: Hu, grain: float) -> Scan:
    """Find the lung and crop to the body around it."""
    lung = lung_mask(hu)
    where = np.argwhere(lung)
    low, high = np.maximum(where.min(0) - 30, 0), where.max(0) + 31
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    hu, lung = np.ascontiguousarray(hu[box]), np.ascontiguousarray(lung[box])
    rng = np.random.default_rng(0)
    spots = np.argwhere(lung).astype(np.int32)
    near = ndimage.binary_dilation(lung, iterations=2)
    bright = np.argwhere(near & (hu > -400)).astype(np.int32)
    return Scan(
        name,
        hu,
        lung,
        spots[rng.permutation(len(spots))[:200000]],
        bright[rng.permutation(len(bright))[:200000]],
        grain,
    )


def phantom_scan(seed: int) -> Scan:
    """A phantom without nodules, of a slice thickness and size that depend on the seed."""
    rng = np.random.default_rng([seed, 5])
    slice_mm = float(rng.choice([1.25, 1.5, 2.0, 2.5, 3.0]))
    pixel = float(rng.uniform(0.66, 0.86))
    p = chest_ct(
        seed, slices=int(270 / slice_mm), slice_mm=slice_mm, pixel_mm=pixel, nodule_count=0, noise_hu=10.0, threads=1
    )
    return make_scan(f"phantom {seed}", to_network_grid(p.voxels, p.spacing), 7.0)


def real_series(folder: Path) -> tuple[Hu, tuple[float, float, float]]:
    """A real CT series as HU [z, y, x], feet first, and its spacing (z, y, x)."""
    frames = sorted(
        (pydicom.dcmread(f) for f in sorted(folder.glob("*.dcm"))), key=lambda d: float(d.ImagePositionPatient[2])
    )
    hu = np.stack([f.pixel_array * float(f.RescaleSlope) + float(f.RescaleIntercept) for f in frames])
    step = float(frames[1].ImagePositionPatient[2] - frames[0].ImagePositionPatient[2])
    row, column = (float(v) for v in frames[0].PixelSpacing)
    return np.clip(hu, -1024, 3071).astype(np.int16), (step, row, column)


def real_half(folder: Path, side: str) -> Scan:
    """The real CT's left or right half, cut at the middle column: one side to train, the other to test."""
    voxels, spacing = real_series(folder)
    hu = to_network_grid(voxels, spacing)
    middle = hu.shape[0] // 2
    scan = make_scan(f"real CT, {side} half", hu, 35.0)
    full = lung_mask(hu)
    where = np.argwhere(full).min(0) - 30
    cut = middle - max(int(where[0]), 0)
    # RAS: the first index is at the patient's left.
    part = slice(cut, None) if side == "right" else slice(0, cut)
    keep = np.zeros(scan.hu.shape[0], bool)
    keep[part] = True
    start = part.start or 0
    spots, bright = (a[keep[a[:, 0]]] - np.array([start, 0, 0], np.int32) for a in (scan.spots, scan.bright))
    return Scan(
        scan.name,
        np.ascontiguousarray(scan.hu[part]),
        np.ascontiguousarray(scan.lung[part]),
        spots.astype(np.int32),
        bright.astype(np.int32),
        scan.grain,
    )


def draw_patch(scan: Scan, size: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """One augmented patch, scaled to 0..1, and its truth; two in three carry nodules."""
    kind = rng.random()
    pool = scan.spots if kind < 0.66 else scan.bright
    center = pool[rng.integers(len(pool))]
    if kind > 0.95:
        center = np.array([rng.integers(n) for n in scan.hu.shape])
    center = center + rng.integers(-size // 3, size // 3 + 1, 3)
    hu = np.full((size, size, size), -1000, np.int16)
    lung = np.zeros(hu.shape, bool)
    source, target = [], []
    for c, n in zip(center, scan.hu.shape, strict=True):
        first = int(np.clip(c - size // 2, 0, max(n - size, 0)))
        last = min(first + size, n)
        source.append(slice(first, last))
        target.append(slice(0, last - first))
    hu[tuple(target)], lung[tuple(target)] = scan.hu[tuple(source)], scan.lung[tuple(source)]

    mask = np.zeros(hu.shape, np.uint8)
    if kind < 0.62:
        for _ in range(int(rng.choice([1, 1, 2, 3]))):
            add_nodule(hu, mask, lung, rng, scan.grain)
    image = hu.astype(np.float32)
    if rng.random() < 0.3:  # thicker slices
        image = ndimage.uniform_filter1d(image, int(rng.integers(2, 4)), axis=2, mode="nearest")
    choice = rng.random()
    if choice < 0.25:  # smooth kernel
        image = ndimage.gaussian_filter(image, (s := float(rng.uniform(0.3, 0.8)), s, 0.3 * s))
    elif choice < 0.45:  # sharp kernel
        image += float(rng.uniform(0.2, 0.9)) * (image - ndimage.gaussian_filter(image, 1.0))
    if rng.random() < 0.8:
        grain = rng.standard_normal(image.shape, np.float32)
        if rng.random() < 0.5:
            grain = ndimage.gaussian_filter(grain, (0.7, 0.7, 0.4)) * 2.4
        image += float(rng.uniform(3, 60)) * grain
    image = (image * float(rng.uniform(0.96, 1.04)) + float(rng.uniform(-30, 30)) - LOW_HU) / (HIGH_HU - LOW_HU)
    for axis in range(3):
        if rng.random() < 0.5:
            image, mask = np.flip(image, axis), np.flip(mask, axis)
    if rng.random() < 0.5:
        image, mask = image.transpose(1, 0, 2), mask.transpose(1, 0, 2)
    return np.clip(image, 0, 1).astype(np.float32), (mask > 0).astype(np.uint8)


def add_nodule(
    hu: Hu, mask: NDArray[np.uint8], lung: NDArray[np.bool_], rng: np.random.Generator, grain: float
) -> None:
    """Put one random nodule into the lung of a patch, at the site its specification names."""
    spec = draw_spec(rng, 4.5, 30.0)
    inside = np.argwhere(lung)
    if len(inside) < 200:
        return
    place = inside[rng.integers(len(inside))]
    if spec.site == "vessel":
        dense = np.argwhere(lung & (hu > -500))
        if len(dense):
            place = dense[rng.integers(len(dense))]
    elif spec.site == "pleura":
        edge = np.argwhere(lung & ~ndimage.binary_erosion(lung))
        if len(edge):
            place = edge[rng.integers(len(edge))]
            away = inside[rng.integers(len(inside))] - place
            place = place + away / (np.linalg.norm(away) + 1e-6) * 0.3 * spec.diameter_mm / VOXEL_MM
    before, marked = hu.copy(), mask.copy()
    count = insert(
        hu, (float(place[0]), float(place[1]), float(place[2])), (VOXEL_MM,) * 3, spec, rng, mask, 1, lung,
        blur_mm=float(rng.uniform(1.0, 2.6)),
    )  # fmt: skip
    if count * VOXEL_MM**3 < 0.3 * np.pi / 6 * spec.diameter_mm**3:
        hu[...], mask[...] = before, marked  # a sliver that the pleura cut off is no nodule
        return
    changed = hu != before
    hu[changed] += np.rint(rng.normal(0, grain, int(changed.sum()))).astype(np.int16)
