"""Making bundles: what ``bedside bundle new`` and ``import`` do.

A bundle made here is complete except for what only its maker knows; those places are empty, are listed in the report
under ``fill_in``, and :func:`bedside.runtime.load_bundle` refuses the bundle until they are filled.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import BundleError
from ..onnx_header import OnnxHeader, read_onnx_header
from .config import InferenceConfig, read_json
from .draft import MODEL, Content, Draft
from .load import INFERENCE, METADATA, bundle_root, unpack


def new_bundle(
    model: Path | str,
    out: Path | str,
    *,
    kind: str = "segmentation",
    modality: str = "CT",
) -> Content:
    """Make a bundle around an ONNX model; returns ``bundle``, ``files`` and ``fill_in``.

    Raises
    ------
    BundleError
        The model is not a complete ONNX file, has several inputs, or ``kind`` is not a result kind.
    DeliveryError
        ``out`` exists and is not empty, or cannot be written.
    """
    model, out = Path(model), Path(out)
    if kind not in ("segmentation", "classification"):
        raise BundleError(f"kind '{kind}' is not known", mend="segmentation or classification")
    if not model.is_file():
        raise BundleError(f"model {model} does not exist")
    draft = Draft(read_onnx_header(model), model, "classification" if kind == "classification" else "segmentation")
    draft.configure(modality)
    return draft.write(out, model.stem)


def import_bundle(source: Path | str, out: Path | str) -> Content:
    """Make a bundle from a MONAI bundle with an ONNX model; returns ``bundle``, ``files``, ``dropped``, ``fill_in``.

    The transforms, the inferer and the metadata are kept with references followed; steps that only save or free data
    are dropped. What is not supported is kept as it stands and listed.

    Raises
    ------
    BundleError
        The source is no MONAI bundle, or has no ONNX model.
    DeliveryError
        ``out`` exists and is not empty, or cannot be written.
    """
    source, out = Path(source), Path(out)
    if source.is_file():
        with unpack(source) as folder:
            return _import(bundle_root(Path(folder)), source.stem, out)
    if not source.is_dir():
        raise BundleError(f"MONAI bundle {source} does not exist")
    return _import(bundle_root(source), source.name, out)


def _import(root: Path, name: str, out: Path) -> Content:
    metadata = read_json(root / METADATA, METADATA)
    if not (root / INFERENCE).exists():
        yaml = next((root / "configs").glob("inference.y*ml"), None)
        raise BundleError(
            f"{INFERENCE} is missing", mend=f"convert {yaml.name} to JSON" if yaml else "is this a MONAI bundle?"
        )
    config = InferenceConfig(read_json(root / INFERENCE, INFERENCE))
    models = [root / MODEL] if (root / MODEL).is_file() else sorted(root.glob("models/*.onnx"))
    if len(models) != 1:
        raise BundleError(
            f"{name} has {len(models)} ONNX models in models/",
            mend="export one: python -m monai.bundle onnx_export --filepath models/model.onnx ...",
        )
    header = read_onnx_header(models[0])
    draft = Draft(header, models[0], "classification" if _output_rank(header) == 2 else "segmentation")
    draft.adopt(metadata, config)
    for extra in ("LICENSE", "docs/README.md"):
        if (root / extra).is_file():
            draft.extras[root / extra] = "card.md" if extra.endswith(".md") else extra
    return draft.write(out, str(metadata.get("name") or name))


def _output_rank(header: OnnxHeader) -> int:
    shape = header.outputs[0].shape
    return len(shape) if shape is not None else 0
