"""Key images: the finding is where it is, nothing of it is covered, and the warning is there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom import dcmread
from pydicom.pixels import apply_windowing

from bedside.runtime.image import Volume, Window
from bedside.runtime.report import caption, context, key_image, text

from .make_ct import OBLIQUE, make_ct
from .make_planar import cine, fundus, radiograph, ultrasound
from .report_input import (
    CHINESE_FINDING,
    NODULE,
    classifier,
    ct_input,
    dciodvfy_errors,
    planar_input,
    report_input,
    segmenter,
    two_nodules,
)


def classified(make: Callable[[], Any], table: list[list[float]], finding: str = "") -> context.ReportInput:
    header, source = make()
    return report_input(header, source, np.array(table), classifier(finding))


CASES = {
    "ct": ct_input,
    "oblique": lambda: ct_input(orientation=OBLIQUE),
    "ultrasound": lambda: planar_input(ultrasound),
    "fundus": lambda: planar_input(fundus),
    "radiograph": lambda: planar_input(radiograph),
    "cine": lambda: planar_input(cine),
    "ultrasound-classified": lambda: classified(ultrasound, [[0.2, 0.8]]),
    "cine-classified": lambda: classified(cine, [[0.2, 0.8]] * 6),
}


@pytest.mark.parametrize("case", CASES)
def test_secondary_capture_is_valid_and_other_readers_show_it(
    tmp_path: Path, tool: Callable[[str], str], case: str
) -> None:
    data = CASES[case]()
    images = key_image.draw(data)
    assert images
    for image, dataset in zip(images, key_image.datasets(data, images), strict=True):
        path = tmp_path / "sc.dcm"
        dataset.save_as(path, enforce_file_format=True)
        assert dciodvfy_errors(tool("dciodvfy"), path, "SCImage") == []
        read = dcmread(path)
        assert read.BurnedInAnnotation == "YES" and read.SpecificCharacterSet == "ISO_IR 192"
        assert read.PatientName == data.header.PatientName
        assert "NOT FOR DIAGNOSIS" in read.DerivationDescription
        subprocess.run([tool("dcmj2pnm"), path, tmp_path / "sc.ppm"], timeout=60, check=True, capture_output=True)
        assert np.array_equal(np.asarray(Pillow.open(tmp_path / "sc.ppm")), image.pixels)
        assert np.array_equal(np.asarray(Pillow.open(BytesIO(image.png()))), image.pixels)


def test_the_outline_surrounds_the_lesion_and_covers_nothing_of_it() -> None:
    data = ct_input(spacing=(0.7, 1.4))
    parts = data.findings.parts
    assert parts is not None
    data = replace(data, findings=replace(data.findings, lesions=data.findings.lesions[:1]))
    (image,) = key_image.draw(data)
    lesion = image.lesion
    assert lesion is not None
    plain, scale = key_image._picture(data, lesion.key_slice)
    assert plain.shape[1] / plain.shape[0] == pytest.approx(2.0, abs=0.01)
    picture = image.pixels[slice(*image.rows)]
    rows, columns = np.nonzero(np.all(picture == NODULE["color"], axis=2))
    (y0, y1), (x0, x1) = lesion.bbox[1:]
    assert rows.min() == pytest.approx(y0 * scale[0], abs=5) and rows.max() == pytest.approx(y1 * scale[0], abs=5)
    assert columns.min() == pytest.approx(x0 * scale[1], abs=5) and columns.max() == pytest.approx(x1 * scale[1], abs=5)
    # Within the lesion only the diameter line differs from the plain slice.
    inside = parts[lesion.key_slice] == lesion.number
    inside = np.asarray(Pillow.fromarray(inside).resize((plain.shape[1], plain.shape[0]), Pillow.Resampling.NEAREST))
    changed = np.any(picture != plain, axis=2) & inside
    white = np.all(picture == 255, axis=2)
    assert changed.sum() > 0 and np.array_equal(changed, changed & white)


def test_the_warning_stands_below_every_picture_in_white_on_red() -> None:
    for case in CASES.values():
        for image in key_image.draw(case()):
            band = image.pixels[-40:]
            assert np.all(band[-1] == (110, 0, 0))
            rows = np.all(image.pixels == (255, 255, 255), axis=2)[-90:].any(axis=1)
            assert rows.sum() >= 10, "letters at least ten pixels high"


def test_the_warning_is_whole_below_a_narrow_picture_too() -> None:
    header, source = ultrasound(rows=1900, columns=40)
    narrow = key_image.draw(report_input(header, source, np.array([[0.2, 0.8]]), classifier()))[0].pixels
    wide = key_image.draw(classified(ultrasound, [[0.2, 0.8]]))[0].pixels
    assert narrow.shape[1] >= 420
    letters = [np.all(pixels[-90:-10] > 190, axis=2).any(axis=0).sum() for pixels in (narrow, wide)]
    assert letters[0] > 0.4 * letters[1]  # the line below the warning may be cut


def test_at_most_five_lesions_and_the_largest_first() -> None:
    series = make_ct()
    labels = np.zeros((12, 64, 64), np.uint8)
    for n in range(7):
        labels[2:6, 8 * n : 8 * n + 3 + n // 2, 5 : 8 + n] = 1
    data = report_input(series.datasets[0], series.volume, labels, segmenter(NODULE))
    images = key_image.draw(data)
    assert len(images) == key_image.MAX_IMAGES
    volumes = [image.lesion.volume_mm3 for image in images if image.lesion]
    assert volumes == sorted((one.volume_mm3 for one in data.findings.lesions), reverse=True)[:5]
    datasets = key_image.datasets(data, images)
    assert len({one.SeriesInstanceUID for one in datasets}) == 1
    assert [one.InstanceNumber for one in datasets] == [1, 2, 3, 4, 5]
    assert len({one.SOPInstanceUID for one in datasets}) == 5


def test_slice_and_instance_number_are_said() -> None:
    data = ct_input()
    captions = [image.caption for image in key_image.draw(data)]
    assert "slice 5 of 12, instance 8" in captions[1]
    resampled = replace(data, source=replace(data.source, frames=(None,) * 12), used=data.frames)
    assert "slice 5 of 12, resampled" in key_image.draw(resampled)[1].caption
    several = frozenset(frame.sop_instance_uid for frame in data.frames)
    assert "instance 8, frame 1" in key_image.draw(replace(data, multi_frame=several))[1].caption
    assert "frame 2 of 6" in key_image.draw(planar_input(cine))[0].caption


def test_a_segment_as_a_whole_has_no_diameter() -> None:
    """Of a vessel tree the longest diameter says nothing."""
    lines = {}
    for instances in (True, False):
        segment = {**NODULE, "instances": instances}
        series = make_ct()
        labels = two_nodules(series.volume.voxels.shape)
        labels[labels == 2] = 0
        data = report_input(series.datasets[0], series.volume, labels, segmenter(segment))
        image = key_image.draw(data)[0]
        assert image.lesion is not None
        plain, _ = key_image._picture(data, image.lesion.key_slice)
        picture = image.pixels[slice(*image.rows)]
        changed = np.any(picture != plain, axis=2) & np.all(picture == 255, axis=2)
        lines[instances] = int(changed.sum()), text.measures(image.lesion, data.bundle.meta.result.segments[0])
    assert lines[True][0] > lines[False][0]
    assert "mm, " in lines[True][1]
    assert lines[False][1].endswith(("mm³", "ml")) and ", " not in lines[False][1]


def test_nothing_found_has_no_key_image() -> None:
    series = make_ct()
    data = report_input(series.datasets[0], series.volume, np.zeros((12, 64, 64), np.uint8), segmenter())
    assert key_image.draw(data) == []


def test_a_cine_shows_the_frame_with_the_most_probable_class() -> None:
    table = [[0.6, 0.4]] * 6
    table[3] = [0.02, 0.98]
    table[5] = [0.1, 0.9]
    (image,) = key_image.draw(classified(cine, table))
    assert image.index == 3


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_the_window_is_the_one_of_the_standard(function: str) -> None:
    series = make_ct()
    header = series.datasets[0]
    header.VOILUTFunction = function
    header.WindowCenter, header.WindowWidth = 10, 300
    source = replace(series.volume, window=Window(10, 300, function))
    values = source.voxels[3].astype(np.float32) - 1024
    ours = key_image._display(source.voxels[3], 1.0, -1024.0, source, 1).astype(float)
    theirs = apply_windowing(values.astype(np.float64), header)
    theirs = (theirs + 32768 + 1024) / 65535 * 255  # pydicom scales to the range of the rescaled stored values
    assert np.abs(ours - theirs).max() <= 1.0


def test_without_a_window_the_middle_of_the_values_is_shown_and_padding_does_not_count() -> None:
    series = make_ct()
    stored = series.volume.voxels.copy()
    stored[:, :20] = -32768
    source: Volume = replace(series.volume, voxels=stored, window=None, padding_value=-32768)
    picture = key_image._display(stored[2], 1.0, 0.0, source, 1)
    assert picture[0, 0] == 0
    assert picture[40, 32] > 200


def test_text_without_a_font_is_left_to_the_sr(monkeypatch: pytest.MonkeyPatch) -> None:
    with_font = key_image.draw(classified(ultrasound, [[0.2, 0.8]], CHINESE_FINDING))[0].pixels
    caption._cjk_font.cache_clear()
    monkeypatch.setattr(caption, "_FONT_FOLDERS", ())
    try:
        without = key_image.draw(classified(ultrasound, [[0.2, 0.8]], CHINESE_FINDING))[0].pixels
        names = replace(
            classified(ultrasound, [[0.2, 0.8]]),
            findings=replace(
                classified(ultrasound, [[0.2, 0.8]]).findings,
                scores=tuple(replace(s, name="恶性") for s in classified(ultrasound, [[0.2, 0.8]]).findings.scores),
            ),
        )
        assert key_image.draw(names)[0].caption == "class 1 80.0 %, class 0 20.0 %"
    finally:
        caption._cjk_font.cache_clear()
    assert without.shape[0] <= with_font.shape[0]


def test_letters_of_the_patients_directions() -> None:
    data = ct_input()
    marks = {letter: place for letter, place in key_image._orientation_marks(data, 100, 100)}
    assert marks["R"][0] < 50 < marks["L"][0] and marks["A"][1] < 50 < marks["P"][1]
    assert key_image._orientation_marks(planar_input(ultrasound), 100, 100) == []
