"""Makes the golden arrays of kernels.resize with torch, which is the oracle and no dependency of the project.

Made with torch 2.13 (CPU): ``python tests/golden/make_resize_golden.py``. torch_resize.npz holds ``plane`` [y, x] and
``volume`` [z, y, x], and for each case what torch.nn.functional.interpolate makes of one, named
``source/mode/align_corners or antialias/size``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

HERE = Path(__file__).parent
PLANES = ((7, 9), (40, 50), (1, 1), (5, 61), (38, 4), (23, 31), (46, 62))
VOLUMES = ((4, 5, 3), (13, 12, 11), (4, 14, 9), (1, 1, 1))
PLANE_CASES = (
    ("nearest", ""),
    ("nearest-exact", ""),
    ("area", ""),
    ("bilinear", ""),
    ("bilinear", "align_corners"),
    ("bilinear", "antialias"),
    ("bicubic", ""),
    ("bicubic", "align_corners"),
    ("bicubic", "antialias"),
)
VOLUME_CASES = (
    ("nearest", ""),
    ("nearest-exact", ""),
    ("area", ""),
    ("trilinear", ""),
    ("trilinear", "align_corners"),
)


def main() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "plane": rng.integers(0, 4096, (23, 31)).astype(np.uint16),
        "volume": rng.integers(-1024, 2000, (9, 11, 7)).astype(np.int16),
    }
    for source, cases, sizes in (("plane", PLANE_CASES, PLANES), ("volume", VOLUME_CASES, VOLUMES)):
        tensor = torch.as_tensor(arrays[source].astype(np.float32))[None, None]
        for mode, option in cases:
            for size in sizes:
                result = interpolate(tensor, size, mode=mode, **({option: True} if option else {}))
                arrays[f"{source}/{mode}/{option}/{'x'.join(map(str, size))}"] = result[0, 0].numpy()
    np.savez_compressed(HERE / "torch_resize.npz", **arrays)
    print(f"torch {torch.__version__}")


if __name__ == "__main__":
    main()
