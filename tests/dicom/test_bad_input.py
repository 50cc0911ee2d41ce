"""Bad input at the command line: one clear line, the exit code of its kind, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from typer.testing import CliRunner, Result

from bedside.runtime import BundleError, StudyRejected, load_bundle, load_study
from bedside.runtime.cli import app
from tests.dicom.make_ct import make_ct

STUDY, BUNDLE, DEVICE, DELIVERY = 3, 4, 5, 8


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    """A sound series of 12 slices."""
    make_ct(tmp_path / "ct")
    return tmp_path / "ct"


@pytest.fixture
def call(bright_bundle: Path, tmp_path: Path) -> Callable[..., Result]:
    """``call(study)`` is `bedside run` into tmp_path/out."""

    def run(study: Path, *more: str, bundle: Path = bright_bundle, out: Path | None = None) -> Result:
        return CliRunner().invoke(app, ["run", str(bundle), str(study), "-o", str(out or tmp_path / "out"), *more])

    return run


def refused(result: Result, code: int, *words: str) -> None:
    """One line that says the words, the exit code, and no traceback."""
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    for word in words:
        assert word.lower() in lines[0].lower(), lines[0]


def slices(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.dcm"))


def edit(path: Path, change: Callable[[Dataset], None]) -> None:
    dataset = dcmread(path)
    change(dataset)
    dataset.save_as(path)


def test_a_sound_series_runs(ct: Path, call: Callable[..., Result], tmp_path: Path) -> None:
    result = call(ct)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "report.dcm").is_file()
    assert json.loads((tmp_path / "out" / "result.json").read_text())["geometry"]["accepted"]


def test_truncated_file(ct: Path, call: Callable[..., Result], tmp_path: Path) -> None:
    path = slices(ct)[5]
    path.write_bytes(path.read_bytes()[:-1000])
    refused(call(ct), STUDY, path.name)
    assert not (tmp_path / "out").exists()


def test_empty_file_and_other_files_are_skipped(ct: Path, call: Callable[..., Result], tmp_path: Path) -> None:
    (ct / "empty.dcm").touch()
    (ct / "README.txt").write_text("not an image")
    (ct / "thumb.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(200))
    result = call(ct)
    assert result.exit_code == 0
    content = json.loads((tmp_path / "out" / "result.json").read_text())
    assert {entry["file"] for entry in content["input"]["skipped"]} == {"empty.dcm", "README.txt", "thumb.jpg"}
    note = "1 empty file was passed over, a slice may be missing: empty.dcm"
    assert note in content["notes"] and note in " ".join(result.stdout.split())
    comments = [str(item.get("TextValue", "")) for item in dcmread(tmp_path / "out" / "report.dcm").ContentSequence]
    assert note in comments


def test_an_empty_path_is_not_the_current_folder(
    ct: Path, call: Callable[..., Result], bright_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ct)
    before = set(ct.iterdir())
    for study, out, code in (("", "out", STUDY), (str(ct), "", DELIVERY)):
        result = CliRunner().invoke(app, ["run", str(bright_bundle), study, "-o", out])
        refused(result, code, "is empty")
    refused(CliRunner().invoke(app, ["study", "show", ""]), STUDY, "is empty")
    assert set(ct.iterdir()) == before


def test_a_slice_cut_at_its_beginning_is_refused(ct: Path, call: Callable[..., Result], tmp_path: Path) -> None:
    path = slices(ct)[-1]
    path.write_bytes(path.read_bytes()[:300])
    refused(call(ct), STUDY, path.name, "move the file away")
    assert not (tmp_path / "out").exists()


def test_skipped_files_are_said_on_the_terminal(ct: Path, call: Callable[..., Result]) -> None:
    for name in ("a.dcm", "b.dcm", "c.dcm", "d.dcm"):
        (ct / name).touch()
    (line,) = [line for line in call(ct).stdout.splitlines() if line.startswith("note: 4 files")]
    assert line == "note: 4 files were skipped: a.dcm (empty file), b.dcm (empty file), c.dcm (empty file) and 1 more"


def test_what_the_geometry_gate_notes_reaches_the_reader(ct: Path, call: Callable[..., Result], tmp_path: Path) -> None:
    edit(slices(ct)[3], lambda dataset: setattr(dataset, "RescaleIntercept", -1000))
    result = call(ct)
    assert result.exit_code == 0, result.output
    notes = json.loads((tmp_path / "out" / "result.json").read_text())["notes"]
    assert any("rescale slope and intercept differ" in note for note in notes)
    assert "note: rescale slope and intercept differ" in result.stdout
    assert b"rescale slope and intercept differ" in (tmp_path / "out" / "report.dcm").read_bytes()


def test_only_other_files(tmp_path: Path, call: Callable[..., Result]) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("nothing here")
    refused(call(tmp_path / "texts"), STUDY, "no image")
    refused(call(tmp_path / "nowhere"), STUDY, "does not exist")


def test_missing_slice(ct: Path, call: Callable[..., Result], tmp_path: Path) -> None:
    slices(ct)[6].unlink()
    refused(call(ct), STUDY, "gap", "--accept gap")
    assert not (tmp_path / "out").exists()
    assert call(ct, "--accept", "gap").exit_code == 0
    content = json.loads((tmp_path / "out" / "result.json").read_text())
    assert content["source"]["shape"][0] == 12
    assert any("accepted" in note for note in content["notes"])


def test_refusal_as_json_names_the_slices(ct: Path, call: Callable[..., Result], tmp_path: Path) -> None:
    slices(ct)[6].unlink()
    result = call(ct, "--json", str(tmp_path / "refusal.json"))
    error = json.loads((tmp_path / "refusal.json").read_text())["error"]
    assert result.exit_code == error["exit_code"] == STUDY
    assert error["kind"] == "StudyRejected"
    gap = next(f for f in error["verdict"]["findings"] if f["kind"] == "gap")
    assert {name["file"] for name in gap["slices"]} >= {slices(ct)[5].name, slices(ct)[6].name}


def test_duplicate_slice(ct: Path, call: Callable[..., Result]) -> None:
    def copy(dataset: Dataset) -> None:
        dataset.SOPInstanceUID = "2.25.999"
        dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.999"

    shutil.copy(slices(ct)[3], ct / "zz-again.dcm")
    edit(ct / "zz-again.dcm", copy)
    refused(call(ct), STUDY, "duplicate", "zz-again.dcm")


def test_two_patients(ct: Path, call: Callable[..., Result]) -> None:
    edit(slices(ct)[0], lambda dataset: setattr(dataset, "PatientID", "SOMEBODY-ELSE"))
    result = call(ct)
    refused(result, STUDY, "two patients")
    assert "SOMEBODY-ELSE" not in result.output


def test_localizer_in_the_series(ct: Path, call: Callable[..., Result]) -> None:
    def turn(dataset: Dataset) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    edit(slices(ct)[0], turn)
    refused(call(ct), STUDY, "localizer")


def test_mixed_spacing(ct: Path, call: Callable[..., Result]) -> None:
    edit(slices(ct)[4], lambda dataset: setattr(dataset, "PixelSpacing", [0.9, 0.9]))
    refused(call(ct), STUDY, "spacing")


def test_wrong_bits_stored(ct: Path, call: Callable[..., Result]) -> None:
    def widen(dataset: Dataset) -> None:
        dataset.BitsStored, dataset.HighBit = 20, 19

    edit(slices(ct)[4], widen)
    refused(call(ct), STUDY, slices(ct)[4].name, "bits stored")


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"])
@pytest.mark.parametrize("value", ["1.2.3..4.x", "1." + "2" * 63, "1.2.", "none"])
def test_a_uid_that_is_none(ct: Path, call: Callable[..., Result], keyword: str, value: str) -> None:
    for path in slices(ct):
        edit(path, lambda dataset: dataset.__setitem__(keyword, DataElement(keyword, "UI", value, validation_mode=0)))
    refused(call(ct), STUDY, "no UID")


def test_pixel_bomb(ct: Path, call: Callable[..., Result]) -> None:
    def inflate(dataset: Dataset) -> None:
        dataset.Rows = dataset.Columns = 65535

    for path in slices(ct):
        edit(path, inflate)
    refused(call(ct), STUDY, "65535")


def test_deep_sequence(ct: Path, call: Callable[..., Result]) -> None:
    def nest(dataset: Dataset) -> None:
        item = Dataset()
        item.CodeMeaning = "end"
        for _ in range(200):
            outer = Dataset()
            outer.ConceptCodeSequence = Sequence([item])
            item = outer
        dataset.ProcedureCodeSequence = Sequence([item])

    edit(slices(ct)[0], nest)
    assert call(ct).exit_code in (0, STUDY)


def test_unknown_transfer_syntax(ct: Path, call: Callable[..., Result]) -> None:
    def rename(path: Path) -> None:
        content = path.read_bytes()
        known, unknown = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"
        assert content.count(known) == 1
        path.write_bytes(content.replace(known, unknown))

    for path in slices(ct):
        rename(path)
    refused(call(ct), STUDY, "1.2.840.10008.1.2.9")


UNREADABLE = {
    "PatientWeight": "80kg",
    "PatientSize": "1,80",
    "LossyImageCompressionRatio": "10:1",
    "PixelAspectRatio": "a\\b",
}


@pytest.mark.parametrize("keyword", UNREADABLE)
def test_an_optional_attribute_that_cannot_be_read_is_left_out_and_named(
    ct: Path, call: Callable[..., Result], tmp_path: Path, keyword: str
) -> None:
    value = UNREADABLE[keyword]

    def spoil(dataset: Dataset) -> None:
        _brighten(dataset)
        dataset.LossyImageCompression = "01"
        tag = tag_for_keyword(keyword)
        assert tag is not None
        dataset[tag] = RawDataElement(BaseTag(tag), dictionary_VR(tag), len(value), value.encode(), 0, False, True)

    for path in slices(ct):
        edit(path, spoil)
    result = call(ct)
    assert result.exit_code == 0, result.output
    assert value not in result.output
    (note,) = [note for note in json.loads((tmp_path / "out" / "result.json").read_text())["notes"] if keyword in note]
    assert note in result.stdout and "left out" in note
    for name in ("segmentation.dcm", "report.dcm", "key-image-1.dcm"):
        written = dcmread(tmp_path / "out" / name)
        assert keyword not in written
        assert written.PatientID == dcmread(slices(ct)[0]).PatientID


def test_numbers_of_more_digits_than_a_ds_holds(ct: Path, call: Callable[..., Result], tmp_path: Path) -> None:
    spacing = "0.56445312500012345\\0.56445312500012345 "
    cosines = "0.99999847691328769\\0.00174532836589831\\0\\-0.00174532836589831\\0.99999847691328769\\0"

    def lengthen(dataset: Dataset) -> None:
        _brighten(dataset)
        for tag, value in ((0x00280030, spacing), (0x00200037, cosines)):
            dataset[tag] = RawDataElement(BaseTag(tag), "DS", len(value), value.encode(), 0, False, True)

    for path in slices(ct):
        edit(path, lengthen)
    result = call(ct)
    assert result.exit_code == 0, result.output
    assert dcmread(tmp_path / "out" / "report.dcm").ContentSequence


@pytest.mark.parametrize("name", ["segmentation.dcm", "report.dcm"])
def test_a_result_as_input(ct: Path, call: Callable[..., Result], tmp_path: Path, name: str) -> None:
    for path in slices(ct):  # something bright, so that there is a segmentation
        edit(path, _brighten)
    assert call(ct).exit_code == 0
    refused(call(tmp_path / "out" / name, out=tmp_path / "second"), STUDY, "no image")
    assert not (tmp_path / "second").exists()


def _brighten(dataset: Dataset) -> None:
    pixels = dataset.pixel_array.copy()
    pixels[20:30, 20:30] = 1024 + 500
    dataset.PixelData = pixels.astype(np.int16).tobytes()


def test_weights_missing(ct: Path, call: Callable[..., Result], bright_bundle: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    bundle = shutil.copytree(bright_bundle, tmp_path / "bundle")
    path = bundle / "models" / "model.onnx"
    onnx.save(
        onnx.load(path),
        path,
        save_as_external_data=True,
        location="model.bin",
        size_threshold=0,
        convert_attribute=True,
    )
    _update_digest(bundle)
    (bundle / "models" / "model.bin").unlink()
    refused(call(ct, bundle=bundle), BUNDLE, "model.bin", "missing")


def _update_digest(bundle: Path) -> None:
    import hashlib

    metadata = bundle / "configs" / "metadata.json"
    content = json.loads(metadata.read_text(encoding="utf-8"))
    digest = hashlib.sha256((bundle / "models" / "model.onnx").read_bytes()).hexdigest()
    content["bedside"]["files"]["models/model.onnx"] = digest
    metadata.write_text(json.dumps(content), encoding="utf-8")


def test_altered_model(ct: Path, call: Callable[..., Result], bright_bundle: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(bright_bundle, tmp_path / "bundle")
    with (bundle / "models" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    refused(call(ct, bundle=bundle), BUNDLE, "SHA-256")
    refused(call(ct, bundle=tmp_path / "none"), BUNDLE, "none")


def test_unknown_device(ct: Path, call: Callable[..., Result]) -> None:
    refused(call(ct, "--device", "cuda:7"), DEVICE, "cuda:7")


def test_the_device_that_computes_nothing_writes_nothing(ct: Path, call: Callable[..., Result], tmp_path: Path) -> None:
    refused(call(ct, "--device", "null"), DEVICE, "null", "computes nothing")
    assert not (tmp_path / "out").exists()


def test_output_is_a_file(ct: Path, call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("keep me")
    refused(call(ct, out=tmp_path / "taken"), DELIVERY, "taken", "is a file")
    assert (tmp_path / "taken").read_text() == "keep me"


def test_output_that_holds_something_else_is_refused_before_the_device_is_opened(
    ct: Path, call: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.dcm").write_text("mine")
    refused(call(ct, "--device", "cuda:7"), DELIVERY, "report.dcm is there")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.dcm"]


def test_output_without_rights(ct: Path, call: Callable[..., Result]) -> None:
    call(ct)  # imports everything, which another user might not be allowed to
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        with _as_nobody():
            refused(call(ct, out=Path(folder) / "out"), DELIVERY, "permission denied")


def test_nothing_may_be_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o000)
        with _as_nobody():
            with pytest.raises(StudyRejected, match="cannot be read: Permission denied"):
                load_study(Path(folder) / "study")
            with pytest.raises(BundleError, match="cannot be read: Permission denied"):
                load_bundle(Path(folder) / "bundle")


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Without root's rights, which know no locked folder."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture(params=["32k", "200k", "600k"])
def tiny_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system that is full before, or in the middle of, the results."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a tmpfs can only be mounted by root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk(ct: Path, call: Callable[..., Result], tiny_disk: Path) -> None:
    for path in slices(ct):
        edit(path, _brighten)
    refused(call(ct, out=tiny_disk / "out"), DELIVERY, "no space left on device", "free some room")
    assert list(tiny_disk.iterdir()) == []
