"""Write the small quantised networks that a host's INT8 is tried with: ``python tests/golden/make_int8_probe.py``.

Three layers as quantisers leave them (QDQ, uint8 activations, int8 weights): a 3x3 convolution with a weight scale a
channel, a depthwise one, and a matrix product. Every scale is a power of two and every accumulator is below 2**24, so
float32 and integers give the same quotients, and the answer, reckoned here in int64, is the only right one. Pairs of
products go beyond int16, where an instruction set without VNNI saturates (Intel SDM, VPMADDUBSW); with weights of
7 bits none does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CHANNELS, FILTERS, SIZE, FEATURES = 16, 24, 10, 40
OUT = Path(__file__).resolve().parent.parent.parent / "runtime" / "int8_probe"
TIE = -1
"""In an expected output: the quotient lies half-way between two integers, and may be rounded to either."""

Ints = NDArray[np.int64]


def material(bits: int) -> tuple[Ints, Ints, Ints, Ints]:
    """The quantised image, and the weights of the convolution, the depthwise convolution and the matrix."""
    rng = np.random.default_rng(8)
    most = 2 ** (bits - 1) - 1
    image = rng.integers(0, 256, (1, CHANNELS, SIZE, SIZE))
    image[rng.random(image.shape) < 0.3] = 255
    weights = [
        rng.integers(-most, most + 1, shape)
        for shape in ((FILTERS, CHANNELS, 3, 3), (CHANNELS, 1, 3, 3), (CHANNELS * 4, FEATURES))
    ]
    return image, weights[0], weights[1], weights[2]


def convolve(image: Ints, weights: Ints, groups: int) -> Ints:
    """A 3x3 convolution without padding, in int64."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(2, 3))
    if groups == 1:
        return np.asarray(np.einsum("ncyxij,fcij->nfyx", windows, weights), np.int64)
    return np.asarray(np.einsum("ncyxij,cij->ncyx", windows, weights[:, 0]), np.int64)


def requantise(accumulator: Ints, shift: int | Ints) -> NDArray[np.int16]:
    """Divide by 2**shift, round half to even, add the zero point 128, clamp to uint8; :data:`TIE` half-way."""
    if np.abs(accumulator).max() >= 1 << 24:
        raise ValueError("an accumulator is not exact in float32")
    step = np.int64(1) << np.asarray(shift, np.int64)
    quotient = np.rint(accumulator / step) + 128  # exact in float64
    tie = (accumulator % step) == step // 2
    return np.where(tie, TIE, np.clip(quotient, 0, 255)).astype(np.int16)


def expected(bits: int) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.int16]]]:
    """The quantised image, and what each output must be, quantised."""
    image, full, depthwise, matrix = material(bits)
    low = 11 - (8 - bits)
    return image.astype(np.uint8), {
        "conv": requantise(convolve(image, full, 1), shifts(low)[None, :, None, None]),
        "depthwise": requantise(convolve(image, depthwise, CHANNELS), low - 2),
        "matmul": requantise(image[:, :, :2, :2].reshape(1, -1) @ matrix, low),
    }


def shifts(low: int) -> Ints:
    """Of each filter of the convolution: weights have a scale a channel."""
    return low + np.arange(FILTERS, dtype=np.int64) % 3


def network(bits: int) -> onnx.ModelProto:
    """The QDQ network: the image as float32 in [0, 255] / 256, outputs as float32 in (q - 128) / 256."""
    _, full, depthwise, matrix = material(bits)
    low = 11 - (8 - bits)
    scale_in = scale_out = 2.0**-8
    tensors, nodes = [], []

    def tensor(name: str, value: NDArray[np.generic]) -> str:
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def scale(name: str, value: float | NDArray[np.float64]) -> str:
        return tensor(name, np.asarray(value, np.float32))

    zero = tensor("zero", np.uint8(0) * np.ones((), np.uint8))
    middle = tensor("middle", np.full((), 128, np.uint8))
    s_in, s_out = scale("scale_in", scale_in), scale("scale_out", scale_out)

    def qdq(source: str, result: str, s: str, z: str) -> None:
        nodes.append(helper.make_node("QuantizeLinear", [source, s, z], [f"{result}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{result}_q", s, z], [result]))

    def weight(name: str, value: Ints, shift: int | Ints, axis: int) -> str:
        # The accumulator times scale_in times the weight's scale, over scale_out, is the accumulator over 2**shift.
        factor = np.broadcast_to(2.0 ** -np.asarray(shift, np.float64), value.shape[axis])
        zeros = tensor(f"{name}_z", np.zeros(value.shape[axis], np.int8))
        inputs = [tensor(f"{name}_i", value.astype(np.int8)), scale(f"{name}_s", factor), zeros]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [name], axis=axis))
        return name

    qdq("image", "x", s_in, zero)
    nodes.append(helper.make_node("Conv", ["x", weight("w_full", full, shifts(low), 0)], ["conv_f"]))
    qdq("conv_f", "conv", s_out, middle)
    w_depthwise = weight("w_depthwise", depthwise, low - 2, 0)
    nodes.append(helper.make_node("Conv", ["x", w_depthwise], ["depthwise_f"], group=CHANNELS))
    qdq("depthwise_f", "depthwise", s_out, middle)
    ends = [tensor(name, np.asarray(value, np.int64)) for name, value in (("a", [0, 0]), ("b", [2, 2]), ("c", [2, 3]))]
    nodes.append(helper.make_node("Slice", ["image", *ends], ["corner"]))
    nodes.append(helper.make_node("Reshape", ["corner", tensor("flat", np.asarray([1, -1], np.int64))], ["row_f"]))
    qdq("row_f", "row", s_in, zero)
    nodes.append(helper.make_node("MatMul", ["row", weight("w_matrix", matrix, low, 1)], ["matmul_f"]))
    qdq("matmul_f", "matmul", s_out, middle)

    _, outputs = expected(bits)
    graph = helper.make_graph(
        nodes,
        f"int8 probe, weights of {bits} bits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, CHANNELS, SIZE, SIZE])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(value.shape)) for n, value in outputs.items()],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], producer_name="bedside")
    model.ir_version = 9
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Write both networks and what they must give."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    OUT.mkdir(exist_ok=True)
    for bits in (8, 7):
        onnx.save(network(bits), OUT / f"weights-{bits}-bit.onnx")
        image, outputs = expected(bits)
        np.savez_compressed(OUT / f"weights-{bits}-bit.npz", image=image, **outputs)
        ties = {name: float(np.mean(value == TIE)) for name, value in outputs.items()}
        clamped = {name: float(np.mean((value == 0) | (value == 255))) for name, value in outputs.items()}
        print(f"{bits} bits: ties {ties}, at the ends of uint8 {clamped}")


if __name__ == "__main__":
    main()
