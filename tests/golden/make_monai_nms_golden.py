"""Makes the golden arrays of non-maximum suppression with MONAI, which is the oracle and no dependency of the project.

Made with MONAI 1.6.1 and torch 2.13 (CPU): ``python tests/golden/make_monai_nms_golden.py``. monai_nms.npz holds, by
name of the case, boxes (corners), scores, threshold, most (-1: no limit), and the indices that MONAI keeps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from monai.data.box_utils import non_max_suppression


def main() -> None:
    arrays = {}
    rng = np.random.default_rng(4)
    for axes in (2, 3):
        for n, spread, threshold, most in (
            (1, 10, 0.5, -1),
            (150, 40, 0.2, -1),
            (400, 60, 0.5, 25),
            (300, 0.5, 0.1, -1),
        ):
            low = rng.uniform(0, spread, (n, axes)).astype(np.float32)
            high = low + rng.uniform(0, spread / 3, (n, axes)).astype(np.float32)
            boxes = np.concatenate([low, high], axis=1)
            boxes[n // 2 :: 7] = boxes[0]
            scores = (rng.integers(0, 60, n) / 59).astype(np.float32)
            kept = non_max_suppression(torch.from_numpy(boxes), torch.from_numpy(scores), threshold, most)
            case = f"{axes}d-{n}"
            arrays[f"{case}/boxes"], arrays[f"{case}/scores"] = boxes, scores
            arrays[f"{case}/threshold"], arrays[f"{case}/most"] = np.float64(threshold), np.int64(most)
            arrays[f"{case}/kept"] = kept.numpy().astype(np.int64)
    np.savez_compressed(Path(__file__).parent / "monai_nms.npz", **arrays)


if __name__ == "__main__":
    main()
