"""The losses of both networks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TOP_SHARE = 0.02


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


def focal_loss(logits: Tensor, target: Tensor, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    """Mean focal loss (A12; Lin et al. 2017): alpha weighs the positives, 1 - alpha the negatives. Shapes (n,)."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = torch.sigmoid(logits)
    correct = torch.where(target > 0.5, probability, 1 - probability)
    weight = torch.where(target > 0.5, alpha, 1 - alpha)
    return (weight * (1 - correct) ** gamma * entropy).mean()
