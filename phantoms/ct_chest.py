"""A chest CT phantom: lungs with vessels and airways, heart, bones, table, scanner noise, and known nodules."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from . import anatomy, nodules, vessels
from .nodules import Nodule, NoduleSpec
from .shapes import Field, Grid

COARSE = 4
"""Pixels of a slice per node of the grid on which the smooth anatomy is computed."""

AIR, LUNG, BLOOD_IN_LUNG = -1000.0, -865.0, 45.0


@dataclass(frozen=True)
class ChestPhantom:
    """A phantom series and its truth."""

    voxels: NDArray[np.int16]
    """HU [z, y, x]."""
    affine: NDArray[np.float64]
    """Index (z, y, x, 1) to LPS mm."""
    mask: NDArray[np.uint8]
    """Number of the nodule [z, y, x], 0 where there is none."""
    nodules: tuple[Nodule, ...]
    seed: int

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along z, y, x."""
        z, y, x = (float(v) for v in np.linalg.norm(self.affine[:3, :3], axis=0))
        return z, y, x


def chest_ct(
    seed: int = 0,
    *,
    slices: int = 160,
    size: int = 512,
    pixel_mm: float = 0.75,
    slice_mm: float = 2.0,
    nodule_count: int = 6,
    specs: Sequence[NoduleSpec] | None = None,
    noise_hu: float | None = None,
    contrast: bool | None = None,
    threads: int = 2,
) -> ChestPhantom:
    """Generate a chest CT of a person lying on the back, head first.

    Parameters
    ----------
    seed
        Chooses person, vessels, nodules and noise.
    slices, size
        Slices, and rows and columns of a slice (a multiple of 4).
    pixel_mm, slice_mm
        Distance of pixels and of slices, mm.
    nodule_count, specs
        How many random nodules of 5 to 30 mm, or which ones exactly; what finds no room in the lungs is left out.
    noise_hu
        Standard deviation of the noise in soft tissue; drawn from 12 to 40 if not given.
    contrast
        Whether the blood carries contrast medium; drawn if not given.
    threads
        Threads that compose slices.

    Returns
    -------
    ChestPhantom
        Slices go from the feet to the head.
    """
    if size % COARSE:
        raise ValueError(f"size is {size}: it must be a multiple of {COARSE}")
    rng = np.random.default_rng([seed, 0xC7])
    extent = slices * slice_mm
    bottom = 112.0 - extent if extent > 200 else -0.62 * extent
    center = (size - 1) / 2
    z = bottom + np.arange(slices) * slice_mm
    coarse = ((np.arange(size // COARSE + 1) * COARSE) - 0.5 - center) * pixel_mm
    grid = Grid(coarse, coarse + 6.0, z)
    body = anatomy.build(grid, rng)
    origin = np.array([-center * pixel_mm, -center * pixel_mm + 6.0, bottom])
    spacing = np.array([pixel_mm, pixel_mm, slice_mm])

    blood_hu = float(rng.uniform(130, 230)) if (rng.random() < 0.5 if contrast is None else contrast) else 42.0
    voxels = np.empty((slices, size, size), np.int16)
    painter = _Painter(body, size, pixel_mm, blood_hu, rng)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda k: painter.slice(k, voxels[k]), range(slices)))
    trees = _vessels(voxels, body, grid, origin, spacing, blood_hu, rng, pool_size=threads)

    affine = np.zeros((4, 4))
    affine[:3, 0], affine[:3, 1], affine[:3, 2], affine[:, 3] = (
        (0, 0, slice_mm), (0, pixel_mm, 0), (pixel_mm, 0, 0), (*origin, 1.0),
    )  # fmt: skip
    mask = np.zeros(voxels.shape, np.uint8)
    wanted = [nodules.draw_spec(rng) for _ in range(nodule_count)] if specs is None else list(specs)
    truth = _place(voxels, mask, affine, body, grid, trees, wanted, rng)
    _noise(voxels, float(rng.uniform(12, 40)) if noise_hu is None else noise_hu, pixel_mm, rng, threads)
    return ChestPhantom(voxels, affine, mask, truth, seed)


class _Painter:
    """Composes slices from the anatomy; its state is read-only, so slices may be composed on several threads."""

    def __init__(
        self, body: anatomy.Anatomy, size: int, pixel_mm: float, blood_hu: float, rng: np.random.Generator
    ) -> None:
        self.body, self.blood_hu, self.edge = body, blood_hu, np.float32(1.3 * max(pixel_mm, 0.6))
        at = (np.arange(size) + 0.5) / COARSE
        self.low = np.minimum(at.astype(int), size // COARSE - 1)
        self.part = (at - self.low).astype(np.float32)
        tile = ndimage.gaussian_filter(rng.standard_normal((size, size), np.float32), 2.2, mode="wrap")
        tile += 0.5 * ndimage.gaussian_filter(rng.standard_normal((size, size), np.float32), 0.8, mode="wrap")
        self.texture = tile / tile.std()
        self.back = np.linspace(-1, 1, size, dtype=np.float32)[:, None]
        self.shifts = rng.integers(0, size, (body.body.shape[0], 2))
        self.organ_hu, self.fat_hu = float(rng.uniform(48, 62)) + 0.25 * blood_hu, float(rng.uniform(-112, -95))
        self.lung_hu = float(rng.uniform(-885, -845))

    def fill(self, image: Field, field: Field, value: Field | float, edge: np.float32 | None = None) -> None:
        """Mix a value into the image where a coarse field is inside."""
        if float(field.max()) <= -3:
            return
        rows = np.flatnonzero((field > -6).any(1))
        columns = np.flatnonzero((field > -6).any(0))
        r = slice(max(rows[0] * COARSE - COARSE, 0), rows[-1] * COARSE + COARSE)
        c = slice(max(columns[0] * COARSE - COARSE, 0), columns[-1] * COARSE + COARSE)
        cover = self.refine(field, r, c)
        cover /= edge or self.edge
        cover += np.float32(0.5)
        np.clip(cover, 0, 1, out=cover)
        part = image[r, c]
        part += cover * ((value if isinstance(value, float) else value[r, c]) - part)

    def refine(self, field: Field, r: slice, c: slice) -> Field:
        """Rows r and columns c of a coarse field at the pixels, by linear interpolation.

        Not by a matrix product: a threaded BLAS under this class's own threads waits for itself on a busy machine, and
        its sums differ between processors.
        """
        low, share = self.low[r], self.part[r, None]
        rows = np.maximum(field[low], -30) * (1 - share) + np.maximum(field[low + 1], -30) * share
        low, share = self.low[c], self.part[c]
        return np.asarray(rows[:, low] * (1 - share) + rows[:, low + 1] * share, np.float32)

    def slice(self, k: int, out: NDArray[np.int16]) -> None:
        """Compose slice k, without vessels and noise, into ``out``."""
        b = self.body
        image = np.full(out.shape, AIR, np.float32)
        texture = np.roll(self.texture, tuple(self.shifts[k // 2]), (0, 1))
        self.fill(image, b.table[k], -640.0)
        self.fill(image, b.table[k] - 3, -930.0)
        self.fill(image, b.body[k], 5.0)
        self.fill(image, b.body[k] - 2, self.fat_hu + 9 * texture)
        self.fill(image, b.muscle[k], 48 + 7 * texture, np.float32(2.5))
        self.fill(image, b.cavity[k], self.fat_hu + 8 * texture)
        self.fill(image, b.organ[k], self.organ_hu + 4 * texture)
        self.fill(image, b.blood[k], self.blood_hu + 3 * texture)
        self.fill(image, b.cartilage[k], 110 + 25 * texture)
        self.fill(image, b.bone[k], 640 + 90 * texture)
        self.fill(image, b.bone[k] - 2.0, 190 + 55 * texture, np.float32(2.2))
        self.fill(image, b.gas[k], -960.0)
        self.fill(image, b.lung[k], self.lung_hu + 35 * self.back + 9 * texture)
        self.fill(image, b.airway[k] + 1.6, 20.0)
        self.fill(image, b.airway[k], -985.0)
        out[...] = image


def _vessels(
    voxels: NDArray[np.int16],
    body: anatomy.Anatomy,
    grid: Grid,
    origin: NDArray[np.float64],
    spacing: NDArray[np.float64],
    blood_hu: float,
    rng: np.random.Generator,
    pool_size: int,
) -> list[vessels.Tree]:
    """Arteries, veins and bronchi of both lungs, painted into the voxels."""
    trees: list[vessels.Tree] = []
    airways: list[vessels.Tree] = []
    hu = 0.5 * blood_hu + 25
    for side, hilum, bronchus in ((-1, body.hila[0], body.bronchi[0]), (1, body.hila[1], body.bronchi[1])):
        inside = (body.lung > 4) & (np.sign(grid.x) == side)
        spots = np.argwhere(inside)
        if not len(spots):
            continue
        for kind in range(2):
            pick = spots[rng.integers(0, len(spots), 900)]
            jitter = rng.uniform(-0.5, 0.5, (len(pick), 3))
            zyx = [np.interp(pick[:, i] + jitter[:, i], np.arange(n), grid.axes[i]) for i, n in enumerate(grid.shape)]
            goals = np.stack(zyx[::-1], 1)
            # Branches to the periphery grow first, so that they become the stems of the later ones.
            far = np.linalg.norm(goals - hilum, axis=1)
            goals = goals[np.argsort(-far * (np.arange(len(goals)) < 40), kind="stable")]
            root = (hilum[0] + side * 6.0, hilum[1] + (-7.0 if kind else 4.0), hilum[2] + (-9.0 if kind else 5.0))
            tree = vessels.grow(root, goals, rng)
            trees.append(tree)
            if kind == 0:
                airways.append(_bronchi(tree, bronchus[-1]))
    with ThreadPoolExecutor(pool_size) as pool:
        # Left and right lung do not overlap, the trees of one lung only take the maximum.
        list(pool.map(lambda t: vessels.paint(voxels, origin, spacing, t, hu, LUNG), trees))
        for tree in airways:
            wall = vessels.Tree(tree.points, tree.parent, tree.radius + 0.9)
            vessels.paint(voxels, origin, spacing, wall, -150.0, LUNG, 6.5)
            _hollow(voxels, origin, spacing, tree)
    return trees


def _bronchi(artery: vessels.Tree, start: tuple[float, float, float]) -> vessels.Tree:
    """The bronchi that go with an artery's thick branches, one radius and a wall beside them."""
    keep = artery.radius > 1.35
    keep[0] = True
    index = np.cumsum(keep) - 1
    radius = 0.85 * np.minimum(artery.radius[keep], 4.5)
    points = artery.points[keep] + (artery.radius[keep] + radius + 1.1)[:, None] * np.array([0.35, 0.75, 0.55])
    points[0] = start
    return vessels.Tree(points, index[artery.parent[keep]], radius)


def _hollow(
    voxels: NDArray[np.int16], origin: NDArray[np.float64], spacing: NDArray[np.float64], tree: vessels.Tree
) -> None:
    """Clear the air inside bronchi: painted as the brighter of two in the negative."""
    negative = np.negative(voxels)
    lumen = vessels.Tree(tree.points, tree.parent, tree.radius - 0.1)
    vessels.paint(negative, origin, spacing, lumen, 970.0, -200.0, 5.0)
    np.negative(negative, out=voxels)


def _place(
    voxels: NDArray[np.int16],
    mask: NDArray[np.uint8],
    affine: NDArray[np.float64],
    body: anatomy.Anatomy,
    grid: Grid,
    trees: Sequence[vessels.Tree],
    wanted: Sequence[NoduleSpec],
    rng: np.random.Generator,
) -> tuple[Nodule, ...]:
    """Put nodules where they may be: not in each other, wholly in the series, at the site that the spec names."""
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    spacing = (float(steps[0]), float(steps[1]), float(steps[2]))
    axis_z, axis_y, axis_x = grid.axes
    step_c = float(axis_x[1] - axis_x[0])
    depth = ndimage.distance_transform_edt(body.lung > 0, sampling=(spacing[0], step_c, step_c)).astype(np.float32)
    nodes = (
        np.concatenate([t.points[(t.radius > 0.7) & (t.radius < 2.5)] for t in trees]) if trees else np.zeros((0, 3))
    )
    to_index = np.linalg.inv(affine)
    placed: list[Nodule] = []
    taken: list[tuple[NDArray[np.float64], float]] = []
    for spec in wanted:
        radius = spec.diameter_mm / 2
        if spec.site == "pleura":
            spots = np.argwhere((depth > 0.45 * radius) & (depth < 0.8 * radius + 1.5))
        else:
            spots = np.argwhere(depth > radius + 3)
        for _ in range(60):
            if spec.site == "vessel" and len(nodes):
                place = nodes[rng.integers(len(nodes))] + rng.normal(0, 0.35 * radius, 3)
                k, j, i = (int(np.abs(a - v).argmin()) for a, v in zip(grid.axes, place[::-1], strict=True))
                if depth[k, j, i] < radius + 2:
                    continue
            elif len(spots):
                k, j, i = spots[rng.integers(len(spots))]
                place = np.array([axis_x[i], axis_y[j], axis_z[k]], np.float64)
            else:
                break
            if not (axis_z[0] + radius + 2 < place[2] < axis_z[-1] - radius - 2):
                continue
            if any(float(np.linalg.norm(place - p)) < radius + r + 8 for p, r in taken):
                continue
            index = (to_index @ np.array([*place, 1.0]))[:3]
            reach = [int(radius * 2 / s) + 4 for s in spacing]
            box = tuple(slice(max(int(c) - r, 0), int(c) + r + 1) for c, r in zip(index, reach, strict=True))
            local_voxels, local_mask = voxels[box], mask[box]
            k0, j0, i0 = (b.start for b in box)
            field = _lung_at(body.lung, box, voxels.shape[1])
            number = len(placed) + 1
            count = nodules.insert(
                local_voxels, (index[0] - k0, index[1] - j0, index[2] - i0), spacing, spec, rng, local_mask, number,
                field > 0, blur_mm=float(np.clip(spacing[2] * 1.3, 0.8, 2.0)),
            )  # fmt: skip
            if count * float(np.prod(spacing)) < 20:
                continue
            cells = np.argwhere(local_mask == number).mean(0) + np.array([k0, j0, i0])
            lps = (affine @ np.array([*cells, 1.0]))[:3]
            volume = count * float(np.prod(spacing))
            at = (float(lps[0]), float(lps[1]), float(lps[2]))
            diameter = float((6 * volume / np.pi) ** (1 / 3))
            placed.append(Nodule(number, at, diameter, volume, spec.kind, spec.site, spec.hu))
            taken.append((place, radius))
            break
    return tuple(placed)


def _lung_at(lung: Field, box: tuple[slice, ...], size: int) -> Field:
    """The lung's field at the fine voxels of a box."""
    rows = (np.arange(*box[1].indices(size)) + 0.5) / COARSE
    columns = (np.arange(*box[2].indices(size)) + 0.5) / COARSE
    slab = lung[box[0]]
    at = np.meshgrid(np.arange(slab.shape[0]), rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(slab, at, order=1, mode="nearest"), np.float32)


def _noise(voxels: NDArray[np.int16], sigma: float, pixel_mm: float, rng: np.random.Generator, threads: int) -> None:
    """Add noise with a reconstruction's spectrum, a ramp times a lung kernel's roll-off; more in the body's middle."""
    slices, size, _ = voxels.shape
    tiles = 12
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)
    f = np.hypot(fy, fx) / pixel_mm
    spectrum = ((f + 0.05) * np.exp(-((f / 0.55) ** 2))).astype(np.float32)
    white = rng.standard_normal((tiles, size, size), np.float32)
    tile = fft.irfft2(fft.rfft2(white, workers=threads) * spectrum, s=(size, size), workers=threads).astype(np.float32)
    tile *= sigma / tile.std()
    choice, shift = rng.integers(0, tiles, slices + 1), rng.integers(0, size, (slices + 1, 2))
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    place = (1.15 - 0.75 * (axis[:, None] ** 2 + axis**2)).clip(0.35)

    def one(k: int) -> None:
        layer = np.roll(tile[choice[k]], tuple(shift[k]), (0, 1))
        next_layer = np.roll(tile[choice[k + 1]], tuple(shift[k + 1]), (0, 1))
        # Neighbouring slices share rays, so their noise is correlated.
        image = voxels[k] + (0.85 * layer + 0.53 * next_layer) * place
        voxels[k] = np.clip(np.rint(image), -1024, 3071)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(slices)))
