"""The result folder: all or nothing, nothing of anyone else's touched, the same again on a rerun."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from bedside.runtime.errors import DeliveryError
from bedside.runtime.report import ReportInput, commit, require_own, require_writable, write_all
from bedside.runtime.report.result_json import SCHEMA, jsonable

from .make_ct import make_ct
from .make_planar import ultrasound
from .report_input import classifier, ct_input, report_input, segmenter

NAMES = [
    "segmentation.dcm",
    "report.dcm",
    *[f"key-image-{n}.{kind}" for n in (1, 2, 3) for kind in ("png", "dcm")],
    "result.json",
]


def empty() -> ReportInput:
    series = make_ct()
    return report_input(series.datasets[0], series.volume, np.zeros((12, 64, 64), np.uint8), segmenter())


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_names_sizes_and_digests_are_those_of_the_files(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    files = write_all(ct_input(), tmp_path / "a" / "out", lambda *step: steps.append(step))
    assert [file.path.name for file in files] == NAMES
    assert sorted(path.name for path in (tmp_path / "a" / "out").iterdir()) == sorted(NAMES)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]
    for file in files:
        content = file.path.read_bytes()
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        if file.uid is not None:
            assert dcmread(file.path).SOPInstanceUID == file.uid
    assert steps[-1] == ("report", 6, 6)
    assert [done for _, done, _ in steps] == [1, 2, 3, 4, 5, 6]
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "a" / "out").stat().st_mode & 0o777 == 0o777 & ~mask


def test_result_json_has_findings_provenance_and_no_patient(tmp_path: Path) -> None:
    data = ct_input()
    write_all(data, tmp_path / "out")
    text = (tmp_path / "out" / "result.json").read_text()
    result = json.loads(text)
    assert result["schema"] == SCHEMA
    assert result["device"] == {
        "id": "openvino:CPU",
        "name": "a CPU",
        "placement": {"CPU": 41},
        "versions": {"openvino": "2026.4.1"},
        "proof": {"proved": False, "text": "not proved on this host"},
    }
    assert result["bundle"]["sha256"] == data.bundle.sha256
    assert [lesion["volume_mm3"] for lesion in result["lesions"]] == [one.volume_mm3 for one in data.findings.lesions]
    assert result["dropped"] == {"Nodule": 1}
    assert [file["name"] for file in result["files"]] == NAMES[:-1]
    pictures = {file["name"]: file["lesion"] for file in result["files"] if file["kind"] == "png"}
    by_size = sorted(data.findings.lesions, key=lambda one: -(one.volume_mm3 or 0))
    assert list(pictures.values()) == [lesion.number for lesion in by_size]
    assert "P-0042" not in text and "小东" not in text and "XiaoDong" not in text


def test_result_json_has_the_time_of_the_report_before_it(tmp_path: Path) -> None:
    write_all(ct_input(), tmp_path / "out")
    stages = json.loads((tmp_path / "out" / "result.json").read_text())["stage_ms"]
    assert list(stages) == ["read", "report"] and stages["report"] > 0


def test_the_mode_of_a_new_folder_is_found_without_a_change_of_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o027)
    monkeypatch.setattr(os, "umask", None)
    try:
        write_all(empty(), tmp_path / "out")
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.dcm", "result.json"]


def test_a_classification_has_scores_in_result_json(tmp_path: Path) -> None:
    header, source = ultrasound()
    data = report_input(header, source, np.array([[0.25, 0.75]]), classifier())
    names = [file.path.name for file in write_all(data, tmp_path / "out")]
    assert names == ["report.dcm", "key-image-1.png", "key-image-1.dcm", "result.json"]
    malignant = json.loads((tmp_path / "out" / "result.json").read_text())["scores"][1]
    assert (malignant["name"], malignant["probability"], malignant["positive"]) == ("malignant", 0.75, True)
    assert malignant["code"]["value"] == "21594007"


def test_a_rerun_gives_the_same_uids_and_replaces_the_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = write_all(ct_input(), out)
    (out / "notes.txt").write_text("mine")
    (out / "sub").mkdir()
    (out / "sub" / "report.dcm").write_text("mine too")
    again = write_all(replace(ct_input(), time=None), out)
    assert [(f.path, f.uid) for f in again] == [(f.path, f.uid) for f in first]
    assert sorted(path.name for path in out.iterdir()) == sorted([*NAMES, "notes.txt", "sub"])
    assert (out / "sub" / "report.dcm").read_text() == "mine too"
    assert dcmread(out / "report.dcm").ContentDate != "20240301"


def test_files_of_an_earlier_result_that_are_no_more_go_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_all(ct_input(), out)
    (out / "key-image-9.png").write_text("mine")
    write_all(empty(), out)
    assert sorted(path.name for path in out.iterdir()) == ["key-image-9.png", "report.dcm", "result.json"]


def test_a_result_json_that_names_other_places_removes_nothing_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "precious").write_text("mine")
    write_all(ct_input(), out)
    content = json.loads((out / "result.json").read_text())
    for name in ("../precious", "..", "", "diary.txt", 5):
        (out / "diary.txt").write_text("mine")
        (out / "result.json").write_text(json.dumps({**content, "files": [{"name": name}]}))
        with pytest.raises(DeliveryError, match=r"result\.json is there, and is no file of an earlier result"):
            write_all(empty(), out)
        assert (tmp_path / "precious").read_text() == (out / "diary.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["report.dcm", "segmentation.dcm", "key-image-1.png", "result.json"])
def test_a_file_of_someone_else_is_never_overwritten(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text('{"files": [{"name": "diary.txt"}]}')
    (out / "diary.txt").write_text("mine")
    before = snapshot(out)
    with pytest.raises(DeliveryError, match=f"{name} is there"):
        write_all(ct_input(), out)
    with pytest.raises(DeliveryError, match=f"{name} is there"):
        require_own(out, "1.2.3", "1.2.3.4", "any")
    assert snapshot(out) == before and sorted(path.name for path in out.iterdir()) == sorted(before)


def test_a_result_of_another_study_series_or_bundle_stays(tmp_path: Path) -> None:
    out, data = tmp_path / "out", ct_input()
    write_all(data, out)
    before = snapshot(out)
    origin = {"study": data.study_uid, "series": str(data.header.SeriesInstanceUID), "bundle": data.bundle.name}
    require_own(out, *origin.values())
    for what in origin:
        with pytest.raises(DeliveryError, match=f"another {what} .*choose another folder"):
            require_own(out, *{**origin, what: "1.2.3"}.values())
    other = replace(data, header=deepcopy(data.header))
    other.header.StudyInstanceUID = "1.2.3.4.5"
    with pytest.raises(DeliveryError, match="another study"):
        write_all(other, out)
    assert snapshot(out) == before


def test_two_first_runs_into_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run makes the folder while this one writes its files."""
    out, rename = tmp_path / "out", Path.rename

    def other_first(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        write_all(empty(), out)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", other_first)
    write_all(ct_input(), out)
    assert sorted(path.name for path in out.iterdir()) == sorted(NAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of more than 40 KB can be written, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_a_failed_write_leaves_no_trace_in_a_new_folder(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="file too large") as caught:
        write_all(ct_input(), tmp_path / "new" / "out")
    assert caught.value.mend and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_an_earlier_result_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write_all(ct_input(), out)
    before = snapshot(out)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DeliveryError, match=r"no space left on device \(free some room"):
            write_all(empty(), out)
    assert snapshot(out) == before

    rename = Path.rename

    def fail_at_the_end(self: Path, target: Path) -> Path:
        if self.name == "result.json" and self.parent.name.startswith(".bedside-"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, target)

    (out / "notes.txt").write_text("mine")  # so that the folder cannot be exchanged for another
    before = snapshot(out)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail_at_the_end)
        with pytest.raises(DeliveryError, match="input/output error"):
            write_all(replace(ct_input(), time=None), out)
    assert snapshot(out) == before


def test_what_a_run_that_is_told_to_end_had_moved_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, rename = tmp_path / "out", Path.rename
    write_all(ct_input(), out)
    (out / "notes.txt").write_text("mine")
    before = snapshot(out)

    def told_to_end(self: Path, target: Path) -> Path:
        if self.name == "report.dcm" and self.parent != out:
            monkeypatch.setattr(Path, "rename", rename)
            raise SystemExit(143)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", told_to_end)
    with pytest.raises(SystemExit):
        write_all(replace(ct_input(), time=None), out)
    assert snapshot(out) == before


def test_a_folder_that_is_exchanged_keeps_its_mode_and_its_place(tmp_path: Path) -> None:
    real = tmp_path / "real"
    write_all(ct_input(), real)
    real.chmod(0o750)
    (tmp_path / "link").symlink_to(real)
    inode = real.stat().st_ino
    write_all(empty(), tmp_path / "link")
    assert (real.stat().st_mode & 0o777, (tmp_path / "link").is_symlink()) == (0o750, True)
    assert real.stat().st_ino != inode
    assert sorted(path.name for path in real.iterdir()) == ["report.dcm", "result.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_the_folder_that_somebody_stands_in_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(ct_input(), tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    write_all(empty(), Path())
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["report.dcm", "result.json"]


def test_without_an_exchange_the_files_are_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(one: Path, other: Path) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(commit, "_exchange", unsupported)
    write_all(ct_input(), tmp_path / "out")
    inode = (tmp_path / "out").stat().st_ino
    write_all(empty(), tmp_path / "out")
    assert (tmp_path / "out").stat().st_ino == inode
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.dcm", "result.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_only_what_no_process_has_is_taken_for_left_behind(tmp_path: Path) -> None:
    (tmp_path / ".bedside-result-old").mkdir()
    (tmp_path / ".bedside-result-old" / "report.dcm").write_text("a patient's")
    (tmp_path / ".bedside-other").mkdir()
    with commit.work_folder(tmp_path / "other") as work:
        write_all(empty(), tmp_path / "out")
        assert work.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".bedside-other", "out"]


def test_a_small_disk(tmp_path: Path) -> None:
    """A real tmpfs of 64 KB, in a mount namespace of its own where the kernel allows one."""
    (tmp_path / "mnt").mkdir()
    script = (
        "import sys; from pathlib import Path\n"
        "from bedside.runtime.errors import DeliveryError\n"
        "from bedside.runtime.report import write_all\n"
        "from tests.dicom.report_input import ct_input\n"
        "try: write_all(ct_input(), Path(sys.argv[1]))\n"
        "except DeliveryError as error: print('REFUSED', error)\n"
        "print('LEFT', [p.name for p in Path(sys.argv[1]).iterdir()])\n"
    )
    command = (
        f'mount -t tmpfs -o size=64k none "{tmp_path}/mnt" && exec "{sys.executable}" -c "$SCRIPT" "{tmp_path}/mnt"'
    )
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", command],
        env={**os.environ, "SCRIPT": script, "PYTHONPATH": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "REFUSED" not in run.stdout and ("unshare" in run.stderr or "mount" in run.stderr):
        pytest.skip(f"no mount namespace here: {run.stderr.strip()}")
    assert "no space left on device" in run.stdout, run.stderr
    assert "LEFT []" in run.stdout


def test_an_output_that_is_a_file_or_lies_below_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(DeliveryError):
            require_writable(out)
        with pytest.raises(DeliveryError, match=r"cannot be written to .*(choose another folder)"):
            write_all(empty(), out)
    assert (tmp_path / "file").read_text() == "mine"


def test_no_patient_data_in_warnings_or_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    data = ct_input()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.header.PatientName = "STRANGE NAME*" + "x" * 70
        data.header.PatientBirthDate, data.header.PatientSex, data.header.StudyInstanceUID = "58", "male", "1.02.3"
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        write_all(data, tmp_path / "out")
    assert dcmread(tmp_path / "out" / "report.dcm").PatientName == data.header.PatientName
    said = " ".join([str(w.message) for w in caught]) + caplog.text + "".join(capfd.readouterr())
    assert "STRANGE" not in said


def test_json_values() -> None:
    assert jsonable({"a": np.float32(1.5), "b": float("nan"), "c": (np.int64(3), Path("/x/y")), 4: np.arange(2)}) == {
        "a": 1.5,
        "b": None,
        "c": [3, "y"],
        "4": [0, 1],
    }
    with pytest.raises(TypeError, match="object"):
        jsonable(object())
