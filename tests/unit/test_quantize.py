"""Calibration, agreement with f32, and the test of a host's INT8."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bedside.backends.contract import Tensors
from bedside.runtime import DeviceUnavailable, StudyRejected, int8_host
from bedside.runtime.bundle.load import Variant
from bedside.runtime.devices import open_program
from bedside.runtime.findings import Findings
from bedside.runtime.int8_host import Exactness, exactness, require_exact
from bedside.runtime.quantize.agreement import auc, compare, score
from bedside.runtime.quantize.record import Recorder
from bedside.runtime.quantize.studies import given_cases
from tests.golden import make_int8_probe
from tests.unit.bundle_maker import write_onnx

PROBES = Path(int8_host.__file__).parent / "int8_probe"


@pytest.mark.parametrize("bits", [8, 7])
def test_the_probe_is_what_its_script_makes(bits: int) -> None:
    assert (PROBES / f"weights-{bits}-bit.onnx").read_bytes() == make_int8_probe.network(bits).SerializeToString()
    image, outputs = make_int8_probe.expected(bits)
    with np.load(PROBES / f"weights-{bits}-bit.npz") as stored:
        assert np.array_equal(stored["image"], image)
        assert all(np.array_equal(stored[name], value) for name, value in outputs.items())


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("device", ["openvino:CPU", "ort:cpu", "reference"])
def test_int8_of_the_cpu_is_exact_in_the_way_it_is_opened(device: str, reduced: bool) -> None:
    if device == "ort:cpu":
        pytest.importorskip("onnxruntime")
    found = exactness(device, reduced_range=reduced)
    assert found.exact, str(found)
    assert found.outputs > 2000


def test_the_probe_sees_sums_that_saturate() -> None:
    """As VPMADDUBSW computes: pairs of products are added in int16."""
    image, full, _, _ = make_int8_probe.material(8)
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(2, 3))
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 144)
    products = rows[:, None, :] * full.reshape(len(full), 144)
    pairs = products.reshape(*products.shape[:2], 72, 2).sum(axis=3)
    saturated = np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=2).T.reshape(1, len(full), 8, 8)
    right = make_int8_probe.convolve(image, full, 1)
    shifts = make_int8_probe.shifts(11)[None, :, None, None]
    wrong = make_int8_probe.requantise(saturated, shifts) != make_int8_probe.requantise(right, shifts)
    assert wrong.mean() > 0.1
    _, reduced, _, _ = make_int8_probe.material(7)
    assert 2 * 255 * np.abs(reduced).max() < 2**15


def test_a_device_that_saturates_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_host, "exactness", lambda device, **_: Exactness(device, 1000, 248, 131))
    full = Variant("int8", Path("m.onnx"), "0" * 64)
    with pytest.raises(DeviceUnavailable, match=r"24\.8 % of outputs are off, by up to 131.*f32.*--reduced-range"):
        require_exact("ort:cpu", full)
    reduced = Variant("int8", Path("m.onnx"), "0" * 64, reduced_range=True)
    with pytest.raises(DeviceUnavailable, match=r"131 of 255 \(--precision f32\)$"):
        require_exact("ort:cpu", reduced)


def masks(mask: Any, lesions: int) -> Any:
    return SimpleNamespace(kind="segmentation", mask=np.asarray(mask, np.uint8), lesions=(None,) * lesions)


def scores(*probabilities: float) -> Any:
    entries = tuple(SimpleNamespace(index=i, probability=p, threshold=0.5) for i, p in enumerate(probabilities))
    return SimpleNamespace(kind="classification", scores=entries, frame_probabilities=None)


def test_dice_is_the_mean_over_the_segments_that_occur() -> None:
    one = compare(masks([[[0, 1, 1, 2]]], 2), masks([[[1, 1, 1, 0]]], 1))
    assert one.dice == pytest.approx((4 / 5 + 0) / 2)
    assert one.to_json() == {"dice": one.dice, "lesions": [2, 1]}
    assert compare(masks([[[0, 0]]], 0), masks([[[0, 0]]], 0)).dice is None
    nothing = score([compare(masks([[[0]]], 0), masks([[[0]]], 0))], "segmentation")
    assert nothing.value is None and set(nothing.gates.values()) == {None} and "not known" in str(nothing)


def test_gates_are_those_of_mlperf() -> None:
    def dice(wrong: int) -> Any:
        right = np.ones((1, 1, 2000), np.uint8)
        off = right.copy()
        off[..., :wrong] = 0
        return score([compare(masks(right, 1), masks(off, 1))], "segmentation")

    assert dice(2).gates == {"99 %": True, "99.9 %": True}
    assert dice(10).gates == {"99 %": True, "99.9 %": False}
    assert str(dice(10)) == "mean Dice against f32 0.99749 in 1 case, passes 99 %"
    assert dice(100).gates == {"99 %": False, "99.9 %": False} and "fails 99 %" in str(dice(100))


def test_a_classification_is_as_good_as_its_worse_of_decisions_and_order() -> None:
    pairs = [((0.9, 0.1), (0.8, 0.2)), ((0.3, 0.7), (0.55, 0.45)), ((0.2, 0.8), (0.4, 0.6)), ((0.6, 0.4), (0.7, 0.3))]
    cases = [compare(scores(*a), scores(*b)) for a, b in pairs]
    total = score(cases, "classification")
    assert total.value == 0.75  # one of four decides otherwise; the order is f32's
    assert cases[1].to_json()["decisions_alike"] is False
    assert cases[1].to_json()["probability_apart"] == pytest.approx(0.25)
    same = score([compare(scores(0.9, 0.1), scores(0.9, 0.1))], "classification")
    assert (same.name, same.value) == ("decisions as f32", 1.0)


def test_auc_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="pip install scikit-learn")
    rng = np.random.default_rng(3)
    truth, values = rng.random(60) < 0.4, np.round(rng.random(60), 1)
    assert auc(truth, values) == pytest.approx(metrics.roc_auc_score(truth, values))


def test_auc_counts_pairs_in_order() -> None:
    truth = np.array([False, False, True, True])
    assert auc(truth, np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    assert auc(truth, np.array([0.5, 0.5, 0.5, 0.5])) == 0.5


def test_cine_probabilities_are_compared_frame_by_frame() -> None:
    a = Findings("classification", scores=scores(0.5, 0.5).scores, frame_probabilities=np.full((3, 2), 0.9, np.float32))
    b = Findings("classification", scores=scores(0.5, 0.5).scores, frame_probabilities=np.full((3, 2), 0.2, np.float32))
    assert score([compare(a, b)], "classification").value == 0.0
    assert compare(a, b).same is not None and compare(a, b).same.shape == (3, 2)  # type: ignore[union-attr]


def test_the_recorder_keeps_an_even_choice_and_passes_on(tmp_path: Path) -> None:
    write_onnx(tmp_path / "m.onnx", 2, 1, 1)
    program = open_program(tmp_path / "m.onnx", "null")
    recorder = Recorder(program, 20)
    for first in range(0, 1000, 4):
        numbered = np.arange(first, first + 4, dtype=np.float32).reshape(4, 1, 1, 1)
        batch: Tensors = {"image": np.repeat(np.repeat(numbered, 3, axis=2), 3, axis=3)}
        assert recorder.run(batch)["pred"].shape == program.run(batch)["pred"].shape
        recorder.submit(batch).result()
    recorder.close()
    numbers = sorted(float(window.flat[0]) for window in recorder.windows)
    assert len(numbers) == 20 and all(window.shape == (1, 1, 3, 3) for window in recorder.windows)
    assert numbers[3] < 500 < numbers[-4]
    program.run(batch)  # still open
    program.close()


def test_studies_are_a_folder_of_them_one_or_phantoms(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / "many" / name).mkdir(parents=True)
    phantoms = tmp_path / "p.json"
    phantoms.write_text(json.dumps([{"phantom": {"kind": "breast_us", "seed": 1}}, {"phantom": {"kind": "nonsense"}}]))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "x.dcm").write_bytes(b"")
    cases = given_cases([tmp_path / "many", tmp_path / "one", phantoms], "study")
    assert [case.name for case in cases] == [f"study {n}" for n in range(1, 6)]
    assert [case.path for case in cases[:3]] == [tmp_path / "many" / "a", tmp_path / "many" / "b", tmp_path / "one"]
    with cases[3].files() as path:
        assert len(list(path.iterdir())) == 1
    assert not path.exists()
    with pytest.raises(StudyRejected, match="study 5: phantom kind 'nonsense'"), cases[4].files():
        pass
    phantoms.write_text("{}")
    with pytest.raises(StudyRejected, match="describes no phantom"):
        given_cases([phantoms], "study")
    with pytest.raises(StudyRejected, match="does not exist"):
        given_cases([tmp_path / "nowhere"], "study")
