"""Make sliding_window.npz: what MONAI's SlidingWindowInferer gives for a small network over small images.

Run with MONAI 1.6.1 and torch 2.13 installed: ``python tests/golden/make_sliding_window_golden.py``. The file holds,
for every case, the image, the blended output and the importance map, the arguments as JSON, and the network's weights:
conv 3 (padding 1), ReLU, conv 1, so that what a window says near its edge depends on where the window lies.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from monai.data.utils import compute_importance_map
from monai.inferers import SlidingWindowInferer
from monai.utils import fall_back_tuple

CASES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    # name: image [C, spatial...], arguments of SlidingWindowInferer
    "constant": ((1, 21, 18, 25), {"roi_size": [8, 8, 8]}),
    "gaussian": ((1, 21, 18, 25), {"roi_size": [8, 8, 8], "overlap": 0.5, "mode": "gaussian", "sw_batch_size": 4}),
    "overlap-per-axis": (
        (2, 20, 13, 16),
        {"roi_size": [9, 6, 7], "overlap": [0.1, 0.5, 0.75], "mode": "gaussian", "sw_batch_size": 3},
    ),
    "no-overlap": ((1, 16, 15, 9), {"roi_size": [8, 5, 4], "overlap": 0.0, "mode": "gaussian"}),
    "step-of-one": ((1, 6, 5, 7), {"roi_size": [4, 4, 4], "overlap": 0.9, "sw_batch_size": 2}),
    "small-along-first": (
        (2, 5, 18, 14),
        {"roi_size": [8, 8, 8], "mode": "gaussian", "sigma_scale": 0.25, "cval": -1.5},
    ),
    "small-along-last": ((1, 19, 12, 5), {"roi_size": [8, 8, 8], "overlap": 0.5, "mode": "gaussian", "cval": 2.0}),
    "smaller-everywhere": ((1, 5, 6, 3), {"roi_size": [8, 8, 8], "mode": "gaussian"}),
    "reflect": ((1, 6, 5, 20), {"roi_size": [8, 8, 8], "mode": "gaussian", "padding_mode": "reflect"}),
    "replicate": ((1, 3, 17, 4), {"roi_size": [8, 8, 8], "padding_mode": "replicate", "sw_batch_size": 2}),
    "circular": ((1, 17, 5, 6), {"roi_size": [8, 8, 8], "mode": "gaussian", "padding_mode": "circular"}),
    "image-extent": ((1, 11, 19, 13), {"roi_size": [-1, 8, 0], "overlap": 0.5, "mode": "gaussian"}),
    "one-window": ((1, 8, 9, 10), {"roi_size": [8, 9, 10], "mode": "gaussian", "sigma_scale": [0.1, 0.2, 0.3]}),
    "plane": ((3, 33, 29), {"roi_size": [16, 12], "mode": "gaussian", "sw_batch_size": 2}),
    "plane-small": ((1, 10, 40), {"roi_size": [16, 16], "overlap": 0.6, "cval": -1.0}),
    "plane-one-size": ((1, 31, 17), {"roi_size": 12, "overlap": [0.25, 0.5], "mode": "gaussian", "sigma_scale": 0.2}),
}
HIDDEN, CLASSES = 4, 3


def main() -> None:
    rng = np.random.default_rng(20)
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for dims, channels in sorted({(len(shape) - 1, shape[0]) for shape, _ in CASES.values()}):
        net = f"net{dims}d{channels}"
        arrays[f"{net}/first"] = rng.standard_normal((HIDDEN, channels, *[3] * dims)).astype(np.float32)
        arrays[f"{net}/last"] = rng.standard_normal((CLASSES, HIDDEN, *[1] * dims)).astype(np.float32)
    for name, (shape, arguments) in CASES.items():
        dims = len(shape) - 1
        first, last = (torch.from_numpy(arrays[f"net{dims}d{shape[0]}/{layer}"]) for layer in ("first", "last"))
        conv = torch.nn.functional.conv3d if dims == 3 else torch.nn.functional.conv2d

        def network(x: torch.Tensor, conv: Any = conv, first: Any = first, last: Any = last) -> torch.Tensor:
            return conv(torch.relu(conv(x, first, padding=1)), last)

        image = rng.standard_normal(shape).astype(np.float32)
        with torch.no_grad():
            blended = SlidingWindowInferer(**arguments)(torch.from_numpy(image)[None], network)
        roi = fall_back_tuple(arguments["roi_size"], shape[1:])
        weight = compute_importance_map(
            roi, mode=arguments.get("mode", "constant"), sigma_scale=arguments.get("sigma_scale", 0.125)
        )
        arrays[f"{name}/arguments"] = np.array(json.dumps(arguments))
        arrays[f"{name}/image"] = image
        arrays[f"{name}/blended"] = blended[0].numpy()
        arrays[f"{name}/weight"] = weight.numpy()
    arrays["made-with"] = np.array(f"monai {monai.__version__}, torch {torch.__version__}")
    np.savez_compressed(Path(__file__).with_name("sliding_window.npz"), **arrays)


if __name__ == "__main__":
    main()
