"""Export the trained weights into the bundle.

``python models/us-breast-lesion/export.py --weights /tmp/breast/weights.pt``

Folds batch normalisation, writes models/model.onnx (opset 17, float32, logits) and its SHA-256 into
configs/metadata.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from network import LesionNet, fold

from bedside.models.exporting import folded_network, write_model

BUNDLE = Path(__file__).resolve().parent


def main() -> None:
    """Write the ONNX model and its digest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    options = parser.parse_args()
    sample = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    net, worst = folded_network(LesionNet(), options.weights, fold, sample)
    print(f"{write_model(BUNDLE, net, sample)}, folding changed logits by {worst:.1e}")


if __name__ == "__main__":
    main()
