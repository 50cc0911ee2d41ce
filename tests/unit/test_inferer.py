"""The inferer against MONAI's numbers (tests/golden/sliding_window.npz), and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside.backends.contract import DeviceFault, Options
from bedside.runtime import inferer, memory
from bedside.runtime.bundle.schema import InfererSpec
from bedside.runtime.devices import open_program
from bedside.runtime.errors import BundleError, StudyRejected
from bedside.runtime.inferer import OnlineRule, infer, infer_cine
from bedside.runtime.sliding_window import Windows, importance, roi_of, window_starts

onnx = pytest.importorskip("onnx", reason="the networks are written with onnx: pip install 'bedside[dev]'")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "sliding_window.npz"))
CASES = sorted(name.removesuffix("/image") for name in GOLDEN if name.endswith("/image"))
SEED = np.random.default_rng(5)
FIRST = SEED.standard_normal((4, 1, 3, 3, 3)).astype(np.float32)
LAST = SEED.standard_normal((3, 4, 1, 1, 1)).astype(np.float32)

Array = np.ndarray[Any, Any]


def save(
    path: Path, nodes: list[Any], shape: list[Any], out: list[Any], dtype: int = TensorProto.FLOAT, **stored: Array
) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", dtype, shape)],
        [helper.make_tensor_value_info("pred", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def segmenter(path: Path, first: Array, last: Array, *, batch: Any = "n", space: tuple[Any, ...] = ()) -> Path:
    """Conv 3 with padding, ReLU, conv 1: the network of the golden script."""
    dims = first.ndim - 2
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], pads=[1] * 2 * dims),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "last"], ["pred"]),
    ]
    free = list(space) or [f"s{axis}" for axis in range(dims)]
    shapes = [batch, first.shape[1], *free], [batch, last.shape[0], *free]
    return save(path, nodes, *shapes, first=first, last=last)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def network(folder: Path) -> Iterator[Any]:
    program = open_program(segmenter(folder / "segmenter.onnx", FIRST, LAST), "openvino:CPU")
    yield program
    program.close()


def golden_case(name: str) -> tuple[Array, Array, InfererSpec, Array, Array]:
    image = GOLDEN[f"{name}/image"]
    net = f"net{image.ndim - 1}d{image.shape[0]}"
    arguments = json.loads(str(GOLDEN[f"{name}/arguments"]))
    roi = arguments["roi_size"]
    arguments["roi_size"] = [roi] if isinstance(roi, int) else roi
    spec = InfererSpec.model_validate_json(json.dumps({"kind": "sliding", **arguments}))
    return GOLDEN[f"{net}/first"], GOLDEN[f"{net}/last"], spec, image, GOLDEN[f"{name}/blended"]


@pytest.mark.parametrize("device", ["openvino:CPU", "ort:cpu"])
@pytest.mark.parametrize("name", CASES)
def test_sliding_window_equals_monai(folder: Path, name: str, device: str) -> None:
    first, last, spec, image, want = golden_case(name)
    program = open_program(segmenter(folder / "golden.onnx", first, last), device)
    got = infer(program, image, spec).logits
    program.close()
    assert got is not None
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, atol=1e-4, rtol=1e-5)


class _Pinning:
    """A Program with buffers of its own, which says where what it was fed lies."""

    def __init__(self, program: Any) -> None:
        self._program = program
        self.own: list[Array] = []
        self.fed: list[bool] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._program, name)

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        self.own.append(np.zeros(shape, dtype))
        return self.own[-1]

    def submit(self, feeds: dict[str, Array]) -> Any:
        self.fed += [any(np.shares_memory(array, own) for own in self.own) for array in feeds.values()]
        return self._program.submit(feeds)


def test_windows_are_cut_into_buffers_of_the_device(folder: Path) -> None:
    first, last, spec, image, want = golden_case(CASES[0])
    program = _Pinning(open_program(segmenter(folder / "golden.onnx", first, last), "ort:cpu"))
    got = infer(program, image, spec).logits
    program.close()
    assert got is not None
    np.testing.assert_allclose(got, want, atol=1e-4, rtol=1e-5)
    assert program.fed and all(program.fed)


def importance_map(roi: tuple[int, ...], mode: str, sigma_scale: Any = 0.125) -> Array:
    """The weights as the kernels multiply them."""
    weights = importance(roi, mode, sigma_scale)
    product = np.ones(roi, np.float32)
    for axis, bell in enumerate(weights.bells):
        product *= bell.reshape([-1 if index == axis else 1 for index in range(len(roi))])
    return np.maximum(product, np.float32(weights.floor))


@pytest.mark.parametrize("name", CASES)
def test_importance_map_equals_monai(name: str) -> None:
    _, _, spec, image, _ = golden_case(name)
    want = GOLDEN[f"{name}/weight"]
    roi = roi_of(spec.roi_size, image.shape[1:])
    np.testing.assert_allclose(importance_map(roi, spec.mode, spec.sigma_scale), want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("rule", [OnlineRule("argmax"), OnlineRule("threshold", 0.3)])
def test_online_labels_are_those_of_the_full_output(folder: Path, name: str, rule: OnlineRule) -> None:
    first, last, spec, image, want = golden_case(name)
    program = open_program(segmenter(folder / "golden.onnx", first, last), "openvino:CPU")
    logits = infer(program, image, spec).logits
    labels = infer(program, image, spec, online=rule).labels
    program.close()
    assert logits is not None and labels is not None and labels.dtype == np.uint8
    if rule.kind == "argmax":
        np.testing.assert_array_equal(labels, logits.argmax(0))
        top = np.sort(want, axis=0)
        clear = top[-1] - top[-2] > 1e-4
        np.testing.assert_array_equal(labels[clear], want.argmax(0)[clear])
    else:
        above = logits >= np.float32(rule.level)
        np.testing.assert_array_equal(labels, np.where(above.any(0), above.argmax(0) + 1, 0))


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0, 0.99))
def test_windows_cover_the_axis_without_a_gap(size: int, roi: int, overlap: float) -> None:
    starts = window_starts(max(size, roi), roi, overlap)
    assert starts[0] == 0
    assert starts[-1] + roi == max(size, roi)
    assert all(0 < later - earlier <= roi for earlier, later in pairwise(starts))


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(1, 14), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7)),
    st.floats(0, 0.9),
    st.integers(1, 4),
)
def test_blending_is_the_weighted_mean(
    network: Any, space: tuple[int, int, int], roi: tuple[int, int, int], overlap: float, batch: int
) -> None:
    """Against the definition, in float64 over the whole volume, for sizes that MONAI was not asked for."""
    image = np.random.default_rng(1).standard_normal((1, *space)).astype(np.float32)
    spec = InfererSpec(kind="sliding", roi_size=roi, overlap=overlap, mode="gaussian", sw_batch_size=batch)
    got = infer(network, image, spec)
    windows = Windows.over(space, roi, overlap)
    weight = importance_map(roi, "gaussian").astype(np.float64)
    before = [-starts[0] for starts in windows.axes]
    around = [(pad, max(want - size, 0) - pad) for pad, want, size in zip(before, roi, space, strict=True)]
    padded = np.pad(image, [(0, 0), *around])
    total, norm = np.zeros((3, *padded.shape[1:])), np.zeros(padded.shape[1:])
    for start in windows.starts:
        at = tuple(slice(s + pad, s + pad + r) for s, pad, r in zip(start, before, roi, strict=True))
        window = np.ascontiguousarray(padded[(slice(None), *at)])[None]
        total[(slice(None), *at)] += network.run({"image": window})["pred"][0] * weight
        norm[at] += weight
    inside = tuple(slice(pad, pad + size) for pad, size in zip(before, space, strict=True))
    want = (total / norm)[(slice(None), *inside)]
    assert got.windows == len(windows.starts)
    assert got.logits is not None
    np.testing.assert_allclose(got.logits, want, atol=1e-4, rtol=1e-4)


def test_a_transposed_image_gives_the_same_and_a_transposed_label_map(network: Any) -> None:
    stored = np.random.default_rng(2).standard_normal((1, 9, 14, 11)).astype(np.float32)
    view = stored.transpose(0, 3, 2, 1)
    spec = InfererSpec(kind="sliding", roi_size=(6, 6, 6), mode="gaussian")
    labels = infer(network, view, spec, online=OnlineRule("argmax")).labels
    plain = infer(network, np.ascontiguousarray(view), spec, online=OnlineRule("argmax")).labels
    assert labels is not None and plain is not None
    np.testing.assert_array_equal(labels, plain)
    assert labels.T.flags.c_contiguous


def test_roi_size() -> None:
    assert roi_of((None, -1, 0), (5, 6, 7)) == (5, 6, 7)
    assert roi_of((4,), (5, 6, 7)) == (4, 4, 4)
    assert roi_of((8, 9), (5, 6)) == (8, 9)
    with pytest.raises(BundleError, match="has 2 values, the image has 3 axes"):
        roi_of((4, 4), (5, 6, 7))


def test_simple_is_the_network_over_the_whole_image(network: Any) -> None:
    image = np.random.default_rng(3).standard_normal((1, 7, 8, 9)).astype(np.float32)
    want = network.run({"image": image[None]})["pred"][0]
    spec = InfererSpec(kind="simple")
    np.testing.assert_array_equal(infer(network, image, spec).logits, want)
    labels = infer(network, image.astype(np.float16), spec, online=OnlineRule("argmax")).labels
    assert labels is not None and labels.shape == (7, 8, 9)
    np.testing.assert_array_equal(infer(network, image, spec, online=OnlineRule("argmax")).labels, want.argmax(0))


def classifier(folder: Path) -> Path:
    nodes = [helper.make_node("GlobalAveragePool", ["image"], ["a"]), helper.make_node("Flatten", ["a"], ["pred"])]
    return save(folder / "classifier.onnx", nodes, [1, 2, 6, 6], [1, 2])


def test_a_classifier(folder: Path) -> None:
    program = open_program(classifier(folder), "openvino:CPU")
    image = np.random.default_rng(4).standard_normal((2, 6, 6)).astype(np.float32)
    spec = InfererSpec(kind="simple")
    got = infer(program, image, spec).logits
    assert got is not None
    np.testing.assert_allclose(got, image.mean((1, 2)), atol=1e-6)
    with pytest.raises(BundleError, match="no spatial axes"):
        infer(program, image, spec, online=OnlineRule("argmax"))
    with pytest.raises(BundleError, match="need a network whose output has spatial axes"):
        infer(program, image, InfererSpec(kind="sliding", roi_size=(6, 6)))


@pytest.mark.parametrize("device", ["openvino:CPU", "ort:cpu", "null"])
@pytest.mark.parametrize("in_flight", [1, 2])
def test_cine(folder: Path, device: str, in_flight: int) -> None:
    program = open_program(classifier(folder), device, Options(in_flight=in_flight))
    frames = np.random.default_rng(5).standard_normal((7, 2, 6, 6)).astype(np.float32)
    seen: list[tuple[str, int, int]] = []
    results = list(
        infer_cine(
            program,
            (frame for frame in frames),
            InfererSpec(kind="simple"),
            total=len(frames),
            progress=lambda *step: seen.append(step),
        )
    )
    want = frames.mean((2, 3)) if device != "null" else np.zeros((7, 2))
    np.testing.assert_allclose([result.logits for result in results], want, atol=1e-6)
    assert seen == [("infer", done, 7) for done in range(1, 8)]


def test_cine_in_windows(folder: Path) -> None:
    first, last, spec, image, want = golden_case("plane")
    program = open_program(segmenter(folder / "plane.onnx", first, last), "openvino:CPU")
    for result in infer_cine(program, [image, image], spec):
        np.testing.assert_allclose(result.logits, want, atol=1e-4, rtol=1e-5)


def test_progress_counts_windows(network: Any) -> None:
    seen: list[tuple[str, int, int]] = []
    image = np.zeros((1, 9, 9, 9), np.float32)
    spec = InfererSpec(kind="sliding", roi_size=(4, 4, 4), sw_batch_size=4)
    result = infer(network, image, spec, progress=lambda *step: seen.append(step))
    assert result.windows == 27
    assert seen == [("infer", done, 27) for done in (4, 8, 12, 16, 20, 24, 27)]


def test_a_batch_size_that_the_network_fixes(folder: Path) -> None:
    model = segmenter(folder / "batch.onnx", FIRST, LAST, batch=4, space=(4, 4, 4))
    image = np.random.default_rng(6).standard_normal((1, 9, 9, 9)).astype(np.float32)
    spec = InfererSpec(kind="sliding", roi_size=(4, 4, 4), mode="gaussian")
    fixed = infer(open_program(model, "openvino:CPU"), image, spec)
    free = infer(open_program(segmenter(folder / "free.onnx", FIRST, LAST), "openvino:CPU"), image, spec)
    np.testing.assert_allclose(fixed.logits, free.logits, atol=1e-5)


def test_the_networks_own_type_is_fed(folder: Path) -> None:
    nodes = [helper.make_node("Cast", ["image"], ["pred"], to=TensorProto.FLOAT)]
    shape: list[Any] = [1, 1, "h", "w"]
    model = save(folder / "uint8.onnx", nodes, shape, shape, TensorProto.UINT8)
    program = open_program(model, "openvino:CPU")
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    np.testing.assert_array_equal(infer(program, image, InfererSpec(kind="simple")).logits, image)
    spec = InfererSpec(kind="sliding", roi_size=(2, 2), overlap=0.5)
    np.testing.assert_array_equal(infer(program, image, spec).logits, image)
    with pytest.raises(BundleError, match="takes uint8, the transforms give float32"):
        infer(program, image.astype(np.float32), spec)


@pytest.mark.parametrize(
    ("shape", "spec", "message"),
    [
        ((2, 9, 9, 9), {"kind": "simple"}, "takes 1 channels, the transforms give 2"),
        ((1, 9, 9), {"kind": "simple"}, "has 5 dimensions"),
        ((1, 9, 9, 9), {"kind": "simple"}, "takes anyx1x4x4x4, the transforms give 1x1x9x9x9"),
        ((1, 9, 9, 9), {"kind": "sliding", "roi_size": (4, 4, 5)}, "takes windows of 4x4x4"),
        ((1, 9, 9, 9), {"kind": "sliding", "roi_size": (4, 4)}, "has 2 values, the image has 3 axes"),
    ],
)
def test_an_image_the_network_does_not_take(
    folder: Path, shape: tuple[int, ...], spec: dict[str, Any], message: str
) -> None:
    program = open_program(segmenter(folder / "fixed.onnx", FIRST, LAST, space=(4, 4, 4)), "openvino:CPU")
    with pytest.raises(BundleError, match=message):
        infer(program, np.zeros(shape, np.float32), InfererSpec(**spec))


def test_the_output_is_chosen_by_name(network: Any) -> None:
    image = np.zeros((1, 5, 5, 5), np.float32)
    assert infer(network, image, InfererSpec(kind="simple"), output="pred").logits is not None
    with pytest.raises(BundleError, match="no output 'mask', only pred"):
        infer(network, image, InfererSpec(kind="simple"), output="mask")


@pytest.mark.parametrize(("mode", "size"), [("reflect", 3), ("circular", 2)])
def test_an_image_too_small_for_its_padding(network: Any, mode: str, size: int) -> None:
    spec = InfererSpec(kind="sliding", roi_size=(9, 4, 4), padding_mode=mode)  # type: ignore[arg-type]
    with pytest.raises(StudyRejected, match=f"padding_mode '{mode}'"):
        infer(network, np.zeros((1, size, 6, 6), np.float32), spec)


@pytest.mark.parametrize(
    ("fault", "message"), [("nan", "not-a-number"), ("shape", "of shape"), ("lost", "lost"), ("timeout", "no answer")]
)
@pytest.mark.parametrize("kind", ["simple", "sliding", "cine"])
def test_faults_of_the_device(folder: Path, fault: str, message: str, kind: str) -> None:
    model = segmenter(folder / "faulty.onnx", FIRST[:, :, 0], LAST[:, :, 0])
    extra = {"fault": fault, "after": 0 if kind == "simple" else 2, "hang_ms": 20}
    program = open_program(model, "null", Options(extra=extra))
    image = np.zeros((1, 12, 12), np.float32)
    with pytest.raises(DeviceFault, match=message):
        if kind == "cine":
            list(infer_cine(program, [image] * 4, InfererSpec(kind="simple"), online=OnlineRule("argmax")))
        else:
            infer(program, image, InfererSpec(kind=kind, roi_size=(6, 6)))  # type: ignore[arg-type]
    program.close()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("kind", ["simple", "sliding"])
def test_scores_that_are_not_finite(folder: Path, value: float, kind: str) -> None:
    """Infinity in every channel would be label 0 everywhere: no lesion."""
    nodes = [helper.make_node("Add", ["image", "much"], ["pred"])]
    much = np.full((1, 2, 1, 1), value, np.float32)
    program = open_program(
        save(folder / "inf.onnx", nodes, ["n", 1, "h", "w"], ["n", 2, "h", "w"], much=much), "ort:cpu"
    )
    with pytest.raises(DeviceFault, match=r"infinity|not-a-number"):
        infer(program, np.zeros((1, 12, 12), np.float32), InfererSpec(kind=kind, roi_size=(6, 6)))  # type: ignore[arg-type]


@pytest.mark.parametrize("space", [(7, 9, 8), (11, 9)])
@pytest.mark.parametrize("kind", ["simple", "sliding"])
def test_a_sink_gets_every_plane_once(
    folder: Path, space: tuple[int, ...], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inferer, "_SINK_BYTES", 600)
    first, last = (FIRST, LAST) if len(space) == 3 else (FIRST[:, :, 0], LAST[:, :, 0])
    program = open_program(segmenter(folder / f"sink{len(space)}.onnx", first, last), "openvino:CPU")
    image = np.random.default_rng(8).standard_normal((1, *space)).astype(np.float32)
    spec = InfererSpec(kind=kind, roi_size=(4,) * len(space), mode="gaussian")  # type: ignore[arg-type]
    want = infer(program, image, spec).logits
    assert want is not None
    got, planes = np.full_like(want, np.nan), []

    class Sink:
        def take(self, first: int, values: Array) -> None:
            planes.extend(range(first, first + values.shape[1]))
            got[:, first : first + values.shape[1]] = values

    result = infer(program, image, spec, sink=Sink())
    assert result.labels is None and result.logits is None
    assert planes == list(range(space[0]))
    np.testing.assert_array_equal(got, want)


def test_an_output_off_the_inputs_grid(folder: Path) -> None:
    nodes = [helper.make_node("MaxPool", ["image"], ["pred"], kernel_shape=[2, 2], strides=[2, 2])]
    model = save(folder / "coarse.onnx", nodes, ["n", 1, "h", "w"], ["n", 1, "p", "q"])
    program = open_program(model, "openvino:CPU")
    with pytest.raises(DeviceFault, match="lies on its input's grid"):
        infer(program, np.zeros((1, 12, 12), np.float32), InfererSpec(kind="sliding", roi_size=(6, 6)))


def test_memory_is_asked_for_first(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 200_000)
    image = np.zeros((1, 30, 30, 30), np.float32)
    spec = InfererSpec(kind="sliding", roi_size=(8, 8, 8))
    with pytest.raises(StudyRejected, match=r"3 channels over 30x30x30 voxels needs 0.0 GB .* 0.0 GB are free"):
        infer(network, image, spec)
    monkeypatch.setattr(memory, "available_memory", lambda: 400_000)
    with pytest.raises(StudyRejected):
        infer(network, image, spec)
    assert infer(network, image, spec, online=OnlineRule("argmax")).labels is not None
