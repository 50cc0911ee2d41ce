"""Export the trained weights into the bundle.

``python models/ct-lung-nodule/export.py --weights /tmp/nodule/weights.pt``

Folds batch normalisation (refused where that changes the logits), writes models/model.onnx (opset 17, float32) and its
SHA-256 into configs/metadata.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import torch
from network import NoduleNet, fold

BUNDLE = Path(__file__).resolve().parent
ROI = 96


def main() -> None:
    """Write the ONNX model and its digest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--bias", type=float, default=0.0, help="added to the logits: moves the operating point")
    options = parser.parse_args()
    net = NoduleNet()
    net.load_state_dict(torch.load(options.weights, weights_only=True))
    net.eval()
    sample = torch.rand(1, 1, ROI, ROI, ROI, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = net(sample)
        folded = fold(net)
        worst = float((folded(sample) - before).abs().max())
        folded.last.bias += options.bias  # type: ignore[operator, union-attr]
    if worst > 1e-3:
        raise SystemExit(f"folding changed the logits by {worst}")

    target = BUNDLE / "models" / "model.onnx"
    target.parent.mkdir(exist_ok=True)
    torch.onnx.export(
        folded, (sample,), str(target), opset_version=17, input_names=["image"], output_names=["pred"],
        dynamic_axes={"image": {0: "batch"}, "pred": {0: "batch"}}, dynamo=False,
    )  # fmt: skip
    metadata_path = BUNDLE / "configs" / "metadata.json"
    metadata = json.loads(metadata_path.read_text(encoding="utf-8"))
    metadata["bedside"]["files"] = {"models/model.onnx": hashlib.sha256(target.read_bytes()).hexdigest()}
    metadata_path.write_text(json.dumps(metadata, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    parameters = sum(p.numel() for p in folded.parameters())
    print(f"{target}: {target.stat().st_size} bytes, {parameters} parameters, folding changed logits by {worst:.1e}")


if __name__ == "__main__":
    main()
