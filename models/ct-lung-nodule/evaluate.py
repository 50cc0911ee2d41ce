"""Measure the exported network on held-out material: sensitivity, false positives, Dice.

``python models/ct-lung-nodule/evaluate.py --data ../shared/data --weights /tmp/nodule/weights.pt --out measures.json``

Held out are phantoms of other seeds, with nodules put in by the generator at the scanner's own voxel size, and the
right half of the real CT, with synthetic nodules and as it is.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from network import NoduleNet, fold
from numpy.typing import NDArray
from sampling import HIGH_HU, LOW_HU, VOXEL_MM, Hu, Scan, add_nodule, real_half, real_series, to_network_grid
from scipy import ndimage

from bedside.phantoms import chest_ct

ROI = 96
SMALLEST_MM3 = 40.0
Probability = NDArray[np.float32]


def predict(net: torch.nn.Module, hu: Hu) -> Probability:
    """Probability of nodule, by sliding windows with Gaussian weights as the bundle's inferer has them."""
    image = np.clip((hu.astype(np.float32) - LOW_HU) / (HIGH_HU - LOW_HU), 0, 1)
    pad = [(max(ROI - n, 0) // 2, max(ROI - n, 0) - max(ROI - n, 0) // 2) for n in image.shape]
    image = np.pad(image, pad, mode="edge")
    axis = np.exp(-0.5 * ((np.arange(ROI) - (ROI - 1) / 2) / (0.125 * ROI)) ** 2).astype(np.float32)
    weight = np.maximum(axis[:, None, None] * axis[:, None] * axis, 1e-3)
    total, norm = np.zeros_like(image), np.zeros_like(image)
    step = int(ROI * 0.75)
    starts = [sorted({*range(0, n - ROI, step), n - ROI}) for n in image.shape]
    with torch.no_grad():
        for i in starts[0]:
            for j in starts[1]:
                for k in starts[2]:
                    box = (slice(i, i + ROI), slice(j, j + ROI), slice(k, k + ROI))
                    logits = net(torch.from_numpy(np.ascontiguousarray(image[box]))[None, None])[0, 0].numpy()
                    total[box] += weight * logits
                    norm[box] += weight
    crop = tuple(slice(a, n - b) for (a, b), n in zip(pad, image.shape, strict=True))
    return np.asarray(1 / (1 + np.exp(-(total / norm)[crop])), np.float32)


def compare(found: NDArray[np.bool_], truth: NDArray[np.integer], count: int) -> dict[str, Any]:
    """Match components with nodules: a nodule is found if a component covers a tenth of it or more."""
    labels, parts = ndimage.label(found, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=parts + 1)
    keep = sizes * VOXEL_MM**3 >= SMALLEST_MM3
    keep[0] = False
    hits, used = [], set()
    for number in range(1, count + 1):
        inside = truth == number
        volume = int(inside.sum())
        if not volume:
            continue
        touching = np.bincount(labels[inside], minlength=parts + 1) * keep
        touching[0] = 0
        used |= set(np.flatnonzero(touching))
        overlap = float(touching.sum())
        diameter = (6 * volume * VOXEL_MM**3 / np.pi) ** (1 / 3)
        mine = np.isin(labels, np.flatnonzero(touching))
        hits.append(
            {
                "diameter_mm": diameter,
                "found": overlap >= 0.1 * volume,
                "dice": 2 * overlap / (volume + float(mine.sum())) if overlap else 0.0,
            }
        )
    wrong = [int(i) for i in np.flatnonzero(keep) if i not in used]
    return {"nodules": hits, "false_positives": len(wrong), "false_mm3": [float(sizes[i] * VOXEL_MM**3) for i in wrong]}


def phantom_case(seed: int) -> tuple[Hu, NDArray[np.integer], int]:
    """A whole phantom with nodules, brought to the network's grid as the runtime does it."""
    rng = np.random.default_rng([seed, 6])
    slice_mm, pixel = float(rng.choice([1.25, 2.0, 2.5, 3.0])), float(rng.uniform(0.66, 0.86))
    p = chest_ct(seed, slices=int(270 / slice_mm), slice_mm=slice_mm, pixel_mm=pixel, nodule_count=8, threads=1)
    truth = to_network_grid(p.mask.astype(np.int16), p.spacing, order=0)
    return to_network_grid(p.voxels, p.spacing), truth, len(p.nodules)


def real_case(scan: Scan, seed: int) -> tuple[Hu, NDArray[np.integer], int]:
    """A half of the real CT with up to four synthetic nodules."""
    rng = np.random.default_rng([seed, 8])
    hu, mask = scan.hu.copy(), np.zeros(scan.hu.shape, np.uint8)
    for _ in range(4):
        add_nodule(hu, mask, scan.lung & ~ndimage.binary_dilation(mask, iterations=4), rng, scan.grain)
    truth, count = ndimage.label(mask)
    return hu, truth, count


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Sensitivity by size, false positives a scan, Dice of what was found."""
    nodules = [n for r in rows for n in r["nodules"]]
    result: dict[str, Any] = {"scans": len(rows), "nodules": len(nodules)}
    for name, low, high in (("all", 0, 99), ("below 6 mm", 0, 6), ("6 to 10 mm", 6, 10), ("above 10 mm", 10, 99)):
        part = [n for n in nodules if low <= n["diameter_mm"] < high]
        if part:
            result[f"sensitivity, {name}"] = [sum(n["found"] for n in part), len(part)]
    result["false_positives_per_scan"] = float(np.mean([r["false_positives"] for r in rows]))
    found = [n["dice"] for n in nodules if n["found"]]
    result["dice_of_found_mean"], result["dice_of_found_median"] = float(np.mean(found)), float(np.median(found))
    return result


def main() -> None:
    """Run all cases at several thresholds; the threshold is chosen on cases that are not reported."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--phantoms", type=int, default=6)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument(
        "--choose", action="store_true", help="print measures at several thresholds, on validation cases"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    net = NoduleNet()
    net.load_state_dict(torch.load(options.weights, weights_only=True))
    net = fold(net.eval())
    folder = options.data / "ct-chest-60"
    begin = time.monotonic()

    if options.choose:
        left = real_half(folder, "left")
        cases = [phantom_case(s) for s in (200, 201)] + [real_case(left, s) for s in (1, 2)]
        outputs = [(predict(net, hu), truth, count) for hu, truth, count in cases]
        for threshold in (0.3, 0.5, 0.7, 0.8, 0.9):
            print(threshold, json.dumps(summary([compare(p > threshold, t, n) for p, t, n in outputs])), flush=True)
        return

    level = options.threshold
    report: dict[str, Any] = {"threshold": level}
    rows = []
    for seed in range(300, 300 + options.phantoms):
        hu, truth, count = phantom_case(seed)
        rows.append(compare(predict(net, hu) > level, truth, count))
        print(seed, json.dumps(rows[-1]), f"{time.monotonic() - begin:.0f} s", flush=True)
    report["phantoms"] = summary(rows)
    right, rows = real_half(folder, "right"), []
    for seed in range(8):
        hu, truth, count = real_case(right, seed)
        rows.append(compare(predict(net, hu) > level, truth, count))
        print("real, right half", seed, json.dumps(rows[-1]), flush=True)
    report["real right half with inserted nodules"] = summary(rows)

    voxels, spacing = real_series(folder)
    hu = to_network_grid(voxels, spacing)
    labels, _ = ndimage.label(predict(net, hu) > level, np.ones((3, 3, 3)))
    sides = []
    for i, volume in enumerate(np.bincount(labels.ravel())[1:] * VOXEL_MM**3, 1):
        if volume >= SMALLEST_MM3:
            x, y, z = ndimage.center_of_mass(labels == i)
            # RAS axes: the first index is at the patient's left, the second at the back.
            at = {
                "column": (hu.shape[0] - 1 - x) * VOXEL_MM / spacing[2],
                "row": (hu.shape[1] - 1 - y) * VOXEL_MM / spacing[1],
            }
            sides.append(
                {"volume_mm3": float(volume), **at, "slice": z * VOXEL_MM / spacing[0],
                 "half": "left (trained on)" if x < hu.shape[0] / 2 else "right (held out)"}
            )  # fmt: skip
    report["real CT as it is"] = sides
    report["minutes"] = (time.monotonic() - begin) / 60
    options.out.write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
