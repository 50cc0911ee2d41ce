"""Export the trained weights into the bundle.

``python models/ct-lung-nodule/export.py --weights /tmp/nodule/weights.pt``

Folds batch normalisation (refused where that changes the logits), writes models/model.onnx (opset 17, float32) and its
SHA-256 into configs/metadata.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from network import NoduleNet, fold

from bedside.models.exporting import folded_network, write_model

BUNDLE = Path(__file__).resolve().parent
ROI = 96


def main() -> None:
    """Write the ONNX model and its digest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--bias", type=float, default=0.0, help="added to the logits: moves the operating point")
    options = parser.parse_args()
    sample = torch.rand(1, 1, ROI, ROI, ROI, generator=torch.Generator().manual_seed(0))
    net, worst = folded_network(NoduleNet(), options.weights, fold, sample)
    with torch.no_grad():
        net.last.bias += options.bias
    print(f"{write_model(BUNDLE, net, sample)}, folding changed logits by {worst:.1e}")


if __name__ == "__main__":
    main()
