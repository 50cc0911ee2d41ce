"""Variants of a bundle's network: what loads, what is refused, and that putting one in is all or nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bedside.runtime import BundleError, load_bundle
from bedside.runtime.bundle.load import sha256_of
from bedside.runtime.quantize import install as installing
from bedside.runtime.quantize.card import precision_notes
from bedside.runtime.quantize.install import install, writable_copy
from tests.unit.bundle_maker import make_bundle, write_onnx

CARD = {"schema": 1, "summary": "mean Dice against f32 0.99500 in 3 cases, passes 99 %"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "b")


def put(root: Path, precision: str = "int8", card: dict[str, Any] = CARD, **spec: Any) -> Path:
    made = root.parent / "made.onnx"
    write_onnx(made, 3, 1, 2)
    return install(root, made, card, spec, precision, load_bundle(root).variant("f32").sha256)


def edit(root: Path, change: Any) -> None:
    path = root / "configs" / "metadata.json"
    content = json.loads(path.read_text())
    change(content["bedside"])
    path.write_text(json.dumps(content))


def files(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): sha256_of(path) for path in root.rglob("*") if path.is_file()}


def test_a_bundle_has_f32_alone_until_it_is_quantised(root: Path) -> None:
    bundle = load_bundle(root)
    assert bundle.precision == "f32"
    assert bundle.variant("f32").path == bundle.model_path and bundle.variant("f32").sha256 == bundle.sha256
    with pytest.raises(BundleError, match=r"no int8 model, only f32.*bedside quantize b --calib STUDIES"):
        bundle.variant("int8")
    with pytest.raises(BundleError, match=r"'int4' is not known.*f32, f16, int8"):
        bundle.at("int4")


def test_a_variant_stands_in_for_the_network_with_its_own_digest(root: Path) -> None:
    card = put(root, reduced_range=True)
    bundle = load_bundle(root)
    variant = bundle.variant("int8")
    assert (variant.path, variant.card) == (root / "models/model.int8.onnx", card)
    assert variant.reduced_range and variant.sha256 == sha256_of(variant.path)
    chosen = bundle.at("int8")
    assert (chosen.model_path, chosen.sha256, chosen.precision) == (variant.path, variant.sha256, "int8")
    assert chosen.at("f32") == bundle
    assert precision_notes(bundle) == ()
    (note,) = precision_notes(chosen)
    assert note == f"the network ran in int8, not f32: {CARD['summary']}"


def test_a_second_one_takes_the_place_of_the_first_and_others_stay(root: Path) -> None:
    put(root)
    put(root, "f16")
    first = load_bundle(root)
    again = put(root, card={**CARD, "summary": "other"})
    bundle = load_bundle(root)
    assert set(bundle.variants) == {"f32", "f16", "int8"}
    assert bundle.variant("int8").card == again != first.variant("int8").card
    assert sorted(path.name for path in (root / "models").iterdir()) == [
        "model.f16.json", "model.f16.onnx", "model.int8-2.json", "model.int8-2.onnx", "model.onnx",
    ]  # fmt: skip
    put(root)
    assert load_bundle(root).variant("int8").path.name == "model.int8.onnx"


@pytest.mark.parametrize("step", range(3))
def test_an_interrupted_one_leaves_the_bundle_as_it_was(root: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root)
    before, content = load_bundle(root), files(root)
    write, done = installing._write, 0

    def interrupted(path: Path, data: bytes) -> None:
        nonlocal done
        if done == step:
            raise KeyboardInterrupt
        done += 1
        write(path, data)

    monkeypatch.setattr(installing, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        put(root)
    assert load_bundle(root) == before
    assert {name: digest for name, digest in files(root).items() if name in content} == content


def test_a_full_disk_leaves_no_half_written_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(root)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(installing.os, "fsync", full)
    with pytest.raises(BundleError.__base__, match="No space left"):
        put(root)
    assert files(root) == before


def test_a_variant_of_another_model_is_not_used_but_the_bundle_is(root: Path) -> None:
    put(root)

    def replace_model(bedside: Any) -> None:
        write_onnx(root / "models/model.onnx", 3, 1, 2)
        path = root / "models/model.onnx"
        path.write_bytes(path.read_bytes() + b"\x2a\x00")  # an empty doc_string more
        bedside["files"]["models/model.onnx"] = sha256_of(path)

    edit(root, replace_model)
    bundle = load_bundle(root)
    with pytest.raises(BundleError, match=r"made from another f32 model.*bedside quantize"):
        bundle.variant("int8")
    put(root)
    assert load_bundle(root).variant("int8").precision == "int8"


def test_altered_missing_or_unlisted_files_are_refused(root: Path) -> None:
    put(root)
    shutil.copytree(root, root.parent / "whole")
    (root / "models/model.int8.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"model\.int8\.onnx has SHA-256"):
        load_bundle(root)
    whole = root.parent / "whole"
    (whole / "models/model.int8.json").unlink()
    with pytest.raises(BundleError, match=r"model\.int8\.json is missing"):
        load_bundle(whole)
    edit(whole, lambda bedside: bedside["files"].pop("models/model.int8.json"))
    with pytest.raises(BundleError, match=r"does not list models/model\.int8\.json, a file of the int8 variant"):
        load_bundle(whole)


def test_a_variant_with_other_tensors_is_refused(root: Path) -> None:
    put(root)

    def other(bedside: Any) -> None:
        write_onnx(root / "models/model.int8.onnx", 3, 1, 3)
        bedside["files"]["models/model.int8.onnx"] = sha256_of(root / "models/model.int8.onnx")

    edit(root, other)
    with pytest.raises(BundleError, match=r"model\.int8\.onnx: its input or output is another"):
        load_bundle(root)


def test_a_copy_is_made_whole_or_not_at_all(root: Path, tmp_path: Path) -> None:
    bundle, out, before = load_bundle(root), tmp_path / "deep" / "copy", files(root)
    with pytest.raises(KeyboardInterrupt), writable_copy(bundle, out) as folder:
        put(folder)
        raise KeyboardInterrupt
    assert not out.exists() and list(out.parent.iterdir()) == []
    with writable_copy(bundle, out) as folder:
        put(folder)
    assert load_bundle(out).variant("int8").precision == "int8"
    assert files(root) == before


def test_a_zip_is_not_changed(root: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", root)
    with (
        pytest.raises(BundleError, match=r"zipped bundle is not changed.*-o"),
        writable_copy(load_bundle(archive), None),
    ):
        pass
