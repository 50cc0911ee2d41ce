"""Train the breast lesion classifier.

``python models/us-breast-lesion/train.py --data ../shared/data --out /tmp/breast``

Needs torch, numpy and scipy. The checkpoint of every seed, and the seed that is exported, are chosen on the validation
split alone; the test split is read once, at the end, for every seed.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import torch
from network import LesionNet
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch.nn import functional

Arrays = tuple[torch.Tensor, torch.Tensor]


def load(path: Path, split: str) -> Arrays:
    """Images [n, 1, 28, 28] in 0..1 and classes: 0 benign (or normal), 1 malignant; the file has them swapped."""
    data = np.load(path)
    images = torch.from_numpy(data[f"{split}_images"].astype(np.float32) / 255)[:, None]
    return images, torch.from_numpy(1 - data[f"{split}_labels"][:, 0].astype(np.int64))


def auc(score: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
    """Area under the ROC curve, by ranks."""
    rank = rankdata(score)
    positive = int(truth.sum())
    return float((rank[truth == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(truth) - positive)))


def vary(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Random mirror, turn, scale, shift, gain, contrast, blur and noise: as another probe and setting would do."""
    n = len(images)

    def draw(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, generator=rng)

    angle, grow = draw(-0.2, 0.2), draw(0.85, 1.18)
    mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1], theta[:, 0, 2] = mirror * angle.cos() * grow, -angle.sin() * grow, draw(-0.15, 0.15)
    theta[:, 1, 0], theta[:, 1, 1], theta[:, 1, 2] = mirror * angle.sin() * grow, angle.cos() * grow, draw(-0.12, 0.12)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    out = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    soft = functional.avg_pool2d(functional.pad(out, (1, 1, 1, 1), mode="replicate"), 3, 1)
    mix = draw(-0.5, 0.6)[:, None, None, None]
    out = out + mix * (soft - out)
    shape = (-1, 1, 1, 1)
    out = out.clamp(0, 1) ** draw(0.75, 1.35).view(shape) * draw(0.8, 1.2).view(shape) + draw(-0.06, 0.06).view(shape)
    out = out + draw(0, 0.05).view(shape) * torch.randn(out.shape, generator=rng)
    return out.clamp(0, 1)


def scores(net: LesionNet, images: torch.Tensor) -> NDArray[np.float32]:
    """Probability of malignant."""
    net.eval()
    with torch.no_grad():
        return np.asarray(torch.softmax(net(images), 1)[:, 1].numpy())


def train(seed: int, data: Arrays, check: Arrays, epochs: int) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Train with one seed; the weights (a moving average) of the epoch with the best validation AUC, smoothed."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    net = LesionNet()
    mean = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=5e-2)
    images, truth = data
    weight = torch.tensor([1.0, 1.6])
    best: tuple[float, float, dict[str, torch.Tensor], int] = (-1.0, -1e9, {}, 0)
    for epoch in range(epochs):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (0.5 + 0.5 * np.cos(np.pi * epoch / epochs)) + 1e-5
        net.train()
        order = torch.randperm(len(images), generator=rng)
        for part in order.split(64):
            logits = net(vary(images[part], rng))
            loss = functional.cross_entropy(logits, truth[part], weight=weight, label_smoothing=0.08)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                for a, b in zip(mean.state_dict().values(), net.state_dict().values(), strict=True):
                    if a.is_floating_point():
                        a.lerp_(b, 0.02)
                    else:
                        a.copy_(b)
        if epoch >= epochs // 4 and epoch % 2 == 0:
            chance = scores(mean, check[0])
            label = check[1].numpy()
            quality = auc(chance, label)
            likelihood = float(np.log(np.where(label == 1, chance, 1 - chance) + 1e-6).mean())
            # AUC on 78 images moves in steps; the likelihood decides among equals.
            if quality + 0.1 * likelihood > best[0] + 0.1 * best[1]:
                best = (quality, likelihood, copy.deepcopy(mean.state_dict()), epoch)
    return best[2], {"seed": seed, "val_auc": best[0], "val_log_likelihood": best[1], "epoch": best[3]}


def measures(chance: NDArray[np.float32], truth: NDArray[np.int64]) -> dict[str, float]:
    """AUC, and accuracy, sensitivity and specificity at 0.5."""
    said = chance > 0.5
    return {
        "auc": auc(chance, truth),
        "accuracy": float((said == (truth == 1)).mean()),
        "sensitivity": float(said[truth == 1].mean()),
        "specificity": float((~said[truth == 0]).mean()),
    }


def main() -> None:
    """Train every seed, choose on validation, write the weights and the measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with medmnist/breastmnist.npz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=100)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    file = options.data / "medmnist" / "breastmnist.npz"
    data, check, test = (load(file, split) for split in ("train", "val", "test"))

    begin = time.monotonic()
    rows, kept = [], []
    for seed in range(options.seeds):
        state, row = train(seed, data, check, options.epochs)
        net = LesionNet()
        net.load_state_dict(state)
        row |= {f"test_{k}": v for k, v in measures(scores(net, test[0]), test[1].numpy()).items()}
        rows.append(row)
        kept.append(state)
        print(json.dumps(row), f"{time.monotonic() - begin:.0f} s", flush=True)
    chosen = max(range(len(rows)), key=lambda i: rows[i]["val_auc"] + 0.1 * rows[i]["val_log_likelihood"])
    torch.save(kept[chosen], options.out / "weights.pt")
    summary = {
        "chosen_seed": chosen, "minutes": (time.monotonic() - begin) / 60, "epochs": options.epochs,
        "torch": torch.__version__, "seeds": rows,
        "test_auc_mean": float(np.mean([r["test_auc"] for r in rows])),
        "test_auc_deviation": float(np.std([r["test_auc"] for r in rows], ddof=1)),
        "test_accuracy_mean": float(np.mean([r["test_accuracy"] for r in rows])),
        "test_accuracy_deviation": float(np.std([r["test_accuracy"] for r in rows], ddof=1)),
    }  # fmt: skip
    (options.out / "training.json").write_text(json.dumps(summary, indent=1))
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
