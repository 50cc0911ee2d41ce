"""The model bundle: a MONAI bundle whose metadata.json has one ``bedside`` object (schema: docs/bundle.md)."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from bedside.models import shipped

from ..errors import BundleError
from ..onnx_header import OnnxHeader, TensorInfo, read_onnx_header
from ..transforms.plan import Plan, compile_plan
from ..transforms.registry import Transform
from ..validation import first_problem
from .config import InferenceConfig, read_json
from .files import METADATA, Variant, check_external, check_files, check_variants, sha256_of
from .schema import (
    PRECISIONS,
    Accepts,
    BundleMeta,
    ClassSpec,
    Code,
    GoldenCase,
    InfererSpec,
    InputSpec,
    Metadata,
    NetworkDataFormat,
    Precision,
    ResultSpec,
    SegmentSpec,
)

__all__ = [
    "INFERENCE",
    "METADATA",
    "Accepts",
    "Bundle",
    "BundleMeta",
    "ClassSpec",
    "Code",
    "GoldenCase",
    "InfererSpec",
    "InputSpec",
    "NetworkDataFormat",
    "Precision",
    "ResultSpec",
    "SegmentSpec",
    "Variant",
    "bundle_root",
    "load_bundle",
    "sha256_of",
    "unpack",
]

INFERENCE = "configs/inference.json"
_MODEL = "models/model.onnx"
_LARGEST = 8_000_000_000
"""Bytes that a zipped bundle may unpack to."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that passed every check that needs no device."""

    root: Path
    name: str
    version: str
    meta: BundleMeta
    """The ``bedside`` object."""
    metadata: dict[str, Any]
    """The whole of metadata.json as it stands (authors, intended_use, ...)."""
    network: NetworkDataFormat
    model_path: Path
    sha256: str
    """SHA-256 of the ONNX file."""
    variants: Mapping[str, Variant]
    """By precision; ``f32`` is always there."""
    input: TensorInfo
    """The network's input as the ONNX file declares it."""
    output: TensorInfo
    """The network's output that the bundle uses."""
    preprocessing: tuple[Transform, ...]
    postprocessing: tuple[Transform, ...]
    inferer: InfererSpec
    plan: Plan
    """The transforms compiled to one way in and one way out."""
    precision: Precision = "f32"
    """What ``model_path`` and ``sha256`` are of."""
    _unpacked: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False, compare=False)
    """Keeps a zip's unpacked files for as long as the bundle lives."""

    @property
    def zipped(self) -> bool:
        """Whether its files are an unpacked .zip's, which go with it."""
        return self._unpacked is not None

    def variant(self, precision: str) -> Variant:
        """The network in one precision: ``f32``, ``f16`` or ``int8``.

        Raises
        ------
        BundleError
            The bundle has none of that precision.
        """
        if precision not in PRECISIONS:
            raise BundleError(f"precision '{precision}' is not known", mend=f"one of {', '.join(PRECISIONS)}")
        found = self.variants.get(precision)
        if found is not None and not found.problem:
            return found
        calib = "" if precision == "f16" else " --calib STUDIES"
        problem = found.problem if found else f"it has no {precision} model, only {', '.join(self.variants)}"
        raise BundleError(
            f"bundle {self.root.name}: {problem}",
            mend=f"bedside quantize {self.root.name}{calib} --precision {precision}",
        )

    def at(self, precision: str) -> Bundle:
        """This bundle with its network in one precision, so that results name the model that they are of.

        Raises
        ------
        BundleError
            As of :meth:`variant`.
        """
        chosen = self.variant(precision)
        return replace(self, model_path=chosen.path, sha256=chosen.sha256, precision=chosen.precision)


def load_bundle(path: Path | str) -> Bundle:
    """Load and check a bundle: a folder, a .zip of one, or the name of one that ships with bedside.

    Raises
    ------
    BundleError
        One line that names the file and key: a missing or altered file, invalid JSON, an unknown key, transform or
        argument, channels or dtypes that do not fit together, ONNX weights that are not there.
    """
    path = _find(path)
    unpacked = None
    if path.is_file():
        if path.suffix != ".zip":
            raise BundleError(f"{path} is not a bundle", mend="give the bundle's folder or a .zip of it")
        unpacked = unpack(path)
    elif not path.is_dir():
        raise BundleError(
            f"bundle {path} does not exist", mend="give a folder, a .zip, or one of: " + ", ".join(shipped())
        )
    try:
        root = bundle_root(Path(unpacked.name) if unpacked else path)
        return _load(root, unpacked)
    except BundleError as error:
        if unpacked:
            unpacked.cleanup()
        raise BundleError(f"bundle {path.resolve().name}: {error.message}", mend=error.mend) from None


def _find(path: Path | str) -> Path:
    """The path given, or where a bundle of that name ships and no such path exists."""
    given = Path(path)
    try:
        given.stat()
    except FileNotFoundError:
        return given if given.name != str(path) else shipped().get(str(path), given)
    except OSError as error:
        raise BundleError(f"bundle {path} cannot be read: {error.strerror}") from error
    return given


def unpack(path: Path) -> tempfile.TemporaryDirectory[str]:
    """Unpack a zipped bundle into a temporary folder that lives as long as the object returned.

    Raises
    ------
    BundleError
        It is damaged, would unpack to more than 8 GB or than the disk has free, or has an entry that leads outside.
    """
    folder = tempfile.TemporaryDirectory(prefix="bedside-bundle-")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(path.name, archive.infolist(), shutil.disk_usage(folder.name).free)
            archive.extractall(folder.name)
    except BundleError:
        folder.cleanup()
        raise
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        folder.cleanup()
        raise BundleError(f"{path.name} cannot be unpacked: {' '.join(str(error).split())}") from None
    return folder


def _check_archive(name: str, entries: Sequence[zipfile.ZipInfo], free: int) -> None:
    for entry in entries:
        place = PurePosixPath(entry.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts:
            raise BundleError(f"{name}: entry '{entry.filename}' leads outside the bundle", mend="zip the folder again")
    # What an entry says is also the most that zipfile takes out of it.
    size, most = sum(entry.file_size for entry in entries), min(_LARGEST, free)
    if size > most:
        why = "more than a bundle may have" if most == _LARGEST else "more than is free for temporary files"
        raise BundleError(f"{name} would unpack to {size / 1e9:.1f} GB, {why} ({most / 1e9:.1f} GB)")


def bundle_root(folder: Path) -> Path:
    """The folder that holds configs/: the one given, or the only folder in it."""
    if not (folder / "configs").is_dir():
        inside = [entry for entry in folder.iterdir() if entry.is_dir()]
        if len(inside) == 1 and (inside[0] / "configs").is_dir():
            return inside[0]
    return folder


def _load(root: Path, unpacked: tempfile.TemporaryDirectory[str] | None) -> Bundle:
    content = read_json(root / METADATA, METADATA)
    if "bedside" not in content:
        raise BundleError(f"{METADATA} has no 'bedside' object", mend="bedside bundle import makes one")
    try:
        metadata = Metadata.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise BundleError(f"{METADATA}: {first_problem(error)}") from None
    meta, network = metadata.bedside, metadata.network_data_format
    if not (root / INFERENCE).exists() and any((root / "configs").glob("inference.y*ml")):
        raise BundleError(f"{INFERENCE} is missing", mend="bedside reads JSON: convert inference.yaml")
    config = InferenceConfig(read_json(root / INFERENCE, INFERENCE))

    model_name = _model_name(meta)
    digests = check_files(root, meta)
    model_path = root / model_name
    header = read_onnx_header(model_path)
    check_external(root, model_path, header, meta)
    rank = 3 if meta.input.kind == "volume" else 2
    tensor_in, tensor_out = _check_tensors(model_name, header, network, rank, meta)
    preprocessing, postprocessing = config.transforms("preprocessing"), config.transforms("postprocessing")
    return Bundle(
        root=root,
        name=metadata.name,
        version=metadata.version,
        meta=meta,
        metadata=content,
        network=network,
        model_path=model_path,
        sha256=digests[model_name],
        variants={
            "f32": Variant("f32", model_path, digests[model_name]),
            **check_variants(root, meta, digests, digests[model_name], tensor_in, tensor_out),
        },
        input=tensor_in,
        output=tensor_out,
        preprocessing=preprocessing,
        postprocessing=postprocessing,
        inferer=_check_inferer(config.inferer(), rank, meta),
        plan=compile_plan(preprocessing, postprocessing, meta, network),
        _unpacked=unpacked,
    )


def _model_name(meta: BundleMeta) -> str:
    others = {spec.model for spec in meta.variants.values()}
    models = [name for name in meta.files if name.endswith(".onnx") and name not in others]
    if _MODEL in models:
        return _MODEL
    if len(models) != 1:
        raise BundleError(f"{METADATA}: 'bedside.files' must list {_MODEL} with its SHA-256, got {models or 'none'}")
    return models[0]


def _check_tensors(
    model: str, header: OnnxHeader, network: NetworkDataFormat, rank: int, meta: BundleMeta
) -> tuple[TensorInfo, TensorInfo]:
    """The ONNX file's own input and output agree with metadata.json."""
    if len(header.inputs) != 1:
        raise BundleError(f"{model} has {len(header.inputs)} inputs {_names(header.inputs)}, one is supported")
    tensor_in = header.inputs[0]
    named = [tensor for tensor in header.outputs if tensor.name == network.pred_key]
    if not named and len(header.outputs) != 1:
        raise BundleError(f"{model} has outputs {_names(header.outputs)}, none is named '{network.pred_key}'")
    tensor_out = named[0] if named else header.outputs[0]
    if tensor_in.dtype != network.input.dtype:
        raise BundleError(
            f"{model}: input '{tensor_in.name}' is {tensor_in.dtype}, {METADATA} says {network.input.dtype}"
        )
    wanted_out = rank + 2 if meta.result.kind == "segmentation" else 2
    for tensor, dims, spec in ((tensor_in, rank + 2, network.input), (tensor_out, wanted_out, network.output)):
        if tensor.shape is None:
            continue
        if len(tensor.shape) != dims:
            raise BundleError(
                f"{model}: '{tensor.name}' has {len(tensor.shape)} dimensions, "
                f"{meta.result.kind} of kind '{meta.input.kind}' needs {dims} (batch and channel included)"
            )
        if tensor.shape[1] not in (None, spec.num_channels):
            raise BundleError(
                f"{model}: '{tensor.name}' has {tensor.shape[1]} channels, {METADATA} says {spec.num_channels}"
            )
    return tensor_in, tensor_out


def _names(tensors: Iterable[TensorInfo]) -> list[str]:
    return [tensor.name for tensor in tensors]


def _check_inferer(spec: InfererSpec, rank: int, meta: BundleMeta) -> InfererSpec:
    """Per-axis arguments have one value an axis; one value for all axes is spread."""
    if spec.kind == "simple":
        return spec
    where = f"{INFERENCE}: inferer"
    if meta.result.kind == "classification":
        raise BundleError(f"{where}: SlidingWindowInferer does not fit a classification", mend="use SimpleInferer")
    for name in ("overlap", "sigma_scale"):
        value = getattr(spec, name)
        if isinstance(value, tuple) and len(value) != rank:
            raise BundleError(f"{where}: '{name}' has {len(value)} values, the image has {rank} axes")
    roi_size = spec.roi_size * rank if len(spec.roi_size) == 1 else spec.roi_size
    if len(roi_size) != rank:
        raise BundleError(f"{where}: 'roi_size' has {len(roi_size)} values, the image has {rank} axes")
    return spec.model_copy(update={"roi_size": roi_size})
