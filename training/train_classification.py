"""Train the hybrid CNN-Transformer on patches, with the segmentation network's own false proposals as negatives.

    python -m training.train_classification --data ../shared/data --cache cache --segmentation runs/unet-fold0 \
        --run runs/hybrid-fold0 --leave-out 0
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

from LungNoduleCADLib.detection.group import GroupingSettings, group
from LungNoduleCADLib.detection.propose import heat_map, reach_of
from LungNoduleCADLib.networks.fusion import channels_last
from LungNoduleCADLib.networks.hybrid import SMALL_HYBRID, HybridClassifier

from .checkpoints import averaged_unet, load_checkpoint, moving_average, save_checkpoint
from .degrade import degrade
from .patches import PatchSampler, Place
from .sampler import Lung, Sources

FOCAL_GAMMA, FOCAL_ALPHA = 2.0, 0.25
MALIGNANCY_WEIGHT = 0.2
PROPOSALS_PER_SCAN = 200
MINING = GroupingSettings(threshold=0.06, maximum=PROPOSALS_PER_SCAN)
"""Below the detector's own threshold: the next network's doubts are a little elsewhere."""
DEGRADED_COPIES = 1


def focal_loss(logits: Tensor, target: Tensor, gamma: float = FOCAL_GAMMA, alpha: float = FOCAL_ALPHA) -> Tensor:
    """Mean focal loss (A12; Lin et al. 2017): alpha weighs the positives, 1 - alpha the negatives. Shapes (n,)."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = torch.sigmoid(logits)
    correct = torch.where(target > 0.5, probability, 1 - probability)
    weight = torch.where(target > 0.5, alpha, 1 - alpha)
    return (weight * (1 - correct) ** gamma * entropy).mean()


def mine(lungs: list[Lung], network: torch.nn.Module, path: Path) -> list[Place]:
    """The network's proposals in healthy lung, as it is and as other scanners would show it; kept in a file, since
    finding them takes minutes."""
    if not path.exists():
        rng, found = np.random.default_rng(0), set()
        for n, lung in enumerate(lungs):
            for copy in range(1 + DEGRADED_COPIES):
                image = lung.image.astype(np.float32)
                if copy:
                    image = np.clip(degrade(image, rng, lung.slice_mm), 0, 255)
                heat = heat_map(network, torch.from_numpy(image).div_(255), reach_of(lung.lung, 1.0))
                for proposal in group(heat, settings=MINING):
                    i, j, k = (round(c) for c in proposal.center_kji)
                    if not lung.ignore[i, j, k]:
                        found.add((n, i, j, k))
        np.save(path, np.array(sorted(found)))
    return [Place(int(n), np.array(center)) for n, *center in np.load(path)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--segmentation", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--leave-out", type=int, default=None)
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    arguments.run.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sources = Sources.load(arguments.cache, arguments.data, arguments.leave_out)
    places = mine(sources.lungs, averaged_unet(arguments.segmentation), arguments.run / "proposals.npy")
    sampler = PatchSampler(sources, places, arguments.seed)
    model = channels_last(HybridClassifier(SMALL_HYBRID).to(device))
    average = AveragedModel(model, avg_fn=moving_average, use_buffers=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=arguments.rate, weight_decay=1e-2)
    warm_up = max(arguments.steps // 20, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda n: (
            min((n + 1) / warm_up, 1) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(n / arguments.steps, 1))))
        ),
    )
    parts = {"model": model, "average": average, "optimizer": optimizer, "schedule": schedule}
    step = load_checkpoint(arguments.run, parts)
    sampler.rng = np.random.default_rng([arguments.seed, step])
    print(f"{len(places)} proposals in healthy lung", flush=True)
    started, losses = time.monotonic(), []
    while step < arguments.steps:
        samples = [sampler.draw() for _ in range(arguments.batch)]
        patches = torch.from_numpy(np.stack([s.patch for s in samples])).to(device).float().div_(255).unsqueeze(1)
        nodule = torch.tensor([float(s.is_nodule) for s in samples], device=device)
        malignancy = torch.tensor([s.malignancy for s in samples], device=device)
        logits = model(patches.contiguous(memory_format=torch.channels_last_3d))
        loss = focal_loss(logits[:, 0], nodule, alpha=0.5) * 4
        rated = ~malignancy.isnan()
        if rated.any():
            loss = loss + MALIGNANCY_WEIGHT * functional.binary_cross_entropy_with_logits(
                logits[rated, 1], malignancy[rated]
            )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        for sample, probability in zip(samples, logits[:, 0].detach().sigmoid().tolist(), strict=True):
            if sample.proposal is not None:
                sampler.report(sample.proposal, probability)
        step += 1
        losses.append(float(loss.detach()))
        if step % 50 == 0 or step == arguments.steps:
            with (arguments.run / "history.csv").open("a", newline="") as file:
                csv.writer(file).writerow([step, np.mean(losses), round(time.monotonic() - started, 1)])
            print(f"step {step} loss {np.mean(losses):.4f} {time.monotonic() - started:.0f} s", flush=True)
            losses.clear()
            save_checkpoint(arguments.run, parts, step)


if __name__ == "__main__":
    main()
