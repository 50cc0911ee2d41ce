"""What a proof and a measurement are of: this model, in this precision, on this device, with these versions, here.

When any of it changes the key changes, and what was stored under the old one says nothing any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bedside.backends.contract import Device

from .bundle.load import INFERENCE, Bundle, sha256_of
from .host import fingerprint

F32 = "f32"


@dataclass(frozen=True)
class Identity:
    """The whole of what numbers and times depend on."""

    model_sha256: str
    """Of the ONNX file of that precision."""
    bundle_sha256: str
    """Of what else decides the findings: inference.json, the model's external files, the golden cases."""
    precision: str
    device: str
    """Device string, e.g. ``openvino:CPU``."""
    device_name: str
    versions: Mapping[str, str]
    """Of library and driver, as the device's backend says."""
    host: str
    """:func:`bedside.runtime.host.fingerprint`."""
    bedside: str
    """Version of this package."""

    @property
    def key(self) -> str:
        """SHA-256, in hex, of the canonical JSON of all of it."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "versions": dict(self.versions)}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Identity:
        """The identity that :meth:`to_json` wrote.

        Raises
        ------
        ValueError
            A key is missing, or a value is no text.
        """
        try:
            texts = {name: content[name] for name in Identity.__dataclass_fields__ if name != "versions"}
            versions = dict(content["versions"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not an identity: {error}") from None
        if not all(isinstance(value, str) for value in (*texts.values(), *versions.values())):
            raise ValueError("not an identity: a value is no text")
        return Identity(**texts, versions=versions)


def identity(bundle: Bundle, precision: str, device: Device) -> Identity:
    """The identity of a bundle's model of a precision on a device of this host.

    Parameters
    ----------
    device
        As its backend's ``probe`` or an open program describes it.

    Raises
    ------
    BundleError
        The bundle has no model of that precision.
    """
    return Identity(
        model_sha256=bundle.variant(precision).sha256,
        bundle_sha256=content_sha256(bundle),
        precision=precision,
        device=device.id,
        device_name=device.name,
        versions=dict(device.versions),
        host=fingerprint(),
        bedside=version("bedside"),
    )


def content_sha256(bundle: Bundle) -> str:
    """SHA-256 of what decides a bundle's findings beside its ONNX files.

    A golden study of many DICOM files is told by their names and sizes: its pixels need not be read again for that.
    """
    digest = hashlib.sha256()

    def add(*words: str) -> None:
        digest.update(json.dumps(words).encode())

    add(INFERENCE, sha256_of(bundle.root / INFERENCE))
    cards = {spec.card for spec in bundle.meta.variants.values()}
    for name, sha256 in sorted(bundle.meta.files.items()):
        if not name.endswith(".onnx") and name not in cards:
            add(name, sha256)
    add(json.dumps(bundle.metadata["bedside"].get("input"), sort_keys=True))
    add(json.dumps(bundle.metadata["bedside"].get("result"), sort_keys=True))
    for case in bundle.meta.golden:
        for path in _files(bundle.root / case.study, bundle.root / case.expect):
            told = sha256_of(path) if path.suffix == ".json" else str(path.stat().st_size)
            add(path.relative_to(bundle.root).as_posix(), told)
    return digest.hexdigest()


def _files(*places: Path) -> Iterable[Path]:
    for place in places:
        if place.is_dir():
            yield from sorted(path for path in place.rglob("*") if path.is_file())
        else:
            yield place
