"""A CT of three boxes, no two alike and none symmetric to another, as slices of any orientation in any order.

The boxes have fixed places in the patient (LPS mm). Their faces are on voxel faces in every orientation along the axes,
so that what comes back must be exact.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from tests.dicom.make_ct import make_ct

ORIGIN = np.array([-17.5, 31.25, -420.0])
"""LPS mm of the corner of the scanned region."""
EXTENT = np.array([32.0, 24.0, 20.0])
"""mm along L, P and S."""
PIXEL, STEP = 1.0, 2.0
BOXES = (
    ((0.0, 6.0), (0.0, 4.0), (0.0, 8.0)),  # in the corner: the marker
    ((12.0, 30.0), (6.0, 10.0), (10.0, 18.0)),
    ((4.0, 8.0), (14.0, 22.0), (4.0, 6.0)),
)
"""mm from ORIGIN along L, P and S."""
LOW_HU, HIGH_HU = -100, 500

Direction = tuple[float, ...]


@dataclass(frozen=True)
class Stack:
    """How the region is cut: row and column direction, and along which way of the normal the slices follow."""

    row: Direction
    column: Direction
    forward: bool = True

    def __str__(self) -> str:
        names = [_letter(np.array(direction)) for direction in (self.row, self.column)]
        return "".join(names) + ("+" if self.forward else "-") + ("" if self.upright else " oblique")

    @property
    def upright(self) -> bool:
        """Whether rows and columns run along axes of the patient."""
        return all(max(abs(v) for v in direction) == 1 for direction in (self.row, self.column))


AXIAL = Stack((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def upright_stacks() -> Iterator[Stack]:
    """All 48: rows and columns along any two axes of the patient, either way, slices either way."""
    axes = [tuple(float(v) for v in sign * np.eye(3)[axis]) for axis in range(3) for sign in (1, -1)]
    for row, column in itertools.product(axes, axes):
        if np.dot(row, column) == 0:
            yield from (Stack(row, column), Stack(row, column, False))


def centre_of(box: int) -> NDArray[np.float64]:
    """LPS mm."""
    centre: NDArray[np.float64] = ORIGIN + np.array(BOXES[box]).mean(axis=1)
    return centre


def volume_of(box: int) -> float:
    """mm3."""
    return float(np.prod([high - low for low, high in BOXES[box]]))


def make_marked(
    folder: Path,
    stack: Stack = AXIAL,
    *,
    boxes: int = len(BOXES),
    pixel: tuple[float, float] = (PIXEL, PIXEL),
    tilt_mm: float = 0.0,
    edit: Callable[[Dataset], None] | None = None,
) -> list[Dataset]:
    """Write the series; file names and instance numbers are shuffled. Returns the slices in their order in space.

    An oblique stack is cut around the centre of the region, as wide as it takes to hold all of it. Only the first
    ``boxes`` boxes are there; ``edit`` changes each slice's header before it is written. ``pixel`` is mm between rows
    and between columns; ``tilt_mm`` moves each slice so much further along its columns than the one before it, as a
    tilted gantry does.
    """
    row, column = np.array(stack.row), np.array(stack.column)
    normal = np.cross(row, column) * (1 if stack.forward else -1)
    diagonal = float(np.linalg.norm(EXTENT))
    width, height, depth = (float(abs(v) @ EXTENT) if stack.upright else diagonal for v in (row, column, normal))
    columns, rows, slices = round(width / pixel[1]), round(height / pixel[0]), int(np.ceil(depth / STEP))
    first = (
        ORIGIN
        + EXTENT / 2
        - row * (columns - 1) * pixel[1] / 2
        - column * (rows - 1) * pixel[0] / 2
        - (normal * STEP + column * tilt_mm) * (slices - 1) / 2
    )
    datasets = make_ct(slices=slices, size=8, step=STEP, spacing=pixel).datasets
    shuffled = np.random.default_rng(5).permutation(slices)
    y, x = np.mgrid[:rows, :columns]
    for z, ds in enumerate(datasets):
        corner = first + z * (normal * STEP + column * tilt_mm)
        place = corner + x[..., np.newaxis] * pixel[1] * row + y[..., np.newaxis] * pixel[0] * column - ORIGIN
        hu = np.full((rows, columns), LOW_HU)
        for box in BOXES[:boxes]:
            inside = [(place[..., axis] > low) & (place[..., axis] < high) for axis, (low, high) in enumerate(box)]
            hu[np.logical_and.reduce(inside)] = HIGH_HU
        ds.Rows, ds.Columns = rows, columns
        ds.ImagePositionPatient = [round(float(v), 6) for v in corner]
        ds.ImageOrientationPatient = [*stack.row, *stack.column]
        ds.InstanceNumber = int(shuffled[z]) + 1
        ds.PixelData = (hu + 1024).astype(np.int16).tobytes()
        if edit is not None:
            edit(ds)
        folder.mkdir(parents=True, exist_ok=True)
        ds.save_as(folder / f"im{slices - int(shuffled[z]):03d}", enforce_file_format=True)
    return datasets


def bright(ds: Dataset) -> NDArray[np.bool_]:
    """The voxels of a slice that hold a box, [y, x]."""
    stored = np.frombuffer(ds.PixelData, np.int16).reshape(ds.Rows, ds.Columns)
    return stored - 1024 > (LOW_HU + HIGH_HU) / 2


def _letter(direction: NDArray[np.float64]) -> str:
    axis = int(np.abs(direction).argmax())
    return ("LR", "PA", "SI")[axis][int(direction[axis] < 0)]
