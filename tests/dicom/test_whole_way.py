"""From DICOM files to DICOM results and nothing lost on the way: voxels, places, names, and both backends agree."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from scipy import ndimage

from bedside.runtime import StudyRejected, load_bundle, run
from bedside.runtime.bundle.load import Bundle
from tests.dicom.make_bundles import make_bright
from tests.dicom.make_marked import (
    BOXES,
    EXTENT,
    ORIGIN,
    PIXEL,
    STEP,
    Stack,
    bright,
    centre_of,
    make_marked,
    upright_stacks,
    volume_of,
)
from tests.dicom.make_photograph import make_photograph
from tests.dicom.read_seg import read_seg

from .whole_way import OBLIQUE, ORIENTATION, file_of, in_source_slices, mask_of, nearest, write_seg


@pytest.mark.parametrize("stack", [*upright_stacks()], ids=str)
def test_boxes_come_back_in_place_in_every_orientation(stack: Stack, exact: Bundle, tmp_path: Path) -> None:
    slices = make_marked(tmp_path / "ct", stack)
    result = run(tmp_path / "ct", exact)
    marked = in_source_slices(write_seg(result, tmp_path / "seg.dcm"), slices)
    for ds in slices:
        assert np.array_equal(marked[ds.SOPInstanceUID], bright(ds)), ds.InstanceNumber
    for box in range(len(BOXES)):
        lesion = nearest(result, centre_of(box))
        assert lesion.volume_mm3 == pytest.approx(volume_of(box))
        assert np.allclose(lesion.centroid_lps, centre_of(box), atol=1e-3)


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Its network looks one voxel to the right (R), one to the front (A), one to the feet (-S) of what it marks."""
    root = tmp_path_factory.mktemp("looking") / "bundle"
    make_bright(
        root,
        rank=3,
        modality="CT",
        low=-1000,
        high=1000,
        level=200.5,
        spatial=[ORIENTATION],
        look=(1, 1, -1),
        instances=True,
    )
    return load_bundle(root)


@pytest.mark.parametrize("stack", [s for n, s in enumerate(upright_stacks()) if n % 4 in (0, 3)], ids=str)
def test_the_network_sees_every_stack_the_same_way_round(stack: Stack, looking: Bundle, tmp_path: Path) -> None:
    """MONAI's RAS: indices grow to the right, the front and the head. So the boxes come back moved to the left, the
    back and the head by one voxel, whatever the stack."""
    make_marked(tmp_path / "ct", stack)
    result = run(tmp_path / "ct", looking)
    voxel = np.where(np.isclose(np.abs(np.cross(stack.row, stack.column)), 1), STEP, PIXEL)
    for box in range(len(BOXES)):
        expected = centre_of(box) + voxel
        lesion = nearest(result, expected)
        assert np.allclose(lesion.centroid_lps, expected, atol=1e-3)
        assert lesion.volume_mm3 == pytest.approx(volume_of(box))


@pytest.mark.parametrize("axes", ["xyz", "zyx"])
def test_the_network_sees_a_picture_in_the_order_the_bundle_says(axes: str, tmp_path: Path) -> None:
    """It looks one index further along the array's first axis: columns for MONAI, rows for numpy."""
    picture = np.zeros((40, 56, 3), np.uint8)
    picture[10:16, 20:44] = 255
    make_photograph(tmp_path / "xc.dcm", picture, modality="XC")
    bundle = make_bright(
        tmp_path / "bundle", rank=2, modality="XC", low=0, high=255, level=100, channels=3, axes=axes, look=(1, 0)
    )
    mask = mask_of(run(tmp_path / "xc.dcm", bundle))[0]
    meant = np.roll(picture[..., 0] > 0, -1, axis=1 if axes == "xyz" else 0)
    assert np.array_equal(mask, meant)


@pytest.mark.parametrize("stack", OBLIQUE, ids=str)
def test_oblique_stacks(stack: Stack, exact: Bundle, tmp_path: Path) -> None:
    slices = make_marked(tmp_path / "ct", stack)
    result = run(tmp_path / "ct", exact, out=tmp_path / "out")
    marked = in_source_slices(file_of(result, "seg"), slices)
    for ds in slices:
        assert np.array_equal(marked[ds.SOPInstanceUID], bright(ds)), ds.InstanceNumber
    for box in range(len(BOXES)):
        lesion = nearest(result, centre_of(box))
        assert np.allclose(lesion.centroid_lps, centre_of(box), atol=0.5)


@pytest.mark.parametrize("stack", [*list(upright_stacks())[::5], OBLIQUE[0]], ids=str)
def test_boxes_come_back_in_place_through_another_voxel_size(stack: Stack, spaced: Bundle, tmp_path: Path) -> None:
    slices = make_marked(tmp_path / "ct", stack)
    result = run(tmp_path / "ct", spaced)
    marked = in_source_slices(write_seg(result, tmp_path / "seg.dcm"), slices)
    meant = np.stack([bright(ds) for ds in slices])
    found = np.stack([marked[ds.SOPInstanceUID] for ds in slices])
    neighbours = ndimage.generate_binary_structure(3, 3)
    wrong = found ^ meant
    border = ndimage.binary_dilation(meant, neighbours) & ~ndimage.binary_erosion(meant, neighbours)
    assert not (wrong & ~border).any(), "a voxel off the border is wrong"
    for box in range(len(BOXES)):
        lesion = nearest(result, centre_of(box))
        assert np.allclose(lesion.centroid_lps, centre_of(box), atol=0.5)
        assert lesion.volume_mm3 == pytest.approx(volume_of(box), rel=0.3)


def check_places(places: NDArray[np.float64], slack: NDArray[np.float64], whole: Iterable[int]) -> None:
    """Every place lies in a box, or within ``slack`` mm of one along L, P and S; the ``whole`` boxes are centred."""
    places = places - ORIGIN
    inside = [
        ((places > np.array(box)[:, 0] - slack) & (places < np.array(box)[:, 1] + slack)).all(axis=1) for box in BOXES
    ]
    assert np.logical_or.reduce(inside).all()
    for box in whole:
        assert np.allclose(places[inside[box]].mean(axis=0) + ORIGIN, centre_of(box), atol=0.75)


def test_a_missing_slice_that_was_accepted(exact: Bundle, tmp_path: Path) -> None:
    slices = make_marked(tmp_path / "ct")
    lost = slices[6]
    next(path for path in (tmp_path / "ct").iterdir() if dcmread(path).SOPInstanceUID == lost.SOPInstanceUID).unlink()
    with pytest.raises(StudyRejected, match="missing"):
        run(tmp_path / "ct", exact)
    result = run(tmp_path / "ct", exact, out=tmp_path / "out", accept=["gap"])
    planes = read_seg(file_of(result, "seg"))
    made_up = [plane for plane in planes if plane.source_uid is None]
    assert made_up
    for plane in made_up:
        assert np.allclose(plane.position, lost.ImagePositionPatient, atol=1e-3)
    kept = [ds for ds in slices if ds is not lost]
    there = {ds.SOPInstanceUID: np.zeros((ds.Rows, ds.Columns), bool) for ds in kept}
    for plane in planes:
        if plane.source_uid is not None:
            there[plane.source_uid] |= plane.mask
    assert all(np.array_equal(there[ds.SOPInstanceUID], bright(ds)) for ds in kept)
    assert any("missing" in note for note in result.provenance.notes)


@pytest.mark.parametrize(
    ("kind", "pixel", "tilt_mm"),
    [("non-square", (1.0, 2.0), 0.0), ("non-square", (2.0, 1.0), 0.0), ("tilt", (1.0, 1.0), 0.4)],
)
@pytest.mark.parametrize("stack", list(upright_stacks())[1::11], ids=str)
def test_what_was_accepted_is_resampled_in_place(
    kind: str, pixel: tuple[float, float], tilt_mm: float, stack: Stack, exact: Bundle, tmp_path: Path
) -> None:
    make_marked(tmp_path / "ct", stack, pixel=pixel, tilt_mm=tilt_mm)
    with pytest.raises(StudyRejected, match=kind if kind == "tilt" else "square"):
        run(tmp_path / "ct", exact)
    result = run(tmp_path / "ct", exact, accept=[kind])
    places = np.concatenate([plane.places() for plane in read_seg(write_seg(result, tmp_path / "seg.dcm"))])
    # Interpolation rounds the edges by less than a voxel.
    size = np.abs(np.stack([np.array(stack.row) * pixel[1], np.array(stack.column) * pixel[0]])).max(axis=0)
    # A tilted stack is no longer as wide as the region: the box in the corner is cut.
    check_places(places, np.maximum(size, 0.01) * 0.75, whole=(1, 2) if tilt_mm else range(len(BOXES)))


def test_places_of_the_segmentation_are_the_boxes(exact: Bundle, tmp_path: Path) -> None:
    """By the plane positions alone, without a look at the source."""
    make_marked(tmp_path / "ct", Stack((0.0, -1.0, 0.0), (0.0, 0.0, -1.0)))
    result = run(tmp_path / "ct", exact)
    places = np.concatenate([plane.places() for plane in read_seg(write_seg(result, tmp_path / "seg.dcm"))]) - ORIGIN
    assert ((places > 0) & (places < EXTENT)).all()
    inside = [((places > np.array(box)[:, 0]) & (places < np.array(box)[:, 1])).all(axis=1) for box in BOXES]
    assert np.logical_or.reduce(inside).all()
    # A voxel is 1 x 1 x 2 mm.
    assert [int(hits.sum()) for hits in inside] == [round(volume_of(box) / 2) for box in range(len(BOXES))]
