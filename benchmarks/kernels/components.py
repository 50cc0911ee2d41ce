"""Connected components, their measurements, and what is drawn from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.kernels import Components, draw_outline, fill_holes, keep_largest, nms

from .cases import Candidates, Case, nbytes, optional
from .volumes import EDGE, SHAPE, SLICES, stored_ct

PARTS = 200


@cache
def mask_of_parts() -> NDArray[np.uint8]:
    """200 balls of 6 to 25 voxels radius, none of which touch: 6 % of the volume."""
    rng = np.random.default_rng(0)
    mask = np.zeros(SHAPE, np.uint8)
    for n in range(PARTS):
        a, b, c = np.unravel_index(n, (5, 8, 5))
        centre = np.array([30 + a * 58, 32 + b * 63, 50 + c * 100])
        radius = rng.uniform(6, 25)
        reach = int(radius) + 1
        box = tuple(slice(p - reach, p + reach + 1) for p in centre)
        offsets = np.ogrid[tuple(slice(-reach, reach + 1) for _ in range(3))]
        mask[box] |= np.asarray(sum(axis**2 for axis in offsets) <= radius**2, np.uint8)
    mask.setflags(write=False)
    return mask


def labelled_and_measured(threads: int) -> Candidates:
    mask, out = mask_of_parts(), np.zeros(SHAPE, np.uint16)

    def ours() -> Components:
        found = Components(mask, connectivity=26, threads=threads)
        found.paint(out, threads=threads)
        return found

    found = ours()
    centroids = found.sums / found.voxels[:, np.newaxis]
    assert len(found) == PARTS
    candidates: Candidates = {"ours": ours}
    if cc3d := optional("cc3d"):

        def with_cc3d() -> Any:
            labels = cc3d.connected_components(mask, connectivity=26)
            return labels, cc3d.statistics(labels)

        labels, statistics = with_cc3d()
        np.testing.assert_array_equal(np.bincount(found.voxels), np.bincount(statistics["voxel_counts"][1:]))
        assert len(np.unique(labels[mask > 0].astype(np.int64) * 65536 + out[mask > 0])) == PARTS
        candidates["cc3d"] = with_cc3d
    if sitk := optional("SimpleITK"):
        image = sitk.GetImageFromArray(mask)

        def with_sitk() -> Any:
            statistics = sitk.LabelShapeStatisticsImageFilter()
            statistics.Execute(sitk.ConnectedComponent(image, True))
            return statistics

        statistics = with_sitk()
        assert statistics.GetNumberOfLabels() == PARTS
        candidates["SimpleITK"] = with_sitk
    if ndimage := optional("scipy.ndimage"):

        def with_scipy() -> Any:
            labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
            numbers = np.arange(1, count + 1)
            sizes = np.bincount(labels.ravel())[1:]
            return labels, sizes, ndimage.find_objects(labels), ndimage.center_of_mass(mask, labels, numbers)

        labels, sizes, boxes, centres = with_scipy()
        np.testing.assert_array_equal(out, labels)
        np.testing.assert_array_equal(found.voxels, sizes)
        np.testing.assert_array_equal(found.box[:, :, 0], [[s.start for s in box] for box in boxes])
        np.testing.assert_allclose(centroids, centres, rtol=1e-9)
        candidates["scipy.ndimage"] = with_scipy
    return candidates


def lesions_measured(threads: int) -> Candidates:
    """What the findings need: no label volume, but diameters and intensities."""
    mask, stored = mask_of_parts(), stored_ct()
    slope, intercept = np.ones(SLICES, np.float32), np.full(SLICES, -1024, np.float32)
    pixel = np.full((PARTS, 2), 0.7)

    def ours() -> Any:
        found = Components(mask, connectivity=26, threads=threads)
        found.longest_diameters(pixel, threads=threads)
        return found.statistics(stored, slope=slope, intercept=intercept, threads=threads)

    candidates: Candidates = {"ours": ours}
    if sitk := optional("SimpleITK"):
        image, values = sitk.GetImageFromArray(mask), sitk.GetImageFromArray(stored)

        def with_sitk() -> Any:
            labels = sitk.ConnectedComponent(image, True)
            shapes, statistics = sitk.LabelShapeStatisticsImageFilter(), sitk.LabelStatisticsImageFilter()
            shapes.SetComputeFeretDiameter(False)
            shapes.Execute(labels)
            statistics.Execute(values, labels)
            return statistics

        candidates["SimpleITK"] = with_sitk
    return candidates


def largest_kept(threads: int) -> Candidates:
    mask = mask_of_parts().copy()
    keep_largest(mask, connectivity=26, threads=threads)
    candidates: Candidates = {"ours": lambda: keep_largest(mask, connectivity=26, threads=threads)}
    if cc3d := optional("cc3d"):
        np.testing.assert_array_equal(cc3d.largest_k(mask, k=1, connectivity=26) > 0, mask > 0)
        candidates["cc3d"] = lambda: cc3d.largest_k(mask, k=1, connectivity=26)
    return candidates


def holes_filled(threads: int) -> Candidates:
    mask = np.zeros((SLICES, EDGE, EDGE), np.uint8)
    mask[20:280, 60:450, 60:450] = 1
    mask[40:260:20, 100:400:30, 100:400:30] = 0
    one = np.ones(1, np.uint8)
    holed = mask.copy()
    fill_holes(mask, one, connectivity=6, threads=threads)
    work = holed.copy()

    def ours() -> None:
        np.copyto(work, holed)
        fill_holes(work, one, connectivity=6, threads=threads)

    candidates: Candidates = {"ours": ours}
    if sitk := optional("SimpleITK"):
        image = sitk.GetImageFromArray(holed)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.BinaryFillhole(image, False, 1.0)), mask)
        candidates["SimpleITK"] = lambda: sitk.BinaryFillhole(image, False, 1.0)
    return candidates


def outlined(threads: int) -> Candidates:
    part = np.ascontiguousarray(mask_of_parts()[30])
    picture = np.zeros((1280, 1280, 3), np.uint8)
    under = (np.arange(1280) * EDGE // 1280).astype(np.int32)
    groups = (np.arange(256) > 0).astype(np.uint8)

    def ours() -> None:
        draw_outline(
            part, picture, groups=groups, rows=under, columns=under, color=(255, 9, 9), width=4, threads=threads
        )

    candidates: Candidates = {"ours": ours}
    if ndimage := optional("scipy.ndimage"):

        def with_scipy() -> NDArray[np.uint8]:
            drawn = np.zeros((1280, 1280, 3), np.uint8)
            reach = [ndimage.binary_dilation(part[np.ix_(under, under)])]
            for step in (4, 1):
                reach.append(ndimage.binary_dilation(reach[-1], np.ones((3, 3), bool), iterations=step))
            drawn[reach[1] & ~reach[0]] = 255, 9, 9
            drawn[reach[2] & ~reach[1]] = 0
            return drawn

        ours()
        np.testing.assert_array_equal(picture, with_scipy())
        candidates["scipy.ndimage"] = with_scipy
    return candidates


def boxes_suppressed(threads: int) -> Candidates:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 300, (1000, 3)).astype(np.float32)
    boxes = np.concatenate([low, low + rng.uniform(5, 40, (1000, 3)).astype(np.float32)], axis=1)
    scores, out = rng.random(1000, np.float32), np.empty(1000, np.int64)
    ours: Callable[[], int] = lambda: nms(boxes, scores, out, threshold=0.2, threads=threads)  # noqa: E731
    candidates: Candidates = {"ours": ours}
    monai, torch = optional("monai.data.box_utils"), optional("torch")
    if monai and torch:
        tensors = torch.from_numpy(boxes), torch.from_numpy(scores)
        np.testing.assert_array_equal(out[: ours()], monai.non_max_suppression(*tensors, 0.2).numpy())
        candidates["MONAI"] = lambda: monai.non_max_suppression(*tensors, 0.2)
    return candidates


CASES = (
    Case(
        f"connected components + measurements, {SLICES}x{EDGE}x{EDGE}, {PARTS} parts, uint16 labels",
        labelled_and_measured,
        goals={"cc3d": 1.0, "SimpleITK": 1.0, "scipy.ndimage": 1.0},
        traffic=nbytes((SHAPE, 1), (SHAPE, 2)),
    ),
    Case(
        f"{PARTS} parts of {SLICES}x{EDGE}x{EDGE} measured with diameters and intensities",
        lesions_measured,
        read_only=nbytes((SHAPE, 1)),
        peers=("SimpleITK",),
    ),
    Case(f"largest of {PARTS} components kept, {SLICES}x{EDGE}x{EDGE}", largest_kept, peers=("cc3d",)),
    Case(f"holes filled, {SLICES}x{EDGE}x{EDGE}", holes_filled, peers=("SimpleITK",)),
    Case("outline on a 1280x1280 picture", outlined, peers=("scipy.ndimage",)),
    Case("3D non-maximum suppression of 1000 boxes", boxes_suppressed, peers=("MONAI",)),
)
