"""Reports on real headers: what scanners write is taken as it is, and the results are valid all the same."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from bedside.runtime import geometry
from bedside.runtime.image import Cine, Image, Volume
from bedside.runtime.report import write_all
from bedside.runtime.study import Series, load_study
from bedside.runtime.study.pixels import read_cine, read_image, read_volume

from .report_input import NODULE, dciodvfy_errors, report_input, segmenter

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SHARED = {
    "ct-series": "ct-chest-60",
    "ct-enhanced": "cr-ct-mr-dicom/eCT_Supplemental.dcm",
    "ct-slice": "cr-ct-mr-dicom/693_J2KR.dcm",
    "mr-slice": "cr-ct-mr-dicom/MR2_J2KR.dcm",
    "cr": "cr-ct-mr-dicom/RG1_J2KR.dcm",
    "us-image": "us-cine-dicom/gdcm-US-ALOKA-16.dcm",
    "mr-enhanced": "cr-ct-mr-dicom/emri_small.dcm",
    "us-cine": "us-cine-dicom/examples_ybr_color.dcm",
}
PYDICOM = {"mr-small": "MR_small.dcm", "ct-small": "CT_small.dcm"}


def read(series: Series) -> Volume | Image | Cine:
    if len(series.frames) == 1:
        return read_image(series)
    verdict = geometry.check(series.frames, ())
    if verdict.affine is None:
        return read_cine(series)
    return read_volume(series, [series.frames[index] for index in verdict.order], verdict.affine)


@pytest.mark.parametrize("case", [*SHARED, *PYDICOM])
def test_results_on_real_headers_are_valid(
    tmp_path: Path, tool: Callable[[str], str], shared_data: Callable[[str], Path], case: str
) -> None:
    path = shared_data(SHARED[case]) if case in SHARED else Path(str(get_testdata_file(PYDICOM[case], download=False)))
    (series,) = load_study(path).series
    source = read(series)
    pixels = source.voxels if isinstance(source, Volume) else source.pixels
    labels = np.zeros(pixels.shape[: 2 if isinstance(source, Image) else 3], np.uint8)
    rows, columns = labels.shape[-2:]
    labels[..., rows // 3 : rows // 2, columns // 3 : columns // 2] = 1
    header = series.dataset()
    files = write_all(report_input(header, source, labels, segmenter(NODULE)), tmp_path / "out")
    iods = {"seg": "Segmentation", "sr": "Comprehensive3DSR", "key-image": "SCImage"}
    for file in files:
        if file.uid is None:
            continue
        assert dciodvfy_errors(tool("dciodvfy"), file.path, iods[file.kind]) == []
        subprocess.run([tool("dcmdump"), "+W", tmp_path, file.path], check=True, capture_output=True, timeout=60)
        written = dcmread(file.path)
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
            assert (written.get(keyword) or "") == (header.get(keyword) or ""), keyword
    assert hd.seg.segread(tmp_path / "out" / "segmentation.dcm").SegmentsOverlap == "NO"
    assert hd.sr.srread(tmp_path / "out" / "report.dcm").VerificationFlag == "UNVERIFIED"
