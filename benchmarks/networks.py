"""Networks of the field with random weights, written as ONNX files: what is run where only the time matters.

They are as exporters write them for inference: batch normalisation is part of the convolutions where it can be. Weights
are drawn from a fixed seed (He, Zhang, Ren, Sun 2015, so that numbers neither vanish nor overflow). Needs ``onnx``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SEED = 2026


@dataclass(frozen=True)
class Network:
    """One network by what it is called, its input and how its file is made."""

    title: str
    shape: tuple[int, ...]
    """Of its one input ``image``, float32."""
    build: Callable[[_Graph], str]
    """Adds the nodes, from ``image`` on, and returns the name of the output."""

    def write(self, folder: Path) -> Path:
        """The ONNX file in ``folder``, made if it is not there."""
        path = folder / f"{self.title.lower().replace(' ', '-').replace(',', '')}.onnx"
        if not path.is_file():
            graph = _Graph(np.random.default_rng(SEED))
            graph.save(path, self.shape, self.build(graph))
        return path

    def image(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """An input of its shape, from a fixed seed."""
        return np.random.default_rng(SEED).standard_normal(self.shape, np.float32)


class _Graph:
    """An ONNX graph that grows node by node; tensors are known by the names that the methods return."""

    def __init__(self, rng: np.random.Generator) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._numpy = helper, numpy_helper
        self._rng = rng
        self._nodes: list[Any] = []
        self._stored: list[Any] = []
        self.parameters = 0

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def stored(self, *shape: int, deviation: float = 0.01, mean: float = 0.0) -> str:
        """A tensor of weights."""
        values = self._rng.standard_normal(shape, np.float32) * np.float32(deviation) + np.float32(mean)
        name = f"weight{len(self._stored)}"
        self._stored.append(self._numpy.from_array(values, name))
        self.parameters += values.size
        return name

    def numbers(self, *values: int) -> str:
        """A tensor of int64 values."""
        name = f"numbers{len(self._stored)}"
        self._stored.append(self._numpy.from_array(np.array(values, np.int64), name))
        return name

    def conv(
        self, x: str, taken: int, made: int, kernel: int = 3, *, dims: int = 2, stride: int = 1, relu: bool = True
    ) -> str:
        """Convolution of ``taken`` channels into ``made``, padded so that the size stays, with bias and ReLU."""
        weight = self.stored(made, taken, *[kernel] * dims, deviation=math.sqrt(2 / (taken * kernel**dims)))
        bias = self.stored(made)
        y = self.node("Conv", x, weight, bias, strides=[stride] * dims, pads=[kernel // 2] * 2 * dims)
        return self.node("Relu", y) if relu else y

    def up(self, x: str, taken: int, made: int, *, dims: int) -> str:
        """Transposed convolution that doubles the size."""
        weight = self.stored(taken, made, *[2] * dims, deviation=math.sqrt(1 / taken))
        return self.node("ConvTranspose", x, weight, self.stored(made), strides=[2] * dims, kernel_shape=[2] * dims)

    def normalised(self, x: str, channels: int) -> str:
        """Batch normalisation that no convolution before it could take in, and ReLU."""
        scale, bias, mean = self.stored(channels, mean=1.0), self.stored(channels), self.stored(channels)
        variance = self.stored(channels, mean=1.0)
        return self.node("Relu", self.node("BatchNormalization", x, scale, bias, mean, variance))

    def pool(self, x: str, kind: str = "MaxPool", *, kernel: int = 2, pad: int = 0, dims: int = 2) -> str:
        return self.node(kind, x, kernel_shape=[kernel] * dims, strides=[2] * dims, pads=[pad] * 2 * dims)

    def classes(self, x: str, channels: int, classes: int) -> str:
        """Global average and a linear layer."""
        flat = self.node("Flatten", self.node("GlobalAveragePool", x))
        weight = self.stored(classes, channels, deviation=math.sqrt(1 / channels))
        return self.node("Gemm", flat, weight, self.stored(classes), transB=1)

    def save(self, path: Path, shape: Sequence[int], output: str) -> None:
        import onnx

        value = self._helper.make_tensor_value_info
        result = self._helper.make_node("Identity", [output], ["pred"])
        graph = self._helper.make_graph(
            [*self._nodes, result],
            path.stem,
            [value("image", onnx.TensorProto.FLOAT, list(shape))],
            [onnx.ValueInfoProto(name="pred")],
            self._stored,
        )
        model = self._helper.make_model(graph, opset_imports=[self._helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(onnx.shape_inference.infer_shapes(model), str(path))


def _trivial(graph: _Graph) -> str:
    return graph.node("Relu", "image")


def _corner(graph: _Graph) -> str:
    """Looks at 16 numbers of its input."""
    return graph.node("Relu", graph.node("Slice", "image", graph.numbers(0, 0, 0, 0), graph.numbers(1, 1, 1, 16)))


def _resnet50(graph: _Graph) -> str:
    """ResNet-50 v1.5 (He, Zhang, Ren, Sun 2016; the stride in the 3x3 convolution)."""
    x, taken = graph.pool(graph.conv("image", 3, 64, 7, stride=2), kernel=3, pad=1), 64
    for width, blocks, first_stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            y = graph.conv(x, taken, width, 1)
            y = graph.conv(y, width, width, 3, stride=stride)
            y = graph.conv(y, width, 4 * width, 1, relu=False)
            if block == 0:
                x = graph.conv(x, taken, 4 * width, 1, stride=stride, relu=False)
            x, taken = graph.node("Relu", graph.node("Add", x, y)), 4 * width
    return graph.classes(x, taken, 1000)


def _densenet121(graph: _Graph) -> str:
    """DenseNet-121 (Huang, Liu, van der Maaten, Weinberger 2017)."""
    growth, taken = 32, 64
    x = graph.pool(graph.conv("image", 3, taken, 7, stride=2), kernel=3, pad=1)
    for layers in (6, 12, 24, 16):
        if layers != 6:
            taken //= 2
            x = graph.pool(graph.conv(graph.normalised(x, 2 * taken), 2 * taken, taken, 1, relu=False), "AveragePool")
        for _ in range(layers):
            y = graph.conv(graph.normalised(x, taken), taken, 4 * growth, 1)
            x, taken = graph.node("Concat", x, graph.conv(y, 4 * growth, growth, relu=False), axis=1), taken + growth
    return graph.classes(graph.normalised(x, taken), taken, 1000)


def _unet(channels: int, *, dims: int, levels: int, classes: int) -> Callable[[_Graph], str]:
    """U-Net of two convolutions a level (Ronneberger, Fischer, Brox 2015), with padding, doubling ``channels``."""

    def build(graph: _Graph) -> str:
        x, taken, skipped = "image", 1, []
        for level in range(levels):
            made = channels << level
            if level:
                x = graph.pool(x, dims=dims)
            x, taken = graph.conv(graph.conv(x, taken, made, dims=dims), made, made, dims=dims), made
            skipped.append(x)
        for skip in reversed(skipped[:-1]):
            made = taken // 2
            x = graph.node("Concat", skip, graph.up(x, taken, made, dims=dims), axis=1)
            x, taken = graph.conv(graph.conv(x, taken, made, dims=dims), made, made, dims=dims), made
        return graph.conv(x, taken, classes, 1, dims=dims, relu=False)

    return build


NETWORKS: Mapping[str, Network] = {
    "trivial": Network("one ReLU of 64 numbers", (1, 1, 8, 8), _trivial),
    "corner": Network("16 numbers of 64 million", (1, 1, 8192, 8192), _corner),
    "resnet50": Network("ResNet-50", (1, 3, 224, 224), _resnet50),
    "densenet121": Network("DenseNet-121", (1, 3, 224, 224), _densenet121),
    "unet2d": Network("U-Net 2D 256", (1, 1, 256, 256), _unet(32, dims=2, levels=5, classes=2)),
    "unet3d": Network("U-Net 3D 96", (1, 1, 96, 96, 96), _unet(16, dims=3, levels=5, classes=2)),
    "cine": Network("U-Net 2D 128 of a cine", (1, 1, 128, 128), _unet(16, dims=2, levels=4, classes=2)),
}
"""By a short name. ``unet2d`` has 7.8 million parameters."""
