"""A PACS takes the results and gives them back unchanged: Debian's Orthanc, by C-STORE and REST, with its own defaults.

Orthanc's DefaultEncoding is left at Latin1: it must not matter for files that say ISO_IR 192.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from bedside.runtime.report import WrittenFile, seg, seg_check, write_all
from bedside.runtime.report.key_image import SECONDARY_CAPTURE
from bedside.runtime.report.sr import COMPREHENSIVE_3D_SR

from .make_ct import CHINESE_NAME, OBLIQUE
from .make_planar import cine
from .report_input import ct_input, planar_input

pynetdicom = pytest.importorskip("pynetdicom", reason="needs pynetdicom: pip install 'bedside[dev]'")

START_SECONDS = 30
STOP_SECONDS = 15


@dataclass(frozen=True)
class Orthanc:
    """A running server."""

    http: int
    dicom: int

    def get(self, path: str, body: bytes | None = None) -> bytes:
        """GET, or POST where there is a body."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data=body)
        with urllib.request.urlopen(request, timeout=10) as answer:
            content: bytes = answer.read()
        return content

    def json(self, path: str, body: bytes | None = None) -> Any:
        return json.loads(self.get(path, body))

    def find(self, uid: str) -> str:
        """Orthanc's own identifier of an instance."""
        (found,) = self.json("/tools/lookup", uid.encode())
        return str(found["ID"])

    def store(self, paths: list[Path]) -> None:
        """C-STORE files; every status must be success."""
        entity = pynetdicom.AE(ae_title="BEDSIDE")
        entity.connection_timeout = entity.acse_timeout = 10
        entity.dimse_timeout = entity.network_timeout = 30
        for sop_class in (seg.SEGMENTATION, COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE):
            entity.add_requested_context(sop_class, ExplicitVRLittleEndian)
        association = entity.associate("127.0.0.1", self.dicom, ae_title="ORTHANC")
        assert association.is_established
        try:
            for path in paths:
                assert association.send_c_store(path).Status == 0x0000, path.name
        finally:
            association.release()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def orthanc(tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    program = tool("Orthanc")
    folder = tmp_path_factory.mktemp("orthanc")
    # Another process may take a port between the look and the start, so a server that ends early is tried again.
    for attempt in range(3):
        server = Orthanc(free_port(), free_port())
        config = folder / "orthanc.json"
        config.write_text(
            json.dumps(
                {
                    "Name": "test",
                    "StorageDirectory": str(folder / f"storage-{attempt}"),
                    "IndexDirectory": str(folder / f"storage-{attempt}"),
                    "HttpPort": server.http,
                    "DicomPort": server.dicom,
                    "DicomAet": "ORTHANC",
                    "RemoteAccessAllowed": False,
                    "Plugins": [],
                }
            )
        )
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([program, str(config)], stdout=log, stderr=subprocess.STDOUT)
        try:
            if not _wait(server, process):
                continue
            yield server
            return
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)
    pytest.fail(f"Orthanc did not start: {(folder / 'log').read_text()[-2000:]}")


def _wait(server: Orthanc, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            server.get("/system")
            return True
        except OSError:
            time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def results(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> list[WrittenFile]:
    """SEG, SR and SC of an oblique CT and of an ultrasound cine, stored."""
    folder = tmp_path_factory.mktemp("results")
    files = write_all(ct_input(orientation=OBLIQUE), folder / "ct") + write_all(planar_input(cine), folder / "us")
    dicom = [file for file in files if file.uid is not None]
    orthanc.store([file.path for file in dicom])
    return dicom


def fetch(orthanc: Orthanc, uid: str) -> Dataset:
    return dcmread(BytesIO(orthanc.get(f"/instances/{orthanc.find(uid)}/file")))


def test_what_comes_back_is_what_was_sent(orthanc: Orthanc, results: list[WrittenFile]) -> None:
    assert {file.kind for file in results} == {"seg", "sr", "key-image"}
    for file in results:
        assert file.uid is not None
        sent, got = dcmread(file.path), fetch(orthanc, file.uid)
        assert got == sent
        assert got.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        if "PixelData" in sent:
            assert got.PixelData == sent.PixelData


def test_the_seg_still_is_the_mask(orthanc: Orthanc, results: list[WrittenFile], tmp_path: Path) -> None:
    data = ct_input(orientation=OBLIQUE)
    segmentation = seg.build(data)
    assert segmentation is not None
    path = tmp_path / "back.dcm"
    path.write_bytes(orthanc.get(f"/instances/{orthanc.find(segmentation.sop_instance_uid)}/file"))
    seg_check.check(path, data)


def test_chinese_is_chinese_in_the_servers_own_words(orthanc: Orthanc, results: list[WrittenFile]) -> None:
    report = next(file for file in results if file.kind == "sr")
    assert report.uid is not None
    instance = orthanc.find(report.uid)
    tags = orthanc.json(f"/instances/{instance}/simplified-tags")
    assert tags["PatientName"] == CHINESE_NAME
    assert tags["StudyDescription"] == "胸部CT平扫"
    conclusions = [item["TextValue"] for item in tags["ContentSequence"] if item["ValueType"] == "TEXT"]
    assert "发现 3 个结节，最大长径 14.7 mm。" in conclusions
    patient = orthanc.json(f"/instances/{instance}/patient")
    assert patient["MainDicomTags"]["PatientName"] == CHINESE_NAME


def test_results_stand_in_the_patients_study_in_three_series(orthanc: Orthanc, results: list[WrittenFile]) -> None:
    report = next(file for file in results if file.kind == "sr")
    study = orthanc.json(f"/instances/{orthanc.find(report.uid or '')}/study")
    assert study["MainDicomTags"]["StudyInstanceUID"] == ct_input().header.StudyInstanceUID
    series = [orthanc.json(f"/series/{identifier}")["MainDicomTags"] for identifier in study["Series"]]
    assert sorted(one["Modality"] for one in series) == ["OT", "SEG", "SR"]


def test_a_rerun_does_not_duplicate(orthanc: Orthanc, results: list[WrittenFile], tmp_path: Path) -> None:
    before = orthanc.json("/statistics")
    again = write_all(replace(ct_input(orientation=OBLIQUE), time=None), tmp_path / "again")
    orthanc.store([file.path for file in again if file.uid is not None])
    after = orthanc.json("/statistics")
    for count in ("CountInstances", "CountSeries", "CountStudies", "CountPatients"):
        assert after[count] == before[count]
