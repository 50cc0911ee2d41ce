"""Branching vessel trees: grown towards points of the lung, with radii by Murray's law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Tree:
    """A tree of nodes: node 0 is the root, ``parent[i] < i``; points are (x, y, z) mm, radii mm."""

    points: Points
    parent: NDArray[np.intp]
    radius: NDArray[np.float64]


def grow(root: tuple[float, float, float], goals: Points, rng: np.random.Generator, step: float = 8.0) -> Tree:
    """Connect every goal to the tree that has grown so far, as a lung's vessels fan out from its hilum.

    A goal joins the node that makes its way short while not lengthening the way from the root much: the weight between
    the two is what tells a tree from a brush. Radii follow Murray's law (PNAS 1926;12:207), with an exponent of 2.6,
    near what has been measured in lungs.

    Parameters
    ----------
    root
        Where the tree begins, mm.
    goals
        Ends of the tree's twigs [n, 3], mm; those far from the root should not all come last.
    step
        Longest piece of a branch, mm.
    """
    room = 1 + 64 * len(goals)
    points, length, parent = np.zeros((room, 3)), np.zeros(room), np.zeros(room, np.intp)
    heading = np.zeros((room, 3))
    points[0] = root
    used = 1
    for goal in goals:
        to = goal - points[:used]
        far = np.sqrt((to * to).sum(1)) + 1e-9
        # A branch leaves its stem forwards: turning back costs.
        turn = 1.0 - (to * heading[:used]).sum(1) / far
        cost = far * (1 + 0.35 * turn) + 0.30 * length[:used]
        best = int(np.argmin(cost))
        pieces = max(1, min(60, int(np.ceil(far[best] / step))))
        bend = rng.normal(0, 0.05, 3) * far[best] + 0.25 * far[best] * (heading[best] - to[best] / far[best])
        t = np.linspace(0, 1, pieces + 1)[1:]
        way = points[best] + t[:, None] * to[best] + (t * (1 - t))[:, None] * bend
        last = best
        for place in way:
            points[used], parent[used] = place, last
            move = place - points[last]
            size = float(np.sqrt(move @ move)) + 1e-9
            heading[used], length[used] = move / size, length[last] + size
            last, used = used, used + 1
    flow = np.zeros(used)
    children = np.bincount(parent[1:used], minlength=used)
    flow[children[:used] == 0] = 1.0
    for i in range(used - 1, 0, -1):
        flow[parent[i]] += flow[i]
    return Tree(points[:used].copy(), parent[:used].copy(), 0.50 * flow ** (1 / 2.6))


def paint(
    voxels: NDArray[np.int16],
    origin: Points,
    spacing: Points,
    tree: Tree,
    hu: float,
    floor: float,
    largest: float = 5.0,
) -> None:
    """Draw a tree into HU voxels [z, y, x], in place: the brighter of tissue and vessel stays.

    Parameters
    ----------
    origin, spacing
        Of the voxels, in (x, y, z) order, mm.
    hu, floor
        HU of blood, and of the lung around it (partial volume goes from one to the other).
    largest
        Radii are cut to this, mm.
    """
    blur = float(0.9 * spacing[0] + 0.35 * spacing[2])
    shape = np.array(voxels.shape[::-1])
    starts, ends = tree.points[tree.parent[1:]], tree.points[1:]
    wide = np.minimum(tree.radius[1:], largest)
    begin = np.minimum(tree.radius[tree.parent[1:]], np.minimum(wide * 1.35, largest))
    reach = np.maximum(wide, begin)[:, None] + blur
    low = np.clip(np.floor((np.minimum(starts, ends) - reach - origin) / spacing), 0, shape).astype(int)
    high = np.clip(np.ceil((np.maximum(starts, ends) + reach - origin) / spacing) + 1, 0, shape).astype(int)
    first = (starts - origin).astype(np.float32)
    along = (ends - starts).astype(np.float32)
    axes = [np.arange(n, dtype=np.float32) * np.float32(s) for n, s in zip(shape, spacing, strict=True)]
    for n in range(len(starts)):
        (i0, j0, k0), (i1, j1, k1) = low[n], high[n]
        if i0 >= i1 or j0 >= j1 or k0 >= k1:
            continue
        d = along[n]
        x, y, z = axes[0][i0:i1] - first[n, 0], axes[1][j0:j1] - first[n, 1], axes[2][k0:k1] - first[n, 2]
        inner = ((z * d[2])[:, None, None] + (y * d[1])[:, None]) + x * d[0]
        square = ((z * z)[:, None, None] + (y * y)[:, None]) + x * x
        norm = max(float(d @ d), 1e-6)
        t = np.clip(inner / norm, 0, 1)
        away = np.sqrt(np.maximum(square - 2 * t * inner + t * t * norm, 0))
        radius = begin[n] + t * (wide[n] - begin[n])
        cover = np.clip((radius - away) / blur + 0.5, 0, 1) * np.minimum(1, 1.6 * radius / blur)
        part = voxels[k0:k1, j0:j1, i0:i1]
        np.maximum(part, (floor + cover * (hu - floor)).astype(np.int16), out=part)
