"""Implicit shapes: functions of patient millimetres, positive inside and close to a distance near the surface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Point = tuple[float, float, float]

OUTSIDE = np.float32(-1e3)
"""What a field holds far from a shape, where nobody looks."""


class Grid:
    """Points of a regular grid, as three arrays that broadcast to [z, y, x], in mm.

    Parameters
    ----------
    x, y, z
        Coordinates of the grid's columns, rows and slices: patient left, posterior and superior.
    """

    def __init__(self, x: NDArray[Any], y: NDArray[Any], z: NDArray[Any]) -> None:
        self.axes = (z.astype(np.float32), y.astype(np.float32), x.astype(np.float32))
        self.z: Field = self.axes[0][:, None, None]
        self.y: Field = self.axes[1][None, :, None]
        self.x: Field = self.axes[2][None, None, :]
        self.shape = (z.size, y.size, x.size)

    def empty(self) -> Field:
        """A field that is outside everywhere."""
        return np.full(self.shape, OUTSIDE, np.float32)

    def window(self, low: Point, high: Point) -> tuple[slice, slice, slice]:
        """Index ranges (z, y, x) of the grid points between two corners given as (x, y, z)."""
        ranges = [
            slice(int(np.searchsorted(axis, low[2 - i])), int(np.searchsorted(axis, high[2 - i])))
            for i, axis in enumerate(self.axes)
        ]
        return ranges[0], ranges[1], ranges[2]


def superellipse(x: Field, y: Field, a: NDArray[Any] | float, b: NDArray[Any] | float, power: float) -> Field:
    """A superellipse |x/a|^p + |y/b|^p < 1, scaled so that the field is about a distance near its edge."""
    r = (np.abs(x / a) ** power + np.abs(y / b) ** power) ** (1.0 / power)
    return np.asarray((1.0 - r) * np.minimum(a, b), np.float32)


def ellipsoid(grid: Grid, center: Point, axes: Point, turn: float = 0.0) -> Field:
    """An ellipsoid, turned about the z axis by ``turn`` radians."""
    x, y, z = grid.x - np.float32(center[0]), grid.y - np.float32(center[1]), grid.z - np.float32(center[2])
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    u, v = x * c + y * s, y * c - x * s
    r = np.sqrt((u / np.float32(axes[0])) ** 2 + (v / np.float32(axes[1])) ** 2 + (z / np.float32(axes[2])) ** 2)
    return np.asarray((1.0 - r) * np.float32(min(axes)), np.float32)


def tube(grid: Grid, path: Sequence[Point], radii: Sequence[float], field: Field, margin: float = 14.0) -> None:
    """Unite a field with a tube: a chain of capped cones through the points of ``path``, in place.

    ``margin`` mm around the tube the field is right; beyond it is left as it was.
    """
    for p, q, r, s in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
        reach = max(r, s) + margin
        low = tuple(min(a, b) - reach for a, b in zip(p, q, strict=True))
        high = tuple(max(a, b) + reach for a, b in zip(p, q, strict=True))
        k, j, i = grid.window((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        d = np.subtract(q, p).astype(np.float32)
        x, y, z = grid.x[..., i] - np.float32(p[0]), grid.y[:, j] - np.float32(p[1]), grid.z[k] - np.float32(p[2])
        t = np.clip((x * d[0] + y * d[1] + z * d[2]) / max(float(d @ d), 1e-6), 0, 1)
        distance = np.sqrt((x - t * d[0]) ** 2 + (y - t * d[1]) ** 2 + (z - t * d[2]) ** 2)
        part = field[k, j, i]
        np.maximum(part, np.float32(r) + t * np.float32(s - r) - distance, out=part)


def soft_union(a: Field, b: Field, width: float) -> Field:
    """Union with a fillet of ``width`` mm (polynomial smooth maximum)."""
    h = np.clip(0.5 + 0.5 * (a - b) / np.float32(width), 0, 1)
    return np.asarray(b + (a - b) * h + np.float32(width) * h * (1 - h), np.float32)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], cells: tuple[int, ...]) -> Field:
    """Smooth random field of about unit deviation: a coarse random lattice, interpolated by cosines in each axis."""
    field = rng.standard_normal(cells).astype(np.float32)
    for axis, n in enumerate(shape):
        at = np.linspace(0, cells[axis] - 1, n)
        low = np.minimum(at.astype(int), max(cells[axis] - 2, 0))
        t = (0.5 - 0.5 * np.cos(np.pi * (at - low))).astype(np.float32)
        t = t.reshape([-1 if a == axis else 1 for a in range(len(shape))])
        high = np.minimum(low + 1, cells[axis] - 1)
        field = np.take(field, low, axis) * (1 - t) + np.take(field, high, axis) * t
    return np.asarray(field * 1.6, np.float32)
