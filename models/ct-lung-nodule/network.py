"""The network: a small 3D U-Net of convolution, ReLU, nearest upsampling and concatenation, as an INT8 engine has."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

WIDTHS = (8, 16, 32, 64)


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Convolution 3x3x3, batch normalisation (folded at export), ReLU."""
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)
    )


class NoduleNet(nn.Module):
    """[n, 1, x, y, z] in 0..1 to logits [n, 1, x, y, z]; every spatial size is a multiple of 8."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.first = block(1, widths[0])
        self.down = nn.ModuleList(nn.Sequential(block(a, b, 2), block(b, b)) for a, b in pairwise(widths))
        self.up = nn.ModuleList(block(a + b, a) for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.scale = nn.Upsample(scale_factor=2, mode="nearest")
        self.last = nn.Conv3d(widths[0], 1, 1)
        nn.init.constant_(self.last.bias, -4.0)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        kept = []
        for step in self.down:
            kept.append(x)
            x = step(x)
        for step, skip in zip(self.up, reversed(kept), strict=True):
            x = step(torch.cat([self.scale(x), skip], 1))
        return self.last(x)


def fold(module: nn.Module) -> nn.Module:
    """Fold every batch normalisation into the convolution before it, in place (evaluation mode)."""
    for child in module.modules():
        if isinstance(child, nn.Sequential) and len(child) > 1 and isinstance(child[1], nn.BatchNorm3d):
            child[0] = nn.utils.fuse_conv_bn_eval(child[0].eval(), child[1].eval())
            child[1] = nn.Identity()
    return module
