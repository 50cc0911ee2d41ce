"""Train the lung nodule segmenter: ``python models/ct-lung-nodule/train.py --data ../shared/data --out /tmp/nodule``.

Needs torch, numpy, scipy, pydicom and bedside. The right half of the real CT is never trained on: it is the test.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from network import NoduleNet
from sampling import Scan, draw_patch, phantom_scan, real_half
from torch.nn import functional

CHECK_SEEDS = range(200, 202)


def loss_of(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross entropy, hard voxels first, plus Dice over the batch."""
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    chance = torch.sigmoid(logits)
    miss = torch.where(truth > 0, 1 - chance, chance)
    focal = (entropy * (0.1 + miss**1.5) * (1 + 3 * truth)).mean() * 20
    overlap = (chance * truth).sum()
    dice = 1 - (2 * overlap + 20) / (chance.sum() + truth.sum() + 20)
    return focal + dice


def batches(
    scans: list[Scan], weights: np.ndarray, seed: int, count: int, patch: int, workers: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches, made ahead on other threads; batch n depends on the seed and n only."""

    def make(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng([seed, n])
        pairs = [draw_patch(scans[rng.choice(len(scans), p=weights)], patch, rng) for _ in range(count)]
        images = np.stack([p[0] for p in pairs])[:, None]
        truths = np.stack([p[1] for p in pairs])[:, None].astype(np.float32)
        return torch.from_numpy(images), torch.from_numpy(truths)

    with ThreadPoolExecutor(workers) as pool:
        queue: list[Future[tuple[torch.Tensor, torch.Tensor]]] = [pool.submit(make, n) for n in range(2 * workers)]
        n = len(queue)
        while True:
            ready = queue.pop(0)
            queue.append(pool.submit(make, n))
            n += 1
            yield ready.result()


def main() -> None:
    """Train for a number of minutes or steps and write the weights and a log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with ct-chest-60")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=35.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", type=Path, help="weights to go on from")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--phantoms", type=int, nargs=2, default=[100, 112], help="range of phantom seeds")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--patch", type=int, default=48)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    begin = time.monotonic()
    scans = [real_half(options.data / "ct-chest-60", "left")]
    for seed in range(*options.phantoms):
        scans.append(phantom_scan(seed))
        print(scans[-1].name, scans[-1].hu.shape, f"{time.monotonic() - begin:.0f} s", flush=True)
    weights = np.array([0.35] + [0.65 / (len(scans) - 1)] * (len(scans) - 1))
    rng = np.random.default_rng([options.seed, 99])
    checks = [phantom_scan(s) for s in CHECK_SEEDS]
    held = [draw_patch(checks[i % len(checks)], 64, rng) for i in range(24)]

    net = NoduleNet()
    if options.resume:
        net.load_state_dict(torch.load(options.resume, weights_only=True))
    net = net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(net.parameters(), options.rate, weight_decay=1e-4)
    log, step, running = [], 0, 0.0
    start = time.monotonic()
    limit = options.minutes * 60
    for image, truth in batches(scans, weights, options.seed, options.batch, options.patch, options.threads):
        spent = (time.monotonic() - start) / limit
        if spent >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = options.rate * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * spent)) + 1e-5
        net.train()
        loss = loss_of(net(image.contiguous(memory_format=torch.channels_last_3d)), truth)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        step += 1
        running = 0.98 * running + 0.02 * float(loss.detach())
        if step % 200 == 0:
            net.eval()
            overlap = total = 0.0
            with torch.no_grad():
                for patch, mask in held:
                    found = net(torch.from_numpy(patch)[None, None])[0, 0].numpy() > 0
                    overlap += 2 * float((found & (mask > 0)).sum())
                    total += float(found.sum() + mask.sum())
            dice = overlap / max(total, 1)
            log.append({"step": step, "loss": running, "dice": dice, "seconds": time.monotonic() - start})
            print(json.dumps(log[-1]), flush=True)
            torch.save(net.state_dict(), options.out / "weights.pt")
    torch.save(net.state_dict(), options.out / "weights.pt")
    summary = {
        "steps": step, "minutes": (time.monotonic() - start) / 60, "seed": options.seed, "batch": options.batch,
        "patch": options.patch, "threads": options.threads, "torch": torch.__version__, "log": log,
    }  # fmt: skip
    (options.out / "training.json").write_text(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
