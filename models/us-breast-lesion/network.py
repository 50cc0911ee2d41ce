"""The network: convolutions, ReLU, max pooling and two fully connected layers."""

from __future__ import annotations

import torch
from torch import nn

CLASSES = ("benign", "malignant")
"""Order of the outputs. "benign" also stands for normal tissue: BreastMNIST joins the two."""


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution 3x3, batch normalisation (folded at export), ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class LesionNet(nn.Module):
    """[n, 1, 28, 28] in 0..1 to logits [n, 2]."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            block(1, width), block(width, width), nn.MaxPool2d(2),
            block(width, 2 * width), block(2 * width, 2 * width), nn.MaxPool2d(2),
            block(2 * width, 4 * width), nn.MaxPool2d(7),
            nn.Flatten(), nn.Dropout(0.4), nn.Linear(4 * width, 48), nn.ReLU(inplace=True), nn.Dropout(0.3),
            nn.Linear(48, len(CLASSES)),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.features(x)
        return result


def fold(module: nn.Module) -> nn.Module:
    """Fold every batch normalisation into the convolution before it, in place (evaluation mode)."""
    for child in module.modules():
        if isinstance(child, nn.Sequential) and len(child) > 1 and isinstance(child[1], nn.BatchNorm2d):
            child[0] = nn.utils.fuse_conv_bn_eval(child[0].eval(), child[1].eval())  # type: ignore[arg-type, type-var]
            child[1] = nn.Identity()
    return module
