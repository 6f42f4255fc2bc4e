"""Train the 2.5-D U-Net.

    python -m training.train_segmentation --data ../shared/data --cache cache --run runs/unet-fold0 --leave-out 0

Stopped at any moment, it goes on from its last checkpoint when started again.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from LungNoduleCADLib.detection.devices import autocast
from LungNoduleCADLib.networks.fusion import channels_last
from LungNoduleCADLib.networks.unet import SMALL_UNET, UNet25D

from .checkpoints import load_checkpoint, moving_average, save_checkpoint
from .sampler import SliceSampler, Sources

HARD_LEVEL = 0.4
TOP_SHARE = 0.02
PRIOR_LOGIT = -3.0
"""A nodule voxel is rare: starting there spares the first steps (Lin et al. 2017)."""


def segmentation_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Per-sample soft Dice where there is a nodule, plus cross-entropy over all voxels and over each sample's hardest
    2 %: a false nodule covers a few voxels in ten thousand, and a plain mean would not notice it."""
    probability = torch.sigmoid(logits) * valid
    overlap = (probability * target).flatten(1).sum(1)
    size = (probability + target).flatten(1).sum(1)
    positive = target.flatten(1).sum(1) > 0
    dice = 1 - (2 * overlap + 1) / (size + 1)
    entropy = (functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * valid).flatten(1)
    hardest = entropy.topk(int(entropy.shape[1] * TOP_SHARE), dim=1).values.mean()
    return dice[positive].sum() / max(int(positive.sum()), 1) + hardest + entropy.mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--leave-out", type=int, default=None)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sampler = SliceSampler(Sources.load(arguments.cache, arguments.data, arguments.leave_out), arguments.seed)
    model = channels_last(UNet25D(SMALL_UNET).to(device))
    with torch.no_grad():
        model.head.bias.fill_(PRIOR_LOGIT)  # type: ignore[union-attr]
    average = AveragedModel(model, avg_fn=moving_average, use_buffers=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=arguments.rate, weight_decay=1e-3)
    warm_up = max(arguments.steps // 20, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda n: (
            min((n + 1) / warm_up, 1) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(n / arguments.steps, 1))))
        ),
    )
    arguments.run.mkdir(parents=True, exist_ok=True)
    parts = {"model": model, "average": average, "optimizer": optimizer, "schedule": schedule}
    step = load_checkpoint(arguments.run, parts)
    sampler.rng = np.random.default_rng([arguments.seed, step])
    started, losses = time.monotonic(), []
    while step < arguments.steps:
        samples = [sampler.draw() for _ in range(arguments.batch)]
        slices = torch.from_numpy(np.stack([s[0] for s in samples])).to(device).float().div_(255)
        target = torch.from_numpy(np.stack([s[1] for s in samples])).to(device).float().unsqueeze(1)
        valid = 1 - torch.from_numpy(np.stack([s[2] for s in samples])).to(device).float().unsqueeze(1)
        with autocast(device):
            logits = model(slices.to(memory_format=torch.channels_last)).float()
        loss = segmentation_loss(logits, target, valid)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        worst = (logits.detach().sigmoid() * valid).flatten(1).amax(1).cpu()
        for sample, level in zip(samples, worst, strict=True):
            if sample[3] is not None and level > HARD_LEVEL:
                sampler.report_hard(*sample[3])
        step += 1
        losses.append(float(loss.detach()))
        if step % 100 == 0 or step == arguments.steps:
            with (arguments.run / "history.csv").open("a", newline="") as file:
                csv.writer(file).writerow(
                    [step, np.mean(losses), len(sampler.hard), round(time.monotonic() - started, 1)]
                )
            print(
                f"step {step} loss {np.mean(losses):.4f} hard {len(sampler.hard)} {time.monotonic() - started:.0f} s",
                flush=True,
            )
            losses.clear()
            save_checkpoint(arguments.run, parts, step)


if __name__ == "__main__":
    main()
