"""From a study to its results: the same on every backend and in every rerun, with the names as they were."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from bedside import kernels
from bedside.runtime import Result, load_bundle, load_study, pipeline, run
from bedside.runtime.bundle.load import Bundle
from bedside.runtime.cli import app
from tests.dicom.make_bundles import make_bright
from tests.dicom.make_marked import (
    Stack,
    make_marked,
)
from tests.dicom.read_seg import read_seg

from .whole_way import OBLIQUE, ORIENTATION, file_of, mask_of

DEVICES = ("openvino:CPU", "ort:cpu")
CHINESE_NAME = "Wang^XiaoDong=王^小东"
CHINESE_STUDY = "胸部CT平扫"


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def test_both_backends_give_the_same_result(chest: Path, whole: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    results = [run(chest, whole, device, out=tmp_path / device.replace(":", "-")) for device in DEVICES]
    first, second = (mask_of(result) for result in results)
    assert first.any()
    assert dice(first, second) > 0.999
    for result, device in zip(results, DEVICES, strict=True):
        assert result.provenance.device == device
        stored = np.zeros_like(first)
        heights = [frame.position[2] for frame in result.source.frames]  # type: ignore[union-attr,index]
        for plane in read_seg(file_of(result, "seg")):
            stored[int(np.argmin(np.abs(np.array(heights) - plane.position[2])))] |= plane.mask
        assert np.array_equal(stored, mask_of(result))


@pytest.mark.parametrize("label_map", [False, True])
def test_no_kernel_takes_more_threads_than_the_run_may(
    label_map: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_marked(tmp_path / "ct", OBLIQUE[0])
    more = [{"_target_": name, "keys": "pred"} for name in ("KeepLargestConnectedComponentd", "FillHolesd")]
    make_bright(
        tmp_path / "bundle",
        rank=3,
        modality="CT",
        low=-1000,
        high=1000,
        level=200.5,
        spatial=[ORIENTATION],
        roi=(16, 16, 16),
        instances=True,
    )
    configuration = tmp_path / "bundle" / "configs" / "inference.json"
    content = json.loads(configuration.read_text(encoding="utf-8"))
    content["postprocessing"]["transforms"] += more
    configuration.write_text(json.dumps(content), encoding="utf-8")
    asked: list[tuple[str, Any]] = []

    def watched(name: str, kernel: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            asked.append((name, options.get("threads")))
            return kernel(*arguments, **options)

        return call

    every = {getattr(kernels, name): name for name in kernels.__all__ if name not in ("active_isa", "Components")}
    for name in ("__init__", "select", "paint", "statistics", "longest_diameters"):
        monkeypatch.setattr(kernels.Components, name, watched(name, getattr(kernels.Components, name)))
    kind = type(kernels.pack_bits)
    for module in [module for name, module in sys.modules.items() if name.split(".")[0] == "bedside"]:
        for name, value in list(vars(module).items()):
            if type(value) is kind and value in every:
                monkeypatch.setattr(module, name, watched(every[value], value))
    run(tmp_path / "ct", tmp_path / "bundle", out=tmp_path / "out", label_map=label_map, threads=1)
    names = {name for name, _ in asked}
    assert names >= {"__init__", "keep_largest", "fill_holes", "statistics", "pack_bits", "draw_outline"}
    assert {name for name, threads in asked if threads != 1} == set()


def test_a_rerun_replaces_and_does_not_duplicate(exact: Bundle, tmp_path: Path) -> None:
    make_marked(tmp_path / "ct")
    first = run(tmp_path / "ct", exact, out=tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    series = dcmread(file_of(first, "seg")).SeriesInstanceUID
    assert {"segmentation.dcm", "report.dcm", "key-image-3.dcm", "result.json"} <= set(names)
    second = run(tmp_path / "ct", exact, out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    uids = [{file.path.name: file.uid for file in result.files} for result in (first, second)]
    assert uids[0] == uids[1]
    assert len({uid for uid in uids[0].values() if uid}) == len([uid for uid in uids[0].values() if uid])
    for name, uid in uids[1].items():
        if uid:
            assert dcmread(tmp_path / "out" / name).SOPInstanceUID == uid
    # Other voxels: other instances in the same series, and no file of the earlier result stays.
    make_marked(tmp_path / "ct", boxes=2)
    (tmp_path / "out" / "notes.txt").write_text("the user's own")
    third = run(tmp_path / "ct", exact, out=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *(name for name in names if not name.startswith("key-image-3")),
        "notes.txt",
    }
    assert dcmread(file_of(third, "seg")).SeriesInstanceUID == series
    changed = {file.path.name: file.uid for file in third.files}
    assert all(changed[name] != uid for name, uid in uids[0].items() if uid and name in changed)


def test_nothing_found_is_a_result_too(exact: Bundle, tmp_path: Path) -> None:
    make_marked(tmp_path / "ct", boxes=0)
    result = run(tmp_path / "ct", exact, out=tmp_path / "out")
    assert result.findings.lesions == ()
    assert {file.kind for file in result.files} == {"sr", "json"}


@pytest.mark.parametrize("character_set", ["GB18030", "GBK", "ISO_IR 192", "\\ISO 2022 IR 58"])
def test_chinese_name_survives(character_set: str, exact: Bundle, tmp_path: Path) -> None:
    def declare(ds: Dataset) -> None:
        ds.SpecificCharacterSet = character_set.split("\\")
        ds.PatientName, ds.StudyDescription = CHINESE_NAME, CHINESE_STUDY

    make_marked(tmp_path / "ct", boxes=1, edit=declare)
    result = run(tmp_path / "ct", exact, out=tmp_path / "out")
    assert result.study.notes == ()
    check_names(result)


@pytest.mark.parametrize("declared", [True, False])
def test_mislabelled_chinese_is_detected_said_and_mended(declared: bool, exact: Bundle, tmp_path: Path) -> None:
    def mislabel(ds: Dataset) -> None:
        # What pydicom writes of these letters under Latin-1 are the bytes of GBK.
        ds.SpecificCharacterSet = "ISO_IR 100"
        ds.PatientName = CHINESE_NAME.encode("gbk").decode("latin_1")
        ds.StudyDescription = CHINESE_STUDY.encode("gbk").decode("latin_1")

    make_marked(tmp_path / "ct", boxes=1, edit=mislabel)
    for path in (tmp_path / "ct").iterdir():
        content, term = path.read_bytes(), b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100"
        assert term in content
        assert CHINESE_NAME.encode("gbk") in content
        if not declared:
            path.write_bytes(content.replace(term, b""))
    result = run(tmp_path / "ct", exact, out=tmp_path / "out")
    check_names(result)
    notes = json.loads(file_of(result, "json").read_text(encoding="utf-8"))["notes"]
    assert any("GBK" in note for note in notes)
    assert not any("王" in note for note in notes)


def check_names(result: Result) -> None:
    """The patient's name and the study's description are right in what was read and in every DICOM file written."""
    assert (result.study.patient_name, result.study.description) == (CHINESE_NAME, CHINESE_STUDY)
    written = [dcmread(file.path) for file in result.files if file.path.suffix == ".dcm"]
    assert {ds.Modality for ds in written} == {"SEG", "SR", "OT"}
    for ds in written:
        assert (str(ds.PatientName), ds.StudyDescription) == (CHINESE_NAME, CHINESE_STUDY)
        assert ds.SpecificCharacterSet == "ISO_IR 192"


def test_finding_text_is_in_the_report(exact: Bundle, tmp_path: Path, tool: Callable[[str], str]) -> None:
    make_marked(tmp_path / "ct")
    result = run(tmp_path / "ct", exact, out=tmp_path / "out")
    text = subprocess.run(
        [tool("dcmdump"), "--convert-to-utf8", "+L", str(file_of(result, "sr"))], capture_output=True, check=True
    ).stdout.decode("utf-8")
    assert "高亮区" in text
    assert CHINESE_NAME in text


def test_python_and_command_line_give_the_same(bundles: Path, tmp_path: Path) -> None:
    make_marked(tmp_path / "ct", Stack((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)))
    bundle, study = load_bundle(bundles / "exact"), load_study(tmp_path / "ct")
    called = run(study, bundle, out=tmp_path / "python")
    command = ["run", str(bundles / "exact"), str(tmp_path / "ct"), "-o", str(tmp_path / "cli"), "--json", "-"]
    typed = CliRunner().invoke(app, command)
    assert typed.exit_code == 0, typed.output
    answer = json.loads(typed.stdout)
    ours = called.to_json()
    assert set(ours) == set(answer)
    same = set(ours) - {"created", "stage_ms", "files", "input"}
    assert {key: ours[key] for key in same} == {key: answer[key] for key in same}
    one, other = ({f["name"]: f["sop_instance_uid"] for f in content["files"]} for content in (ours, answer))
    assert one == other
    assert (tmp_path / "python" / "segmentation.dcm").stat().st_size > 0
    a, b = (read_seg(tmp_path / way / "segmentation.dcm") for way in ("python", "cli"))
    assert all(np.array_equal(x.mask, y.mask) for x, y in zip(a, b, strict=True))
    assert set(answer["stage_ms"]) >= {"bundle", "read", "decode", "prepare", "infer", "finish", "measure", "report"}


def test_scores_that_are_interpolated_back_never_exist_whole(chest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume of 600 slices and 4 classes has 2.5 GB of them (tests/unit/test_memory.py)."""
    seen = []

    def watched(*arguments: Any, **keywords: Any) -> Any:
        seen.append(pipeline_infer(*arguments, **keywords))
        return seen[-1]

    pipeline_infer = pipeline.infer
    monkeypatch.setattr(pipeline, "infer", watched)
    result = run(chest, "ct-lung-nodule", "null")
    assert [(inferred.logits, inferred.labels) for inferred in seen] == [(None, None)]
    assert result.findings.parts is not None and result.findings.parts.shape == (24, 128, 128)
