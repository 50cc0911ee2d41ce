"""The engines and timings that ``tensorrt:N`` keeps: what one is of, and how the folder is kept small."""

from __future__ import annotations

from pathlib import Path

from bedside.backends.onnxruntime import nvidia, tensorrt

Models = dict[str, Path]
CARD = nvidia.Card(0, "Card A", (8, 0), 8 << 30, "580.65.06")


def kept(model: Path, card: nvidia.Card = CARD, version: str = "10.13", most: int = 1 << 20, **chosen: str) -> Path:
    with tensorrt.engines(model, card, {"tensorrt": version}, chosen, most) as options:
        folder = Path(options["trt_engine_cache_path"])
        assert folder.is_dir() and Path(options["trt_timing_cache_path"]).is_dir()
        assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "1"
    return folder


def test_an_engine_is_of_one_model_card_version_and_choice(engine_cache: Path, models: Models, tmp_path: Path) -> None:
    first = kept(models["fixed"])
    assert first.parent == engine_cache
    copy = tmp_path / "other-name.onnx"
    copy.write_bytes(models["fixed"].read_bytes())
    assert kept(models["fixed"]) == first == kept(copy)
    others = [
        kept(models["dynamic"]),
        kept(models["fixed"], nvidia.Card(0, "Card B", (8, 0), 8 << 30, "580.65.06")),
        kept(models["fixed"], nvidia.Card(0, "Card A", (8, 6), 8 << 30, "580.65.06")),
        kept(models["fixed"], version="10.14"),
        kept(models["fixed"], trt_fp16_enable="1"),
    ]
    assert len({first, *others}) == 6


def test_external_weights_are_part_of_the_model(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"\x0a\x08location\x12\x0bweights.bin")
    (tmp_path / "weights.bin").write_bytes(b"one")
    (tmp_path / "unrelated.txt").write_bytes(b"one")
    first = tensorrt.digest(model)
    (tmp_path / "unrelated.txt").write_bytes(b"two")
    assert tensorrt.digest(model) == first
    (tmp_path / "weights.bin").write_bytes(b"two")
    assert tensorrt.digest(model) != first


def test_the_cache_of_engines_is_kept_small(engine_cache: Path, models: Models) -> None:
    old = kept(models["dynamic"])
    (old / "TensorrtExecutionProvider_old.engine").write_bytes(bytes(700))
    with tensorrt.engines(models["fixed"], CARD, {}, {}, 1000) as options:
        (Path(options["trt_engine_cache_path"]) / "TensorrtExecutionProvider_new.engine").write_bytes(bytes(700))
    assert [path.name for path in engine_cache.rglob("*.engine")] == ["TensorrtExecutionProvider_new.engine"]


def test_an_engine_that_cannot_be_read_is_built_again(engine_cache: Path, models: Models) -> None:
    with tensorrt.engines(models["fixed"], CARD, {}, {}, 1 << 20) as options:
        assert not tensorrt.forget(options)
        (Path(options["trt_engine_cache_path"]) / "x.engine").write_bytes(b"broken")
        assert tensorrt.forget(options)
        assert not list(Path(options["trt_engine_cache_path"]).iterdir())


def test_the_version_of_tensorrt(tmp_path: Path) -> None:
    assert tensorrt.version(str(tmp_path / "libnvinfer.so.10")).endswith("libnvinfer.so.10")
