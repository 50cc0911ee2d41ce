"""The anatomy of the chest phantom as implicit shapes on a coarse grid.

Patient millimetres: x to the left, y to the back, z up; the carina lies at the origin's height. Sizes are those of an
average adult and vary with the seed; nothing here is measured on a particular person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .shapes import Field, Grid, Point, ellipsoid, smooth_noise, soft_union, superellipse, tube


@dataclass(frozen=True)
class Anatomy:
    """Fields [z, y, x], positive inside, about mm near the surface."""

    body: Field
    muscle: Field
    cavity: Field
    lung: Field
    blood: Field
    organ: Field
    bone: Field
    cartilage: Field
    airway: Field
    gas: Field
    table: Field
    hila: tuple[Point, Point]
    """Where the vessels enter the right and the left lung."""
    bronchi: tuple[tuple[Point, ...], tuple[Point, ...]]


def build(grid: Grid, rng: np.random.Generator) -> Anatomy:
    """Draw one person's chest on a grid."""

    def vary(value: float, share: float = 0.06) -> float:
        return float(value * (1 + share * rng.uniform(-1, 1)))

    x, y, z = grid.x, grid.y, grid.z
    wide, deep, fat = vary(132, 0.08), vary(92, 0.07), vary(9, 0.8)
    wobble = smooth_noise(rng, grid.shape, (5, 7, 7)) * 1.5

    rise = np.sqrt(np.clip(1 - ((np.maximum(z, -60) + 60) / 170) ** 2, 0.02, 1)).astype(np.float32)
    a, b = wide * rise, deep * (0.25 + 0.75 * rise)
    flat = y * np.where(y < 0, np.float32(1.12), np.float32(1.0))
    cavity = superellipse(x, flat, a, b, 2.35) + wobble
    around = np.arctan2(np.abs(x), -y / np.float32(deep / wide)).astype(np.float32)
    """Angle about the body's axis: 0 in front, pi at the back, both sides alike."""

    shoulder = np.clip((z - 20) / 90, 0, 1)
    body_a = wide + 21 + fat + 20 * shoulder + np.clip(-z - 60, 0, 60) * 0.06
    body_b = deep + 22 + 0.6 * fat - 12 * shoulder
    body = superellipse(x, y - 5, body_a, body_b, 2.5) + wobble * 0.8
    breast = vary(9, 0.9) * np.exp(-(((z + 35) / 45) ** 2))
    chest = np.exp(-(((np.abs(x) - 70) / 38) ** 2)) * np.clip(-y / 80, 0, 1)
    body = (body + breast * chest * 1.8).astype(np.float32)

    # Muscle: thick beside the spine, over the shoulder blades and in front of the upper ribs, thin elsewhere.
    wall = 12 + 20 * np.exp(-(((around - np.pi) / 0.45) ** 2)) + 12 * shoulder * np.exp(-(((around - 2.1) / 0.7) ** 2))
    wall = wall + (4 + 10 * np.clip((z + 20) / 60, 0, 1)) * np.exp(-(((around - 0.7) / 0.45) ** 2))
    muscle = np.minimum(cavity + wall - np.abs(wobble) * 1.5, body - 3 - 0.4 * fat).astype(np.float32)
    # Planes of fat between the muscles: thin sheets along the chest wall, broken up by noise.
    layer = np.abs(cavity + 11.5 + 2.5 * np.sin(3 * around + z / 40)) - 0.9 - 0.5 * wobble
    muscle = np.minimum(muscle, np.maximum(layer * 0.8, cavity + 8)).astype(np.float32)

    blood = _great_vessels(grid, vary)
    heart_at: Point = (vary(24, 0.2), vary(-18, 0.2), vary(-68, 0.08))
    heart = ellipsoid(grid, heart_at, (vary(60), vary(45), vary(56)), 0.6) + wobble
    airway, bronchi = _airways(grid, vary)
    spine_y = 0.60 * deep
    spine = superellipse(x, y - spine_y - 4, 27.0, 25.0, 2.0) + 0 * z
    gullet = grid.empty()
    tube(grid, [(6, spine_y - 24, 140), (9, spine_y - 24, 0), (14, spine_y - 27, -160)], [7, 7, 8], gullet)

    middle = soft_union(blood + 6, heart + 4, 12)
    middle = soft_union(middle, airway + 8, 10)
    middle = soft_union(middle, gullet + 4, 8)
    middle = soft_union(middle, spine, 8)
    strip = 11 + 5 * np.sin(z / 30) - np.abs(x - 3 + 4 * np.sin(y / 25)) + np.float32(0) * y
    middle = soft_union(middle, strip.astype(np.float32), 10) + wobble

    dome = np.where(x < 0, np.float32(vary(-72, 0.12)), np.float32(vary(-84, 0.12)))
    depth = np.maximum(cavity, 0)
    floor = (
        dome
        - 85 * np.exp(-depth / 15) * (0.75 + 0.25 * np.sin(around * 1.1))
        - 0.42 * (y + 10)
        - 0.0016 * (np.abs(x) - 65) ** 2
    )
    above = ((z - floor) * 0.55).astype(np.float32)
    lung = np.minimum(np.minimum(cavity, -middle), above)

    below = np.minimum(cavity - 2, -above - 2)
    liver = np.minimum(below, (30 - x - 0.006 * (y + 30) ** 2 + 0.3 * (z + 90)) * 0.8 + wobble * 3)
    spleen = np.minimum(ellipsoid(grid, (wide * 0.66, 42, -135), (34, 42, 45), -0.5), below - 2)
    stomach = np.minimum(ellipsoid(grid, (wide * 0.45, -22, -135), (50, 40, 48), 0.4), below - 2)
    gas = np.minimum(stomach - 4, -y - 30 + 0 * z).astype(np.float32)
    organ = np.maximum.reduce([liver, spleen, stomach, gullet])
    blood = np.maximum(blood, np.minimum(heart, above + 4))

    bone, cartilage = _bones(grid, cavity, around, spine_y, deep, rng)
    muscle = np.maximum(muscle, np.maximum(bone, cartilage) + 2)
    muscle = np.minimum(muscle, body - 2)
    organ = np.maximum(organ, np.minimum(superellipse(x, y - spine_y, 16.0, 13.0, 2.2) + 4, cavity * 0 + 3))

    bed = body_b.max() + 8.0
    table = 4.0 - np.abs(y - (bed - (x / 300) ** 2 * 70)) + 0 * z
    table = np.minimum(table, 205 - np.abs(x)).astype(np.float32)
    hila = (bronchi[0][-1], bronchi[1][-1])
    return Anatomy(body, muscle, cavity, lung, blood, organ, bone, cartilage, airway, gas, table, hila, bronchi)


def _great_vessels(grid: Grid, vary: Callable[..., float]) -> Field:
    field = grid.empty()
    s = vary(1.0, 0.05)
    top = vary(32, 0.15)
    # Ascending aorta, arch over the left main bronchus, descending aorta beside the spine.
    arch: list[Point] = [
        (-2, -28, -45), (-14, -32, -20), (-16, -30, 5), (-10, -22, top - 8), (4, -8, top), (18, 10, top - 4),
        (24, 24, top - 18), (25, 31, -10), (22, 34, -70), (17, 35, -130), (10, 36, -200),
    ]  # fmt: skip
    tube(grid, arch, [14 * s, 15 * s, 15 * s, 14 * s, 13.5, 13, 12.5, 12.5, 12, 11.5, 11], field)
    for branch in ([(-12, -18, top), (-22, -14, 130)], [(2, -10, top), (10, -6, 130)], [(14, 2, top), (28, 4, 130)]):
        tube(grid, [(p[0], p[1], p[2]) for p in branch], [6, 5], field)
    tube(grid, [(-32, -18, 90), (-30, -20, 20), (-28, -18, -40)], [8, 9.5, 10], field)  # superior vena cava
    tube(grid, [(-28, 0, -90), (-26, -2, -160)], [12, 12], field)  # inferior vena cava
    # Pulmonary trunk to the right and left main arteries.
    tube(grid, [(14, -38, -55), (18, -34, -25), (14, -18, -13)], [14, 14, 13], field)
    tube(grid, [(14, -18, -13), (-18, -8, -14), (-40, 2, -18), (-52, 10, -34)], [12, 10, 9, 7], field)
    tube(grid, [(14, -18, -13), (32, 0, -6), (44, 12, -14), (50, 16, -32)], [12, 10, 9, 7], field)
    # Pulmonary veins to the left atrium.
    tube(grid, [(5, 12, -48), (-30, 8, -42), (-48, -2, -34)], [9, 6.5, 5], field)
    tube(grid, [(5, 12, -48), (38, 10, -42), (52, -2, -30)], [9, 6.5, 5], field)
    tube(grid, [(-18, 12, -46), (22, 12, -46)], [15, 15], field)
    return field


def _airways(grid: Grid, vary: Callable[..., float]) -> tuple[Field, tuple[tuple[Point, ...], tuple[Point, ...]]]:
    field = grid.empty()
    r = vary(8.2, 0.1)
    tube(grid, [(-1, 12, 140), (-2, 9, 40), (-3, 8, 2)], [r, r, r], field)
    right: tuple[Point, ...] = ((-3, 8, 2), (-20, 9, -12), (-36, 9, -22))
    left: tuple[Point, ...] = ((-3, 8, 2), (22, 13, -16), (40, 15, -24))
    tube(grid, right, [7.5, 6.5, 5.5], field)
    tube(grid, left, [7, 6, 5], field)
    tube(grid, [(-24, 9, -14), (-40, 4, 4)], [5, 3.5], field)
    return field, (right, left)


def _bones(
    grid: Grid, cavity: Field, around: Field, spine_y: float, deep: float, rng: np.random.Generator
) -> tuple[Field, Field]:
    """Ribs, costal cartilage, vertebrae, sternum, shoulder blades and collar bones."""
    x, y, z = grid.x, grid.y, grid.z
    pitch = float(rng.uniform(24, 27))
    # A rib leaves the spine and comes forward and down; the modulo draws all of them in one expression.
    course = 62 * (1 - np.cos(np.clip(around, 0.35, np.pi))) * 0.5 - 38
    phase = np.where(x < 0, np.float32(0.0), np.float32(1.3))
    lift = (z - course + phase + float(rng.uniform(0, pitch))) % pitch - pitch / 2
    out = -cavity - 6.5
    rib = 1 - np.sqrt((out / 4.0) ** 2 + (lift / 6.2) ** 2)
    rib = np.minimum(rib * 4.2, cavity + 16)
    rib = np.where(z > 100, np.float32(-50), rib).astype(np.float32)
    cartilage = np.where(around < 0.62, rib, np.float32(-50)).astype(np.float32)
    bone = np.where(around >= 0.62, rib, np.float32(-50)).astype(np.float32)

    step = 24.0
    level = (z + float(rng.uniform(0, step))) % step - step / 2
    waist = 1.0 - 1.6 * np.exp(-(((np.abs(level) - 5) / 6) ** 2)) * 0.5
    vertebra = np.minimum(superellipse(x, y - spine_y, 17.0, 14.0, 2.2) + waist, (9.6 - np.abs(level)) * 1.0)
    canal_y = spine_y + 20
    ring = 3.2 - np.abs(np.sqrt(x**2 + ((y - canal_y) * 1.15) ** 2) - 11.5)
    arch = np.minimum(ring, 8.5 - np.abs(level))
    process = np.minimum(3.0 - np.abs(x), np.minimum(y - canal_y - 8, canal_y + 34 - y + level * 0.6))
    process = np.minimum(process, 9.5 - np.abs(level + 1))
    wing = np.minimum(4.0 - np.abs(y - canal_y - 2 - 0.3 * np.abs(x)), np.minimum(np.abs(x) - 9, 34 - np.abs(x)))
    wing = np.minimum(wing, 5.5 - np.abs(level - 3))
    bone = np.maximum.reduce([bone, vertebra, arch, process, wing]).astype(np.float32)

    front = -deep / 1.12 * (0.25 + 0.75 * np.sqrt(np.clip(1 - ((np.maximum(z, -60) + 60) / 170) ** 2, 0.02, 1))) - 9
    plate = 6.0 * (
        1 - (np.abs(x / (15 + 8 * np.clip((z - 15) / 25, 0, 1))) ** 4 + np.abs((y - front) / 6.0) ** 4) ** 0.25
    )
    sternum = np.minimum(plate, np.minimum(48 - z, z + 95))
    blade = 2.6 - np.abs(cavity + 17 + 2 * np.sin(around * 6))
    blade = np.minimum(blade, np.minimum((around - 2.45 + 0.0035 * (z + 25)) * 60, (2.5 - around) * 60))
    blade = np.minimum(blade, np.minimum(z + 15, 100 - z))
    collar = np.sqrt((y + deep * 0.62 - 0.35 * np.abs(x)) ** 2 + (z - 62 - 0.22 * np.abs(x)) ** 2)
    collar = np.minimum(6.0 - collar, np.minimum(np.abs(x) - 20, 120 - np.abs(x)))
    return np.maximum.reduce([bone, sternum, blade, collar]).astype(np.float32), cartilage
