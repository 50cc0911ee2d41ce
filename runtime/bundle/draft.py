"""A bundle in the making: its configs, from a model file alone or from a MONAI bundle's, and how it is written."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import BundleError, DeliveryError
from ..onnx_header import OnnxHeader, shape_text
from ..transforms import registry
from ..transforms.registry import Section
from .config import InferenceConfig
from .load import INFERENCE, METADATA, sha256_of

MODEL = "models/model.onnx"

_TISSUE = {"value": "85756007", "scheme": "SCT", "meaning": "Tissue"}
_EMPTY_CODE = {"value": "", "scheme": "SCT", "meaning": ""}
_SECTIONS: tuple[Section, Section] = ("preprocessing", "postprocessing")

Content = dict[str, Any]

_INPUT_DTYPES = ("float32", "float16", "uint8", "int8", "int16", "int32")
"""What CastToTyped can give a network."""
_RANGES = {"uint8": (0.0, 255.0), "int8": (-128.0, 127.0)}
"""What a network of this input dtype most likely takes; floats take 0 to 1."""


@dataclass
class Draft:
    """A bundle in the making."""

    header: OnnxHeader
    model: Path
    kind: Literal["segmentation", "classification"]
    metadata: Content = field(default_factory=dict)
    inference: Content = field(default_factory=dict)
    extras: dict[Path, str] = field(default_factory=dict)
    fill_in: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.header.inputs) != 1:
            raise BundleError(f"{self.model.name} has {len(self.header.inputs)} inputs, one is supported")
        shape = self.header.inputs[0].shape
        if shape is None or len(shape) not in (4, 5):
            raise BundleError(
                f"{self.model.name}: input '{self.header.inputs[0].name}' must have 4 or 5 dimensions, batch and "
                f"channel included, got {shape_text(shape)}"
            )
        if self.header.inputs[0].dtype not in _INPUT_DTYPES:
            raise BundleError(
                f"{self.model.name}: input '{self.header.inputs[0].name}' is {self.header.inputs[0].dtype}, "
                f"supported: {', '.join(_INPUT_DTYPES)}"
            )
        self.rank = len(shape) - 2
        self.spatial = shape[2:]
        self.channels = self._known(shape, "input", 1)
        self.outputs = self._known(self.header.outputs[0].shape, "output", 2)

    def _known(self, shape: tuple[int | None, ...] | None, which: str, otherwise: int) -> int:
        count = shape[1] if shape is not None and len(shape) > 1 else None
        if count is None:
            self.fill_in.append(f"{METADATA}: network_data_format: num_channels of the {which} ({otherwise} assumed)")
        return count or otherwise

    def configure(self, modality: str) -> None:
        """Fill both configs from what the model file says and what is usual."""
        tensor_in, tensor_out = self.header.inputs[0], self.header.outputs[0]
        # Of several outputs the bundle's key must be the name that the model gives to the one that is meant.
        output = "pred" if len(self.header.outputs) == 1 else tensor_out.name
        if len(self.header.outputs) > 1:
            names = ", ".join(tensor.name for tensor in self.header.outputs)
            self.fill_in.append(f"{METADATA}: network_data_format: which output is meant of {names} ({output} assumed)")
        self.metadata = {
            "version": "0.1.0",
            "network_data_format": {
                "inputs": {
                    "image": {
                        "type": "image",
                        "modality": modality,
                        "num_channels": self.channels,
                        "spatial_shape": [size or "*" for size in self.spatial],
                        "dtype": tensor_in.dtype,
                    }
                },
                "outputs": {output: {"num_channels": self.outputs, "dtype": tensor_out.dtype}},
            },
            "bedside": self._bedside(modality, {}),
        }
        image, pred = {"keys": "image"}, {"keys": output}
        pre: list[Content] = [{"_target_": "LoadImaged", **image}, {"_target_": "EnsureChannelFirstd", **image}]
        moves = False
        if self.rank == 3:
            pre.append({"_target_": "Orientationd", **image, "axcodes": "RAS"})
            moves = True
        fixed = None not in self.spatial
        if fixed and (self.rank == 2 or self.kind == "classification"):
            pre.append({"_target_": "Resized", **image, "spatial_size": list(self.spatial), "mode": "linear"})
            moves = True
        low, high = (-1024, 1024) if modality == "CT" else (0, 255)
        b_min, b_max = _RANGES.get(tensor_in.dtype, (0.0, 1.0))
        pre.append(
            {"_target_": "ScaleIntensityRanged", **image, "a_min": low, "a_max": high, "b_min": b_min, "b_max": b_max}
            | {"clip": True}
        )
        if tensor_in.dtype != "float32":
            pre.append({"_target_": "CastToTyped", **image, "dtype": tensor_in.dtype})
        self.fill_in.append(f"{INFERENCE}: preprocessing must be what the model was trained with")
        several = self.outputs > 1
        post: list[Content] = [{"_target_": "Activationsd", **pred, "softmax" if several else "sigmoid": True}]
        if self.kind == "segmentation":
            if moves:
                post.append({"_target_": "Invertd", **pred, "transform": "@preprocessing", "orig_keys": "image"})
            post.append({"_target_": "AsDiscreted", **pred, **({"argmax": True} if several else {"threshold": 0.5})})
        self.inference = {
            "preprocessing": {"_target_": "Compose", "transforms": pre},
            "inferer": self._inferer(),
            "postprocessing": {"_target_": "Compose", "transforms": post},
        }

    def adopt(self, metadata: Content, config: InferenceConfig) -> None:
        """Take over a MONAI bundle's configs."""
        formats = metadata.get("network_data_format")
        formats = formats if isinstance(formats, dict) else {}
        image, pred = _only(formats.get("inputs"), "image"), _only(formats.get("outputs"), "pred")
        image[1].setdefault("num_channels", self.channels)
        pred[1].setdefault("num_channels", self.outputs)
        image[1].setdefault("dtype", self.header.inputs[0].dtype)
        modality = str(image[1].get("modality", ""))
        if image[1].get("format") == "hounsfield":
            modality = "CT"
        names = pred[1].get("channel_def")
        if isinstance(names, list):
            names = {str(channel): name for channel, name in enumerate(names)}
        names = names if isinstance(names, dict) else {}
        self.metadata = {
            **metadata,
            "network_data_format": {"inputs": {image[0]: image[1]}, "outputs": {pred[0]: pred[1]}},
            "bedside": self._bedside({"MRI": "MR"}.get(modality.upper(), modality.upper()), names),
        }
        for section in _SECTIONS:
            transforms = [entry for entry in self._adopted(config, section) if entry is not None]
            self.inference[section] = {"_target_": "Compose", "transforms": transforms}
        try:
            spec = config.inferer()
            self.inference["inferer"] = self._monai_inferer(spec.kind, spec.model_dump(mode="json"))
        except BundleError as error:
            self.inference["inferer"] = self._inferer()
            self.fill_in.append(error.message)

    def _adopted(self, config: InferenceConfig, section: Section) -> list[Content | None]:
        adopted: list[Content | None] = []
        for where, raw in config.entries(section):
            name = registry.canonical(raw.get("_target_")) if isinstance(raw, Mapping) else ""
            if name in registry.REMOVABLE:
                self.dropped.append(f"{where} {name}")
                continue
            try:
                entry = config.resolved(raw, where)
                if entry is not None:
                    registry.parse(entry, section, where)
            except BundleError as error:
                self.fill_in.append(str(error))
                entry = dict(raw) if isinstance(raw, Mapping) else {"_target_": str(raw)}
            adopted.append(entry)
        return adopted

    def _inferer(self) -> Content:
        if self.kind == "classification" or self.rank == 2:
            return {"_target_": "SimpleInferer"}
        roi = [size or 96 for size in self.spatial]
        if None in self.spatial:
            self.fill_in.append(f"{INFERENCE}: inferer roi_size (96 assumed)")
        return self._monai_inferer("sliding", {"roi_size": roi, "overlap": 0.25, "mode": "gaussian"})

    def _monai_inferer(self, kind: str, arguments: Mapping[str, Any]) -> Content:
        if kind == "simple":
            return {"_target_": "SimpleInferer"}
        return {"_target_": "SlidingWindowInferer", **{k: v for k, v in arguments.items() if k != "kind"}}

    def _bedside(self, modality: str, names: Mapping[str, Any]) -> Content:
        result: Content = {"kind": self.kind, "finding": ""}
        entries: list[Content] = []
        if self.kind == "segmentation":
            labels = range(1, self.outputs) if self.outputs > 1 else range(1, 2)
            for label in labels:
                name = str(names.get(str(label if self.outputs > 1 else 0), "") or "")
                entries.append(
                    {"label": label, "name": name, "category": _TISSUE, "type": {**_EMPTY_CODE, "meaning": name}}
                )
            result["segments"] = entries
        else:
            for index in range(self.outputs):
                name = str(names.get(str(index), "") or "")
                entries.append({"index": index, "name": name, "code": {**_EMPTY_CODE, "meaning": name}})
            result["classes"] = entries
        what, code = ("segments", "type") if self.kind == "segmentation" else ("classes", "code")
        for index, entry in enumerate(entries):
            place = f"{METADATA}: bedside.result.{what}[{index}]"
            if not entry["name"]:
                self.fill_in.append(f"{place}.name")
            self.fill_in.append(f"{place}.{code} (a SNOMED CT or DCM code)")
        self.fill_in.append(f"{METADATA}: bedside.domain (what input the model was made for, in one sentence)")
        if not modality:
            self.fill_in.append(f"{METADATA}: bedside.accepts.modality")
        colour = self.rank == 2 and self.channels == 3
        return {
            "schema": 1,
            "files": {},
            "input": {
                "kind": "volume" if self.rank == 3 else "image",
                "axes": "xyz",
                "photometric": "rgb" if colour else "monochrome",
                "apply_voi": False,
            },
            "accepts": {"modality": [modality] if modality else []},
            "result": result,
            "golden": [],
            "domain": "",
        }

    def write(self, out: Path, name: str) -> Content:
        """Write the bundle beside ``out`` and move it there whole."""
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DeliveryError(f"{out} exists and is not empty", mend="give a new folder")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
                folder = Path(scratch) / "bundle"
                files = self._fill(folder, name)
                if out.exists():
                    out.rmdir()
                folder.rename(out)
        except OSError as error:
            raise DeliveryError(f"{out} cannot be written: {error.strerror}") from None
        report: Content = {"bundle": str(out), "files": files, "fill_in": self.fill_in}
        return {**report, "dropped": self.dropped} if self.dropped else report

    def _fill(self, folder: Path, name: str) -> list[str]:
        (folder / "configs").mkdir(parents=True)
        (folder / "models").mkdir()
        _copy(self.model, folder / MODEL)
        digests = {MODEL: sha256_of(folder / MODEL)}
        for location in sorted({part.location for part in self.header.external}):
            weights = self.model.parent / location
            target = folder / "models" / location
            if not weights.is_file() or not target.resolve().is_relative_to(folder.resolve()):
                raise BundleError(
                    f"{self.model.name}: external data file {location} is missing", mend="copy it beside it"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(weights, target)
            digests[f"models/{location}"] = sha256_of(target)
        for path, place in self.extras.items():
            _copy(path, folder / place)
        metadata = {"name": name, **self.metadata}
        metadata["bedside"] = {**metadata["bedside"], "files": digests}
        for file, content in ((METADATA, metadata), (INFERENCE, self.inference)):
            (folder / file).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _copy(source: Path, target: Path) -> None:
    """Copy a file; a source that cannot be read is a BundleError, a target that cannot be written an OSError."""
    try:
        file = source.open("rb")
    except OSError as error:
        raise BundleError(f"{source.name} cannot be read: {error.strerror}") from None
    with file, target.open("wb") as out:
        shutil.copyfileobj(file, out)


def _only(tensors: Any, otherwise: str) -> tuple[str, Content]:
    """Name and description of the only tensor; an empty one where there is not exactly one."""
    if isinstance(tensors, dict) and len(tensors) == 1:
        name, content = next(iter(tensors.items()))
        return str(name), dict(content) if isinstance(content, dict) else {}
    return otherwise, {}
