"""What the bundles' export scripts share: folding that is checked, the ONNX file, and its digest. Needs torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def folded_network(net: Any, weights: Path, fold: Callable[[Any], Any], sample: Any) -> tuple[Any, float]:
    """The trained network with batch normalisation folded, and by how much that changed its logits for ``sample``.

    Raises
    ------
    SystemExit
        By more than 1e-3.
    """
    import torch

    net.load_state_dict(torch.load(weights, weights_only=True))
    net.eval()
    with torch.no_grad():
        before = net(sample)
        folded = fold(net)
        worst = float((folded(sample) - before).abs().max())
    if worst > 1e-3:
        raise SystemExit(f"folding changed the logits by {worst}")
    return folded, worst


def write_model(bundle: Path, net: Any, sample: Any) -> str:
    """Write models/model.onnx (opset 17) and its SHA-256 into configs/metadata.json; what was written, in a line."""
    import torch

    target = bundle / "models" / "model.onnx"
    target.parent.mkdir(exist_ok=True)
    torch.onnx.export(
        net, (sample,), str(target), opset_version=17, input_names=["image"], output_names=["pred"],
        dynamic_axes={"image": {0: "batch"}, "pred": {0: "batch"}}, dynamo=False,
    )  # fmt: skip
    metadata_path = bundle / "configs" / "metadata.json"
    metadata = json.loads(metadata_path.read_text(encoding="utf-8"))
    metadata["bedside"]["files"] = {"models/model.onnx": hashlib.sha256(target.read_bytes()).hexdigest()}
    metadata_path.write_text(json.dumps(metadata, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    parameters = sum(p.numel() for p in net.parameters())
    return f"{target}: {target.stat().st_size} bytes, {parameters} parameters"
