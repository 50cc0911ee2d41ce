"""What a kernel's float32 becomes in the types of a network's input, by numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

STORES = st.sampled_from(
    [
        ("float32", 1.0, 0),
        ("float16", 1.0, 0),
        ("uint8", 0.5, 3),
        ("uint8", 1 / 255, 0),
        ("int8", 0.03, -20),
        ("uint16", 0.02, 1000),
        ("int16", 0.7, -1),
    ]
)
"""Type, ``quant_scale``, ``zero_point``."""


def quantised(values: NDArray[np.float32], store: tuple[str, float, int]) -> NDArray[Any]:
    """ONNX QuantizeLinear for integers (a NaN is the zero point), rounding for floats."""
    dtype, scale, zero_point = store
    with np.errstate(all="ignore"):
        if np.dtype(dtype).kind == "f":
            return values.astype(dtype)
        info = np.iinfo(dtype)
        rounded = np.nan_to_num(np.rint(values / np.float32(scale)), nan=0.0, posinf=1e9, neginf=-1e9)
        return np.clip(rounded.astype(np.float64) + zero_point, info.min, info.max).astype(dtype)


def keywords(store: tuple[str, float, int]) -> dict[str, Any]:
    return {"quant_scale": store[1], "zero_point": store[2]}
