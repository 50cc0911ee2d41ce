"""The files of a bundle: each is the one that was listed, with the weights beside it, and in each precision."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import BundleError
from ..onnx_header import OnnxHeader, TensorInfo, read_onnx_header
from .schema import BundleMeta, Precision

METADATA = "configs/metadata.json"


@dataclass(frozen=True)
class Variant:
    """The bundle's network in one precision."""

    precision: Precision
    path: Path
    sha256: str
    """Of the ONNX file."""
    card: Path | None = None
    """The accuracy card, JSON; f32, which the others are measured by, has none."""
    reduced_range: bool = False
    """INT8 weights of 7 bits."""
    problem: str = ""
    """Why it may not be used; empty if it may."""


def check_files(root: Path, meta: BundleMeta) -> dict[str, str]:
    """Every listed file is there and is the one that was listed."""
    digests = {}
    for name, expected in meta.files.items():
        path = root / name
        if not path.is_file():
            raise BundleError(f"file {name} is missing", mend="copy the bundle again")
        try:
            digests[name] = sha256_of(path)
        except OSError as error:
            raise BundleError(f"file {name} cannot be read: {error.strerror}") from None
        if digests[name] != expected:
            raise BundleError(
                f"file {name} has SHA-256 {digests[name]}, the bundle says {expected}",
                mend="it was altered: copy the bundle again, or update bedside.files if the change was meant",
            )
    for case in meta.golden:
        for name in (case.study, case.expect):
            if not (root / name).exists():
                raise BundleError(f"golden case {name} is missing")
    return digests


def check_external(root: Path, model: Path, header: OnnxHeader, meta: BundleMeta) -> None:
    """Weights kept beside the ONNX file are inside the bundle, listed and complete."""
    for part in header.external:
        path = model.parent / part.location
        if not part.location or not path.resolve().is_relative_to(root.resolve()):
            raise BundleError(f"{model.name}: external data '{part.location}' lies outside the bundle")
        if not path.is_file():
            raise BundleError(f"{model.name}: external data file {part.location} is missing", mend="copy it beside it")
        if path.stat().st_size < part.offset + (part.length or 0):
            raise BundleError(f"{model.name}: external data file {part.location} is too short", mend="copy it again")
        listed = path.resolve().relative_to(root.resolve()).as_posix()
        if listed not in meta.files:
            raise BundleError(f"{METADATA}: 'bedside.files' does not list {listed}, which holds the model's weights")


def check_variants(
    root: Path,
    meta: BundleMeta,
    digests: Mapping[str, str],
    f32: str,
    tensor_in: TensorInfo,
    tensor_out: TensorInfo,
) -> dict[str, Variant]:
    """Every variant and its card are listed among the files, and it takes and gives what the f32 model does."""
    variants: dict[str, Variant] = {}
    for precision, spec in meta.variants.items():
        for name in (spec.model, *([spec.card] if spec.card else [])):
            if name not in digests:
                raise BundleError(
                    f"{METADATA}: 'bedside.files' does not list {name}, a file of the {precision} variant"
                )
        path = root / spec.model
        header = read_onnx_header(path)
        check_external(root, path, header, meta)
        if header.inputs != [tensor_in] or tensor_out not in header.outputs:
            raise BundleError(
                f"{spec.model}: its input or output is another than the f32 model's", mend="run bedside quantize again"
            )
        card = root / spec.card if spec.card else None
        # No fault of the bundle as a whole: its f32 model was replaced, and quantize makes the variant anew.
        problem = "" if spec.of == f32 else f"its {precision} model was made from another f32 model than it has now"
        variants[precision] = Variant(precision, path, digests[spec.model], card, spec.reduced_range, problem)
    return variants


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
